"""A LoRA, LoHa or LoKr file of any trainer: held against a pipeline by its header, then merged into its weights."""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from emu.errors import UserError, first_line
from emu.loras.known import Component, Shapes
from emu.loras.names import Place, is_of_an_encoder, of_today, place_of
from emu.loras.scale import DAMAGED, OF_PEFT, Scales
from emu.loras.update import ENDINGS, change, updated
from emu.originals import Piece

IN_FOLDERS = (OF_PEFT, "pytorch_lora_weights.safetensors")  # as save_pretrained and save_lora_weights call them
SAYS_ITS_BASE = ("modelspec.architecture", "ss_base_model_version", "ss_sd_model_name")  # keys of a header


@dataclass(frozen=True)
class Layer:
    """A layer as the file spells it."""

    name: str
    keys: dict[str, str]
    """Part of `emu.loras.update` -> the key that has it."""


class LoRAFile:
    """A file and how strongly it is merged.

    Args:
        given: FILE, or FILE:STRENGTH; 1 is what was trained. A folder stands for the file that peft or diffusers calls
            by one name there.

    UserError: there is no such file, or it holds something else.
    """

    def __init__(self, given: str) -> None:
        self.path, self.strength = _parted(os.path.expanduser(given))
        self.path = next((one for one in (self.path / name for name in IN_FOLDERS) if one.is_file()), self.path)
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such file; name a LoRA, a .safetensors file")
        try:
            with safe_open(self.path, "pt") as file:
                self.header: dict[str, str] = file.metadata() or {}
                self._shapes = {key: torch.Size(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UserError(f"{self.path}: no .safetensors file, or cut off ({first_line(error)}); {DAMAGED}") from None
        self.layers = self._layers()
        self._scales = Scales(self.path, self.header)

    def _layers(self) -> list[Layer]:
        found: dict[str, dict[str, str]] = {}
        foreign = []
        for key in self._shapes:
            named = of_today(key)
            name, part = next(
                ((named.removesuffix(f".{end}"), part) for end, part in ENDINGS.items() if named.endswith(f".{end}")),
                ("", ""),
            )
            if name:
                found.setdefault(name, {})[part] = key
            else:
                foreign.append(key)
        if foreign or not found:
            first = f", the first {foreign[0]}" if foreign else ""
            raise UserError(
                f"{self.path}: {len(foreign)} of its {len(self._shapes)} keys are none of a LoRA, LoHa or LoKr{first}; "
                "give the file of an adapter"
            )
        return [Layer(name, keys) for name, keys in found.items()]

    def of_encoders(self) -> int:
        """How many of its layers are text encoders'."""
        return sum(is_of_an_encoder(layer.name) for layer in self.layers)

    def check(self, components: Mapping[str, Component], *, slot: str) -> None:
        """Hold the file's header against components by name, of which `slot` draws.

        Layers of text encoders count where there are such. UserError: a layer is of none of them, or of another shape.
        """
        found = list(self._placed(components, slot=slot))
        if strange := [layer.name for layer, place in found if place is None]:
            raise UserError(
                f"{self.path}: {len(strange)} of its {len(found)} layers are none of this {slot}'s, the first "
                f"{strange[0]}; {self._of_its_base()}"
            )
        taken: dict[tuple[str, Piece], str] = {}
        for layer, place in found:
            assert place is not None
            self._fit(layer, _shape_of(place, components[place.component].shapes), slot=slot)
            for piece in place.pieces:
                if (other := taken.setdefault((place.component, piece), layer.name)) != layer.name:
                    raise UserError(
                        f"{self.path}: {other} and {layer.name} are one layer of this {slot}; leave one out"
                    )

    def _fit(self, layer: Layer, wanted: torch.Size, *, slot: str) -> None:
        """UserError where the layer's parts are not for weights of this shape, or do not belong together."""
        parts = {part: torch.empty(self._shapes[key], device="meta") for part, key in layer.keys.items()}
        try:
            held = change(parts).shape
            if fits := held[0] == wanted[0] and held.numel() == wanted.numel():
                updated(torch.empty(wanted, device="meta"), parts, scale=1, strength=1)
        except (KeyError, RuntimeError, ValueError, IndexError) as error:
            raise UserError(
                f"{self.path}: the parts of its {layer.name} do not belong together ({first_line(error)}); {DAMAGED}"
            ) from None
        if not fits:
            raise UserError(
                f"{self.path}: its {layer.name} is for weights of {tuple(held)}, and this {slot} has {tuple(wanted)}; "
                f"{self._of_its_base()}"
            )

    def _placed(self, components: Mapping[str, Component], *, slot: str) -> Iterator[tuple[Layer, Place | None]]:
        """The layers and where they go; those of encoders that are not asked for are passed over."""
        spellings = {name: one.spellings for name, one in components.items()}
        for layer in self.layers:
            if len(spellings) > 1 or not is_of_an_encoder(layer.name):
                yield layer, place_of(layer.name, spellings, slot=slot)

    def _of_its_base(self) -> str:
        said = next((self.header[key] for key in SAYS_ITS_BASE if key in self.header), None)
        return "give a LoRA of this model's base" + (f" (it says that it is of {said:.60})" if said else "")

    @torch.no_grad()
    def merge(self, networks: Mapping[str, nn.Module], components: Mapping[str, Component], *, slot: str) -> None:
        """Change the weights of `networks`, by component, as the file has them; it was checked against them before."""
        with safe_open(self.path, "pt") as file:
            for layer, found in self._placed(components, slot=slot):
                assert found is not None
                parts = {part: file.get_tensor(key).float() for part, key in layer.keys.items()}
                scale = self._scales.of(layer.name, parts)
                network = networks[found.component]
                targets = [piece.of(_weight(network, piece.name)) for piece in found.pieces]
                whole = updated(torch.cat([one.float() for one in targets]), parts, scale=scale, strength=self.strength)
                for target, rows in zip(targets, whole.split([len(one) for one in targets]), strict=True):
                    target.copy_(rows)


def _parted(given: str) -> tuple[Path, float]:
    """FILE[:STRENGTH] -> the two."""
    path, colon, strength = given.rpartition(":")
    try:
        number = float(strength)
    except ValueError:
        return Path(given), 1.0
    if not colon or Path(given).exists():
        return Path(given), 1.0
    if not math.isfinite(number):
        raise UserError(f"{given}: a strength of {strength}; give FILE:STRENGTH with a number such as 0.8")
    return Path(path), number


def _weight(network: nn.Module, name: str) -> Tensor:
    layer: Any = network.get_submodule(name)
    weight: Tensor = layer.get_base_layer().weight if hasattr(layer, "get_base_layer") else layer.weight
    return weight


def _shape_of(place: Place, shapes: Shapes) -> torch.Size:
    """Of the weights that the file's layer stands for."""
    meta = [piece.of(torch.empty(shapes[piece.name], device="meta")) for piece in place.pieces]
    return torch.cat(meta).shape
