from .datamodule import CuratedData
from .prompts import load_prompts

__all__ = ["CuratedData", "load_prompts"]
