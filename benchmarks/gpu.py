"""All figures of one GPU in under ten minutes, as a table.

    python benchmarks/gpu.py --out gpu                      # writes gpu/gpu.md and gpu/gpu.json
    python benchmarks/gpu.py --out here --device cpu --tiny # that it runs, in a minute, without a GPU

Each row is a process of its own; one that fails, or that no time is left for, stays empty and says why. The models are
untrained networks of published sizes between tiny encoders: latents of 64 by 64 (Stable Diffusion 1.5's network) and of
128 by 128 (SDXL's), texts of 12 tokens. Their steps are those of benchmarks/step.py, their drawing is that of
benchmarks/drawing.py, their memory that of `emu fit` itself.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import torch
import yaml
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import drawing
import step

import pipelines
from emu import flags, models
from emu.cli import main as emu
from emu.module import TextToImageModule
from emu.planning.plan import plan
from needles import make_folder

Figures = dict[str, float]
MINUTES = 9.5


@dataclass(frozen=True)
class Size:
    """A network of a published size: its config over the tiny one's, and how much is computed at a time."""

    pipeline: str
    kind: str
    side: int = 32
    batch: int = 2
    text: int = 32  # channels of a token
    network: dict[str, Any] = field(default_factory=dict)


SD15 = Size("latent", "LatentDiffusion", side=128, batch=16, text=768, network={
    "block_out_channels": (320, 640, 1280, 1280), "layers_per_block": 2, "norm_num_groups": 32,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
})  # fmt: skip
SDXL = Size("latent_xl", "LatentDiffusionXL", side=256, batch=2, text=1024, network={
    "block_out_channels": (320, 640, 1280), "layers_per_block": 2, "norm_num_groups": 32,
    "attention_head_dim": (5, 10, 20), "transformer_layers_per_block": (1, 2, 10),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
})  # fmt: skip
TINY = Size("latent", "LatentDiffusion"), Size("latent_xl", "LatentDiffusionXL")


@dataclass(frozen=True)
class Bench:
    """Where a row is measured: the device, the smaller and the larger network, and a folder for them."""

    device: str
    tiny: bool
    work: Path

    @property
    def sizes(self) -> tuple[Size, Size]:
        return TINY if self.tiny else (SD15, SDXL)

    def folder(self, size: Size) -> str:
        """A pipeline folder with such a network, written by the first row that asks."""
        folder = self.work / size.kind
        if not (folder / "model_index.json").exists():
            torch.manual_seed(0)
            pipelines.WIDTH = size.text
            pipeline = pipelines.build(size.pipeline)
            network = type(pipeline.unet).from_config({**pipeline.unet.config, **size.network})
            pipeline.register_modules(unet=network)
            pipeline.save_pretrained(folder)
        return str(folder)

    def needles(self, size: Size) -> Path:
        folder = self.work / f"needles-{size.side}"
        if not folder.exists():
            folder.mkdir()
            make_folder(folder, [(size.side, size.side)] * (2 * size.batch + 2))
        return folder / "needles"

    def made(self, size: Size, **given: Any) -> TextToImageModule:
        kind: type[TextToImageModule] = getattr(models, size.kind)
        torch.manual_seed(0)
        return kind(self.folder(size), resolution=size.side, warmup_steps=0, **given)


def ceilings(bench: Bench) -> Figures:
    """What the device does at most: a product of matrices in bfloat16, and a copy."""
    side = 256 if bench.tiny else 8192
    a, b = (torch.randn(side, side, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    large = torch.empty(side * side, device=bench.device)
    product, copy = best(bench, lambda: a @ b), best(bench, lambda: large.clone())
    return {"TFLOP/s": 2 * side**3 / product / 1e12, "GB/s": 2 * large.nbytes / copy / 1e9}


def best(bench: Bench, work: Callable[[], Tensor], tries: int = 20) -> float:
    """Seconds of the fastest of some tries."""
    took = []
    for _ in range(tries):
        wait(bench)
        begun = time.perf_counter()
        work()
        wait(bench)
        took.append(time.perf_counter() - begun)
    return min(took)


def wait(bench: Bench) -> None:
    if bench.device == "cuda":
        torch.cuda.synchronize()


def stepped(bench: Bench, **ours: Any) -> Figures:
    """Our step in bf16 against the plain loop's, and its share of the ceiling."""
    size = bench.sizes[0]
    setting = step.Setting(
        lambda **given: bench.made(size, **given), size.side, size.batch, blocks=1 if bench.tiny else 8,
        device=bench.device, bf16=True, ours=ours,
    )  # fmt: skip
    found = step.measured(setting, bench.needles(size), bench.work / f"cache-{len(ours)}")
    took = statistics.median(found["ours"][0]) / step.BLOCK
    done = operations(bench, size) / took / 1e12
    return {
        "ms a step": 1e3 * took,
        "pictures a second": size.batch / took,
        "of the plain loop": statistics.median(step.ratios(found, "peer")),
        "of the plain loop with cached encodings": statistics.median(step.ratios(found, "peer, fast")),
        "TFLOP/s": done,
        "of the ceiling": done / ceilings(bench)["TFLOP/s"],
        "operators a step": found["ours"][1],
        "operators of the plain loop with cached encodings": found["peer, fast"][1],
    }


def operations(bench: Bench, size: Size) -> float:
    """Floating-point operations of a step, forward and backward."""
    model = bench.made(size)
    model.configure_model()
    model.to(bench.device)
    images = torch.rand(size.batch, 3, size.side, size.side, device=bench.device) * 2 - 1
    sizes = torch.tensor([[size.side, size.side, 0, 0, size.side, size.side]] * size.batch, device=bench.device)
    with torch.autocast(bench.device, torch.bfloat16):
        with torch.no_grad():
            x, cond = model.encode_images(images), model.encode_prompts(["a red lamp"] * size.batch)
        with FlopCounterMode(display=False) as counter:
            model.loss(x, {**cond, "size": sizes}).mean().backward()
    return float(counter.get_total_flops())


def compiled(bench: Bench) -> Figures:
    """The same step with its blocks compiled."""
    return stepped(bench, compile_blocks=True)


def drawn(bench: Bench) -> Figures:
    """Drawing as a check does, against plain diffusers' call."""
    size = bench.sizes[0]
    sampler = {"num_inference_steps": 2 if bench.tiny else 30, "guidance_scale": 5.0}
    kind: type[TextToImageModule] = getattr(models, size.kind)
    case = drawing.Case(kind, bench.folder(size), size.side, sampler, size.batch, bench.device)
    took, pictures = case.measured(1 if bench.tiny else 3)
    found = {f"pictures a second, {side}": size.batch / statistics.median(times) for side, times in took.items()}
    for mine, plain in drawing.PAIRS:
        found[f"{mine}, of {plain}"] = statistics.median(took[mine]) / statistics.median(took[plain])
    worst = (pictures["ours, bf16"] - pictures["plain, bf16"]).abs().max()
    return found | {"farthest from plain's in bf16, levels": float(worst) * 255}


def fitted(bench: Bench) -> Figures:
    """Peak memory of `emu fit` against what `emu plan` says, the smaller network as it is."""
    return peak(bench, bench.sizes[0], "--trainer.precision", "bf16-mixed")


def card(bench: Bench) -> Figures:
    """The same of the larger network by the recipe for 24 GB."""
    return peak(bench, bench.sizes[1], "-c", "cards/24gb")


def peak(bench: Bench, size: Size, *over: str) -> Figures:
    """GB that the plan says and the device saw, of a check and two steps."""
    run, prompts, config = (bench.work / f"{size.kind}{tail}" for tail in ("-run", "-prompts.txt", ".yaml"))
    prompts.write_text("a red boat\na blue bird\ntwo hills\n")
    init = {"pretrained": bench.folder(size), "sampler": {"num_inference_steps": 2}, "warmup_steps": 0}
    data = {"root": str(bench.needles(size)), "prompts": str(prompts), "resolution": size.side, "num_workers": 0}
    data |= {"batch_size": size.batch, "sample_batch_size": 2, "held_out": 2, "aspect_ratios": False}
    trainer = {"accelerator": "gpu" if bench.device == "cuda" else "cpu", "devices": 1, "enable_progress_bar": False}
    document = {
        "trainer": trainer,
        "model": {"class_path": f"emu.models.{size.kind}", "init_args": init},
        "data": data,
        "quality": {"batch": 2 * size.batch, "max_steps": 2, "check_every": 2},
    }
    config.write_text(yaml.safe_dump(document))
    argv = ["-c", str(config), *over, "--trainer.default_root_dir", str(run)]
    said = re.search(r"memory: ([\d.,]+) ([GM])B", plan(flags.check(argv)))
    assert said is not None
    planned = float(said[1].replace(",", "")) / (1 if said[2] == "G" else 1000)
    begun = time.perf_counter()
    emu(["fit", *argv])
    took = {"planned, GB": planned, "seconds of the run": time.perf_counter() - begun}
    if bench.device == "cpu":
        return took
    measured = torch.cuda.max_memory_allocated() / 1e9
    return took | {"measured, GB": measured, "measured / planned": measured / planned}


ROWS: dict[str, tuple[Callable[[Bench], Figures], float]] = {
    "ceilings": (ceilings, 60),
    "step": (stepped, 120),
    "drawing": (drawn, 120),
    "memory": (fitted, 120),
    "memory, cards/24gb": (card, 180),
    "step, compiled": (compiled, 240),
}
"""What is measured, in how many seconds at most; what takes longest comes last."""


def row(name: str, argv: list[str], seconds: float) -> dict[str, Any]:
    """Figures of a row, or why there are none."""
    if seconds < 5:
        return {"why": "no time was left"}
    begun = time.perf_counter()
    command = [sys.executable, __file__, *argv, "--row", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"why": f"took longer than {seconds:.0f} s"}
    if done.returncode:
        return {"why": (done.stderr.strip().splitlines() or ["it ended without a word"])[-1][:200]}
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    return {"seconds": round(time.perf_counter() - begun, 1), "figures": figures}


def table(report: dict[str, Any]) -> str:
    """Markdown."""
    lines = [report["device"], "", report["versions"], "", f"    {report['command']}", ""]
    lines += ["| row | figure | value |", "|---|---|---|"]
    for name, found in report["rows"].items():
        lines += [f"| {name} | {figure} | {value:,.4g} |" for figure, value in found.get("figures", {}).items()]
        if "why" in found:
            lines.append(f"| {name} |  | not measured: {found['why']} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="tiny networks: that everything runs")
    parser.add_argument("--row", choices=list(ROWS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    work = given.out / "work"
    work.mkdir(parents=True, exist_ok=True)
    bench = Bench(given.device, given.tiny, work)
    if given.row:
        print(json.dumps(ROWS[given.row][0](bench)))
        return
    until = time.monotonic() + 60 * MINUTES
    argv = sys.argv[1:]
    rows = {}
    for name, (_, most) in ROWS.items():
        rows[name] = row(name, argv, 3600 if given.tiny else min(most, until - time.monotonic()))
    device = torch.cuda.get_device_name() if given.device == "cuda" else f"{platform.machine()}, {os.cpu_count()} cores"
    versions = f"torch {torch.__version__}, diffusers {diffusers.__version__}, Python {platform.python_version()}"
    command = f"python benchmarks/gpu.py {' '.join(argv)}"
    report = {"device": device, "versions": versions, "command": command, "rows": rows}
    (given.out / "gpu.json").write_text(json.dumps(report, indent=2))
    (given.out / "gpu.md").write_text(table(report))
    print(table(report))


if __name__ == "__main__":
    main()
