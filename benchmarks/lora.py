"""A step of a LoRA against one of a full tune: the same model, the same pictures, in turn.

    OMP_NUM_THREADS=1 python benchmarks/lora.py latent --batch 16
    OMP_NUM_THREADS=1 python benchmarks/lora.py unet --batch 2 --blocks 4
    OMP_NUM_THREADS=1 python benchmarks/lora.py unet --width 320 --batch 1 --apart     # 860 M weights: 20 GB

A step is what `emu fit` on a cache does: loss, backward, clipping, AdamW, the average. Times are seconds of one core in
one process, blocks of steps in turn, or with --apart each block in a process of its own: both models at once are more
than a machine of 24 GB holds. Memory is the growth of a process of its own at its peak, files that are mapped into it
apart.
"""

import argparse
import ctypes
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from memory import M_MMAP_THRESHOLD, anonymous, watched
from torch import Tensor

from emu.models import LatentDiffusion
from emu.module import TextToImageModule
from emu.networks.adapters import Adapter
from emu.objectives import draws
from emu.optim import averaging
from emu.pipeline_folders import folders

BLOCK = 2  # steps
WIDTH = 128  # of the first blocks of Stable Diffusion 1.5's U-Net, which has 320; the others follow as there
KINDS = ("full", "LoRA", "full, recomputing", "LoRA, recomputing")


def prepared(name: str, root: Path, width: int = WIDTH) -> str:
    """The pipeline folder of a name: a bundled base, or SD 1.5's U-Net made narrower, untrained, in that base's."""
    if name != "unet":
        return f"emu://bases/{name}"
    folder = root / "unet"
    if not folder.exists():
        pipeline = StableDiffusionPipeline.from_pretrained(folders.locate("emu://bases/latent"))
        channels = pipeline.unet.config.in_channels
        kind = {"in_channels": channels, "out_channels": channels, "sample_size": 32}
        kind["cross_attention_dim"] = pipeline.unet.config.cross_attention_dim
        widths = (width, 2 * width, 4 * width, 4 * width)
        pipeline.register_modules(unet=UNet2DConditionModel(block_out_channels=widths, **kind))
        pipeline.save_pretrained(folder)
    return str(folder)


class Steps:
    """A model, what it learns from, and its steps."""

    def __init__(self, pretrained: str, kind: str, batch: int, side: int, rank: int) -> None:
        adapter = Adapter(rank=rank) if kind.startswith("LoRA") else None
        self.model: TextToImageModule = LatentDiffusion(
            pretrained, adapter=adapter, gradient_checkpointing=kind.endswith("recomputing")
        )
        self.model.configure_model()
        torch.manual_seed(0)
        with torch.no_grad():
            x = self.model.encode_images(torch.rand(1, 3, 8 * side, 8 * side) * 2 - 1)[..., :side, :side]
            cond = self.model.encode_prompts(["a red boat at noon"])
        self.x = x.repeat(batch, 1, 1, 1)
        self.cond: dict[str, Tensor] = {key: one.repeat(batch, *[1] * (one.dim() - 1)) for key, one in cond.items()}
        self.seeds = list(range(batch))
        self.parameters = list(self.model.trained_parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-5)

    def step(self) -> None:
        with draws.seeded(self.seeds, torch.device("cpu")):
            loss = self.model.loss(self.x, {**self.cond, "size": torch.zeros(len(self.x), 6, dtype=torch.int64)}).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        averaging.update(self.model.ema, self.model.backbone, decay=0.999)


def of_its_own(given: argparse.Namespace, kind: str, pretrained: str) -> tuple[float, float]:
    """MB that a process of its own takes for a step and a block of steps, and seconds for one of the block."""
    sizes = [given.model, "--batch", str(given.batch), "--side", str(given.side), "--rank", str(given.rank)]
    words = [sys.executable, __file__, *sizes, "--alone", kind, "--pretrained", pretrained]
    megabytes, seconds = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[-2:]
    return float(megabytes), float(seconds)


def alone(given: argparse.Namespace) -> None:
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)  # what is let go of goes back to the kernel at once
    before, most = anonymous(), [0]
    threading.Thread(target=watched, args=(most,), daemon=True).start()
    steps = Steps(given.pretrained, given.alone, given.batch, given.side, given.rank)
    most[0] = 0  # to load is not to train
    steps.step()
    seconds = timed(steps)
    print((most[0] - before) / 1e6, seconds)


def timed(steps: Steps) -> float:
    begun = time.process_time()
    for _ in range(BLOCK):
        steps.step()
    return (time.process_time() - begun) / BLOCK


def in_turn(given: argparse.Namespace, pretrained: str) -> dict[str, list[float]]:
    """Seconds of a step of each kind, a block after the other in this process."""
    pair = {kind: Steps(pretrained, kind, given.batch, given.side, given.rank) for kind in KINDS[:2]}
    for steps in pair.values():
        steps.step()  # warms up
    seconds: dict[str, list[float]] = {kind: [] for kind in pair}
    for _ in range(given.blocks):
        for kind, steps in pair.items():
            seconds[kind].append(timed(steps))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=["latent", "unet"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=32, help="of the latents")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--width", type=int, default=WIDTH, help="of the U-Net's first blocks; 320 is 860 M weights")
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--apart", action="store_true", help="each block in a process of its own")
    parser.add_argument("--alone", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--pretrained", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.alone:
        alone(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        pretrained = prepared(given.model, Path(folder), given.width)
        if given.apart:
            both = [{kind: of_its_own(given, kind, pretrained) for kind in KINDS[:2]} for _ in range(given.blocks)]
            peaks = {kind: max(one[kind][0] for one in both) for kind in KINDS[:2]}
            seconds = {kind: [one[kind][1] for one in both] for kind in KINDS[:2]}
        else:
            peaks = {kind: of_its_own(given, kind, pretrained)[0] for kind in KINDS}
            seconds = in_turn(given, pretrained)
        weights = sum(path.stat().st_size for path in (folders.locate(pretrained) / "unet").glob("*.safetensors")) / 4
    print(
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}; {given.model}, ", end=""
    )
    print(f"{weights / 1e6:.1f} M weights, batch {given.batch}, latents of {given.side}, rank {given.rank}")
    ratios = [low / full for full, low in zip(seconds["full"], seconds["LoRA"], strict=True)]
    for kind, times in seconds.items():
        print(f"{kind}: {statistics.median(times):.3f} s a step")
    print(f"LoRA / full: {statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]")
    for kind, size in peaks.items():
        print(f"{kind}: {size:,.0f} MB at its peak, {size / peaks['full']:.2f} of full")


if __name__ == "__main__":
    main()
