from .auraflow import AuraFlow
from .autoencoder import Autoencoder, AutoencoderXL
from .ernie_image import ErnieImage
from .flow import FlowMatching
from .flux import Chroma, Flux
from .flux2 import Flux2, Flux2Klein
from .latent import LatentDiffusion, LatentDiffusionXL
from .loading import load_model
from .lumina2 import Lumina2
from .muse import Muse
from .pixel import PixelDiffusion
from .prx import PRX, PRXPixel
from .qwen_image import Krea2, QwenImage
from .sana import Sana
from .z_image import ZImage

__all__ = [
    "AuraFlow",
    "Autoencoder",
    "AutoencoderXL",
    "Chroma",
    "ErnieImage",
    "FlowMatching",
    "Flux",
    "Flux2",
    "Flux2Klein",
    "Krea2",
    "LatentDiffusion",
    "LatentDiffusionXL",
    "Lumina2",
    "Muse",
    "PRX",
    "PRXPixel",
    "PixelDiffusion",
    "QwenImage",
    "Sana",
    "ZImage",
    "load_model",
]
