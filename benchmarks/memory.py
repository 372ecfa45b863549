"""Peak memory of real runs: what `emu plan` says against what is measured, and shards against whole copies.

    OMP_NUM_THREADS=1 python benchmarks/memory.py

A transformer of some eighty million parameters in a pipeline of the real classes (Stable Diffusion 3's) is tuned for
two steps by `emu fit`, on CPUs: alone, in two processes with whole copies, and in two with shards. Measured is the
peak of each process's resident memory, files that are mapped into it apart, less what it had before it loaded
anything. Checkpoints are written at once, for their copies in the background are host memory, which a CPU's run would
count as its own.
"""

import argparse
import ctypes
import json
import os
import platform
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
import yaml

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import pipelines
from emu import flags
from emu.cli import main as emu
from emu.plan import plan
from processes import ranks
from test_layouts import DDP, FLOAT32, config

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
LAYOUTS = {
    "alone": (1, []),
    "two copies (DDP)": (2, DDP),
    "two shards (FSDP2)": (2, FLOAT32),
    "two shards, resharded": (2, [*FLOAT32, "--trainer.strategy.init_args.reshard_after_forward", "true"]),
}


def anonymous() -> int:
    """Bytes of this process's resident memory that no file stands behind."""
    (kilobytes,) = re.findall(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(kilobytes)


def watched(peak: list[int]) -> None:
    """Look every few milliseconds, for ever."""
    while True:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.003)


def measured(argv: list[str], out: Path) -> None:
    """Run `emu ARGV`; the growth of this process at its peak goes to `out`.RANK."""
    torch.set_num_threads(1)
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)  # what is let go of goes back to the kernel at once
    before, peak = anonymous(), [0]
    threading.Thread(target=watched, args=(peak,), daemon=True).start()
    emu(argv)
    Path(f"{out}.{os.environ['RANK']}").write_text(json.dumps(peak[0] - before))


def prepared(root: Path, heads: int) -> Path:
    """The config of a run over a larger transformer."""
    pipeline = pipelines.build("flow")
    settings = {**pipeline.transformer.config, "num_layers": 12, "num_attention_heads": heads, "attention_head_dim": 64}
    settings["caption_projection_dim"] = 64 * heads
    pipeline.register_modules(transformer=type(pipeline.transformer).from_config(settings))
    pipeline.save_pretrained(root / "pipeline")
    path = config(root, "flow", root / "pipeline")
    document = yaml.safe_load(path.read_text())
    document["model"]["init_args"]["optimizer"] = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-5}}
    document["quality"] |= {"max_steps": 2, "check_every": 2, "batch": 4}
    document["checkpoint"] = {"blocking": True}
    path.write_text(yaml.safe_dump(document))
    return path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--heads", type=int, default=8, help="of attention, 64 channels each")
    given = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}\n")
    print("| layout | planned, MB a process | measured | measured / planned |\n|---|---|---|---|", flush=True)
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        path = prepared(root, given.heads)
        for name, (world, args) in LAYOUTS.items():
            argv = ["-c", str(path), *args, "--trainer.devices", str(world), "--data.batch_size", "1"]
            said = re.search(r"memory: ([\d.,]+) ([GM])B", plan(flags.check(argv)))
            assert said is not None
            planned = float(said[1].replace(",", "")) * (1000 if said[2] == "G" else 1)
            out = ["--trainer.default_root_dir", str(root / name.replace(" ", "-").replace(",", ""))]
            codes = ranks(world, measured, ["fit", *argv, *out], root / "told", log=root / "log", timeout=900)
            assert codes == [0] * world, (root / "log.0").read_text()[-3000:]
            peaks[name] = max(json.loads((root / f"told.{rank}").read_text()) for rank in range(world)) / 1e6
            print(f"| {name} | {planned:,.0f} | {peaks[name]:,.0f} | {peaks[name] / planned:.2f} |", flush=True)
    copies, *shards = (peak for name, peak in peaks.items() if name.startswith("two"))
    shares = " and ".join(f"{peak / copies:.0%}" for peak in shards)
    print(f"\nA process with shards takes {shares} of one with a whole copy.")


if __name__ == "__main__":
    main()
