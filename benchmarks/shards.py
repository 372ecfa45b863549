"""The step of two shards against that of two whole copies, in turn, in the same two processes (gloo, CPUs).

    OMP_NUM_THREADS=1 python benchmarks/shards.py
    OMP_NUM_THREADS=1 python benchmarks/shards.py --batch 32 --blocks 3
    OMP_NUM_THREADS=1 python benchmarks/shards.py --batch 32 --blocks 3 --bf16

One transformer (Stable Diffusion 3's class, 12 blocks) three times: whole copies (DDP), shards whose weights stay
together from the forward pass to the backward one, and shards as `emu.sharding.FSDP2` makes them by default. A step is
what `emu fit` does in one: forward, backward, clipping, AdamW and the average, on pictures of a process's own. Times
are ratios of neighbouring blocks of steps: of CPU seconds of both processes, and of the wall, on which the two wait for
each other. With --bf16 copies compute under autocast and shards as `multi-gpu/fsdp2` says: each layout's own default.
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
from emu.optim import averaging
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


def layouts(heads: int, dtype: torch.dtype) -> dict[str, tuple[nn.Module, nn.Module]]:
    """Of each the network that trains, and its average."""
    torch.manual_seed(0)
    whole, over = transformer(heads), sharding.mesh("cpu", copies=1, shard=WORLD)
    together, default = copy.deepcopy(whole), copy.deepcopy(whole)
    found: dict[str, tuple[nn.Module, nn.Module]] = {}
    copies = DistributedDataParallel(whole, gradient_as_bucket_view=True, find_unused_parameters=True)
    found["two copies (DDP)"] = copies, averaging.twin(whole)
    for name, network, reshard in (("kept together", together, False), ("the default", default, True)):
        average = averaging.twin(network)
        sharding.apply(network, over, reshard=reshard, dtype=dtype)
        sharding.apply(average, over, reshard=True, dtype=dtype)
        found[f"two shards, {name}"] = network, average
    return found


def stepping(network: nn.Module, average: nn.Module, batch: int, dtype: torch.dtype) -> Callable[[], None]:
    """One step; a whole copy computes in `dtype` by autocast, as under Lightning's mixed precision."""
    live = getattr(network, "module", network)
    config, weights = live.config, list(live.parameters())
    optimizer = torch.optim.AdamW(weights, lr=1e-5, fused=True)
    noisy = torch.randn(batch, config.in_channels, SIDE, SIDE)
    text, pooled = torch.randn(batch, 12, config.joint_attention_dim), torch.randn(batch, config.pooled_projection_dim)
    cast = live is not network and dtype != torch.float32

    def step() -> None:
        with torch.autocast("cpu", dtype, enabled=cast):
            out: Tensor = network(noisy, text, pooled, torch.rand(batch) * 1000, return_dict=False)[0]
        out.float().square().mean().backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        averaging.update(average, live, decay=0.99)

    return step


def measured(heads: int, batch: int, blocks: int, dtype: torch.dtype, out: Path) -> None:
    """In each process; the first writes every layout's seconds: CPU of both, and wall."""
    distributed.init_process_group("gloo")
    steps = {name: stepping(*both, batch, dtype) for name, both in layouts(heads, dtype).items()}
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
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16")
    given = parser.parse_args()
    dtype = torch.bfloat16 if given.bf16 else torch.float32
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "seconds.json", Path(folder) / "log"
        codes = ranks(WORLD, measured, given.heads, given.batch, given.blocks, dtype, out, log=log, timeout=1800)
        assert codes == [0] * WORLD, Path(f"{log}.0").read_text()[-3000:]
        found = json.loads(out.read_text())
    print(f"torch {torch.__version__}, {WORLD} processes of one thread, {given.batch} pictures each, {dtype}\n")
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
