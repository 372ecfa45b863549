"""The layouts in which models were first published, from diffusers': what single files hold and ComfyUI knows."""

from emu.originals.checkpoints import markers, parts, published
from emu.originals.inverse import Original, Piece
from emu.originals.networks import Layout, layout

__all__ = ["Layout", "Original", "Piece", "layout", "markers", "parts", "published"]
