from .data import CuratedData
from .errors import UserError
from .models import FlowMatching, LatentDiffusion, LatentDiffusionXL, Muse, PixelDiffusion, load_model
from .module import TextToImageModule
from .quality import QualityTuning

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
