"""Writing a full network with its LoRA merged, against `cp` of a file of that size, in turn.

    OMP_NUM_THREADS=1 python benchmarks/merging.py --rounds 5

The model is loaded before; what is measured is what `emu export --format diffusers` adds: seconds to write, and the
growth of the process at its peak, files that are mapped into it apart.
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
from pathlib import Path

import torch
from lora import prepared
from memory import M_MMAP_THRESHOLD, anonymous, watched
from torch import nn

from emu import adapters, tensor_files
from emu.adapters import Adapter
from emu.models import LatentDiffusion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rank", type=int, default=16)
    given = parser.parse_args()
    torch.set_num_threads(1)
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)  # what is let go of goes back to the kernel at once
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        model = LatentDiffusion(prepared("unet", root), adapter=Adapter(rank=given.rank))
        model.configure_model()
        for _, layer in adapters.layers(model.ema):
            nn.init.normal_(layer.lora_B["default"].weight, std=0.01)
        source, ours, theirs = root / "unet/unet/diffusion_pytorch_model.safetensors", root / "a", root / "b"
        before, most, seconds = anonymous(), [0], {"merge and write": [], "cp": []}
        computed = {name: [] for name in seconds}
        threading.Thread(target=watched, args=(most,), daemon=True).start()
        for _ in range(given.rounds):
            for name, out in (("merge and write", ours), ("cp", theirs)):
                out.unlink(missing_ok=True)
                os.sync()
                begun, computing = time.perf_counter(), time.process_time()
                if name == "cp":
                    shutil.copyfile(source, out)
                else:
                    tensor_files.write(out, adapters.tensors(model.ema), {"format": "pt"})
                seconds[name].append(time.perf_counter() - begun)
                computed[name].append(time.process_time() - computing)
        size = source.stat().st_size
        print(
            f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}; {size / 1e6:,.0f} MB"
        )
        for name, times in seconds.items():
            cpu = statistics.median(computed[name])
            print(f"{name}: {statistics.median(times):.2f} s [{min(times):.2f}, {max(times):.2f}], {cpu:.2f} CPU s")
        ratios = [copied / wrote for wrote, copied in zip(*seconds.values(), strict=True)]
        print(f"speed over cp's: {statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]")
        print(f"memory at its peak: {(most[0] - before) / 1e6:,.0f} MB, {(most[0] - before) / size:.3f} of the file")


if __name__ == "__main__":
    main()
