"""How ComfyUI loads the families of models, and what it calls their settings."""

from dataclasses import dataclass

from emu.models.lumina2 import SYSTEM_PROMPT


@dataclass(frozen=True)
class Family:
    """How ComfyUI loads a family, and what it calls its guidance.

    Args:
        encoder: the `type` of its text encoders' loader; None where a checkpoint holds them.
        encoders: their files, as ComfyUI publishes them.
        vae: the autoencoder's file.
        latent: the node of empty latents.
        guidance: the run's setting that is ComfyUI's cfg.
        over: what ComfyUI's cfg is above it: some pipelines guide by w where others do by 1 + w.
        distilled: the run's setting that the network itself is given (FluxGuidance).
        padding: tokens of padding that the network sees after a text.
        before: what the pipeline writes before a prompt, where ComfyUI's encoder does not by itself.
    """

    encoder: str | None = None
    encoders: tuple[str, ...] = ()
    vae: str = ""
    latent: str = "EmptyLatentImage"
    guidance: str = "guidance_scale"
    over: float = 0
    distilled: str | None = None
    padding: int = 0
    before: str = ""


T5, AE, SD3_LATENT = "t5xxl_fp16.safetensors", "ae.safetensors", "EmptySD3LatentImage"
FAMILIES = {
    "StableDiffusionPipeline": Family(),
    "StableDiffusionXLPipeline": Family(),
    "StableDiffusion3Pipeline": Family(latent=SD3_LATENT),
    "FluxPipeline": Family(
        "flux", ("clip_l.safetensors", T5), AE, SD3_LATENT, guidance="true_cfg_scale", distilled="guidance_scale"
    ),
    "ChromaPipeline": Family("chroma", (T5,), AE, SD3_LATENT, padding=1),
    "Flux2Pipeline": Family(
        "flux2",
        ("mistral_3_small_flux2_bf16.safetensors",),
        "flux2-vae.safetensors",
        "EmptyFlux2LatentImage",
        guidance="true_cfg_scale",
        distilled="guidance_scale",
    ),
    "Flux2KleinPipeline": Family("flux2", ("qwen_3_4b.safetensors",), "flux2-vae.safetensors", "EmptyFlux2LatentImage"),
    "ZImagePipeline": Family("lumina2", ("qwen_3_4b.safetensors",), AE, SD3_LATENT, over=1),
    "Lumina2Pipeline": Family(
        "lumina2", ("gemma_2_2b_fp16.safetensors",), AE, SD3_LATENT, before=f"{SYSTEM_PROMPT} <Prompt Start> "
    ),
    "QwenImagePipeline": Family(
        "qwen_image",
        ("qwen_2.5_vl_7b.safetensors",),
        "qwen_image_vae.safetensors",
        SD3_LATENT,
        guidance="true_cfg_scale",
    ),
    "Krea2Pipeline": Family(
        "krea2", ("qwen3vl_4b_bf16.safetensors",), "qwen_image_vae.safetensors", SD3_LATENT, over=1
    ),
}
