"""Writing a full network with its LoRA merged, against `cp` of a file of that size, in turn.

    OMP_NUM_THREADS=1 python benchmarks/merging.py --rounds 9

The model is loaded before; what is measured is what `emu export --format diffusers` adds: seconds until it is written,
and until it would outlive a power cut; after that the growth of the process at its peak, files that are mapped into it
apart. Notable: memory is watched in a round of its own, for who watches takes the interpreter from who writes.
"""

import argparse
import ctypes
import os
import platform
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from lora import prepared
from memory import M_MMAP_THRESHOLD, anonymous, watched
from torch import nn

from emu.models import LatentDiffusion
from emu.module import TextToImageModule
from emu.networks import adapters
from emu.networks.adapters import Adapter
from emu.pipeline_folders import tensor_files
from emu.storage import files


@dataclass(frozen=True)
class Times:
    """Of one way to write, a round each."""

    written: list[float] = field(default_factory=list)
    on_disk: list[float] = field(default_factory=list)
    computed: list[float] = field(default_factory=list)

    def take(self, write: Callable[[], object], out: Path) -> None:
        out.unlink(missing_ok=True)
        os.sync()
        begun, computing = time.perf_counter(), time.process_time()
        write()
        self.written.append(time.perf_counter() - begun)
        self.computed.append(time.process_time() - computing)
        files.to_disk(out)
        self.on_disk.append(time.perf_counter() - begun)


def told(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def tuned(root: Path, rank: int) -> TextToImageModule:
    model = LatentDiffusion(prepared("unet", root), adapter=Adapter(rank=rank))
    model.configure_model()
    for _, layer in adapters.layers(model.ema):
        nn.init.normal_(layer.lora_B["default"].weight, std=0.01)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--folder", type=Path, default=None, help="a disk to measure on; a temporary folder")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        root = Path(folder)
        model, out = tuned(root, given.rank), root / "out"
        source = root / "unet/unet/diffusion_pytorch_model.safetensors"

        def write() -> None:
            tensor_files.write(out, adapters.tensors(model.ema), {"format": "pt"})

        ours, cp = Times(), Times()
        for _ in range(given.rounds):
            ours.take(write, out)
            cp.take(lambda: shutil.copyfile(source, out), out)
        size = source.stat().st_size
        print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}; ", end="")
        print(f"{size / 1e6:,.0f} MB")
        for name, one in (("merge and write", ours), ("cp", cp)):
            print(f"{name}: {told(one.written)} s, {told(one.on_disk)} on disk, {told(one.computed)} CPU s")
        for name in ("written", "on_disk", "computed"):
            pairs = zip(getattr(ours, name), getattr(cp, name), strict=True)
            print(f"speed over cp's, {name}: {told([theirs / mine for mine, theirs in pairs])}")
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)  # what is let go of goes back to the kernel at once
        before, most = anonymous(), [0]
        threading.Thread(target=watched, args=(most,), daemon=True).start()
        write()
        print(f"memory at its peak: {(most[0] - before) / 1e6:,.0f} MB, {(most[0] - before) / size:.3f} of the file")


if __name__ == "__main__":
    main()
