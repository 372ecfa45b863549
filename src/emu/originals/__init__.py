"""The layouts in which models were first published, from diffusers': what single files hold and ComfyUI knows."""

from emu.originals.checkpoints import WHOLE, markers, parts, published
from emu.originals.inverse import Original, Piece
from emu.originals.networks import CONVERTED, Layout, converted, layout, wrapped

__all__ = [
    "CONVERTED",
    "WHOLE",
    "Layout",
    "Original",
    "Piece",
    "converted",
    "layout",
    "markers",
    "parts",
    "published",
    "wrapped",
]
