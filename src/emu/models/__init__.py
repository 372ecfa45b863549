"""The architectures, one file each."""

from emu.models.autoencoder import Autoencoder, AutoencoderXL
from emu.models.flow import FlowMatching
from emu.models.latent import LatentDiffusion, LatentDiffusionXL
from emu.models.loading import load_model
from emu.models.muse import Muse
from emu.models.pixel import PixelDiffusion

__all__ = [
    "Autoencoder",
    "AutoencoderXL",
    "FlowMatching",
    "LatentDiffusion",
    "LatentDiffusionXL",
    "Muse",
    "PixelDiffusion",
    "load_model",
]
