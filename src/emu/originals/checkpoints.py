"""Single files as they are published: which of a pipeline's networks lie in one, and under which prefix.

Of Stable Diffusion, SDXL and SD3 all of them do, of every later family the network that draws alone.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import torch

from emu.errors import UserError, first_line
from emu.originals.inverse import Original
from emu.originals.networks import DROPPED, Layout, clip, converted, layout, open_clip
from emu.pipeline_folders import components, folders, tensor_files
from emu.pipeline_folders.tensor_files import Stored
from emu.terminal.counted import an

UNET, FIRST_STAGE = "model.diffusion_model.", "first_stage_model."
WHOLE = {
    "StableDiffusionPipeline": {"unet": UNET, "vae": FIRST_STAGE, "text_encoder": "cond_stage_model."},
    "StableDiffusionXLPipeline": {
        "unet": UNET,
        "vae": FIRST_STAGE,
        "text_encoder": "conditioner.embedders.0.",
        "text_encoder_2": "conditioner.embedders.1.",
    },
    "StableDiffusion3Pipeline": {
        "transformer": UNET,
        "vae": FIRST_STAGE,
        "text_encoder": "text_encoders.clip_l.",
        "text_encoder_2": "text_encoders.clip_g.",
        "text_encoder_3": "text_encoders.t5xxl.",
    },
}
"""Pipeline -> component -> what its names begin with."""


def parts(folder: Path, slot: str) -> dict[str, str]:
    """The components of a pipeline folder that its single file holds, and what their names begin with there."""
    index = folders.read_index(folder)
    if own := [name for name, kind in components.used(index).items() if kind and kind.__module__.startswith("emu.")]:
        raise UserError(f"its {own[0]} is emu's own, of which no program reads a single file; give --format diffusers")
    whole = WHOLE.get(index["_class_name"], {slot: ""})
    if slot == "unet" and index["_class_name"] not in WHOLE:
        raise UserError(f"{an(index['_class_name'])} was never published as a single file; give --format diffusers")
    return {name: prefix for name, prefix in whole.items() if name in components.used(index)}


def published(folder: Path, slot: str, trained: Mapping[str, Stored]) -> dict[str, Stored]:
    """A single file's tensors: those of `trained`, which are the component `slot`'s, and the rest of a folder's."""
    found = markers(folder)
    for name, prefix in parts(folder, slot).items():
        held = trained if name == slot else tensor_files.of_component(folder / name)
        config = json.loads((folder / name / "config.json").read_text())
        kind = folders.read_index(folder)[name][1]
        wrapper, made = network(kind, held, config, prefix=prefix)
        part = {key: stored(original, held) for key, original in made.items()}
        part |= {key: nothing(key, config) for key in DROPPED.get(kind, ())}
        if not wrapper:
            require_read(kind, part, config, like=held)
        if prefix == "text_encoders.clip_l.":
            require_identity(folder / name, held.get("text_projection.weight"))
        found |= {f"{prefix}{wrapper}{key}": tensor for key, tensor in part.items()}
    return found


def network(kind: str, held: Mapping[str, Stored], config: Mapping[str, Any], *, prefix: str) -> tuple[str, Layout]:
    """What stands between a network's prefix and its names, and its layout."""
    if "text_encoders." in prefix or kind == "T5EncoderModel":
        return "transformer.", clip(held)
    if kind in ("CLIPTextModel", "CLIPTextModelWithProjection"):
        # OpenAI's CLIP stands under transformers' names, and OpenCLIP's, which has another activation, under its own.
        opened = prefix == "conditioner.embedders.1." or config.get("hidden_act") == "gelu"
        return ("model.", open_clip(held)) if opened else ("transformer.", clip(held))
    return "", layout(kind, held, config)


def stored(original: Original, held: Mapping[str, Stored]) -> Stored:
    """A published tensor that is put together as it is read."""
    whole = tensor_files.joined([held[piece.name].rows(piece.start, piece.stop) for piece in original.pieces])
    shape = whole.shape
    match original.form:
        case "same":
            return whole
        case "transposed":
            return Stored(shape[::-1], whole.dtype, lambda: whole.read().T)
        case "flat":
            shape = (prod(shape),)
        case "convolution":
            shape = (*shape, 1, 1)
    return replace(whole, shape=shape, read=lambda: whole.read().view(shape))


def require_read(
    kind: str, part: Mapping[str, Stored], config: Mapping[str, Any], *, like: Mapping[str, Stored]
) -> None:
    """UserError where diffusers does not make of a published network the one `like` that it was made of."""
    shapes = {name: torch.empty(tensor.shape, device="meta") for name, tensor in part.items()}
    try:
        found = {name: tuple(tensor.shape) for name, tensor in converted(kind, shapes, config=config).items()}
    except RuntimeError as error:  # it cuts at places of its own
        raise UserError(
            f"diffusers reads a single file of {kind} at its published size alone ({first_line(error)}); "
            "give --format diffusers"
        ) from error
    if wrong := [name for name, tensor in like.items() if found.get(name) != tensor.shape]:
        raise UserError(f"diffusers reads no {wrong[0]} from a single file of {kind}; give --format diffusers")


def require_identity(folder: Path, projection: Stored | None) -> None:
    """UserError where SD3's CLIP-L projects what it pools: its programs, diffusers too, take it that it does not."""
    if projection is not None and not torch.equal(projection.read().float(), torch.eye(projection.shape[0])):
        raise UserError(f"{folder}: a single file of SD3 has no place for its text_projection; give --format diffusers")


def markers(folder: Path) -> dict[str, Stored]:
    """Empty tensors by which programs know an SDXL that predicts v, and one whose noise ends without any signal."""
    path = folder / "scheduler" / "scheduler_config.json"
    if folders.read_index(folder)["_class_name"] != "StableDiffusionXLPipeline" or not path.is_file():
        return {}
    config = json.loads(path.read_text())
    known = {"v_pred": config.get("prediction_type") == "v_prediction", "ztsnr": config.get("rescale_betas_zero_snr")}
    return {name: tensor_files.of(torch.zeros(0)) for name, true in known.items() if true}


def nothing(key: str, config: Mapping[str, Any]) -> Stored:
    """Zeros where SANA's own file has positions and an empty caption, which its diffusers folder lacks."""
    width = config["num_attention_heads"] * config["attention_head_dim"]
    shape = (1, config["sample_size"] ** 2, width) if key == "pos_embed" else (300, config["caption_channels"])
    return Stored(shape, torch.float32, lambda: torch.zeros(shape))
