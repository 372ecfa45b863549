"""Tiny upscalers of the real diffusers classes, untrained and seeded: those of BUILDERS make sides twice as long.

latent_upscaler().save_pretrained(folder)
"""

from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import (
    AmusedScheduler,
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    StableDiffusionLatentUpscalePipeline,
    StableDiffusionUpscalePipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModelWithProjection

from emu.parts.token_upscaler import TokenUpscaler2DModel, TokenUpscalingPipeline
from pipelines import CODES, WIDTH, autoencoder, clip, token_autoencoder, tokenizer


def upscaler(levels: int = 2) -> StableDiffusionUpscalePipeline:
    """Denoises latents beside the small picture itself."""
    return StableDiffusionUpscalePipeline(
        vae=autoencoder(levels=levels, scaling_factor=0.08333, mid_block_add_attention=False),
        text_encoder=clip(),
        tokenizer=tokenizer(),
        unet=UNet2DConditionModel(
            in_channels=7, out_channels=4, num_class_embeds=1000, block_out_channels=(8, 8), layers_per_block=1,
            attention_head_dim=8, norm_num_groups=4, cross_attention_dim=WIDTH,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        low_res_scheduler=DDPMScheduler(),
        scheduler=DDIMScheduler(prediction_type="v_prediction"),
        safety_checker=None,
        max_noise_level=350,
    )  # fmt: skip


def published() -> StableDiffusionUpscalePipeline:
    """Sides four times as long, as the published one makes them."""
    return upscaler(3)


def token_upscaler() -> TokenUpscalingPipeline:
    """Muse's second stage: 4 x 4 tokens above each of the small picture's."""
    return TokenUpscalingPipeline(
        vqvae=token_autoencoder(),
        low_vqvae=token_autoencoder(),
        tokenizer=tokenizer(),
        text_encoder=clip(CLIPTextModelWithProjection),
        transformer=TokenUpscaler2DModel(
            codebook_size=CODES, low_codebook_size=CODES, hidden_size=WIDTH, encoder_hidden_size=WIDTH,
            num_hidden_layers=2, num_low_layers=1, num_attention_heads=2, sample_size=8,
        ),
        scheduler=AmusedScheduler(mask_token_id=CODES),
        factor=4,
    )  # fmt: skip


def latent_upscaler() -> StableDiffusionLatentUpscalePipeline:
    """Denoises latents beside the small picture's."""
    side = ("KCrossAttnDownBlock2D", "KCrossAttnUpBlock2D")
    return StableDiffusionLatentUpscalePipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 8, 8, 8), norm_num_groups=4, latent_channels=4, mid_block_add_attention=False,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        ),
        text_encoder=clip(),
        tokenizer=tokenizer(),
        unet=UNet2DConditionModel(
            act_fn="gelu", attention_head_dim=8, norm_num_groups=None, block_out_channels=(32, 32, 64, 64),
            time_cond_proj_dim=128 + WIDTH, conv_in_kernel=1, conv_out_kernel=1, cross_attention_dim=WIDTH,
            in_channels=8, out_channels=5, mid_block_type=None, only_cross_attention=False,
            resnet_time_scale_shift="scale_shift", time_embedding_type="fourier", timestep_post_act="gelu",
            down_block_types=("KDownBlock2D", *(side[0],) * 3), up_block_types=(*(side[1],) * 3, "KUpBlock2D"),
        ),
        scheduler=EulerDiscreteScheduler(prediction_type="sample"),
    )  # fmt: skip


BUILDERS: dict[str, Callable[[], DiffusionPipeline]] = {"upscaler": upscaler, "latent upscaler": latent_upscaler}


def save(name: str, folder: Path) -> Path:
    """The same weights each time."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        BUILDERS[name]().save_pretrained(folder)
    return folder
