"""emu: quality-tune a text-to-image model on a small curated set, and prove before against after.

Names are imported when they are asked for: `import emu` costs nothing.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "CuratedData": "emu.data",
    "FlowMatching": "emu.models",
    "LatentDiffusion": "emu.models",
    "LatentDiffusionXL": "emu.models",
    "Muse": "emu.models",
    "PixelDiffusion": "emu.models",
    "QualityTuning": "emu.quality",
    "TextToImageModule": "emu.module",
    "UserError": "emu.errors",
    "load_model": "emu.models",
}

__all__ = [
    "CuratedData",
    "FlowMatching",
    "LatentDiffusion",
    "LatentDiffusionXL",
    "Muse",
    "PixelDiffusion",
    "QualityTuning",
    "TextToImageModule",
    "UserError",
    "load_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'emu' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
