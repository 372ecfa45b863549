"""Tiny pipelines of the flow-matching classes, untrained and seeded, with all parts that the published folders have.

Sizes of parts follow the published configs but for their widths and depths; what is left out there is left out here.
"""

from collections.abc import Callable
from typing import Any

from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    AutoencoderKLQwenImage21,
    ChromaPipeline,
    ChromaTransformer2DModel,
    CogView4Pipeline,
    CogView4Transformer2DModel,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    ErnieImagePipeline,
    ErnieImageTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    HiDreamImagePipeline,
    HiDreamImageTransformer2DModel,
    Kandinsky5T2IPipeline,
    Kandinsky5Transformer3DModel,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    LongCatImagePipeline,
    LongCatImageTransformer2DModel,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    OvisImagePipeline,
    OvisImageTransformer2DModel,
    PRXPipeline,
    PRXPixelPipeline,
    PRXTransformer2DModel,
    QwenImage21Pipeline,
    QwenImage21Transformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
    UniPCMultistepScheduler,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from torch import nn
from transformers import (
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    GlmConfig,
    GlmModel,
    LlamaConfig,
    LlamaForCausalLM,
    Ministral3Config,
    Ministral3ForCausalLM,
    Mistral3Config,
    Mistral3Model,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLModel,
    UMT5Config,
    UMT5EncoderModel,
)
from transformers.models.t5gemma.configuration_t5gemma import T5GemmaConfig, T5GemmaModuleConfig
from transformers.models.t5gemma.modeling_t5gemma import T5GemmaEncoder

import tokens
from pipelines import WIDTH, autoencoder, clip, t5, tokenizer

VOCABULARY = 1000
# Of FLUX.1, and of all that took its schedule.
DYNAMIC = {"shift": 3.0, "use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}


def flux_autoencoder(channels: int = 4) -> AutoencoderKL:
    return autoencoder(
        channels, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False
    )


def flux2_autoencoder() -> AutoencoderKLFlux2:
    vae = AutoencoderKLFlux2(
        latent_channels=2, block_out_channels=(16, 16), norm_num_groups=8, layers_per_block=1, sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    vae.bn.running_mean.normal_(0, 0.1)
    vae.bn.running_var.uniform_(0.5, 2)
    return vae


def qwen_autoencoder() -> AutoencoderKLQwenImage:
    return AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[False],
        latents_mean=[0.1, -0.2, 0.0, 0.3], latents_std=[1.0, 2.0, 0.5, 1.5],
    )  # fmt: skip


def qwen3(kind: type, *, layers: int = 3) -> Any:
    return kind(
        Qwen3Config(
            vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=layers, head_dim=16,
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=4096,
        )
    )  # fmt: skip


def qwen_eyes() -> dict[str, Any]:
    """A vision tower, which no prompt passes through."""
    return {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": WIDTH}


def qwen_text(layers: int, sections: list[int]) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": layers,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 4096,
        "rope_scaling": {"mrope_section": sections, "rope_type": "default"},
    }  # fmt: skip


def gemma2() -> Gemma2Model:
    return Gemma2Model(
        Gemma2Config(
            vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=2, head_dim=16,
            num_attention_heads=2, num_key_value_heads=1,
        )
    )  # fmt: skip


def awake(transformer: nn.Module) -> Any:
    """Pad tokens and gates that start at nothing or at random memory, set to small numbers: a tuned model has them."""
    for parameter in transformer.parameters():
        if not parameter.isfinite().all() or parameter.abs().max() > 1e6 or not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return transformer


def z_image() -> ZImagePipeline:
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0),
        vae=flux_autoencoder(),
        text_encoder=qwen3(Qwen3Model),
        tokenizer=tokens.qwen(),
        transformer=awake(
            ZImageTransformer2DModel(
                in_channels=4, dim=WIDTH, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=WIDTH,
                axes_dims=[8, 4, 4], axes_lens=[1024, 64, 64],
            )
        ),
    )  # fmt: skip


def flux() -> FluxPipeline:
    t5_tokens, encoder = t5()
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**DYNAMIC),
        vae=flux_autoencoder(),
        text_encoder=clip(),
        tokenizer=tokenizer(),
        text_encoder_2=encoder,
        tokenizer_2=t5_tokens,
        transformer=FluxTransformer2DModel(
            in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH, guidance_embeds=True, axes_dims_rope=(4, 6, 6),
        ),
    )  # fmt: skip


def chroma() -> ChromaPipeline:
    t5_tokens, encoder = t5()
    return ChromaPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**DYNAMIC),
        vae=flux_autoencoder(),
        text_encoder=encoder,
        tokenizer=t5_tokens,
        transformer=ChromaTransformer2DModel(
            in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=WIDTH, axes_dims_rope=(4, 6, 6), approximator_num_channels=16,
            approximator_hidden_dim=WIDTH, approximator_layers=1,
        ),
    )  # fmt: skip


def flux2_transformer(layers: int, *, guidance: bool) -> Flux2Transformer2DModel:
    return Flux2Transformer2DModel(
        in_channels=8, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=layers * WIDTH, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=guidance,
    )  # fmt: skip


def flux2_klein() -> Flux2KleinPipeline:
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**DYNAMIC),
        vae=flux2_autoencoder(),
        text_encoder=qwen3(Qwen3ForCausalLM, layers=28),  # of which layers 9, 18 and 27 are read
        tokenizer=tokens.qwen(),
        transformer=flux2_transformer(3, guidance=False),
    )


def qwen_image() -> QwenImagePipeline:
    config = Qwen2_5_VLConfig(text_config=qwen_text(2, [2, 3, 3]), vision_config=qwen_eyes())
    return QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**DYNAMIC, shift_terminal=0.02, max_image_seq_len=8192),
        vae=qwen_autoencoder(),
        text_encoder=Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=tokens.qwen(),
        transformer=QwenImageTransformer2DModel(
            in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=WIDTH, axes_dims_rope=(4, 6, 6),
        ),
    )  # fmt: skip


def qwen_image_21() -> QwenImage21Pipeline:
    text = qwen_text(2, [4, 2, 2]) | {"vocab_size": VOCABULARY + len(tokens.VISION)}
    eyes = qwen_eyes() | {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
    return QwenImage21Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, max_image_seq_len=8192, shift_terminal=0.02
        ),
        vae=AutoencoderKLQwenImage21(
            base_dim=8, decoder_base_dim=12, z_dim=4, dim_mult=[1, 1, 1, 1, 1], num_res_blocks=1,
            latents_mean=[0.1, -0.2, 0.0, 0.3], latents_std=[1.0, 2.0, 0.5, 1.5],
        ),
        text_encoder=Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=eyes)),
        processor=tokens.qwen_processor(),
        transformer=QwenImage21Transformer2DModel(
            in_channels=4, out_channels=4, num_layers=2, attention_head_dim=16, num_attention_heads=2,
            context_in_dim=WIDTH, mlp_ratio=2, axes_dims_rope=(4, 6, 6),
        ),
    )  # fmt: skip


def krea2() -> Krea2Pipeline:
    eyes = qwen_eyes() | {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
    config = Qwen3VLConfig(text_config=qwen_text(3, [4, 2, 2]), vision_config=eyes)
    return Krea2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**DYNAMIC, max_image_seq_len=6400),
        vae=qwen_autoencoder(),
        text_encoder=Qwen3VLModel(config),
        tokenizer=tokens.qwen(),
        transformer=Krea2Transformer2DModel(
            in_channels=16, num_layers=1, attention_head_dim=16, num_attention_heads=2, num_key_value_heads=1,
            intermediate_size=WIDTH, timestep_embed_dim=16, text_hidden_dim=WIDTH, num_text_layers=2,
            text_num_attention_heads=2, text_num_key_value_heads=1, text_intermediate_size=WIDTH,
            num_layerwise_text_blocks=1, num_refiner_text_blocks=1, axes_dims_rope=(4, 6, 6),
        ),
        text_encoder_select_layers=(1, 3),
    )  # fmt: skip


def lumina2() -> Lumina2Pipeline:
    return Lumina2Pipeline(
        transformer=awake(
            Lumina2Transformer2DModel(
                sample_size=16, in_channels=4, hidden_size=WIDTH, num_layers=1, num_refiner_layers=1,
                num_attention_heads=2, num_kv_heads=1, multiple_of=16, axes_dim_rope=(8, 4, 4),
                axes_lens=(512, 64, 64), cap_feat_dim=WIDTH,
            )
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0),
        vae=eight_fold(),
        text_encoder=gemma2(),
        tokenizer=tokens.gemma(),
    )  # fmt: skip


def eight_fold() -> AutoencoderKL:
    """Lumina's pipeline and Kandinsky's take it for granted that pictures are eight times as large as latents."""
    return AutoencoderKL(
        latent_channels=4, block_out_channels=(8,) * 4, norm_num_groups=4, sample_size=32, scaling_factor=0.3611,
        shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip


def sana() -> SanaPipeline:
    return SanaPipeline(
        tokenizer=tokens.gemma(),
        text_encoder=gemma2(),
        vae=sana_autoencoder(),
        transformer=SanaTransformer2DModel(
            in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=16,
            num_cross_attention_heads=2, cross_attention_head_dim=16, cross_attention_dim=WIDTH,
            caption_channels=WIDTH, patch_size=1, sample_size=16,
        ),
        scheduler=DPMSolverMultistepScheduler(
            flow_shift=3.0, prediction_type="flow_prediction", use_flow_sigmas=True, beta_schedule="linear"
        ),
    )  # fmt: skip


def sana_autoencoder() -> AutoencoderDC:
    return AutoencoderDC(
        latent_channels=4, attention_head_dim=2, scaling_factor=0.41407,
        encoder_block_types=("ResBlock", "EfficientViTBlock"), decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1), encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)),
        downsample_block_type="Conv", upsample_block_type="interpolate", decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
    )  # fmt: skip


def prx_transformer(channels: int, patch: int, **config: Any) -> Any:
    return awake(
        PRXTransformer2DModel(
            in_channels=channels, patch_size=patch, context_in_dim=WIDTH, hidden_size=WIDTH, mlp_ratio=2.0,
            num_heads=2, depth=1, axes_dim=[8, 8], **config,
        )
    )  # fmt: skip


def prx() -> PRXPipeline:
    widths = {
        "vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "layer_types": ["full_attention"],
        "dropout_rate": 0.0,
    }  # fmt: skip
    config = T5GemmaConfig(encoder=T5GemmaModuleConfig(**widths), is_encoder_decoder=False, **widths)
    encoder = T5GemmaEncoder(config.encoder)
    encoder.config = config  # the published folder has the whole model's, and the encoder's own would not load
    return PRXPipeline(
        transformer=prx_transformer(4, 2),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder=encoder,
        tokenizer=tokens.gemma(32),
        vae=flux_autoencoder(),
        default_sample_size=512,
    )


def prx_pixel() -> PRXPixelPipeline:
    return PRXPixelPipeline(
        transformer=prx_transformer(3, 8, bottleneck_size=16, resolution_embeds=True),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder=qwen3(Qwen3Model, layers=2),
        tokenizer=tokens.qwen(),
        default_sample_size=1024,
        prompt_max_tokens=32,
        noise_scale=2.0,
    )


def auraflow() -> AuraFlowPipeline:
    umt5 = UMT5Config(vocab_size=300, d_model=WIDTH, d_kv=16, d_ff=WIDTH, num_layers=1, num_heads=2, dropout_rate=0.0)
    return AuraFlowPipeline(
        tokenizer=t5()[0],
        text_encoder=UMT5EncoderModel(umt5),
        vae=autoencoder(4, scaling_factor=0.13025),
        transformer=AuraFlowTransformer2DModel(
            sample_size=16, in_channels=4, out_channels=4, num_mmdit_layers=1, num_single_dit_layers=1,
            attention_head_dim=16, num_attention_heads=2, caption_projection_dim=WIDTH, joint_attention_dim=WIDTH,
            pos_embed_max_size=256,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.73),
    )  # fmt: skip


def ernie_image() -> ErnieImagePipeline:
    text = {
        "model_type": "ministral3", "vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": WIDTH,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
    }  # fmt: skip
    eyes = {
        "model_type": "pixtral", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8,
        "intermediate_size": 16, "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    return ErnieImagePipeline(
        transformer=awake(
            ErnieImageTransformer2DModel(
                hidden_size=WIDTH, num_attention_heads=2, num_layers=1, ffn_hidden_size=WIDTH, in_channels=8,
                out_channels=8, text_in_dim=WIDTH, rope_axes_dim=(8, 4, 4),
            )
        ),
        vae=flux2_autoencoder(),
        text_encoder=Mistral3Model(Mistral3Config(text_config=text, vision_config=eyes)),
        tokenizer=tokens.qwen(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=4.0),
        pe=Ministral3ForCausalLM(Ministral3Config(**text)),
        pe_tokenizer=tokens.qwen(),
    )  # fmt: skip


def hidream() -> HiDreamImagePipeline:
    t5_tokens, encoder = t5()
    llama = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16,
    )  # fmt: skip
    return HiDreamImagePipeline(
        scheduler=UniPCMultistepScheduler(flow_shift=3.0, prediction_type="flow_prediction", use_flow_sigmas=True),
        vae=flux_autoencoder(),
        text_encoder=clip(CLIPTextModelWithProjection, positions=248),
        tokenizer=tokenizer(),
        text_encoder_2=clip(CLIPTextModelWithProjection, positions=248),
        tokenizer_2=tokenizer(),
        text_encoder_3=encoder,
        tokenizer_3=t5_tokens,
        text_encoder_4=LlamaForCausalLM(llama),
        tokenizer_4=tokens.qwen(),
        transformer=HiDreamImageTransformer2DModel(
            patch_size=2, in_channels=4, out_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, caption_channels=[WIDTH, WIDTH], text_emb_dim=2 * WIDTH, num_routed_experts=2,
            num_activated_experts=1, axes_dims_rope=(4, 6, 6), max_resolution=(32, 32), llama_layers=[0, 1],
        ),
    )  # fmt: skip


def kandinsky5() -> Kandinsky5T2IPipeline:
    config = Qwen2_5_VLConfig(text_config=qwen_text(2, [2, 3, 3]), vision_config=qwen_eyes())
    return Kandinsky5T2IPipeline(
        transformer=awake(
            Kandinsky5Transformer3DModel(
                in_visual_dim=4, out_visual_dim=4, in_text_dim=WIDTH, in_text_dim2=WIDTH, time_dim=16, model_dim=WIDTH,
                ff_dim=WIDTH, num_text_blocks=1, num_visual_blocks=1, axes_dims=(4, 6, 6),
            )
        ),
        vae=eight_fold(),
        text_encoder=Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=tokens.qwen(),  # the published folder has it inside of a processor, which needs torchvision
        text_encoder_2=clip(positions=77),
        tokenizer_2=tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )  # fmt: skip


def cogview4() -> CogView4Pipeline:
    glm = GlmConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, pad_token_id=0,
    )  # fmt: skip
    return CogView4Pipeline(
        tokenizer=tokens.glm(),
        text_encoder=GlmModel(glm),
        vae=autoencoder(4, scaling_factor=1.0, use_quant_conv=False, use_post_quant_conv=False),
        transformer=CogView4Transformer2DModel(
            in_channels=4, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=2,
            text_embed_dim=WIDTH, time_embed_dim=16, condition_dim=8, rope_axes_dim=(16, 16), sample_size=16,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_shift=0.25, max_shift=0.75, time_shift_type="linear"
        ),
    )  # fmt: skip


def ovis_image() -> OvisImagePipeline:
    return OvisImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**DYNAMIC),
        vae=flux_autoencoder(),
        text_encoder=qwen3(Qwen3Model),
        tokenizer=tokens.qwen(),
        transformer=OvisImageTransformer2DModel(
            in_channels=16, out_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=WIDTH, axes_dims_rope=(4, 6, 6),
        ),
    )  # fmt: skip


def longcat_image() -> LongCatImagePipeline:
    config = Qwen2_5_VLConfig(text_config=qwen_text(2, [2, 3, 3]), vision_config=qwen_eyes())
    return LongCatImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**DYNAMIC),
        vae=flux_autoencoder(16),  # as many as the pipeline takes for granted
        text_encoder=Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=tokens.qwen(),
        text_processor=None,  # the published one needs torchvision; it rewrites prompts alone
        transformer=LongCatImageTransformer2DModel(
            in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH, axes_dims_rope=[4, 6, 6],
        ),
    )  # fmt: skip


BUILDERS: dict[str, Callable[[], DiffusionPipeline]] = {
    "z_image": z_image,
    "flux": flux,
    "chroma": chroma,
    "flux2_klein": flux2_klein,
    "qwen_image": qwen_image,
    "qwen_image_21": qwen_image_21,
    "krea2": krea2,
    "lumina2": lumina2,
    "sana": sana,
    "prx": prx,
    "prx_pixel": prx_pixel,
    "auraflow": auraflow,
    "ernie_image": ernie_image,
    "hidream": hidream,
    "kandinsky5": kandinsky5,
    "cogview4": cogview4,
    "ovis_image": ovis_image,
    "longcat_image": longcat_image,
}
