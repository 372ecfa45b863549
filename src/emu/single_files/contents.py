"""What a single-file checkpoint holds, by the names and shapes in its header: known before any weight is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint, fetch_diffusers_config
from torch import Tensor

from emu import originals
from emu.errors import UserError, first_line
from emu.pipeline_folders import components, folders, tensor_files, weight_files
from emu.pipeline_folders.tensor_files import Stored
from emu.storage.records import read_json
from emu.storage.shapes import ComponentConfig
from emu.terminal.counted import many

DRAWS = "model.diffusion_model."
OTHERS = ("first_stage_model.", "vae.", "cond_stage_model.", "conditioner.", "text_encoders.", "model_ema.")
LORA = ("lora_A.", "lora_B.", "lora_down.", "lora_up.", "lora.down.", "lora.up.", "lokr_w1", "hada_w1_a")
QUANTISED = (".scale_weight", ".weight_scale", ".weight.quant_map", "scaled_fp8")


OF_EDM = ("edm_mean", "edm_vpred.")  # keys by which programs know Playground v2.5 and CosXL from SDXL
PICKLE = "a pickle, which may run what it likes when it is opened"
OTHER_FILES = {
    ".gguf": "GGUF, quantised weights, which cannot be trained",
    **dict.fromkeys((".ckpt", ".pt", ".pth", ".bin"), PICKLE),
}


@dataclass(frozen=True)
class Part:
    """A component's tensors in a single file, without the prefix of their names, and how they are converted."""

    held: Mapping[str, Stored]
    convert: Callable[[dict[str, Tensor]], Mapping[str, Tensor]]

    def converted(self) -> dict[str, Tensor]:
        """By the names of diffusers and transformers."""
        return dict(self.convert({name: one.read() for name, one in self.held.items()}))

    def misfit(self, wanted: Mapping[str, torch.Size], *, layers: tuple[str, ...] = ()) -> str | None:
        """What it lacks of a network's names and shapes, in words; None where it lacks nothing.

        Nor may it have others whose names begin as one of `layers` does.
        """
        meta = {name: torch.empty(one.shape, dtype=one.dtype, device="meta") for name, one in self.held.items()}
        try:
            found = {name: tensor.shape for name, tensor in self.convert(meta).items()}
        except Exception as error:  # whatever diffusers makes of another family's names
            return f"diffusers converts none of it ({first_line(error)})"
        wrong = [name for name, shape in wanted.items() if found.get(name) != shape]
        if not wrong:
            more = [name for name in found if name.startswith(layers) and name not in wanted] if layers else []
            return (
                f"{many(len(more), 'weight is', 'weights are')} of layers that it has not, {more[0]} first"
                if more
                else None
            )
        return f"{len(wrong)} of {len(wanted)} weights are missing or of another shape, {wrong[0]} first"


def read(file: Path, *, key: str = "model.pretrained") -> dict[str, Stored]:
    """A model's tensors by name. UserError: it is cut off, or no model but a LoRA, or quantised."""
    kind = file.suffix.lower()
    if kind != ".safetensors":
        why = OTHER_FILES.get(kind, "no pipeline folder, hub name or .safetensors file")
        raise UserError(f"{key} {file}: {why}; give one in .safetensors, bf16, fp16 or fp32, or a pipeline folder")
    held = tensor_files.of_file(file)
    if any(end in name for name in held for end in LORA):
        raise UserError(f"{file}: a LoRA, not a model; give the model that it was made on")
    if any(name.startswith(OF_EDM) for name in held):
        raise UserError(
            f"{file}: marked as learned by EDM, which is not trained here; give one that learned noise or v"
        )
    eighths = any(
        one.dtype in weight_files.EIGHTS.values() for name, one in held.items() if not _is_of_an_encoder(name)
    )
    if eighths or any(name.endswith(QUANTISED) for name in held):
        raise UserError(f"{file}: quantised weights, which cannot be trained; give the file in bf16, fp16 or fp32")
    return held


def published_config(file: Path, held: Mapping[str, Stored]) -> str:
    """The hub name of the pipeline that diffusers takes a file to be of."""
    shapes = {name: torch.empty(one.shape, device="meta") for name, one in held.items()}
    try:
        return str(fetch_diffusers_config(shapes)["pretrained_model_name_or_path"])
    except (LookupError, ValueError, RuntimeError):
        raise UserError(f"{file}: of no family that diffusers knows; name its pipeline by model.config") from None


def parts(held: Mapping[str, Stored], folder: Path) -> dict[str, Part]:
    """Component -> its part, of the networks of a describing pipeline folder that a file holds."""
    index = folders.read_index(folder)
    prefixes = originals.WHOLE.get(index["_class_name"], {})
    found: dict[str, Part] = {}
    for name, kind in components.used(index).items():
        if kind is None or not components.is_network(kind):
            continue
        config = read_json(folder / name / "config.json", ComponentConfig, remedy=weight_files.AGAIN)
        if kind.__name__ in originals.CONVERTED:
            own = _inside(held, "first_stage_model.", "vae.") if name == "vae" else _drawing(held)
            names = components.outline(folder / name, kind).keys()
            found[name] = Part(own, partial(_network, kind.__name__, config, names))
        elif name in prefixes:
            found[name] = _text_encoder(_inside(held, prefixes[name]), config)
    return {name: part for name, part in found.items() if part.held}


def autoencoder(held: Mapping[str, Stored], folder: Path) -> Part:
    """The part of a file that is an autoencoder alone, or that holds one, as a pipeline folder describes it."""
    kind = components.used(folders.read_index(folder))["vae"]
    config = read_json(folder / "vae" / "config.json", ComponentConfig, remedy=weight_files.AGAIN)
    own = _inside(held, "first_stage_model.", "vae.") or held
    names = components.outline(folder / "vae", kind).keys() if kind else ()
    return Part(own, partial(_network, kind.__name__ if kind else "", config, names))


def _inside(held: Mapping[str, Stored], *prefixes: str) -> dict[str, Stored]:
    """Of the first prefix that any name has, the names without it."""
    for prefix in prefixes:
        own = {name.removeprefix(prefix): one for name, one in held.items() if name.startswith(prefix)}
        if own:
            return own
    return {}


def _drawing(held: Mapping[str, Stored]) -> dict[str, Stored]:
    """The network that draws: under its prefix, or all that is no other's."""
    return _inside(held, DRAWS) or {name: one for name, one in held.items() if not name.startswith(OTHERS)}


def _is_of_an_encoder(name: str) -> bool:
    """Whether a name is of a text encoder, of which SD3 is published with one in 8 bits."""
    return name.startswith(("cond_stage_model.", "conditioner.", "text_encoders."))


def _network(kind: str, config: Mapping[str, Any], names: Any, tensors: dict[str, Tensor]) -> Mapping[str, Tensor]:
    if names <= tensors.keys():  # saved by diffusers
        return tensors
    return originals.converted(kind, tensors, config=config)


def _text_encoder(held: Mapping[str, Stored], config: Mapping[str, Any]) -> Part:
    """Under the names of OpenCLIP, which stand behind `model.`, or under those of transformers."""
    if opened := _inside(held, "model."):
        stub = SimpleNamespace(config=SimpleNamespace(hidden_size=config["hidden_size"]))
        return Part(opened, lambda tensors: convert_open_clip_checkpoint(stub, tensors, prefix=""))
    return Part(_inside(held, "transformer.") or held, partial(_of_transformers, config))


def _of_transformers(config: Mapping[str, Any], tensors: dict[str, Tensor]) -> Mapping[str, Tensor]:
    named = {originals.wrapped(name): tensor for name, tensor in tensors.items()}
    if "projection_dim" in config and "text_projection.weight" not in named:  # SD3's CLIP-L is published without
        named["text_projection.weight"] = torch.eye(config["hidden_size"])
    return named
