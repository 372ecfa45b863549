"""A diffusers pipeline as a module holds it: found by its name, refused where it is another, loaded part by part.

Each part is loaded in the dtype that it is held in, and none that nobody needs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import lightning as L
import torch
from torch import nn
from transformers import AutoTokenizer

from emu import answers, single_files
from emu.errors import UserError, first_line
from emu.networks import nf4
from emu.pipeline_folders import components, folders, weight_files
from emu.terminal.counted import an

Precision = Literal["float32", "bfloat16"]
Loader = Callable[[Path, Mapping[str, Any], Mapping[str, torch.dtype | None]], Mapping[str, nn.Module]]
"""Loads networks as `components.load_networks` does; `emu.planning.outline` has one that reads no weights."""

SAID = {
    "pipeline_class": "the diffusers pipeline that it draws with",
    "slot": "the pipeline's component that trains, such as transformer",
}


class LoadedPipeline(L.LightningModule):
    """The pipeline of one folder.

    Args:
        pretrained: a pipeline folder, `emu://NAME`, a hub name or a .safetensors file.
        config: of a single file: the pipeline folder or hub name that has what it lacks; None for the published one.
        vae: an autoencoder in place of the model's: a folder, a hub name or a .safetensors file.
        licence: of the base: what is tuned stays under it, and an export says so; None where nobody has said.
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

    pipeline: Any  # a DiffusionPipeline, whose components diffusers does not type

    def __init__(
        self,
        pretrained: str,
        *,
        config: str | None = None,
        vae: str | None = None,
        licence: str | None = None,
        weights_dtype: Precision = "float32",
        base_dtype: Literal["nf4"] | None = None,
        encoders_dtype: Precision | Literal["nf4"] = "float32",
    ) -> None:
        super().__init__()
        for name, what in SAID.items():
            if not hasattr(type(self), name):
                raise answers.lacks(self, name, what)
        self.pretrained, self.config, self.vae = pretrained, config, vae
        self.licence = licence
        self.weights_dtype, self.base_dtype, self.encoders_dtype = weights_dtype, base_dtype, encoders_dtype
        self.load_networks: Loader = components.load_networks

    @cached_property
    def folder(self) -> Path:
        """The pipeline folder; what is none where it lies is made one."""
        return single_files.folder_of(self.pretrained, config=self.config, vae=self.vae)

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

    def check_class(self, folder: Path) -> None:
        """Raise UserError where the folder holds another pipeline than this architecture's."""
        held = folders.read_index(folder)["_class_name"]
        if held != self.pipeline_class.__name__:
            raise UserError(
                f"model.pretrained {self.pretrained}: holds {an(held)}, and {type(self).__name__} takes "
                f"{an(self.pipeline_class.__name__)}; choose the architecture by its config (-c)"
            )

    def build_pipeline(self, networks: Mapping[str, nn.Module]) -> Any:
        """The folder's pipeline around its `networks`, of those alone; a subclass refuses here what it cannot train."""
        folder = self.folder
        index = folders.read_index(folder)
        for name in components.required(self.pipeline_class) - components.used(index).keys() - {*self.optional_parts}:
            raise UserError(f"{folder / folders.INDEX}: names no {name}, and {type(self).__name__} needs one")
        stand_ins = self.stand_ins()
        absent = {**dict.fromkeys(components.networks(index)), **components.accepted(stand_ins)}
        given = {**components.left_out(self.pipeline_class, index), **absent, **networks}
        try:
            pipeline: Any = self.pipeline_class.from_pretrained(folder, dtype=torch.float32, **given)
        except Exception as error:  # whatever diffusers makes of a damaged folder
            raise UserError(
                f"model.pretrained {self.pretrained}: no {self.pipeline_class.__name__} can be made of it "
                f"({first_line(error)}); {weight_files.AGAIN}"
            ) from error
        pipeline.register_modules(**stand_ins)
        if not isinstance(getattr(pipeline, self.slot, None), nn.Module):
            names = (name for name, part in pipeline.components.items() if isinstance(part, nn.Module))
            raise UserError(
                f"{answers.name_of(self)} says that {self.slot} trains, which {self.pipeline_class.__name__} has no "
                f"network of; its networks are {', '.join(names)}"
            )
        return pipeline

    def stand_ins(self) -> Mapping[str, Any]:
        """Components, none of them a network, that are given to a pipeline in place of the folder's own."""
        return {}

    def _in_4_bits(self, name: str, kind: type[Any]) -> bool:
        """Whether the linear layers of a component of this class are."""
        dtype = self.base_dtype if name == self.slot else self.encoders_dtype if components.is_encoder(kind) else None
        return dtype == nf4.KIND

    def hold(self) -> None:
        """Bring every network to what it is held in."""
        for name, part in self.networks().items():
            dtype = self.dtype_of(name, type(part))
            if self._in_4_bits(name, type(part)):
                nf4.pack(part, dtype)
            hold_in(dtype, part)

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer that `tokenizer_name` names, read without any weights."""
        part, used = self.folder / self.tokenizer_name, components.used(folders.read_index(self.folder))
        if self.tokenizer_name not in used:
            raise UserError(
                f"{answers.name_of(self)}: {self.folder} has no {self.tokenizer_name}; let the class say its "
                "tokenizer_name, or have token_ids and max_tokens of its own"
            )
        components.check(part, used[self.tokenizer_name])
        return AutoTokenizer.from_pretrained(part)

    def frozen_parts(self) -> list[nn.Module]:
        """The networks of the pipeline but for the one that trains."""
        return [part for name, part in self.networks().items() if name != self.slot]

    def networks(self) -> dict[str, nn.Module]:
        """The networks of the pipeline, by component."""
        return {name: part for name, part in self.pipeline.components.items() if isinstance(part, nn.Module)}

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


def hold_in(dtype: torch.dtype, network: nn.Module) -> None:
    """Bring the weights to `dtype`, whatever they were loaded in; those in 4 bits stay as they are."""
    halves = (buffer for buffer in network.buffers() if buffer.dtype in (torch.bfloat16, torch.float16))
    for weight in (*network.parameters(), *halves):
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)
