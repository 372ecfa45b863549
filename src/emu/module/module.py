"""TextToImageModule: an architecture and how it trains, the same for all of them.

A subclass says what its pictures, prompts and loss are (`emu.module.architecture`); those of `emu.models` do, and a
user's own file may add one.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from emu.batch import Cond, Pictures, Prompts, Validated
from emu.errors import UserError
from emu.module import asked
from emu.module.architecture import in_float32
from emu.module.settings import draw, drawn_with, require_drawable
from emu.module.texts import RemembersTexts
from emu.networks.blocks import recompute
from emu.objectives import draws
from emu.optim import averaging
from emu.optim import settings as optimizing
from emu.optim.finite import Steps


class TextToImageModule(RemembersTexts):
    """One architecture around a diffusers pipeline folder.

    Args:
        pretrained: as in `RemembersTexts`, like all that is not named here.
        optimizer: of what trains: in a config the class_path of a torch optimizer and its init_args, such as lr.
        warmup_steps: optimizer steps over which the learning rate rises from 0, to stay constant then.
        ema_decay: of the averaged weights, reached by way of (1 + n) / (10 + n) at step n; 0 for no average.
        average_on: where the average lies; in the host's memory it takes none of the GPU's, the optimizer's step waits
            for it to follow, and it comes to the device to draw. An adapter's, which is small, stays on the device.
        gradient_checkpointing: computes the inside of each block again on the way back: less memory for activations, a
            third more computation.
        compile_blocks: torch.compile on each block, for training and drawing: minutes at the start, faster steps then.
        max_skipped: optimizer steps in a row that may be skipped since a loss or gradient is not finite.
    """

    trainer: Any  # Lightning sets some of its attributes where no type checker sees them
    _loss: Tensor  # of the optimizer step under way, the mean over all devices

    def __init__(
        self,
        pretrained: str,
        *,
        optimizer: OptimizerCallable = lambda params: torch.optim.AdamW(params, lr=1e-5),
        warmup_steps: int = 100,
        ema_decay: float = 0.999,
        average_on: Literal["device", "host"] = "device",
        gradient_checkpointing: bool = False,
        compile_blocks: bool = False,
        max_skipped: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(pretrained, **kwargs)
        if not 0 <= ema_decay < 1:
            raise UserError(f"model.ema_decay {ema_decay}: give 0 or more, and less than 1")
        self.optimizer = optimizer
        self.warmup_steps = warmup_steps
        self.ema_decay = ema_decay
        self.average_on_host = average_on == "host" and self.adapter is None
        self.gradient_checkpointing = gradient_checkpointing
        self.compile_blocks = compile_blocks
        self._steps = Steps(max_skipped)
        self._reach_is_said = False
        self._wanted: optimizing.Settings = []  # the optimizer's settings as configured
        self._drawing = ExitStack()  # in which the average is on the device
        self._held_out: list[Tensor] = []  # of each batch: the sum of its losses, and of how many

    def configure_model(self) -> None:
        """As in the parent, with gradient checkpointing and compiled blocks where they are asked for."""
        if "backbone" in self._modules:
            return
        super().configure_model()
        if self.gradient_checkpointing:
            recompute(self.backbone)
        if self.compile_blocks:
            from emu.networks.compiling import compile_blocks

            compile_blocks(self.backbone, self.ema)

    def on_fit_start(self) -> None:
        """As in the parent; UserError where other encoders filled the cache, or a prompt cannot be drawn as it asks."""
        super().on_fit_start()
        # Lightning would warn of the average, which is in evaluation mode on purpose.
        warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode")
        cached = getattr(self.trainer.datamodule, "cache_fingerprint", None)
        if cached not in (None, self.fingerprint()):
            raise UserError(
                f"data.cache: made by other encoders ({cached}, this model's are {self.fingerprint()}); "
                "run `emu encode` with this config"
            )
        for height, width in getattr(self.trainer.datamodule, "sizes", ()):
            self.check_size(height, width)
        require_drawable(self, getattr(self.trainer.datamodule, "prompt_rows", ()), where="data.prompts")
        if self.weights_dtype == "bfloat16":
            if self.trainer.precision != "bf16-mixed" and not self._is_sharded:
                raise UserError("model.init_args.weights_dtype bfloat16: computes with --trainer.precision bf16-mixed")
            if self.adapter is None:
                optimizing.require_rounding(self.optimizer)
        if self.average_on_host and self.device.type == "cuda" and not self._is_sharded:
            averaging.pin(self.ema)

    @property
    def _is_sharded(self) -> bool:
        return isinstance(self.backbone, FSDPModule)

    def on_train_start(self) -> None:
        """Train with the settings of this command, where a checkpoint brings its own. UserError: another optimizer."""
        for config in self.trainer.lr_scheduler_configs if self._wanted else ():
            optimizing.hold_to(config.scheduler, self._wanted)

    def training_step(self, batch: Pictures, batch_idx: int) -> Tensor:
        """The weighted mean of the batch's losses."""
        losses = self._losses(batch)
        loss: Tensor = (batch["weight"] * losses).mean()
        self._steps.add(batch["name"], losses, loss)
        return loss

    def on_train_batch_start(self, batch: Pictures, batch_idx: int) -> None:
        """Seed what is not a picture's own, such as dropout, so that a resumed run repeats it."""
        # Not the epoch: Lightning's count of them lags in a run that goes on from the last step of one.
        place = [int(os.environ.get("PL_GLOBAL_SEED", 0)), self.global_step, len(self._steps.batches), self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Skip the step on all devices where a loss or gradient is not finite on one. UserError: too many in a row."""
        if not self._reach_is_said:
            self._say_what_no_loss_reaches()
        mean = self._steps.mean()
        gradients = [averaging.local(p.grad) for p in self.trained_parameters() if p.grad is not None]
        norm = torch.stack(torch._foreach_norm(gradients)).float().norm() if self._looks_at_gradients else mean
        self._loss, norm = self.trainer.strategy.reduce(torch.stack([mean, norm]), reduce_op="mean")
        if bool((self._loss + norm).isfinite()):  # the one number a step that the host waits for
            self._steps.skipped = 0
            return
        optimizer.zero_grad(set_to_none=True)  # without gradients it changes neither weights nor moments
        self._steps.skip(self.global_step, first=self.global_rank == 0)

    def _say_what_no_loss_reaches(self) -> None:
        """Parameters without a gradient in the first step, which stay as they are, as some published networks have."""
        self._reach_is_said = True
        named = self.backbone.named_parameters()
        unreached = [name for name, weight in named if weight.requires_grad and weight.grad is None]
        layers = dict.fromkeys(
            name.partition(".lora_")[0].removesuffix(".weight").removesuffix(".bias") for name in unreached
        )
        if layers:
            rank_zero_info(f"no loss reaches {', '.join(layers)}: they stay as they are")

    @property
    def _looks_at_gradients(self) -> bool:
        # A scaler of float16 tries out scales that overflow, and skips those steps by itself.
        return getattr(self.trainer.precision_plugin, "scaler", None) is None

    def trained_parameters(self) -> Iterator[nn.Parameter]:
        """What the optimizer holds: the backbone's, but for what an adapter froze."""
        return (weight for weight in self.backbone.parameters() if weight.requires_grad)

    def configure_optimizers(self) -> Any:
        """The optimizer over what trains, its rate rising linearly over `warmup_steps`, constant then."""
        optimizer = optimizing.fused(self.optimizer(self.trained_parameters()))
        schedule = optimizing.warm_up(optimizer, self.warmup_steps)
        self._wanted = optimizing.settings(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Lightning's, then the average follows."""
        super().optimizer_step(*args, **kwargs)
        self.trainer.optimizers[0].zero_grad()  # a check that draws next needs the memory
        step = self.trainer.global_step + 1  # Lightning counts this step after the hook
        decay = averaging.decay_at(step, self.ema_decay)
        averaging.update(self.ema, self.backbone, decay=decay)
        every = self.trainer.log_every_n_steps  # 0: never
        if every and step % every == 0:
            self.log("loss", self._loss)  # of all the step's pictures, on whichever device and in whichever batch
            if decay and not self._steps.skipped:
                self._log_distance()
        self._steps.batches.clear()

    def _log_distance(self) -> None:
        squares = averaging.squares(self.ema, self.backbone).to(self.device)
        apart, size = self.trainer.strategy.reduce(squares, reduce_op="sum").sqrt()
        self.log("ema_distance", apart / size)
        if apart == 0:
            raise RuntimeError(
                "the averaged weights equal the live ones: either nothing trains (a learning rate or gradient of 0), "
                "or the average is not taken"
            )

    def on_validation_epoch_start(self) -> None:
        """The average comes to the device."""
        if self.average_on_host and not self._is_sharded:
            self._drawing.enter_context(averaging.on_device(self.ema, self.backbone))

    def validation_step(self, batch: Pictures | Prompts, batch_idx: int, dataloader_idx: int = 0) -> Validated:
        """Of the average: prompts -> {"images": float (b,3,h,w) in [0,1], "sampler"}; pictures -> {"losses": (b,)}."""
        if "prompt" in batch:
            return {"images": draw(self, batch), "sampler": drawn_with(self, batch.get("settings", {}))}
        with self._fixed_draws(batch_idx), draws.at_times(batch["time"]), self._average_as_backbone():
            losses = self._losses(batch)
        real = batch["weight"] > 0
        self._held_out.append(torch.stack([(losses * real).sum(), real.sum()]))
        return {"losses": losses}

    def on_validation_epoch_end(self) -> None:
        """Log the held-out loss: the mean over all pictures on all devices; the average goes back to its place."""
        self._drawing.close()
        if self._held_out:
            total, number = self.trainer.strategy.reduce(torch.stack(self._held_out).sum(0), reduce_op="sum")
            self.log("held_out_loss", total / number, sync_dist=True)  # it is the same on all; Lightning asks
            self._held_out.clear()

    def _losses(self, batch: Pictures) -> Tensor:
        with torch.no_grad():
            x = batch["x"] if "x" in batch else self.encode_pictures(batch["image"])
            x = x.contiguous()  # as a cache gives it: the last bits of a convolution depend on the memory's order
            if x.is_floating_point():  # of an autoencoder in bfloat16, in which a schedule's first steps have no noise
                x = x.float()
            cond: Cond = {}
            if self.reads_captions:
                cond = in_float32(batch["cond"]) if "cond" in batch else self.encode(batch["text"])
        with draws.seeded(batch["noise_seed"], self.device):
            return asked.losses(self, x, {**cond, "size": batch["size"]})

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
