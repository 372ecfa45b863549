"""Our training step against the plain diffusers loop: one tiny model, the same pictures, one process, blocks in turn.

    python benchmarks/step.py                # the three tiny bases
    python benchmarks/step.py latent --blocks 12 --batch 32

The peer is what the diffusers training examples do each step: frozen encoders in the loop, AdamW, gradient clipping,
`EMAModel` and `.item()`. Ours is `emu fit` on a cache: Lightning's Trainer, the module, the datamodule and all hooks.
`peer, fast` is the same plain loop with its encoders cached and its foreach EMA, as the examples' flags allow.
Times are ratios of neighbouring blocks; the operators dispatched a step have no noise at all.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import diffusers
import lightning as L
import torch
from diffusers.training_utils import EMAModel
from torch.utils._python_dispatch import TorchDispatchMode

from emu.data import CuratedData
from emu.encode import encode
from emu.models import LatentDiffusion, Muse, PixelDiffusion
from emu.module import TextToImageModule
from emu.study.sets import draw_set

MODELS: dict[str, tuple[type[TextToImageModule], int]] = {
    "latent": (LatentDiffusion, 64),
    "pixel": (PixelDiffusion, 32),
    "muse": (Muse, 64),
}
BLOCK = 4  # steps


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

    def __init__(self, make: Callable[[], TextToImageModule], batches: Iterator[dict[str, Any]], *, fast: bool) -> None:
        self.model, self.batches, self.fast = make(), batches, fast
        self.model.configure_model()
        self.parameters = list(self.model.backbone.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-5)
        self.ema = EMAModel(self.parameters, foreach=fast)

    def step(self) -> float:
        batch, model = next(self.batches), self.model
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

    def __init__(self, peers: dict[str, Peer]) -> None:
        self.peers = peers
        self.seconds: dict[str, list[float]] = {name: [] for name in ("ours", *peers)}
        self.begun = 0.0

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step % BLOCK == 0:
            if trainer.global_step:
                self.seconds["ours"].append(time.perf_counter() - self.begun)
            for name, peer in self.peers.items():
                begun = time.perf_counter()
                for _ in range(BLOCK):
                    peer.step()
                self.seconds[name].append(time.perf_counter() - begun)
            self.begun = time.perf_counter()

    def on_train_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.seconds["ours"].append(time.perf_counter() - self.begun)


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


def trainer(folder: Path, steps: int, callback: L.Callback) -> L.Trainer:
    return L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        gradient_clip_val=1.0,
        default_root_dir=folder,
        limit_val_batches=0,
    )


def measure(name: str, needles: Path, folder: Path, batch: int, blocks: int) -> None:
    module_class, side = MODELS[name]

    def make() -> TextToImageModule:
        torch.manual_seed(0)
        return module_class(f"emu://bases/{name}", resolution=side, warmup_steps=0)

    def data(cache: Path | None) -> CuratedData:
        settings = {"resolution": side, "batch_size": batch, "aspect_ratios": False, "num_workers": 0}
        return CuratedData(str(needles), cache=str(cache) if cache else None, **settings)

    model = make()
    model.configure_model()
    plain = data(None)
    plain.setup("fit")
    encode(model, plain, folder / name)

    def batches(cache: Path | None) -> Iterator[dict[str, Any]]:
        source = data(cache)
        source.setup("fit")
        return cycle(list(source.train_dataloader()))  # in memory: the peer is not charged for reading

    def peers() -> dict[str, Peer]:
        return {
            "peer": Peer(make, batches(None), fast=False),
            "peer, fast": Peer(make, batches(folder / name), fast=True),
        }

    turns, counting = InTurn(peers()), Counting()
    for callback, steps in ((counting, 3), (turns, BLOCK * (blocks + 2))):
        run = trainer(folder, steps, callback)
        run.callbacks.append(callback)
        run.fit(make(), datamodule=data(folder / name))
    counts = {"ours": counting.count}
    for who, peer in peers().items():
        peer.step()
        with Operators() as mode:
            peer.step()
        counts[who] = mode.count
    seconds = {who: times[2:] for who, times in turns.seconds.items()}  # the first two blocks warm up
    for who in seconds:
        ratios = [ours / theirs for ours, theirs in zip(seconds["ours"], seconds[who], strict=False)]
        took = f"{statistics.median(seconds[who]) / BLOCK * 1e3:8.1f} ms a step"
        ratio = f"ours/this {statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
        print(f"{name:7} {who:11} {took}   {ratio}   {counts[who]:5d} operators a step", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    versions = f"torch {torch.__version__}, lightning {L.__version__}, diffusers {diffusers.__version__}"
    print(f"{versions}, Python {platform.python_version()}, {options.threads} thread(s)")
    print(f"batch {options.batch}, {options.blocks} blocks of {BLOCK} steps in turn")
    with tempfile.TemporaryDirectory() as folder:
        draw_set(Path(folder) / "needles", {"needles": options.batch * 4})
        for name in options.models:
            measure(name, Path(folder) / "needles", Path(folder), options.batch, options.blocks)


if __name__ == "__main__":
    main()
