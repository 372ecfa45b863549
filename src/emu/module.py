"""TextToImageModule: an architecture and how it trains, the same for all of them.

A subclass says what its pictures, prompts and loss are (`emu.architecture`); `emu.models` has five, and a user's own
file may add one.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from emu import averaging, objectives
from emu.architecture import Architecture, Cond, Sampler
from emu.blocks import recompute
from emu.errors import UserError


class TextToImageModule(Architecture):
    """One architecture around a diffusers pipeline folder.

    Args:
        pretrained: a pipeline folder, `emu://NAME` or a hub name; loaded by `configure_model`, in float32.
        resolution: side in pixels of the pictures that `sample` draws; None for the pipeline's own.
        optimizer: parameters -> optimizer.
        warmup_steps: optimizer steps over which the learning rate rises from 0, to stay constant then.
        ema_decay: of the averaged weights, reached by way of (1 + n) / (10 + n) at step n; 0 for no average.
        gradient_checkpointing: computes the inside of each block again on the way back, which saves most of the memory
            that activations take, for about a third more time.
        sampler: keyword arguments of the pipeline's call over those in `sampler_defaults`.
    """

    trainer: Any  # Lightning sets some of its attributes where no type checker sees them

    def __init__(
        self,
        pretrained: str,
        *,
        resolution: int | None = None,
        optimizer: OptimizerCallable = lambda params: torch.optim.AdamW(params, lr=1e-5),
        warmup_steps: int = 100,
        ema_decay: float = 0.999,
        gradient_checkpointing: bool = False,
        sampler: Sampler | None = None,
    ) -> None:
        super().__init__(pretrained, resolution=resolution, sampler=sampler)
        self.optimizer = optimizer
        self.warmup_steps = warmup_steps
        self.ema_decay = ema_decay
        self.gradient_checkpointing = gradient_checkpointing
        self._step_losses: list[Tensor] = []  # of the batches of the optimizer step so far
        self._held_out: list[Tensor] = []  # of each batch: the sum of its losses, and of how many

    def configure_model(self) -> None:
        """As `Architecture`'s, with gradient checkpointing where it is asked for."""
        loaded = "backbone" in self._modules
        super().configure_model()
        if self.gradient_checkpointing and not loaded:
            recompute(self.backbone)

    def on_fit_start(self) -> None:
        """Refuse a cache that other encoders filled; UserError."""
        # Lightning would warn of the average, which is in evaluation mode on purpose.
        warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode")
        cached = getattr(self.trainer.datamodule, "cache_fingerprint", None)
        if cached not in (None, self.fingerprint()):
            raise UserError(
                f"data.cache: made by other encoders ({cached}, this model's are {self.fingerprint()}); "
                "run `emu encode` with this config"
            )

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """The weighted mean of the batch's losses."""
        loss: Tensor = (batch["weight"] * self._losses(batch)).mean()
        self._step_losses.append(loss.detach())
        return loss

    def configure_optimizers(self) -> Any:
        """The optimizer over the backbone, its rate rising linearly over `warmup_steps`, constant then."""
        optimizer = self.optimizer(self.backbone.parameters())
        warmup = max(1, self.warmup_steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Lightning's, then the average follows."""
        super().optimizer_step(*args, **kwargs)
        step = self.trainer.global_step + 1  # Lightning counts this step after the hook
        decay = averaging.decay_at(step, self.ema_decay)
        averaging.update(self.ema, self.backbone, decay=decay)
        if step % self.trainer.log_every_n_steps == 0:
            self._log_loss()
            if decay:
                self._log_distance()
        self._step_losses.clear()

    def _log_loss(self) -> None:
        # Of all pictures of the step, on whichever device and in whichever batch they were.
        mean = torch.stack(self._step_losses).mean()
        self.log("loss", self.trainer.strategy.reduce(mean, reduce_op="mean"))

    def _log_distance(self) -> None:
        squares = averaging.squares(self.ema, self.backbone)
        apart, size = self.trainer.strategy.reduce(squares, reduce_op="sum").sqrt()
        self.log("ema_distance", apart / size)
        if apart == 0:
            raise RuntimeError(
                "the averaged weights equal the live ones: either nothing trains (a learning rate or gradient of 0), "
                "or the average is not taken"
            )

    def validation_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Prompts -> {"images": float (b,3,h,w) in [0,1]}; pictures -> {"losses": float (b,)}, of the average."""
        if "prompt" in batch:
            return {"images": self.sample(self._cond(batch, "prompt"), self.empty_prompt(), batch["seed"])}
        with self._fixed_draws(batch_idx), objectives.at_times(batch["time"]), self._average_as_backbone():
            losses = self._losses(batch)
        real = batch["weight"] > 0
        self._held_out.append(torch.stack([(losses * real).sum(), real.sum()]))
        return {"losses": losses}

    def on_validation_epoch_end(self) -> None:
        """Log the held-out loss: the mean over all pictures on all devices."""
        if self._held_out:
            total, number = self.trainer.strategy.reduce(torch.stack(self._held_out).sum(0), reduce_op="sum")
            self.log("held_out_loss", total / number, sync_dist=True)  # it is the same on all; Lightning asks
            self._held_out.clear()

    def _losses(self, batch: dict[str, Any]) -> Tensor:
        with torch.no_grad():
            x = batch["x"] if "x" in batch else torch.cat([self.encode_images(i) for i in self._apart(batch["image"])])
            x = x.contiguous()  # as a cache gives it: the last bits of a convolution depend on the memory's order
            cond = {**self._cond(batch, "text"), "size": batch["size"]}
        with objectives.seeded(batch["noise_seed"], self.device):
            return self.loss(x, cond)

    def _cond(self, batch: dict[str, Any], text: str) -> Cond:
        if "cond" in batch:
            cached: Cond = batch["cond"]
            return cached
        parts = [self.encode_prompts(list(prompts)) for prompts in self._apart(batch[text])]
        return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}

    def _apart(self, many: Any) -> Sequence[Any]:
        """On a CPU one by one, as `emu encode` does: the last bits of an encoding depend on how many go together."""
        return [many[i : i + 1] for i in range(len(many))] if self.device.type == "cpu" else [many]

    @contextmanager
    def _fixed_draws(self, batch_idx: int) -> Iterator[None]:
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(batch_idx * self.trainer.world_size + self.global_rank)
            yield

    @contextmanager
    def _average_as_backbone(self) -> Iterator[None]:
        live, self.backbone = self.backbone, self.ema
        try:
            yield
        finally:
            self.backbone = live
