"""Untrained pipelines of a few million parameters, of the real diffusers classes, around encoders that are trained.

Every function takes the folder in which those parts lie: clip, clip_tokenizer, t5, t5_tokenizer, vae, vq.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import (
    AmusedPipeline,
    AmusedScheduler,
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    IFPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UVit2DModel,
    VQModel,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel, T5Tokenizer

from emu.models import LatentDiffusion, Muse, PixelDiffusion
from emu.module import TextToImageModule

WIDTH, TOKENS, CODES = 64, 24, 1024  # of the text encoders, of a caption, of the codebook
VAE_WIDTHS, LATENT_CHANNELS = (16, 32, 48), 8  # a latent stands for 4 x 4 pixels


def assemble_latent(work: Path) -> StableDiffusionPipeline:
    """An untrained SD pipeline around the trained parts."""
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=LATENT_CHANNELS, out_channels=LATENT_CHANNELS, block_out_channels=(32, 64, 80),
        layers_per_block=1, cross_attention_dim=WIDTH, attention_head_dim=8, norm_num_groups=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    scheduler = DPMSolverMultistepScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        steps_offset=1,
    )
    return StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(work / "vae"), text_encoder=CLIPTextModel.from_pretrained(work / "clip"),
        tokenizer=CLIPTokenizer.from_pretrained(work / "clip_tokenizer"), unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def assemble_pixel(work: Path) -> IFPipeline:
    """An untrained DeepFloyd IF stage I of 32 px; its U-Net predicts the variance too, as IF's does."""
    unet = UNet2DConditionModel(
        sample_size=32, in_channels=3, out_channels=6, block_out_channels=(16, 32, 96), layers_per_block=1,
        cross_attention_dim=WIDTH, attention_head_dim=8, norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    scheduler = DPMSolverMultistepScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", thresholding=True, sample_max_value=1.0
    )
    return IFPipeline(
        tokenizer=T5Tokenizer.from_pretrained(work / "t5_tokenizer"),
        text_encoder=T5EncoderModel.from_pretrained(work / "t5"), unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, watermarker=None, requires_safety_checker=False,
    )  # fmt: skip


def assemble_muse(work: Path) -> AmusedPipeline:
    """An untrained aMUSEd around the trained tokens."""
    transformer = UVit2DModel(
        hidden_size=96, cond_embed_dim=WIDTH, encoder_hidden_size=WIDTH, micro_cond_encode_dim=16,
        micro_cond_embed_dim=80, vocab_size=CODES + 8, codebook_size=CODES, in_channels=96, block_out_channels=96,
        num_res_blocks=1, num_hidden_layers=6, num_attention_heads=4, block_num_heads=4, intermediate_size=288,
        sample_size=8, downsample=False, upsample=False, use_bias=False, hidden_dropout=0.0, attention_dropout=0.0,
    )  # fmt: skip
    return AmusedPipeline(
        vqvae=VQModel.from_pretrained(work / "vq"), tokenizer=CLIPTokenizer.from_pretrained(work / "clip_tokenizer"),
        text_encoder=CLIPTextModelWithProjection.from_pretrained(work / "clip"), transformer=transformer,
        scheduler=AmusedScheduler(mask_token_id=CODES + 7),
    )  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How one architecture is pre-trained: its untrained pipeline, its class, the side of its pictures, its rate."""

    assemble: Callable[[Path], Any]
    module: type[TextToImageModule]
    side: int
    lr: float = 1.5e-3


RECIPES = {
    "latent": Recipe(assemble_latent, LatentDiffusion, 64),
    "pixel": Recipe(assemble_pixel, PixelDiffusion, 32),
    "muse": Recipe(assemble_muse, Muse, 32),
}
