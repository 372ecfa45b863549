from .auraflow import AuraFlow
from .autoencoder import Autoencoder, AutoencoderXL
from .cogview4 import CogView4
from .ernie_image import ErnieImage
from .flow import FlowMatching
from .flux import Chroma, Flux
from .flux2 import Flux2, Flux2Klein
from .hidream import HiDream
from .kandinsky5 import Kandinsky5
from .latent import LatentDiffusion, LatentDiffusionXL
from .loading import load_model
from .longcat_image import LongCatImage
from .lumina2 import Lumina2
from .muse import Muse
from .muse_upscaling import MuseUpscaling
from .ovis_image import OvisImage
from .pixart import PixArtSigma
from .pixel import PixelDiffusion
from .prx import PRX, PRXPixel
from .qwen_image import Krea2, QwenImage
from .qwen_image_21 import QwenImage21
from .sana import Sana
from .tokenizer import Tokenizer
from .upscaling import LatentUpscaling, PixelUpscaling
from .z_image import ZImage

__all__ = [
    "AuraFlow",
    "Autoencoder",
    "AutoencoderXL",
    "Chroma",
    "CogView4",
    "ErnieImage",
    "FlowMatching",
    "Flux",
    "Flux2",
    "Flux2Klein",
    "HiDream",
    "Kandinsky5",
    "Krea2",
    "LatentDiffusion",
    "LatentDiffusionXL",
    "LatentUpscaling",
    "LongCatImage",
    "Lumina2",
    "Muse",
    "MuseUpscaling",
    "OvisImage",
    "PRX",
    "PRXPixel",
    "PixArtSigma",
    "PixelDiffusion",
    "PixelUpscaling",
    "QwenImage",
    "QwenImage21",
    "Sana",
    "Tokenizer",
    "ZImage",
    "load_model",
]
