"""The layer that a key of a LoRA file means: trainers spell one layer in many ways.

`unet.down_blocks.0.attn.to_q`, `lora_unet_down_blocks_0_attn_to_q`, `lora_unet_input_blocks_1_1_...`,
`diffusion_model.double_blocks.0.img_attn.qkv`, `lora_te1_text_model_encoder_layers_0_mlp_fc1`. Notable: "." and "_" are
taken for one sign, since kohya's trainers write the one for the other; a network in which that would make two layers
one is not read by such names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from emu.originals import Piece

# What stands before a layer's name: of the network that draws, and of the encoders that read.
OF_THE_NETWORK = (
    "unet_",
    "transformer_",
    "diffusion_model_",
    "model_diffusion_model_",
    "base_model_model_",
    "lora_unet_",
    "lora_transformer_",
    "lycoris_",
)
OF_ENCODERS = {
    "lora_te_": ("text_encoder",),
    "lora_te1_": ("text_encoder",),
    "lora_te2_": ("text_encoder_2",),
    "lora_te3_": ("text_encoder_3", "text_encoder_2"),  # of Flux the second is T5, which kohya calls the third
    "text_encoder_2_": ("text_encoder_2",),
    "text_encoder_3_": ("text_encoder_3",),
    "text_encoder_": ("text_encoder",),
    "text_encoders_clip_l_transformer_": ("text_encoder",),
    "text_encoders_clip_g_transformer_": ("text_encoder_2",),
    "text_encoders_t5xxl_transformer_": ("text_encoder_3", "text_encoder_2"),
}
END = r"_lora\.(down|up)\.weight$"
OF_PROCESSORS = {  # the end of a key -> that of its layer's name; diffusers until 0.22, and XLabs' of FLUX.1
    re.compile(rf"(?<=\.self_attn)\.to_out{END}"): "out_proj",
    re.compile(rf"(?<=\.self_attn)\.to_([qkv]){END}"): r"\1_proj",
    re.compile(rf"(?:\.processor)?\.to_out{END}"): "to_out.0",
    re.compile(rf"(?:\.processor)?\.to_([qkv]){END}"): r"to_\1",
    re.compile(r"\.processor\.(qkv|proj)_lora1\.(down|up)\.weight$"): r"img_attn.\1",
    re.compile(r"\.processor\.(qkv|proj)_lora2\.(down|up)\.weight$"): r"txt_attn.\1",
}


@dataclass(frozen=True)
class Place:
    """Where a layer of a file goes: into one layer of a component, or into rows of several, in this order."""

    component: str
    pieces: tuple[Piece, ...]
    """By the names of layers, without ".weight"."""


class Spellings:
    """The layers of one component by every spelling.

    Args:
        component: its name in the pipeline.
        layers: the names of its layers.
        published: of layers that have another name where the model was first published, and of those that are one
            there: that name -> what it is made of.
    """

    def __init__(
        self, component: str, layers: Iterable[str], published: Mapping[str, tuple[Piece, ...]] | None = None
    ) -> None:
        self._places: dict[str, Place] = {}
        doubtful: set[str] = set()
        for name, pieces in [*((name, (Piece(name),)) for name in layers), *(published or {}).items()]:
            place, plain = Place(component, pieces), flat(name)
            if self._places.setdefault(plain, place) != place:
                doubtful.add(plain)
        for plain in doubtful:
            del self._places[plain]

    def find(self, name: str, prefixes: Iterable[str]) -> Place | None:
        """The place of a flat name that begins with none, one or several of `prefixes`."""
        return next((self._places[one] for one in _stripped(name, tuple(prefixes)) if one in self._places), None)


def flat(name: str) -> str:
    """The one spelling of all."""
    return name.replace(".", "_")


def _stripped(name: str, prefixes: tuple[str, ...]) -> Iterator[str]:
    yield name
    for prefix in prefixes:
        if name.startswith(prefix):
            yield from _stripped(name.removeprefix(prefix), prefixes)


def place_of(name: str, spellings: Mapping[str, Spellings], *, slot: str) -> Place | None:
    """Where a layer of a file goes, by component -> its spellings; None where it is no layer of the pipeline's."""
    plain = flat(name)
    for prefix, candidates in OF_ENCODERS.items():
        for component in candidates if plain.startswith(prefix) else ():
            # transformers 5 has no "text_model" around the layers of some of its encoders, which files have.
            if component in spellings and (found := spellings[component].find(plain, (prefix, "text_model_"))):
                return found
    return spellings[slot].find(plain, OF_THE_NETWORK)


def of_today(key: str) -> str:
    """A key of a processor of attention, which held LoRA's matrices before layers did, as today's layers have it."""
    for pattern, layer in OF_PROCESSORS.items():
        if (found := pattern.search(key)) is not None:
            return f"{key[: found.start()]}.{found.expand(layer)}.lora.{found[found.lastindex or 0]}.weight"
    return key


def is_of_an_encoder(name: str) -> bool:
    """Whether a key is of a text encoder's layer, by how it begins."""
    return flat(name).startswith(tuple(OF_ENCODERS))
