"""How strong a file's layers are: alpha over rank, where alpha is in a key, in the header, or in peft's config beside.

Readers that overlook one of the three draw with another strength than what was trained; a file that names no alpha has
alpha = rank.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from emu.loras.update import rank_of
from emu.records import parse, read_json
from emu.shapes import ComponentConfig

HEADER = "lora_adapter_metadata"  # a key of a file's header, in which diffusers keeps peft's config
CONFIG = "adapter_config.json"  # where peft itself keeps it, beside
OF_PEFT = "adapter_model.safetensors"
DAMAGED = "download or copy the file again"


class Scales:
    """The scales of one file's layers.

    Args:
        path: the file.
        header: its metadata.

    UserError: what should be peft's config is none.
    """

    def __init__(self, path: Path, header: Mapping[str, str]) -> None:
        self._config: ComponentConfig = {}
        if HEADER in header:
            metadata = parse(header[HEADER], ComponentConfig, where=f"{path}: {HEADER}", remedy=DAMAGED)
            # Of each component its own, "unet.r", "text_encoder.r"; the network's comes last, and stands.
            for key, value in sorted(metadata.items(), key=lambda item: not item[0].startswith("text_encoder")):
                self._config[key.rpartition(".")[2]] = value
        elif path.name == OF_PEFT and path.with_name(CONFIG).is_file():
            self._config = read_json(path.with_name(CONFIG), ComponentConfig, remedy=DAMAGED)

    def of(self, layer: str, parts: Mapping[str, Tensor]) -> float:
        """By what a layer's change is multiplied; `parts` may be without storage but for alpha."""
        rank = rank_of(parts)
        if "alpha" in parts:
            return float(parts["alpha"]) / rank if rank else 1.0
        alpha = self._of(layer, "alpha_pattern", self._config.get("lora_alpha", self._config.get("alpha")))
        rank = rank or self._of(layer, "rank_pattern", self._config.get("r"))
        if alpha is None or not rank:
            return 1.0
        return float(alpha) / (rank**0.5 if self._config.get("use_rslora") else rank)

    def _of(self, layer: str, pattern: str, otherwise: Any) -> Any:
        """What peft's config says for one layer: its own, or all layers'."""
        own = self._config.get(pattern) or {}
        return next((value for end, value in own.items() if f".{layer}".endswith(f".{end}")), otherwise)
