"""Our training step against the plain diffusers loop: one tiny model, the same pictures, one process, blocks in turn.

    python benchmarks/step.py                # the three tiny bases
    python benchmarks/step.py latent --blocks 12 --batch 32 --bf16 --compiled

The peer is what the diffusers training examples do each step: frozen encoders in the loop, AdamW, gradient clipping,
`EMAModel` and `.item()`. Ours is `emu fit` on a cache: Lightning's Trainer, the module, the datamodule and all hooks.
`peer, fast` is the same plain loop with its encoders cached and its foreach EMA, as the examples' flags allow. With
--compiled our blocks are (`model.compile_blocks`), the network of `peer, compiled`, else as `peer, fast`, is compiled
whole, and operators are counted of what is not compiled; what compiling takes is in the two blocks that warm up.
Times are ratios of neighbouring blocks, on a CPU of its seconds; the operators dispatched a step have no noise at all.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import diffusers
import lightning as L
import torch
from diffusers.training_utils import EMAModel
from lightning.fabric.utilities import move_data_to_device
from torch.utils._python_dispatch import TorchDispatchMode

from emu.data import CuratedData
from emu.models import LatentDiffusion, Muse, PixelDiffusion
from emu.module import TextToImageModule
from emu.study.sets import draw_set
from emu.training.encode import encode

MODELS: dict[str, tuple[type[TextToImageModule], int]] = {
    "latent": (LatentDiffusion, 64),
    "pixel": (PixelDiffusion, 32),
    "muse": (Muse, 64),
}
BLOCK = 4  # steps


@dataclass(frozen=True)
class Setting:
    """What is measured: `make` gives a model by its further arguments, whose pictures have `side` pixels."""

    make: Callable[..., TextToImageModule]
    side: int
    batch: int
    blocks: int
    device: str = "cpu"
    bf16: bool = False
    ours: dict[str, Any] = field(default_factory=dict)  # arguments of our model alone

    def seconds(self) -> float:
        """A clock: of this process's work on a CPU, of the wall with all work done on a GPU."""
        if self.device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def data(self, needles: Path, cache: Path | None) -> CuratedData:
        settings = {"resolution": self.side, "batch_size": self.batch, "aspect_ratios": False, "num_workers": 0}
        return CuratedData(str(needles), cache=str(cache) if cache else None, **settings)


class Operators(TorchDispatchMode):
    """Counts operators that do work: views only relabel memory, and are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


class Peer:
    """The plain loop, around a model of its own."""

    def __init__(
        self, setting: Setting, batches: Iterator[dict[str, Any]], *, fast: bool, compiled: bool = False
    ) -> None:
        self.setting, self.model, self.batches, self.fast = setting, setting.make(), batches, fast
        self.model.configure_model()
        if compiled:
            self.model.backbone.compile()
        self.model.to(setting.device)
        self.parameters = list(self.model.backbone.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-5)
        self.ema = EMAModel(self.parameters, foreach=fast)

    def step(self) -> float:
        batch, model = move_data_to_device(next(self.batches), torch.device(self.setting.device)), self.model
        with torch.autocast(self.setting.device, torch.bfloat16, enabled=self.setting.bf16):
            with torch.no_grad():
                x = batch["x"] if self.fast else model.encode_images(batch["image"])
                cond = batch["cond"] if self.fast else model.encode_prompts(batch["text"])
            loss = model.loss(x, {**cond, "size": batch["size"]}).mean()
        shown = loss.item()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.step(self.parameters)
        return shown


class InTurn(L.Callback):
    """Times blocks of the Trainer's steps, and between them lets the peers do as many."""

    def __init__(self, setting: Setting, peers: dict[str, Peer]) -> None:
        self.clock, self.peers = setting.seconds, peers
        self.seconds: dict[str, list[float]] = {name: [] for name in ("ours", *peers)}
        self.begun = 0.0

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step % BLOCK == 0:
            if trainer.global_step:
                self.seconds["ours"].append(self.clock() - self.begun)
            for name, peer in self.peers.items():
                begun = self.clock()
                for _ in range(BLOCK):
                    peer.step()
                self.seconds[name].append(self.clock() - begun)
            self.begun = self.clock()

    def on_train_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.seconds["ours"].append(self.clock() - self.begun)


class Counting(L.Callback):
    """Counts the operators of one whole step of the Trainer, its second."""

    def __init__(self) -> None:
        self.mode: Operators | None = None
        self.count = 0

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == 1:
            self.mode = Operators()
            self.mode.__enter__()

    def on_train_batch_end(self, *_: Any) -> None:
        if self.mode is not None:
            self.mode.__exit__(None, None, None)
            self.count, self.mode = self.mode.count, None


def trainer(folder: Path, setting: Setting, steps: int, callback: L.Callback) -> L.Trainer:
    return L.Trainer(
        max_steps=steps,
        accelerator=setting.device,
        devices=1,
        precision="bf16-mixed" if setting.bf16 else "32-true",
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        gradient_clip_val=1.0,
        default_root_dir=folder,
        limit_val_batches=0,
    )


def measured(setting: Setting, needles: Path, cache: Path) -> dict[str, tuple[list[float], int]]:
    """Of `ours` and the peers: seconds of each block, and operators a step."""
    model, plain = setting.make(), setting.data(needles, None)
    model.configure_model()
    model.to(setting.device)
    plain.setup("fit")
    encode(model, plain, cache)
    del model

    def batches(cache: Path | None) -> Iterator[dict[str, Any]]:
        source = setting.data(needles, cache)
        source.setup("fit")
        return cycle(list(source.train_dataloader()))  # in memory: the peer is not charged for reading

    peers = {
        "peer": Peer(setting, batches(None), fast=False),
        "peer, fast": Peer(setting, batches(cache), fast=True),
    }
    if setting.ours.get("compile_blocks"):
        peers["peer, compiled"] = Peer(setting, batches(cache), fast=True, compiled=True)
    turns, counting = InTurn(setting, peers), Counting()
    for callback, steps in ((counting, 3), (turns, BLOCK * (setting.blocks + 2))):
        run = trainer(cache.parent, setting, steps, callback)
        run.fit(setting.make(**setting.ours), datamodule=setting.data(needles, cache))
    counts = {"ours": counting.count}
    for who, peer in turns.peers.items():
        with Operators() as mode:
            peer.step()
        counts[who] = mode.count
    for who, times in turns.seconds.items():
        print(f"{who}: the blocks that warm up took {times[0]:.1f} and {times[1]:.1f} s")
    # The first two blocks warm up.
    return {who: (times[2:], counts[who]) for who, times in turns.seconds.items()}


def ratios(found: dict[str, tuple[list[float], int]], who: str) -> list[float]:
    """Ours against another's, block by block."""
    return [ours / theirs for ours, theirs in zip(found["ours"][0], found[who][0], strict=False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="both sides under autocast")
    parser.add_argument("--compiled", action="store_true", help="our blocks compiled (model.compile_blocks)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    versions = f"torch {torch.__version__}, lightning {L.__version__}, diffusers {diffusers.__version__}"
    print(f"{versions}, Python {platform.python_version()}, {options.threads} thread(s)")
    print(f"batch {options.batch}, {options.blocks} blocks of {BLOCK} steps in turn")
    with tempfile.TemporaryDirectory() as folder:
        needles = Path(folder) / "needles"
        draw_set(needles, {"needles": options.batch * 4})
        for name in options.models:

            def make(name: str = name, **given: Any) -> TextToImageModule:
                torch.manual_seed(0)
                return MODELS[name][0](f"emu://bases/{name}", resolution=MODELS[name][1], warmup_steps=0, **given)

            ours = {"compile_blocks": True} if options.compiled else {}
            setting = Setting(make, MODELS[name][1], options.batch, options.blocks, bf16=options.bf16, ours=ours)
            found = measured(setting, needles, Path(folder) / name)
            for who, (seconds, count) in found.items():
                of = ratios(found, who)
                took = f"{statistics.median(seconds) / BLOCK * 1e3:8.1f} ms a step"
                ratio = f"ours/this {statistics.median(of):.2f} [{min(of):.2f}, {max(of):.2f}]"
                print(f"{name:7} {who:14} {took}   {ratio}   {count:5d} operators a step", flush=True)


if __name__ == "__main__":
    main()
