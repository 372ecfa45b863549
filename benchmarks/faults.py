"""Kills real processes at random moments, and looks whether the same command ends as if nothing had happened.

    python benchmarks/faults.py --kills 200

Every command runs on a tiny pipeline of the real classes: alone, and where it can, in two processes with whole copies
and in two with shards. All processes of a command get SIGKILL at once, at a moment drawn evenly over how long it takes
when nobody kills it; then the same command is given again, and may be killed again; in the end what it left is held
against an unbroken run, byte for byte and number for number.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from dataclasses import replace

import pipelines
from emu.checkpoints import Durable
from emu.cli import main as emu
from emu.layouts import runs
from emu.layouts.quality_json import read_quality
from emu.storage.cache import Cache
from processes import ended, start
from test_layouts import DDP, FLOAT32, config

HANGS = 180  # seconds, after which a command counts as hung and says where

Left = dict[str, Any]  # name of a thing -> what it is, for comparison


@dataclass(frozen=True)
class Job:
    """A command in so many processes, and how to look at what it left in a folder."""

    name: str
    world: int
    argv: Callable[[Path], list[str]]
    left: Callable[[Path], Left]


@dataclass
class Tally:
    """What happened to one job."""

    kills: int = 0
    ends: int = 0
    equal: int = 0
    lost: int = 0
    doubled: int = 0
    torn: int = 0


def jobs(root: Path, path: Path) -> list[Job]:
    """Five commands; those that share work do so in two processes too."""

    def fit(*args: str) -> Callable[[Path], list[str]]:
        return lambda out: ["fit", "-c", str(path), *args, "--trainer.default_root_dir", str(out / "run")]

    def encode(out: Path) -> list[str]:
        return ["encode", "-c", str(path), "--data.cache", str(out / "cache")]

    def sample(out: Path) -> list[str]:
        prompts, how = root / "many.txt", ["--sampler", "num_inference_steps=2", "--batch-size", "2"]
        return ["sample", str(root / "pipeline"), str(prompts), str(out / "drawn"), *how]

    shared = ["--data.batch_size", "6", "--trainer.devices", "2"]
    return [
        Job("fit, alone", 1, fit(), run_of),
        Job("fit, two copies", 2, fit(*DDP, *shared), run_of),
        Job("fit, two shards", 2, fit(*FLOAT32, *shared), run_of),
        Job("encode, alone", 1, encode, cache_of),
        Job("encode, two", 2, encode, cache_of),
        Job("sample, alone", 1, sample, lambda out: files_of(out / "drawn")),
        Job("sample, two", 2, sample, lambda out: files_of(out / "drawn")),
        Job("compare", 1, lambda out: ["compare", str(root / "done/run"), "--out", str(out / "r.html")], files_of),
        Job("export", 1, lambda out: ["export", str(root / "done/run"), str(out / "model")], files_of),
    ]


def files_of(folder: Path) -> Left:
    """Every file by its sum, but for logs, which tell the time."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def run_of(out: Path) -> Left:
    """A run's pictures, scores and verdict, and all numbers of its last checkpoint."""
    run = out / "run"
    left = {name: value for name, value in files_of(run).items() if name.startswith("step-")}
    quality = replace(read_quality(run), name=None)
    newest = runs.checkpoints(run)[-1]
    kept = Durable().load_checkpoint(newest)
    place = kept["loops"]["fit_loop"]["state_dict"]
    return {**left, "quality": quality, "step": newest.name, "place": place, **flat(kept["state_dict"], "weights"),
            **flat(kept["optimizer_states"], "moments")}  # fmt: skip


def cache_of(out: Path) -> Left:
    """Every entry of the cache by its numbers."""
    (folder,) = (out / "cache").iterdir()
    cache = Cache(folder)
    return {key: flat(cache.get(key), key) for key in sorted(cache.keys())}


def flat(value: Any, name: str) -> Left:
    """Tensors anywhere in `value` by their sums."""
    if isinstance(value, torch.Tensor):
        return {name: hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()}
    if isinstance(value, dict):
        return {key: one for inner, part in value.items() for key, one in flat(part, f"{name}.{inner}").items()}
    if isinstance(value, list):
        return {key: one for i, part in enumerate(value) for key, one in flat(part, f"{name}.{i}").items()}
    return {name: value}


def attempt(job: Job, out: Path, seconds: float | None) -> tuple[bool, list[int | None]]:
    """Give the command; kill it after `seconds`. Whether it was alive to be killed, and the exit codes."""
    out.mkdir(parents=True, exist_ok=True)
    processes = start(job.world, emu, job.argv(out), log=out / ".log")
    killed = False
    if seconds is not None:
        time.sleep(seconds)
        killed = any(one.is_alive() for one in processes)
        for one in processes:
            if one.is_alive():
                os.kill(one.pid or 0, signal.SIGKILL)
    return killed, ended(processes, timeout=HANGS)


def trial(job: Job, out: Path, wanted: Left, takes: float, kills: int, draw: random.Random, tally: Tally) -> None:
    """Up to `kills` kills, then the command to its end, then the comparison."""
    for _ in range(kills):
        killed, codes = attempt(job, out, draw.uniform(0, takes))
        tally.kills += killed
        if not killed:
            break
    codes = [0] if kills and not killed and codes == [0] * job.world else attempt(job, out, None)[1]
    tally.ends += 1
    said = "".join(path.read_text(errors="replace") for path in out.glob(".log.*"))
    if any(codes):
        print(f"  {job.name}: exit codes {codes}: {said.splitlines()[-1] if said else ''}", flush=True)
        return
    found = job.left(out)
    tally.equal += found == wanted
    tally.lost += len(wanted.keys() - found.keys())
    tally.doubled += len(found.keys() - wanted.keys())
    tally.torn += len(list(out.rglob("*.aside"))) + said.count("set aside")
    if found != wanted:
        other = [key for key in wanted if found.get(key) != wanted[key]]
        print(f"  {job.name}: differs in {other[:3]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="at least so many, over all commands")
    parser.add_argument("--in-a-row", type=int, default=4, help="kills before a command may end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("jobs", nargs="*", help="those whose names begin so; all of them where none is named")
    options = parser.parse_args()
    torch.set_num_threads(1)
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pipelines.build("latent").save_pretrained(root / "pipeline")
        path = config(root, "latent", root / "pipeline")
        (root / "many.txt").write_text("".join(f"number {i}\n" for i in range(24)))
        chosen = [job for job in jobs(root, path) if not options.jobs or job.name.startswith(tuple(options.jobs))]
        attempt(jobs(root, path)[0], root / "done", None)
        results = {}
        for job in chosen:
            begun = time.monotonic()
            _, codes = attempt(job, root / "unbroken" / job.name, None)
            takes, tally = time.monotonic() - begun, Tally()
            assert codes == [0] * job.world, (root / "unbroken" / job.name / ".log.0").read_text()
            wanted, number = job.left(root / "unbroken" / job.name), 0
            while tally.kills < options.kills / len(chosen):
                trial(job, root / f"{job.name} {number}", wanted, takes, options.in_a_row, draw, tally)
                number += 1
            results[job.name] = tally
            print(f"{job.name}: {json.dumps(vars(tally))}", flush=True)
    report(results)


def report(results: dict[str, Tally]) -> None:
    print(f"\nPython {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} CPU cores\n")
    print("| command | kills | ends | equal to an unbroken run | things lost | things doubled | torn files read |")
    print("|---|---|---|---|---|---|---|")
    total = Tally()
    for name, tally in results.items():
        print(f"| {name} | " + " | ".join(str(value) for value in vars(tally).values()) + " |")
        for key, value in vars(tally).items():
            setattr(total, key, getattr(total, key) + value)
    print("| all | " + " | ".join(str(value) for value in vars(total).values()) + " |")


if __name__ == "__main__":
    main()
