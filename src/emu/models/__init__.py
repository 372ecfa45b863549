"""The architectures, one file each."""

from emu.models.auraflow import AuraFlow
from emu.models.autoencoder import Autoencoder, AutoencoderXL
from emu.models.ernie_image import ErnieImage
from emu.models.flow import FlowMatching
from emu.models.flux import Chroma, Flux
from emu.models.flux2 import Flux2, Flux2Klein
from emu.models.latent import LatentDiffusion, LatentDiffusionXL
from emu.models.loading import load_model
from emu.models.lumina2 import Lumina2
from emu.models.muse import Muse
from emu.models.pixel import PixelDiffusion
from emu.models.prx import PRX, PRXPixel
from emu.models.qwen_image import Krea2, QwenImage
from emu.models.sana import Sana
from emu.models.z_image import ZImage

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
