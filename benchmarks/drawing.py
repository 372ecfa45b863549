"""Drawing as checks and `emu sample` do it, against plain diffusers' call: the same weights, sampler, seeds and batch.

    python benchmarks/drawing.py                       # the three tiny bases
    python benchmarks/drawing.py latent --rounds 9 --batch 40 --compiled

The two sides draw in turn in one process. Times are CPU seconds of it, ratios of neighbours; `worst` is how far a
picture is from plain's, in 8-bit levels. With --compiled our blocks are compiled, plain's network is not, and a third
side is plain's with its network compiled whole. Plain draws a batch of prompts, each with a generator of its own;
aMUSEd's takes one generator a call, so there its pictures are others, and compared are those of a batch of one.
"""

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import diffusers
import torch
from torch import Tensor

from emu.models import LatentDiffusion, Muse, PixelDiffusion
from emu.module import TextToImageModule
from emu.module.settings import draw
from emu.pipeline_folders.folders import locate

BASES: dict[str, tuple[type[TextToImageModule], int, dict[str, Any]]] = {
    "latent": (LatentDiffusion, 64, {"num_inference_steps": 10, "guidance_scale": 3.0}),
    "pixel": (PixelDiffusion, 32, {"num_inference_steps": 10, "guidance_scale": 2.0}),
    "muse": (Muse, 32, {"num_inference_steps": 12, "guidance_scale": 2.0}),
}
Draw = Callable[[], Tensor]
Found = tuple[dict[str, list[float]], dict[str, Tensor]]
PAIRS = (("ours", "plain"), ("ours, bf16", "plain, bf16"), ("ours, bf16", "plain"))
COMPILED = (("ours", "plain, compiled"),)


@dataclass(frozen=True)
class Case:
    """What is drawn: `number` pictures of `side` pixels with the pipeline of a folder."""

    kind: type[TextToImageModule]
    folder: str
    side: int
    sampler: dict[str, Any]
    number: int
    device: str = "cpu"
    compiled: bool = False

    @property
    def prompts(self) -> list[str]:
        return [f"a photo of a red lamp number {i} in a field at noon" for i in range(self.number)]

    def ours(self) -> Draw:
        model = self.kind(self.folder, resolution=self.side, sampler=self.sampler, compile_blocks=self.compiled)
        model.configure_model()
        model.to(self.device).eval()
        numbers = torch.arange(self.number)
        batch: Any = {"prompt": self.prompts, "seed": numbers, "index": numbers}
        return lambda: draw(model, batch)

    def plain(self, *, compiled: bool = False) -> Draw:
        pipeline_class = diffusers.AmusedPipeline if self.kind is Muse else self.kind.pipeline_class
        pipeline = pipeline_class.from_pretrained(locate(self.folder), torch_dtype=torch.float32).to(self.device)
        pipeline.set_progress_bar_config(disable=True)
        if compiled:
            getattr(pipeline, self.kind.slot).compile()
        asked = {"negative_prompt": [""] * self.number, "height": self.side, "width": self.side, "output_type": "pt"}

        def call() -> Tensor:
            seeds: Any = [torch.Generator().manual_seed(i) for i in range(self.number)]
            drawn: Tensor = pipeline(
                self.prompts, generator=seeds[0] if self.kind is Muse else seeds, **asked, **self.sampler
            )[0]
            return (drawn / 2 + 0.5).clamp(0, 1) if self.kind is PixelDiffusion else drawn

        return call

    def timed(self, call: Draw, *, half: bool) -> tuple[float, Tensor]:
        """Seconds of this process's work on a CPU, of the wall with all work done on a GPU; and the pictures."""
        clock = time.process_time if self.device == "cpu" else time.perf_counter
        begun = clock()
        with torch.autocast(self.device, torch.bfloat16, enabled=half):
            drawn = call().float().cpu()
        return clock() - begun, drawn

    def measured(self, rounds: int) -> Found:
        """Seconds of each round but the first, which warms up, and what was drawn, by side."""
        mine, theirs = self.ours(), self.plain()
        sides = {"ours": mine, "plain": theirs, "ours, bf16": mine, "plain, bf16": theirs}
        if self.compiled:
            sides["plain, compiled"] = self.plain(compiled=True)
        took: dict[str, list[float]] = {side: [] for side in sides}
        drawn: dict[str, Tensor] = {}
        for number in range(rounds + 1):
            for side in list(sides)[:: -1 if number % 2 else 1]:  # who draws after another precision pays for it
                spent, drawn[side] = self.timed(sides[side], half=side.endswith("bf16"))
                took[side].append(spent)
        return {side: times[1:] for side, times in took.items()}, drawn


def rows(name: str, case: Case, rounds: int) -> Iterator[str]:
    took, drawn = case.measured(rounds)
    if case.kind is Muse:
        drawn = replace(case, number=1).measured(0)[1]
    for side, than in PAIRS + (COMPILED if case.compiled else ()):
        ratios = [a / b for a, b in zip(took[side], took[than], strict=True)]
        worst = (drawn[side] - drawn[than]).abs().max() * 255
        yield (
            f"| {name} | {side} | {than} | {statistics.median(took[side]):.2f} s "
            f"| {statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}] | {worst:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(BASES))
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--compiled", action="store_true", help="our blocks, and plain's network whole as a third side")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    print(f"torch {torch.__version__}, diffusers {diffusers.__version__}, Python {platform.python_version()}, 1 thread")
    print(f"{given.batch} pictures at a time, {given.rounds} rounds in turn\n")
    print("| model | side | against | CPU seconds | ratio, median [least, most] | worst, levels |")
    print("|---|---|---|---|---|---|")
    for name in given.models:
        kind, side, sampler = BASES[name]
        case = Case(kind, f"emu://bases/{name}", side, sampler, given.batch, compiled=given.compiled)
        for row in rows(name, case, given.rounds):
            print(row, flush=True)


if __name__ == "__main__":
    main()
