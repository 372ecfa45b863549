"""The diffusers pipeline that a model holds: loaded from a folder, one part of it trained, saved as a folder again.

Notable: the pipeline is held, not registered. Lightning sees two children: `backbone`, which trains, and `ema`, its
average, which sits in the pipeline's slot, so that whatever the pipeline draws or saves is the average's.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import lightning as L
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer

from emu import adapters, components, folders
from emu.adapters import Adapter
from emu.errors import UserError, first_line


class PipelineModule(L.LightningModule):
    """A module around the pipeline of one folder.

    Args:
        pretrained: a pipeline folder, `emu://NAME` or a hub name; loaded by `configure_model`, in float32.
        adapter: train a low-rank adapter (LoRA) beside the network, whose own weights stay; None trains all of them.
    """

    pipeline_class: ClassVar[type[Any]]
    """The diffusers pipeline whose folders this architecture takes."""
    slot: ClassVar[str]
    """The pipeline's component that trains."""
    tokenizer_name: ClassVar[str] = "tokenizer"
    """The pipeline's component that decides how long a caption may be."""
    optional_parts: ClassVar[Sequence[str]] = ()
    """The pipeline's components that a folder may leave out, beside those that are never used."""

    pipeline: Any  # a DiffusionPipeline, whose components diffusers does not type
    backbone: nn.Module
    ema: nn.Module

    def __init__(self, pretrained: str, *, adapter: Adapter | None = None) -> None:
        super().__init__()
        self.pretrained = pretrained
        self.adapter = adapter

    def configure_model(self) -> None:
        """Load the pipeline, once; called by Lightning, or by hand outside of it."""
        if "backbone" in self._modules:
            return
        self.pipeline = self.load_pipeline()
        self.pipeline.set_progress_bar_config(disable=True)
        for part in self.frozen_parts():
            part.requires_grad_(False).eval()
        self.backbone = getattr(self.pipeline, self.slot).requires_grad_(True).train()
        if self.adapter is not None:
            adapters.attach(self.backbone, self.adapter)
            adapters.leave_frozen_out(self)
        self.ema = adapters.twin(self.backbone).requires_grad_(False).eval()
        setattr(self.pipeline, self.slot, self.ema)

    def load_pipeline(self) -> Any:
        """The folder's DiffusionPipeline, in float32; UserError where it is missing, damaged or of another kind."""
        folder = folders.locate(self.pretrained)
        self.check_class(folder)
        return self.build_pipeline(components.load_networks(folder, folders.read_index(folder)))

    def check_class(self, folder: Path) -> None:
        """Raise UserError where the folder holds another pipeline than this architecture's."""
        held = folders.read_index(folder)["_class_name"]
        if held != self.pipeline_class.__name__:
            raise UserError(
                f"model.pretrained {self.pretrained}: holds a {held}, and {type(self).__name__} takes "
                f"a {self.pipeline_class.__name__}; choose the architecture by its config (-c)"
            )

    def build_pipeline(self, networks: Mapping[str, nn.Module]) -> Any:
        """The folder's pipeline around its `networks`; a subclass refuses here what it cannot train, by UserError."""
        folder = folders.locate(self.pretrained)
        index = folders.read_index(folder)
        for name in components.required(self.pipeline_class) - components.used(index).keys() - {*self.optional_parts}:
            raise UserError(f"{folder / folders.INDEX}: names no {name}, and {type(self).__name__} needs one")
        left_out = components.left_out(self.pipeline_class, index)
        try:
            return self.pipeline_class.from_pretrained(folder, dtype=torch.float32, **{**left_out, **networks})
        except Exception as error:  # whatever diffusers makes of a damaged folder
            raise UserError(
                f"model.pretrained {self.pretrained}: no {self.pipeline_class.__name__} can be made of it "
                f"({first_line(error)}); {components.AGAIN}"
            ) from error

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer that `tokenizer_name` names, read without any weights."""
        folder = folders.locate(self.pretrained)
        components.check(folder / self.tokenizer_name, components.used(folders.read_index(folder))[self.tokenizer_name])
        return AutoTokenizer.from_pretrained(folder / self.tokenizer_name)

    def frozen_parts(self) -> list[nn.Module]:
        """The networks of the pipeline but for the one that trains."""
        parts = self.pipeline.components.items()
        return [part for name, part in parts if isinstance(part, nn.Module) and name != self.slot]

    def call_backbone(self, *given: Any, **named: Any) -> Tensor:
        """The first output of the network that trains, called as diffusers' networks are."""
        output: Tensor = self.backbone(*given, **named, return_dict=False)[0]
        return output

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # The frozen parts are no children, and follow the module to its device and dtype here.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
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

    def save_pipeline(self, folder: str | Path) -> None:
        """Write a folder that plain diffusers loads, whole or not at all: the base's own files and what was trained."""
        base = folders.locate(self.pretrained)
        with folders.replacing(Path(folder)) as target:
            folders.copy(base, target, trained=self.slot)
            self.write_changed(target)

    def write_changed(self, folder: Path) -> None:
        """Write into a copy of the base what differs from it: the averaged weights; in a subclass what it changed."""
        description = folder / self.slot / "config.json"
        as_published = description.read_bytes()
        network: Any = self.ema if self.adapter is None else adapters.merged(self.ema)
        network.save_pretrained(description.parent, safe_serialization=True, max_shard_size=components.ONE_FILE)
        description.write_bytes(as_published)
