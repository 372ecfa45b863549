"""The curated set: captioned pictures in, batches of equal shape out, and the prompts that are drawn at every check."""

from emu.data.datamodule import CuratedData
from emu.data.prompts import load_prompts

__all__ = ["CuratedData", "load_prompts"]
