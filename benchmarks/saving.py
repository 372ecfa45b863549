"""How long training waits for a checkpoint: written at once, against copied and written in the background.

    OMP_NUM_THREADS=1 python benchmarks/saving.py

Both kinds take turns over the same state (weights, average, two moments each, float32), as one file by one process and
as shares by two. What counts is how long the call takes; the writing in the background is waited for outside of it.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint import state_dict as shards

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from emu import sharding
from emu.checkpoints import Durable, sharded
from processes import ranks

WIDTH = 1024


def state(network: nn.Module, average: nn.Module) -> dict[str, Any]:
    """A checkpoint after one step of AdamW."""
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, WIDTH)).sum().backward()
    optimizer.step()
    both = nn.ModuleDict({"backbone": network, "ema": average})
    moments = shards.get_optimizer_state_dict(network, optimizer)
    return {"global_step": 1, "state_dict": shards.get_model_state_dict(both), "optimizer_states": [moments]}


def measure(out: Path, layers: int, rounds: int) -> None:
    """Seconds of the call, of both kinds in turn, into `out`."""
    networks = [nn.Sequential(*(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(layers))) for _ in range(2)]
    world = 1
    if int(os.environ["WORLD_SIZE"]) > 1:
        torch.distributed.init_process_group("gloo")
        world = torch.distributed.get_world_size()
        for network in networks:
            sharding.apply(network, sharding.mesh("cpu", copies=1, shard=world), reshard=True, dtype=torch.float32)
    given, io = state(*networks), Durable()
    group = torch.distributed.new_group(backend="gloo") if world > 1 else None
    seconds: dict[str, list[float]] = {"blocking": [], "background": []}
    for i in range(rounds):
        for kind, blocking in (("blocking", True), ("background", False)):
            path, options = out.parent / f"{kind}-{i}.ckpt", {"blocking": blocking}
            if world > 1:
                torch.distributed.barrier()
            begun = time.perf_counter()
            if world > 1:
                io.carry_out(partial(sharded.write, path=path, group=group), given, options)
            else:
                io.save_checkpoint(given, path, options)
            seconds[kind].append(time.perf_counter() - begun)
            io.wait()
            if world == 1 or torch.distributed.get_rank() == 0:
                io.remove_checkpoint(path)
    if world == 1 or torch.distributed.get_rank() == 0:
        out.write_text(json.dumps(seconds))
    if world > 1:
        torch.distributed.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, default=24, help=f"of {WIDTH} x {WIDTH} weights")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    size = 16 * given.layers * WIDTH**2
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}; {size / 1e6:,.0f} MB")
    print("| layout | blocking, s | background, s | training waits for, of blocking |\n|---|---|---|---|")
    for name, world in (("one file, one process", 1), ("shares of two processes", 2)):
        codes = ranks(world, measure, folder / "told.json", given.layers, given.rounds, log=folder / "log", timeout=600)
        assert codes == [0] * world, (folder / "log.0").read_text()
        told = json.loads((folder / "told.json").read_text())
        ratios = [b / a for a, b in zip(told["blocking"], told["background"], strict=True)]
        middle = [statistics.median(told[kind]) for kind in ("blocking", "background")]
        low, high = min(ratios), max(ratios)
        print(
            f"| {name} | {middle[0]:.2f} | {middle[1]:.2f} | {statistics.median(ratios):.0%} [{low:.0%}, {high:.0%}] |"
        )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
