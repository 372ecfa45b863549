from .module import TextToImageModule

__all__ = ["TextToImageModule"]
