"""The funnel held against a haystack whose truth is known; its speed, memory and growth; and what kills do to it.

    python benchmarks/curate.py truth --pictures 20000       # precision and recall of every stage
    python benchmarks/curate.py speed --pictures 2000        # against jobs of datasets and Ray Data, in turn; --whole
    python benchmarks/curate.py worker --pictures 2000       # pictures a CPU second of one worker
    python benchmarks/curate.py scale --pictures 1000000     # cost a row and memory, 10^4 rows and up
    python benchmarks/curate.py marks                        # 1 % and 30 % bad pictures of 13 kinds, and memory
    python benchmarks/curate.py kills --kills 50             # SIGKILL at random moments; --engine ray: on a cluster

What is drawn is kept under --work, and a run that was killed goes on there.
"""

import argparse
import contextlib
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from curate_haystack import haystack
from curate_photos import large, photographs
from curate_scale import scale
from curate_truth import tables
from curate_watched import watch

from emu.curate.allocator import keep_memory
from emu.curate.config import SHARD, Funnel
from emu.curate.shards import cut
from emu.curate.work import Work
from emu.data.sources import read_source

HERE = Path(__file__).parent

CHEAP = """
stages:
  - {class_path: emu.curate.stages.Readable}
  - {class_path: emu.curate.stages.Shape, at_least: {short_side: 300}}
  - {class_path: emu.curate.stages.Technical, at_most: {noise: 60}}
  - {class_path: emu.curate.stages.Duplicates, init_args: {distance: 4}}
  - {class_path: emu.curate.stages.Best, init_args: {number: 100, by: {colour: 1}}}
"""


def truth(given: argparse.Namespace) -> None:
    source, out = haystack(given.work / f"hay-{given.pictures}", given.pictures), given.work / f"truth-{given.pictures}"
    subprocess.run([sys.executable, "-m", "emu", "curate", "-c", "curate/world", str(source), str(out)], check=True)
    tables(out / "manifest.parquet")


def speed(given: argparse.Namespace) -> None:
    """Whole commands with their start, in turn: emu curate, datasets, Ray Data where a Python that has it is given."""
    make, name = (large, "large") if given.whole else (photographs, "photographs")
    source = make(given.work / f"{name}-{given.pictures}", given.pictures, given.photos)
    config = given.work / "cheap.yaml"
    config.write_text(CHEAP)
    command = [sys.executable, "-m", "emu", "curate", "-c", str(config), str(source)]
    others = str(HERE / "curate_others.py")
    print(
        "| round | job | pictures a CPU second | a wall second | peak MB (PSS, all processes) | first result after s |"
    )
    print("|---|---|---|---|---|---|")
    for number in range(given.rounds):
        with tempfile.TemporaryDirectory(dir=given.work) as root:
            os.environ["HF_DATASETS_CACHE"] = f"{root}/cache"
            jobs = {
                "emu": [*command, f"{root}/emu", "--workers=2"],
                "datasets": [sys.executable, others, "datasets", str(source), root],
                "plain": [sys.executable, others, "plain", str(source), root],
            }
            if given.ray:
                jobs["ray"] = [str(given.ray), others, "ray", str(source), root]
            shards = Path(root) / "emu" / ".curate" / "shards"
            for name, argv in jobs.items():
                got = watch(argv, begun=lambda of=shards: any(of.glob("shard-*")), log=given.work / f"{name}.log")
                first = f"{got.first:.1f}" if name == "emu" and got.first else "-"
                print(f"| {number + 1} | {name} | {given.pictures / got.cpu:.1f} | {given.pictures / got.wall:.1f} "
                      f"| {got.memory:.0f} | {first} |", flush=True)  # fmt: skip


def worker(given: argparse.Namespace) -> None:
    """One worker's CPU seconds for whole shards, written to the ledger, and its memory."""
    source = photographs(given.work / f"photographs-{given.pictures}", given.pictures, given.photos)
    keep_memory()
    with tempfile.TemporaryDirectory() as out:
        work = Work(Funnel(yaml.safe_load(CHEAP)), Path(out))
        shards = list(cut(read_source(str(source), image_column="image", text_column="text"), size=SHARD))
        work(shards[0], lambda _: None)  # what is imported once is imported
        began = time.process_time()
        for shard in shards[1:]:
            work(shard, lambda _: None)
        seconds = time.process_time() - began
    pictures = sum(len(shard.items) for shard in shards[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"one worker: {pictures / seconds:.0f} pictures a CPU second, {peak:.0f} MB at most ({pictures:,} pictures)")


def tests_of_the_funnel() -> None:
    """Makes importable what the benchmark shares with the tests."""
    sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests" / "curate")]


def kills(given: argparse.Namespace) -> None:
    tests_of_the_funnel()
    from test_kill import Command, killed_again_and_again

    from ray_cluster import cluster

    with tempfile.TemporaryDirectory() as root, contextlib.ExitStack() as stack:
        how: dict[str, Any] = {"engine": given.engine}
        if given.engine == "ray":
            how["environment"], how["nodes"] = stack.enter_context(cluster(Path(root) / "cluster.log"))
        command = Command(Path(root), given.pictures, **how)
        drivers, workers = killed_again_and_again(command, kills=given.kills, seed=2)
    print(
        f"{given.engine}, {given.pictures:,} pictures: {drivers} kills of the command, {workers} of a worker of the "
        "cluster: every run ended with the bytes of an unbroken one"
    )


def marks(given: argparse.Namespace) -> None:
    tests_of_the_funnel()
    from test_marks import bad_pictures_cost_their_rows

    for share in (0.01, 0.3):
        with tempfile.TemporaryDirectory() as root:
            print(bad_pictures_cost_their_rows(Path(root), pictures=given.pictures, share=share), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = {"truth": truth, "speed": speed, "worker": worker, "marks": marks, "kills": kills,
            "scale": lambda given: scale(given.work, given.pictures)}  # fmt: skip
    parser.add_argument("what", choices=list(jobs))
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--engine", choices=["pool", "ray"], default="pool", help="of the command that is killed")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3, help="of speed")
    parser.add_argument("--photos", type=Path, help="a folder of large JPEGs, of which pieces are cut")
    parser.add_argument("--whole", action="store_true", help="of speed: the photographs as they are, and no pieces")
    parser.add_argument("--ray", type=Path, help="a Python with ray, and with what emu's cheap stages need")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "emu-curate-benchmark")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    print(f"{platform.machine()}, {os.cpu_count()} CPU cores, Python {platform.python_version()}")
    jobs[given.what](given)


if __name__ == "__main__":
    main()
