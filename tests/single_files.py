"""Tiny pipelines of the families that are published as one whole file, with what such a file tells apart.

Its readers know CLIP from OpenCLIP by their names, and the two of SDXL and SD3 by their widths, which differ here.
"""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from pipelines import WIDTH, autoencoder, clip, latent, t5, tokenizer, unet

WIDER = 48
ALONE = (
    "z_image", "flux2_klein", "krea2", "sana", "auraflow", "qwen_image", "qwen_image_21", "ernie_image",
)  # fmt: skip
"""Architectures of `flow_pipelines` of which the transformer alone is published as one file."""
V = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "prediction_type": "v_prediction"}


def open_clip(kind: type[Any], width: int) -> Any:
    tokens = tokenizer()
    return kind(
        CLIPTextConfig(
            vocab_size=len(tokens), hidden_size=width, intermediate_size=width, projection_dim=width, hidden_act="gelu",
            num_hidden_layers=3, num_attention_heads=2, max_position_embeddings=12, bos_token_id=tokens.bos_token_id,
            eos_token_id=tokens.eos_token_id, pad_token_id=tokens.pad_token_id,
        )
    )  # fmt: skip


def sd2() -> StableDiffusionPipeline:
    pipeline = latent()
    pipeline.register_modules(
        unet=unet(use_linear_projection=True),
        text_encoder=open_clip(CLIPTextModel, WIDTH),
        scheduler=DDIMScheduler(**V, clip_sample=False, steps_offset=1),
    )
    return pipeline


def sdxl(*, zero_snr: bool = False) -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline(
        vae=autoencoder(scaling_factor=0.13025),
        text_encoder=clip(),
        tokenizer=tokenizer(),
        text_encoder_2=open_clip(CLIPTextModelWithProjection, WIDER),
        tokenizer_2=tokenizer(),
        unet=unet(
            cross_attention_dim=WIDTH + WIDER, addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=WIDER + 6 * 8, use_linear_projection=True,
            transformer_layers_per_block=2,
        ),
        scheduler=EulerDiscreteScheduler(
            **{**V, "prediction_type": "v_prediction" if zero_snr else "epsilon"}, rescale_betas_zero_snr=zero_snr
        ),
        add_watermarker=False,
    )  # fmt: skip


def sd3() -> StableDiffusion3Pipeline:
    tokens, encoder = t5(96)
    first = clip(CLIPTextModelWithProjection)
    torch.nn.init.eye_(first.text_projection.weight)  # as published: what reads a single file takes it so
    return StableDiffusion3Pipeline(
        vae=autoencoder(8, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=first,
        tokenizer=tokenizer(),
        text_encoder_2=open_clip(CLIPTextModelWithProjection, WIDER),
        tokenizer_2=tokenizer(),
        text_encoder_3=encoder,
        tokenizer_3=tokens,
        transformer=SD3Transformer2DModel(
            sample_size=16, patch_size=2, in_channels=8, out_channels=8, num_layers=2, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=96, caption_projection_dim=WIDTH,
            pooled_projection_dim=WIDTH + WIDER, pos_embed_max_size=16, dual_attention_layers=(0,),
            qk_norm="rms_norm",
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )  # fmt: skip


WHOLE: dict[str, tuple[str, Callable[[], DiffusionPipeline]]] = {  # name -> key of architectures.CLASSES, and how
    "sd15": ("latent", latent),
    "sd2": ("latent", sd2),
    "sdxl": ("latent_xl", sdxl),
    "sdxl-v": ("latent_xl", lambda: sdxl(zero_snr=True)),
    "sd3": ("flow", sd3),
}
