"""Tiny pipelines of the real diffusers classes, untrained and seeded: what every architecture is tested with.

BUILDERS["latent"]().save_pretrained(folder); the flow-matching ones are in flow_pipelines.py, `build` knows all.
"""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    AmusedScheduler,
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    IFPipeline,
    IFSuperResolutionPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    UVit2DModel,
    VQModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from emu.models.muse import AmusedPipeline
from emu.parts.fourier import FourierAutoencoderKL
from emu.parts.joined import JoinedCLIPTextConfig, JoinedCLIPTextModel, JoinedT5Config, JoinedT5EncoderModel
from emu.parts.tokenizer import clip_tokenizer, t5_tokenizer

CAPTIONS = ["a red boat at noon", "a blue bird in the snow", "two green hills under a yellow moon", ""]
WIDTH, CODES = 32, 16


def tokenizer() -> CLIPTokenizer:
    return clip_tokenizer(CAPTIONS, vocab_size=300, max_length=12)


def clip(kind: type = CLIPTextModel, *, layers: int = 2, positions: int = 12) -> Any:
    tokens = tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=positions,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )
    return kind(config)


def t5(width: int = WIDTH) -> tuple[T5Tokenizer, T5EncoderModel]:
    tokens = t5_tokenizer(CAPTIONS)
    sizes = {"d_model": width, "d_ff": 2 * width, "d_kv": 16, "num_layers": 1, "num_heads": width // 16}
    config = T5Config(vocab_size=len(tokens), feed_forward_proj="gated-gelu", dropout_rate=0.0, **sizes)
    return tokens, T5EncoderModel(config)


def autoencoder(channels: int = 4, *, levels: int = 2, **config: Any) -> AutoencoderKL:
    return AutoencoderKL(
        latent_channels=channels,
        block_out_channels=(16,) * levels,
        norm_num_groups=8,
        sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        **config,
    )


def unet(channels: int = 4, *, out_channels: int = 4, sample_size: int = 16, **config: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=channels,
        out_channels=out_channels,
        block_out_channels=(16, 32),
        layers_per_block=config.pop("layers_per_block", 1),
        attention_head_dim=8,
        norm_num_groups=8,
        cross_attention_dim=config.pop("cross_attention_dim", WIDTH),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **config,
    )


def latent(prediction_type: str = "epsilon") -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=clip(),
        tokenizer=tokenizer(),
        unet=unet(),
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False, steps_offset=1,
            prediction_type=prediction_type,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip


def latent_xl() -> StableDiffusionXLPipeline:
    time_width = 8
    return StableDiffusionXLPipeline(
        vae=autoencoder(scaling_factor=0.13025),
        text_encoder=clip(),
        tokenizer=tokenizer(),
        text_encoder_2=clip(CLIPTextModelWithProjection),
        tokenizer_2=tokenizer(),
        unet=unet(
            cross_attention_dim=2 * WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=time_width,
            projection_class_embeddings_input_dim=WIDTH + 6 * time_width,
            use_linear_projection=True,
        ),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
        add_watermarker=False,
    )


def joined() -> StableDiffusionXLPipeline:
    """The paper's latent model, as configs/new/emu-tiny.yaml has it and tinier."""
    tokens, encoder = t5()
    tokens.model_max_length = 20
    sizes = {key: getattr(encoder.config, key) for key in ("vocab_size", "d_model", "d_ff", "d_kv", "num_heads")}
    sizes |= {"num_layers": 1, "feed_forward_proj": "gated-gelu", "dropout_rate": 0.0}
    t5_config = JoinedT5Config(**sizes, rows=[12, 20, 0])
    clip_config = JoinedCLIPTextConfig(**{**clip().config.to_dict(), "rows": [0, 12, 20]})
    time_width = 8
    return StableDiffusionXLPipeline(
        vae=FourierAutoencoderKL(**{**autoencoder(8).config, "in_channels": 9}),
        text_encoder=JoinedT5EncoderModel(t5_config),
        tokenizer=tokens,
        text_encoder_2=JoinedCLIPTextModel(clip_config),
        tokenizer_2=tokenizer(),
        unet=unet(
            8,
            out_channels=8,
            encoder_hid_dim=2 * WIDTH,
            encoder_hid_dim_type="text_proj",
            addition_embed_type="text_time",
            addition_time_embed_dim=time_width,
            projection_class_embeddings_input_dim=WIDTH + 6 * time_width,
            use_linear_projection=True,
        ),
        scheduler=DPMSolverMultistepScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1
        ),
        add_watermarker=False,
    )


def pixel() -> IFPipeline:
    tokens, encoder = t5()
    return IFPipeline(
        tokenizer=tokens,
        text_encoder=encoder,
        unet=unet(3, out_channels=6, sample_size=16),
        scheduler=DDPMScheduler(
            beta_schedule="squaredcos_cap_v2", variance_type="learned_range", thresholding=True, sample_max_value=1.0
        ),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def upscaling() -> IFSuperResolutionPipeline:
    tokens, encoder = t5()
    return IFSuperResolutionPipeline(
        tokenizer=tokens,
        text_encoder=encoder,
        unet=unet(6, out_channels=6, sample_size=16, class_embed_type="timestep"),
        scheduler=DDPMScheduler(
            beta_schedule="squaredcos_cap_v2", variance_type="learned_range", thresholding=True, sample_max_value=1.0
        ),
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def token_autoencoder(levels: int = 2) -> VQModel:
    """Tokens of 2x2 pixels, or of twice the side with each further level."""
    return VQModel(
        block_out_channels=(8, *(16,) * (levels - 1)), norm_num_groups=8, num_vq_embeddings=CODES, latent_channels=8,
        vq_embed_dim=8,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
        lookup_from_codebook=True, mid_block_add_attention=False,
    )  # fmt: skip


def muse() -> AmusedPipeline:
    transformer = UVit2DModel(
        hidden_size=WIDTH, cond_embed_dim=WIDTH, encoder_hidden_size=WIDTH, micro_cond_encode_dim=8,
        micro_cond_embed_dim=40, vocab_size=CODES + 1, codebook_size=CODES, in_channels=WIDTH, block_out_channels=WIDTH,
        num_res_blocks=1, num_hidden_layers=1, num_attention_heads=2, block_num_heads=2, intermediate_size=WIDTH,
        sample_size=8, downsample=True, upsample=True, use_bias=False,
        hidden_dropout=0.0, attention_dropout=0.0,
    )  # fmt: skip
    return AmusedPipeline(
        vqvae=token_autoencoder(),
        tokenizer=tokenizer(),
        text_encoder=clip(CLIPTextModelWithProjection),
        transformer=transformer,
        scheduler=AmusedScheduler(mask_token_id=CODES),
    )


def pixart() -> PixArtSigmaPipeline:
    tokens, encoder = t5()
    return PixArtSigmaPipeline(
        tokenizer=tokens,
        text_encoder=encoder,
        vae=autoencoder(scaling_factor=0.13025),
        transformer=PixArtTransformer2DModel(
            num_attention_heads=2, attention_head_dim=16, num_layers=1, cross_attention_dim=WIDTH, sample_size=16,
            caption_channels=WIDTH, use_additional_conditions=False, interpolation_scale=2,
        ),
        scheduler=DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear"),
    )  # fmt: skip


def flow(*, with_t5: bool = True) -> StableDiffusion3Pipeline:
    tokens, encoder = t5(2 * WIDTH) if with_t5 else (None, None)
    return StableDiffusion3Pipeline(
        vae=autoencoder(8, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip(CLIPTextModelWithProjection),
        tokenizer=tokenizer(),
        text_encoder_2=clip(CLIPTextModelWithProjection),
        tokenizer_2=tokenizer(),
        text_encoder_3=encoder,
        tokenizer_3=tokens,
        transformer=SD3Transformer2DModel(
            sample_size=16, patch_size=2, in_channels=8, out_channels=8, num_layers=2, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=2 * WIDTH, caption_projection_dim=WIDTH,
            pooled_projection_dim=2 * WIDTH, pos_embed_max_size=16,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )  # fmt: skip


BUILDERS: dict[str, Callable[[], DiffusionPipeline]] = {
    "latent": latent,
    "latent_xl": latent_xl,
    "joined": joined,
    "pixel": pixel,
    "upscaling": upscaling,
    "muse": muse,
    "flow": flow,
    "pixart": pixart,
}


def build(name: str) -> DiffusionPipeline:
    """The same weights each time."""
    builder = BUILDERS.get(name)
    if builder is None:
        import flow_pipelines  # both take parts from here; this file alone can be loaded from anywhere
        import upscalers

        others = {
            "own_sana": flow_pipelines.sana,
            "latent_upscaling": upscalers.published,
            "muse_upscaling": upscalers.token_upscaler,
        }
        builder = {**flow_pipelines.BUILDERS, **others}[name]
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return builder()
