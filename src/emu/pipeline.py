"""The diffusers pipeline that a model holds: loaded from a folder, one part of it trained, saved as a folder again.

Notable: the pipeline is held, not registered. Lightning sees two children: `backbone`, which trains, and `ema`, its
average, which sits in the pipeline's slot, so that whatever the pipeline draws or saves is the average's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import lightning as L
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer

from emu import adapters, averaging, components, folders, loras, nf4, single_files, tensor_files, weight_files
from emu.adapters import Adapter
from emu.checkpoints.state import Saved
from emu.errors import UserError, first_line
from emu.loras.file import LoRAFile
from emu.starting import started

MERGED = "merged_loras"  # a key of checkpoints

Precision = Literal["float32", "bfloat16"]
Loader = Callable[[Path, Mapping[str, Any], Mapping[str, torch.dtype | None]], Mapping[str, nn.Module]]
"""Loads networks as `components.load_networks` does; `emu.outline` has one that reads no weights."""


class PipelineModule(L.LightningModule):
    """A module around the pipeline of one folder.

    Args:
        pretrained: a pipeline folder, `emu://NAME`, a hub name or a .safetensors file; loaded by `configure_model`.
        config: of a single file: the pipeline folder or hub name that has what it lacks; None for the published one.
        vae: an autoencoder in place of the model's: a folder, a hub name or a .safetensors file.
        licence: of the base: what is tuned stays under it, and an export says so; None where nobody has said.
        adapter: train a low-rank adapter (LoRA) beside the network, whose own weights stay; None trains all of them.
        loras: LoRA, LoHa or LoKr files of any trainer, FILE or FILE:STRENGTH, merged into the network before it trains.
        weights_dtype: of the network that trains or stands beside an adapter. The average and an adapter are kept in
            float32 whichever it is, and so are autoencoders, which are small.
        base_dtype: of the linear layers of the network beside an adapter, where they differ: nf4 keeps them in 4 bits,
            in training and drawing alike. An export merges the adapter into the weights as they were.
        encoders_dtype: of the text encoders; nf4 for 4 bits in their linear layers, and bfloat16 for the rest.
    """

    pipeline_class: ClassVar[type[Any]]
    """The diffusers pipeline whose folders this architecture takes."""
    slot: ClassVar[str]
    """The pipeline's component that trains."""
    tokenizer_name: ClassVar[str] = "tokenizer"
    """The pipeline's component that decides how long a caption may be."""
    optional_parts: ClassVar[Sequence[str]] = ()
    """The pipeline's components that a folder may leave out, beside those that are never used."""

    reads_texts = True
    """Whether text encoders are needed; False where all that they would give is known."""
    average_on_host = False
    """Whether the average stays in the host's memory, wherever the module goes."""

    pipeline: Any  # a DiffusionPipeline, whose components diffusers does not type
    backbone: nn.Module
    ema: nn.Module

    def __init__(
        self,
        pretrained: str,
        *,
        config: str | None = None,
        vae: str | None = None,
        licence: str | None = None,
        adapter: Adapter | None = None,
        loras: list[str] | None = None,
        weights_dtype: Precision = "float32",
        base_dtype: Literal["nf4"] | None = None,
        encoders_dtype: Precision | Literal["nf4"] = "float32",
    ) -> None:
        super().__init__()
        self.pretrained, self.config, self.vae = pretrained, config, vae
        self.licence = licence
        self.adapter = adapter
        self.loras = loras or []
        self.weights_dtype, self.base_dtype, self.encoders_dtype = weights_dtype, base_dtype, encoders_dtype
        self.load_networks: Loader = components.load_networks

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
        self.pipeline.set_progress_bar_config(disable=True)
        for name, part in self.networks().items():
            dtype = self.dtype_of(name, type(part))
            if self._in_4_bits(name, type(part)):
                nf4.pack(part, dtype)
            hold_in(dtype, part)
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

    @cached_property
    def folder(self) -> Path:
        """The pipeline folder; what is none where it lies is made one."""
        return single_files.folder_of(self.pretrained, config=self.config, vae=self.vae)

    def on_load(self) -> None:
        """Called when the pipeline is loaded, and all of it is in the host's memory yet."""

    def leave_encoders(self) -> None:
        """Let go of the text encoders; what they gave is remembered."""
        for name in self._encoders():
            setattr(self.pipeline, name, None)

    def _encoders(self) -> dict[str, nn.Module]:
        """The text encoders, by component."""
        held = self.networks().items()
        return {name: part for name, part in held if components.is_encoder(type(part)) and name != self.slot}

    @contextmanager
    def encoders_aside(self) -> Iterator[None]:
        """A pipeline that draws from what bfloat16 encoders gave, as it does where they were let go.

        Pipelines convert the embeddings that they are given to their encoder's type, and a float32 network takes none
        of it.
        """
        apart = self._encoders() if self.encoders_dtype != "float32" else {}
        for name in apart:
            setattr(self.pipeline, name, None)
        try:
            yield
        finally:
            for name, part in apart.items():
                setattr(self.pipeline, name, part)

    def load_pipeline(self) -> Any:
        """The folder's DiffusionPipeline; UserError where it is missing, damaged or of another kind."""
        self.check_class(single_files.describing(self.pretrained, self.config))
        index = folders.read_index(self.folder)
        dtypes = {  # what is packed stays in its files till then
            name: None if self._in_4_bits(name, kind) else self.dtype_of(name, kind)
            for name, kind in components.networks(index).items()
            if self.reads_texts or not components.is_encoder(kind)
        }
        return self.build_pipeline(self.load_networks(self.folder, index, dtypes))

    def dtype_of(self, name: str, kind: type[Any]) -> torch.dtype:
        """What the weights of a component of this class are held in."""
        encoders = self.encoders_dtype if components.is_encoder(kind) else "float32"
        said = self.weights_dtype if name == self.slot else encoders
        dtype: torch.dtype = torch.bfloat16 if said == nf4.KIND else getattr(torch, said)
        return dtype

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

    def _in_4_bits(self, name: str, kind: type[Any]) -> bool:
        """Whether the linear layers of a component of this class are."""
        dtype = self.base_dtype if name == self.slot else self.encoders_dtype if components.is_encoder(kind) else None
        return dtype == nf4.KIND

    def check_class(self, folder: Path) -> None:
        """Raise UserError where the folder holds another pipeline than this architecture's."""
        held = folders.read_index(folder)["_class_name"]
        if held != self.pipeline_class.__name__:
            raise UserError(
                f"model.pretrained {self.pretrained}: holds a {held}, and {type(self).__name__} takes "
                f"a {self.pipeline_class.__name__}; choose the architecture by its config (-c)"
            )

    def build_pipeline(self, networks: Mapping[str, nn.Module]) -> Any:
        """The folder's pipeline around its `networks`, of those alone; a subclass refuses here what it cannot train."""
        folder = self.folder
        index = folders.read_index(folder)
        for name in components.required(self.pipeline_class) - components.used(index).keys() - {*self.optional_parts}:
            raise UserError(f"{folder / folders.INDEX}: names no {name}, and {type(self).__name__} needs one")
        stand_ins = self.stand_ins()
        absent = dict.fromkeys([*components.networks(index), *stand_ins])
        given = {**components.left_out(self.pipeline_class, index), **absent, **networks}
        try:
            pipeline: Any = self.pipeline_class.from_pretrained(folder, dtype=torch.float32, **given)
        except Exception as error:  # whatever diffusers makes of a damaged folder
            raise UserError(
                f"model.pretrained {self.pretrained}: no {self.pipeline_class.__name__} can be made of it "
                f"({first_line(error)}); {weight_files.AGAIN}"
            ) from error
        pipeline.register_modules(**stand_ins)
        return pipeline

    def stand_ins(self) -> Mapping[str, Any]:
        """Components, none of them a network, that are given to a pipeline in place of the folder's own."""
        return {}

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer that `tokenizer_name` names, read without any weights."""
        part = self.folder / self.tokenizer_name
        components.check(part, components.used(folders.read_index(self.folder))[self.tokenizer_name])
        return AutoTokenizer.from_pretrained(part)

    def frozen_parts(self) -> list[nn.Module]:
        """The networks of the pipeline but for the one that trains."""
        return [part for name, part in self.networks().items() if name != self.slot]

    def networks(self) -> dict[str, nn.Module]:
        """The networks of the pipeline, by component."""
        return {name: part for name, part in self.pipeline.components.items() if isinstance(part, nn.Module)}

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

    def merged_loras(self) -> list[str]:
        """What of LoRA files the base has taken in, by content and strength."""
        return loras.digests([LoRAFile(given) for given in self.loras])

    def on_save_checkpoint(self, checkpoint: Saved) -> None:
        """Beside an adapter the base is not in it: say which files it was made of."""
        checkpoint[MERGED] = self.merged_loras()

    def on_load_checkpoint(self, checkpoint: Saved) -> None:
        """UserError where the base was made with other files."""
        if checkpoint.get(MERGED, []) != self.merged_loras():
            raise UserError(
                f"model.loras {', '.join(self.loras)}: the run began with other contents or strengths of them; put "
                "those back, or begin a run in another folder"
            )

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


def hold_in(dtype: torch.dtype, network: nn.Module) -> None:
    """Bring the weights to `dtype`, whatever they were loaded in; those in 4 bits stay as they are."""
    halves = (buffer for buffer in network.buffers() if buffer.dtype in (torch.bfloat16, torch.float16))
    for weight in (*network.parameters(), *halves):
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)
