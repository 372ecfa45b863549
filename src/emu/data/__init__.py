"""The curated set: captioned pictures in, batches of equal shape out, and the prompts that are drawn at every check.

Names are imported when they are asked for: who reads sources alone needs neither torch nor lightning.
"""

from importlib import import_module
from typing import Any

_HOMES = {"CuratedData": "emu.data.datamodule", "load_prompts": "emu.data.prompts"}

__all__ = ["CuratedData", "load_prompts"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'emu.data' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
