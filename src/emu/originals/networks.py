"""Each network's published layout: which of its tensors is made of which of diffusers', and how."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES
from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
from torch import Tensor

from emu.errors import UserError
from emu.originals import names, tables
from emu.originals.inverse import Guess, Original, Piece, inverse
from emu.terminal.counted import an

Layout = dict[str, Original]

TABLES = {
    "FluxTransformer2DModel": tables.FLUX,
    "ChromaTransformer2DModel": tables.CHROMA,
    "Flux2Transformer2DModel": tables.FLUX2,
    "SD3Transformer2DModel": tables.SD3,
    "ZImageTransformer2DModel": tables.Z_IMAGE,
    "Lumina2Transformer2DModel": tables.LUMINA2,
    "SanaTransformer2DModel": tables.SANA,
    "AuraFlowTransformer2DModel": tables.AURA_FLOW,
    "Krea2Transformer2DModel": tables.KREA2,
    "QwenImageTransformer2DModel": "",
    "QwenImage21Transformer2DModel": tables.QWEN_IMAGE_21,
    "ErnieImageTransformer2DModel": "",
    "HiDreamImageTransformer2DModel": "",
}
# Rows of what a conversion cuts at places that it knows, those of the published size; every other it cuts evenly.
ROWS = {
    ("FluxTransformer2DModel", r"single_blocks\.\d+\.linear1\."): 7 * 3072,
    ("ChromaTransformer2DModel", r"single_blocks\.\d+\.linear1\."): 7 * 3072,
    ("Lumina2Transformer2DModel", r".*\.attention\.qkv\."): 2304 + 2 * 768,
}
# What a conversion takes out and drops: it has to be there.
DROPPED = {"SanaTransformer2DModel": ("pos_embed", "y_embedder.y_embedding")}
CONVERTED = frozenset(SINGLE_FILE_LOADABLE_CLASSES)
"""The classes of networks that diffusers converts."""

WIDTH = 4  # of a tagged text encoder


def layout(kind: str, held: Iterable[str], config: Mapping[str, Any]) -> Layout:
    """The published layout of a diffusers network.

    Args:
        kind: its class.
        held: the names of its tensors.
        config: its `config.json`.

    Raises UserError where diffusers converts none of its kind, or not all of this one.
    """
    held = list(held)
    try:
        published = {*map(_namer(kind, held, config), held), *DROPPED.get(kind, ())}
        guesses = [Guess(name, _shape(kind, name)) for name in sorted(published)]
        return inverse(guesses, partial(converted, kind, config=config), held)
    except (ValueError, LookupError) as error:  # what diffusers' own functions make of blocks that they do not know
        raise UserError(f"no single file of this {kind}: {error}; give --format diffusers") from error


def converted(kind: str, tensors: Mapping[str, Tensor], *, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """What diffusers makes of the tensors of a single file of such a network.

    Raises what diffusers does where they are not of its kind: ValueError, LookupError, RuntimeError and others.
    """
    prefix = "model.diffusion_model." if kind == "UNet2DConditionModel" else ""  # the one that needs it
    convert = SINGLE_FILE_LOADABLE_CLASSES[kind]["checkpoint_mapping_fn"]
    found = convert(checkpoint={prefix + name: tensor for name, tensor in tensors.items()}, config=dict(config))
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _namer(kind: str, held: list[str], config: Mapping[str, Any]) -> Callable[[str], str]:
    """diffusers' name -> that of the published tensor that it may be cut from."""
    match kind:
        case "UNet2DConditionModel":
            attended = {int(found[1]) for one in held if (found := re.match(r"up_blocks\.(\d+)\.attentions", one))}
            if not isinstance(layers := config["layers_per_block"], int):
                raise ValueError(f"its blocks have layers of different numbers, {layers}")
            return partial(names.unet, layers=layers, attended=attended)
        case "AutoencoderKL":
            return partial(names.autoencoder, blocks=len(config["up_block_types"]))
    if kind not in TABLES:
        raise UserError(f"diffusers reads no single file of {an(kind)}; give --format diffusers")
    return partial(names.renamed, table=TABLES[kind])


def _shape(kind: str, name: str) -> tuple[int, ...]:
    rows = next((rows for (of, like), rows in ROWS.items() if of == kind and re.match(like, name)), 12)
    if kind == "AutoencoderKL" and re.search(r"\.attn_1\.(q|k|v|proj_out)\.weight$", name):
        return rows, 2, 1, 1
    return (rows, 2) if name.endswith("weight") else (rows,)


def clip(held: Iterable[str]) -> Layout:
    """Of CLIP's and T5's text encoders, whose published names are those of transformers before 5."""
    named = {wrapped(name): Original((Piece(name),)) for name in held}
    if "shared.weight" in named:  # T5 is published with its tokens twice, and diffusers reads no other
        named["encoder.embed_tokens.weight"] = named["shared.weight"]
    return named


def open_clip(held: Iterable[str]) -> Layout:
    """Of OpenCLIP's text encoders."""
    ours = {wrapped(name): name for name in held}
    guesses = [Guess(name, _open_clip_shape(name)) for name in {names.renamed(one, tables.OPEN_CLIP) for one in ours}]
    stub = SimpleNamespace(config=SimpleNamespace(hidden_size=WIDTH))
    found = inverse(guesses, lambda tags: convert_open_clip_checkpoint(stub, tags, prefix=""), ours)
    return {
        name: Original(tuple(Piece(ours[one.name], one.start, one.stop) for one in made.pieces), made.form)
        for name, made in found.items()
    }


def _open_clip_shape(name: str) -> tuple[int, ...]:
    rows = 3 * WIDTH if "in_proj" in name else WIDTH
    return (rows, 3) if name.endswith(("weight", "positional_embedding", "text_projection")) else (rows,)


def wrapped(name: str) -> str:
    """transformers 5.6 left `text_model.` out of CLIPTextModel's names."""
    flat = name.startswith(("embeddings.", "encoder.layers.", "final_layer_norm."))
    return f"text_model.{name}" if flat else name
