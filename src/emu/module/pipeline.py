"""A diffusers pipeline of which one part trains: beside an adapter or whole, averaged, saved as a folder again.

Notable: the pipeline is held, not registered. Lightning sees two children: `backbone`, which trains, and `ema`, its
average, which sits in the pipeline's slot, so that whatever the pipeline draws or saves is the average's.
"""

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from emu import loras, single_files
from emu.checkpoints.state import Saved
from emu.errors import UserError
from emu.loras.file import LoRAFile
from emu.module.loaded_pipeline import LoadedPipeline
from emu.networks import adapters, nf4
from emu.networks.adapters import Adapter
from emu.optim import averaging
from emu.pipeline_folders import components, described, folders, tensor_files, tokenizing, weight_files
from emu.starting import started

MERGED, BASE, FROZEN, SETTINGS = "merged_loras", "base", "frozen", "settings"  # keys of checkpoints


class PipelineModule(LoadedPipeline):
    """A module around the pipeline of one folder, one part of which trains.

    Args:
        pretrained: as in `LoadedPipeline`, like all that is not named here; loaded by `configure_model`.
        adapter: train a low-rank adapter (LoRA) beside the network, whose own weights stay; None trains all of them.
        loras: LoRA, LoHa or LoKr files of any trainer, FILE or FILE:STRENGTH, merged into the network before it trains.
    """

    average_on_host = False
    """Whether the average stays in the host's memory, wherever the module goes."""

    backbone: nn.Module
    ema: nn.Module

    def __init__(
        self, pretrained: str, *, adapter: Adapter | None = None, loras: list[str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(pretrained, **kwargs)
        self.adapter = adapter
        self.loras = loras or []

    def configure_model(self) -> None:
        """Load the pipeline, once; called by Lightning, or by hand outside of it."""
        if "backbone" in self._modules:
            return
        self._check_4_bits()
        files = [LoRAFile(given) for given in self.loras]
        if files:
            loras.check(files, single_files.describing(self.pretrained, self.config), slot=self.slot)
        self.pipeline = self.load_pipeline()
        if files:
            loras.warn_of_another_base(files, self.folder, slot=self.slot)
            loras.merge(files, self.pipeline, slot=self.slot, encoders=False)
            _ = self.merged_loras  # when a checkpoint says it, a file may be gone, or another
        self.pipeline.set_progress_bar_config(disable=True)
        self.hold()
        self.on_load()
        for part in self.frozen_parts():
            part.requires_grad_(False).eval()
        self.backbone = getattr(self.pipeline, self.slot).requires_grad_(self.adapter is None).train()
        if self.adapter is not None:
            adapters.attach(self.backbone, self.adapter)
            adapters.leave_frozen_out(self)
        self.ema = averaging.twin(self.backbone)
        if self.average_on_host:
            self.ema.cpu()
        setattr(self.pipeline, self.slot, self.ema)
        started()

    def on_load(self) -> None:
        """Called when the pipeline is loaded, and all of it is in the host's memory yet."""

    def _check_4_bits(self) -> None:
        """UserError where something is to be in 4 bits that trains, or what packs it is not installed."""
        if self.base_dtype is not None and self.adapter is None:
            raise UserError(
                f"model.base_dtype {self.base_dtype}: weights in 4 bits take no steps; train an adapter beside them "
                "(-c adapters/lora)"
            )
        for argument in ("base_dtype", "encoders_dtype"):
            if getattr(self, argument) == nf4.KIND:
                nf4.require(by=f"model.{argument} {nf4.KIND}")

    def call_backbone(self, *given: Any, **named: Any) -> Tensor:
        """The first output of the network that trains, called as diffusers' networks are."""
        output: Tensor = self.backbone(*given, **named, return_dict=False)[0]
        return output

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        staying = self._modules.pop("ema", None) if self.average_on_host else None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if staying is not None:
            self._modules["ema"] = staying
            for buffer in staying.buffers():
                buffer.data = fn(buffer)
        # The frozen parts are no children, and follow the module to its device and dtype here.
        if recurse and "backbone" in self._modules:
            for part in self.frozen_parts():
                part._apply(fn)
        return self

    def train(self, mode: bool = True) -> Self:
        """As in torch, and the average stays in evaluation mode."""
        super().train(mode)
        if "ema" in self._modules:
            self.ema.eval()
        return self

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As in torch; UserError where the weights are of another architecture or adapter."""
        try:
            return super().load_state_dict(state_dict, strict=strict, assign=assign)
        except RuntimeError as error:
            raise UserError(
                f"the checkpoint does not fit {type(self).__name__} with model.pretrained {self.pretrained}: it holds "
                f"another architecture, or another model.adapter ({' '.join(str(error).split())[:200]}...)"
            ) from error

    @cached_property
    def base_sample(self) -> str:
        """What tells the base's network from another of its shape."""
        return tensor_files.sample(self.folder / self.slot)

    @cached_property
    def frozen_samples(self) -> dict[str, str]:
        """The same of each other network, by component: of its files, which lie there though a cache stands in."""
        others = components.networks(folders.read_index(self.folder)).keys() - {self.slot}
        return {name: tensor_files.sample(self.folder / name) for name in others}

    @cached_property
    def settings(self) -> described.Settings:
        """What the folder's JSON says beside all weights, and what its tokenizers make of texts."""
        parts = self.pipeline.components.items()
        read = {name: tokenizing.fingerprint(part) for name, part in parts if tokenizing.tokenizer_of(part) is not None}
        return described.settings(self.folder) | read

    def on_fit_start(self) -> None:
        """UserError where files cannot be read of which checkpoints are to say what they hold."""
        self.on_save_checkpoint({})

    @cached_property
    def merged_loras(self) -> list[str]:
        """What of LoRA files the base has taken in, by content and strength, as they were when it did."""
        return loras.digests([LoRAFile(given) for given in self.loras])

    def on_save_checkpoint(self, checkpoint: Saved) -> None:
        """Say beside what it was made: the folder's other weights, its settings, and files that were merged."""
        checkpoint[MERGED] = self.merged_loras
        checkpoint[FROZEN] = dict(self.frozen_samples)
        checkpoint[SETTINGS] = json.dumps(self.settings)
        if self.adapter is not None:
            checkpoint[BASE] = self.base_sample

    def on_load_checkpoint(self, checkpoint: Saved) -> None:
        """UserError where what is frozen is another, or set otherwise, or was made with other files."""
        if checkpoint.get(MERGED, []) != self.merged_loras:
            raise UserError(
                f"model.loras {', '.join(self.loras)}: the run began with other contents or strengths of them; put "
                "those back, or begin a run in another folder"
            )
        if self.adapter is not None and checkpoint.get(BASE, self.base_sample) != self.base_sample:
            raise UserError(
                f"model.pretrained {self.pretrained}: its {self.slot} has other weights than the adapter began beside; "
                "put those back, or begin a run in another folder"
            )
        if checkpoint.get("state_dict", {}).keys() - self.state_dict().keys():
            return  # of another architecture, as `load_state_dict` says
        before, now = checkpoint.get(FROZEN, self.frozen_samples), self.frozen_samples
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) == now.get(name):
                continue
            other = "has other weights than the run began with" if name in before else "was not there as the run began"
            raise self._another(name, other if name in now else "is gone, and the run began with one")
        began = json.loads(checkpoint[SETTINGS]) if SETTINGS in checkpoint else self.settings
        for one in described.differences(began, self.settings, self.folder, self.pipeline_class):
            raise self._another(one.name, f"has {one.key} {one.now}, and the run began with {one.before}")

    def _another(self, name: str, said: str) -> UserError:
        given = f"model.vae {self.vae}" if self.vae and name == "vae" else f"model.pretrained {self.pretrained}"
        return UserError(f"{given}: its {name} {said}; put back what it began with, or begin a run in another folder")

    def save_pipeline(self, folder: str | Path) -> None:
        """Write a folder that plain diffusers loads, whole or not at all: the base's own files and what was trained."""
        base = self.folder
        with folders.replacing(Path(folder)) as target:
            folders.copy(base, target, trained=self.slot)
            self.write_changed(target)

    def write_changed(self, folder: Path) -> None:
        """Write into a copy of the base what differs from it: the averaged weights; in a subclass what it changed."""
        # One file, as most are published: old libraries know no other. Written so, no more than one tensor is copied.
        name = weight_files.weights_name(type(self.ema))
        tensor_files.write(folder / self.slot / name, adapters.tensors(self.ema), {"format": "pt"})
