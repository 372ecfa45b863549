"""Writing a single file from a sharded folder, against `cp` of that folder: speed, and memory beside the files' own.

    OMP_NUM_THREADS=1 python benchmarks/single_file.py

FLUX.1's transformer at its published width with few layers, in bfloat16, in shards. Both kinds take turns, each until
what it wrote would outlive a power cut. Memory is what a process has that is no page of a file (RssAnon), at most. The
disk is shared with others as a rule, CPU seconds are not: both are told.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxTransformer2DModel

from emu import originals
from emu.originals.checkpoints import stored
from emu.pipeline_folders import tensor_files
from emu.pipeline_folders.tensor_files import Stored
from emu.storage import files

KIND = "FluxTransformer2DModel"
STEM = "diffusion_pytorch_model"


def make(folder: Path, layers: int, shard_bytes: int) -> None:
    """A component's folder with random weights."""
    with torch.device("meta"):
        network = FluxTransformer2DModel(num_layers=layers, num_single_layers=2 * layers)
    shards: list[dict[str, Stored]] = [{}]
    for name, weight in network.state_dict().items():
        one = Stored(tuple(weight.shape), torch.bfloat16, lambda shape=weight.shape: random(shape))  # type: ignore[misc]
        if sum(each.bytes for each in shards[-1].values()) + one.bytes > shard_bytes and shards[-1]:
            shards.append({})
        shards[-1][name] = one
    names = {
        name: f"{STEM}-{i:05}-of-{len(shards):05}.safetensors" for i, part in enumerate(shards, 1) for name in part
    }
    for part in shards:
        tensor_files.write(folder / names[next(iter(part))], part, {"format": "pt"})
    (folder / f"{STEM}.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    network.save_config(folder)


def random(shape: torch.Size) -> torch.Tensor:
    return torch.randint(-(2**15), 2**15 - 1, shape, dtype=torch.int16).view(torch.bfloat16)


def convert(folder: Path, out: Path, said: Any) -> None:
    """In a process of its own: writes the file, and puts seconds and bytes of memory."""
    memory, before, done = [0], anonymous(), threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            memory[0] = max(memory[0], anonymous() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    held = tensor_files.of_component(folder)
    made = originals.layout(KIND, held, json.loads((folder / "config.json").read_text()))
    tensor_files.write(out, {name: stored(original, held) for name, original in made.items()}, {"format": "pt"})
    files.to_disk(out)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    said.put((seconds, memory[0]))


def anonymous() -> int:
    """Bytes of this process that are no file's."""
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def of_children() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--shard-mb", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=None, help="a disk to measure on; a temporary folder")
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(dir=given.folder))
    try:
        (place / "base").mkdir()
        make(place / "base", given.layers, given.shard_mb * 10**6)
        shards = [path.stat().st_size for path in (place / "base").glob("*.safetensors")]
        taken: dict[str, list[float]] = {"cp": [], "emu": []}
        computed: dict[str, list[float]] = {"cp": [], "emu": []}
        memory, fork = 0, get_context("fork")
        for _ in range(given.rounds):
            start, used_before = time.perf_counter(), of_children()
            subprocess.run(["cp", "-r", place / "base", place / "copy"], check=True)
            for path in (place / "copy").iterdir():
                files.to_disk(path)
            taken["cp"].append(time.perf_counter() - start)
            computed["cp"].append(of_children() - used_before)
            shutil.rmtree(place / "copy")
            said, used_before = fork.SimpleQueue(), of_children()
            child = fork.Process(target=convert, args=(place / "base", place / "one.safetensors", said))
            child.start()
            seconds, used = said.get()
            child.join()
            computed["emu"].append(of_children() - used_before)
            taken["emu"].append(seconds)
            memory = max(memory, used)
            (place / "one.safetensors").unlink()
        size, ratios = sum(shards), [c / e for c, e in zip(taken["cp"], taken["emu"], strict=True)]
        cores = f"{os.cpu_count()} CPU cores"
        print(f"{size / 1e9:.2f} GB in {len(shards)} shards, the largest {max(shards) / 1e6:.0f} MB; {cores}")
        for kind, seconds in taken.items():
            speed, cpu = size / statistics.median(seconds) / 1e6, statistics.median(computed[kind])
            print(f"{kind}: {speed:.0f} MB/s, {cpu:.2f} CPU s (medians of {len(seconds)})")
        low, high = min(ratios), max(ratios)
        print(f"speed by cp's: median {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})")
        print(f"memory: {memory / 1e6:.0f} MB at most, {memory / max(shards):.2f} of the largest shard")
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
