"""How strong a file's layers are: alpha over rank, where alpha is in a key, in the header, or in peft's config beside.

Readers that overlook one of the three draw with another strength than what was trained; a file that names no alpha has
alpha = rank.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from emu.loras.update import rank_of
from emu.storage.records import parse, read_json
from emu.storage.shapes import ComponentConfig

HEADER = "lora_adapter_metadata"  # a key of a file's header, in which diffusers keeps peft's config
CONFIG = "adapter_config.json"  # where peft itself keeps it, beside
OF_PEFT = "adapter_model.safetensors"
INSIDE = "base_model.model."  # how peft begins the names of all layers
DAMAGED = "download or copy the file again"


class Scales:
    """The scales of one file's layers.

    Args:
        path: the file.
        header: its metadata.

    UserError: what should be peft's config is none.
    """

    def __init__(self, path: Path, header: Mapping[str, str]) -> None:
        self._configs: dict[str, ComponentConfig] = {}  # of each component its own; "" where none is named
        if HEADER in header:
            metadata = parse(header[HEADER], ComponentConfig, where=f"{path}: {HEADER}", remedy=DAMAGED)
            for key, value in metadata.items():  # "unet.r", "text_encoder.r"
                component, _, name = key.rpartition(".")
                self._configs.setdefault(component, {})[name] = value
        elif path.name == OF_PEFT and path.with_name(CONFIG).is_file():
            self._configs[""] = read_json(path.with_name(CONFIG), ComponentConfig, remedy=DAMAGED)

    def of(self, layer: str, parts: Mapping[str, Tensor]) -> float:
        """By what a layer's change is multiplied; `parts` may be without storage but for alpha."""
        rank = rank_of(parts)
        if "alpha" in parts:
            return float(parts["alpha"]) / rank if rank else 1.0
        config, layer = self._config_of(layer)
        alpha = _said(config, "alpha_pattern", layer, config.get("lora_alpha", config.get("alpha")))
        rank = rank or _said(config, "rank_pattern", layer, config.get("r"))
        if alpha is None or not rank:
            return 1.0
        return float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)

    def _config_of(self, layer: str) -> tuple[ComponentConfig, str]:
        """Its component's config, and its name inside of that; the drawing network's where it names no component."""
        for component, config in self._configs.items():
            if component and layer.startswith(f"{component}."):
                return config, layer.removeprefix(f"{component}.").removeprefix(INSIDE)
        drawing = (config for name, config in self._configs.items() if not name.startswith("text_encoder"))
        return next(drawing, {}), layer.removeprefix(INSIDE)


def _said(config: ComponentConfig, pattern: str, layer: str, otherwise: Any) -> Any:
    """What peft's config says for one layer: its own, found as peft does, or all layers'."""
    from peft.utils.other import get_pattern_key

    own = config.get(pattern) or {}
    return own.get(get_pattern_key(list(own), layer), otherwise)
