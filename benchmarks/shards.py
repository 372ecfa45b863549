"""The step of two shards against that of two whole copies, in turn, in the same two processes (gloo, CPUs).

    OMP_NUM_THREADS=1 python benchmarks/shards.py

One transformer (Stable Diffusion 3's class, 12 blocks) three times: whole copies (DDP), shards whose weights stay
together from the forward pass to the backward one, and shards as `emu.sharding.FSDP2` makes them by default. A step is
forward, backward and AdamW on pictures of a process's own. Times are ratios of neighbouring blocks of steps: of CPU
seconds of both processes, and of the wall, on which the two wait for each other.
"""

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import pipelines
from emu import sharding
from processes import ranks

BLOCK = 2  # steps
WORLD = 2
SIDE = 32  # of the latents: 256 tokens a picture, as products and what travels for them are in proportion to tokens


def transformer(heads: int) -> nn.Module:
    """As benchmarks/memory.py has it, of another width."""
    tiny = pipelines.build("flow").transformer
    sizes = {"num_layers": 12, "num_attention_heads": heads, "attention_head_dim": 64, "sample_size": SIDE}
    network: nn.Module = type(tiny).from_config({**tiny.config, **sizes, "caption_projection_dim": 64 * heads})
    return network


def layouts(heads: int) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    whole, over = transformer(heads), sharding.mesh("cpu", copies=1, shard=WORLD)
    together, default = copy.deepcopy(whole), copy.deepcopy(whole)
    sharding.apply(together, over, reshard=False, dtype=torch.float32)
    sharding.apply(default, over, reshard=True, dtype=torch.float32)
    copies = DistributedDataParallel(whole, gradient_as_bucket_view=True, find_unused_parameters=True)
    return {"two copies (DDP)": copies, "two shards, kept together": together, "two shards (FSDP2)": default}


def stepping(network: nn.Module, batch: int) -> Callable[[], None]:
    config = getattr(network, "module", network).config
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)
    noisy = torch.randn(batch, config.in_channels, SIDE, SIDE)
    text, pooled = torch.randn(batch, 12, config.joint_attention_dim), torch.randn(batch, config.pooled_projection_dim)

    def step() -> None:
        out: Tensor = network(noisy, text, pooled, torch.rand(batch) * 1000, return_dict=False)[0]
        out.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def measured(heads: int, batch: int, blocks: int, out: Path) -> None:
    """In each process; the first writes every layout's seconds: CPU of both, and wall."""
    distributed.init_process_group("gloo")
    steps = {name: stepping(network, batch) for name, network in layouts(heads).items()}
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(blocks + 1):
        for name, step in steps.items():
            distributed.barrier()
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in range(BLOCK):
                step()
            spent = torch.tensor([time.process_time() - cpu, (time.perf_counter() - wall) / WORLD])
            distributed.all_reduce(spent)
            took[name].append((float(spent[0]), float(spent[1])))
    if distributed.get_rank() == 0:
        out.write_text(json.dumps({name: times[1:] for name, times in took.items()}))  # the first block warms up
    distributed.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", type=int, default=3, help="of attention, 64 channels each")
    parser.add_argument("--batch", type=int, default=4, help="pictures a process")
    parser.add_argument("--blocks", type=int, default=6)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "seconds.json", Path(folder) / "log"
        codes = ranks(WORLD, measured, given.heads, given.batch, given.blocks, out, log=log, timeout=1800)
        assert codes == [0] * WORLD, Path(f"{log}.0").read_text()[-3000:]
        found = json.loads(out.read_text())
    print(f"torch {torch.__version__}, {WORLD} processes of one thread, {given.batch} pictures each, float32\n")
    print("| layout | CPU seconds a step | against whole copies | wall, against whole copies |\n|---|---|---|---|")
    whole = next(iter(found.values()))
    for name, times in found.items():
        cells = []
        for of in (0, 1):
            ratios = [mine[of] / copies[of] for mine, copies in zip(times, whole, strict=True)]
            cells.append(f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]")
        print(f"| {name} | {statistics.median(t[0] for t in times) / BLOCK:.2f} | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
