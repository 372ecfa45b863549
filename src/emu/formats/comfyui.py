"""A single file and, beside it, a ComfyUI workflow that draws one of the run's prompts as the run drew it.

    emu export runs/sdxl my-sdxl.safetensors --format comfyui      # and my-sdxl.json, which is dropped on ComfyUI

Notable: the workflow has the noise levels themselves (ManualSigmas), as the run's scheduler had them: no name of a
schedule or of a shift has to mean the same in two programs. ComfyUI itself was not at hand when this was written.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from emu import files
from emu.errors import UserError
from emu.formats.single_file import SingleFile
from emu.module import TextToImageModule
from emu.shapes import Row

Graph = dict[str, dict[str, Any]]

SAMPLERS = {  # a scheduler's class -> ComfyUI's sampler that takes the same steps between the same noise levels
    "DDIMScheduler": "euler",
    "EulerDiscreteScheduler": "euler",
    "FlowMatchEulerDiscreteScheduler": "euler",
    "EulerAncestralDiscreteScheduler": "euler_ancestral",
    "HeunDiscreteScheduler": "heun",
    "DPMSolverMultistepScheduler": "dpmpp_2m",
    "UniPCMultistepScheduler": "uni_pc",
    "PNDMScheduler": "ipndm",
}


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
        distilled: the run's setting that the network itself is told (FluxGuidance).
    """

    encoder: str | None = None
    encoders: tuple[str, ...] = ()
    vae: str = ""
    latent: str = "EmptyLatentImage"
    guidance: str = "guidance_scale"
    over: float = 0
    distilled: str | None = None


T5, AE, SD3_LATENT = "t5xxl_fp16.safetensors", "ae.safetensors", "EmptySD3LatentImage"
FAMILIES = {
    "StableDiffusionPipeline": Family(),
    "StableDiffusionXLPipeline": Family(),
    "StableDiffusion3Pipeline": Family(latent=SD3_LATENT),
    "FluxPipeline": Family(
        "flux", ("clip_l.safetensors", T5), AE, SD3_LATENT, guidance="true_cfg_scale", distilled="guidance_scale"
    ),
    "ChromaPipeline": Family("chroma", (T5,), AE, SD3_LATENT),
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
    "Lumina2Pipeline": Family("lumina2", ("gemma_2_2b_fp16.safetensors",), AE, SD3_LATENT),
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


class ComfyUI(SingleFile):
    """The arguments are `SingleFile`'s."""

    says = "a single file for ComfyUI, and the workflow beside it"

    def check(self, model: TextToImageModule, out: Path) -> None:
        name = model.pipeline_class.__name__
        if name not in FAMILIES:
            raise UserError(f"--format comfyui: emu knows no workflow of a {name}; give --format single-file")
        super().check(model, out)

    def accompany(self, model: TextToImageModule, out: Path, row: Row, pipeline: Any) -> None:
        made = workflow(out.name, row, pipeline)
        files.write_json(out.with_suffix(".json"), made, indent=2)


def workflow(file: str, row: Row, pipeline: Any) -> Graph:
    """The graph, in the form of ComfyUI's API, that draws a run's picture with a file.

    Args:
        file: the model's name in ComfyUI.
        row: of samples.jsonl: prompt, seed and sampler, with width and height.
        pipeline: has drawn the picture, so that its scheduler has the noise levels.
    """
    kind, settings = type(pipeline).__name__, row["sampler"]
    size = int(settings["width"]), int(settings["height"])
    family = FAMILIES[kind]
    cfg = float(settings.get(family.guidance) or (1 if family.distilled else 0)) + family.over
    graph = _loaders(file, family)
    graph |= _texts(kind, family, row, size)
    if family.distilled:
        strength = float(settings.get(family.distilled, 3.5))
        graph["guidance"] = _node("FluxGuidance", conditioning=["positive", 0], guidance=strength)
    positive = ["guidance" if family.distilled else "positive", 0]
    graph |= {
        "latent": _node(family.latent, width=size[0], height=size[1], batch_size=1),
        "noise": _node("RandomNoise", noise_seed=int(row["seed"])),
        "sigmas": _node("ManualSigmas", sigmas=", ".join(f"{level:.9g}" for level in noise_levels(pipeline.scheduler))),
        "sampler": _node("KSamplerSelect", sampler_name=sampler(pipeline.scheduler)),
        "guider": _node("CFGGuider", model=["model", 0], positive=positive, negative=["negative", 0], cfg=max(cfg, 1)),
        "draw": _node(
            "SamplerCustomAdvanced",
            noise=["noise", 0],
            guider=["guider", 0],
            sampler=["sampler", 0],
            sigmas=["sigmas", 0],
            latent_image=["latent", 0],
        ),
        "decode": _node("VAEDecode", samples=["draw", 0], vae=_vae(family)),
        "save": _node("SaveImage", images=["decode", 0], filename_prefix=Path(file).stem),
    }
    return graph


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def _loaders(file: str, family: Family) -> Graph:
    if family.encoder is None:
        return {"model": _node("CheckpointLoaderSimple", ckpt_name=file)}
    names = {"clip_name" if len(family.encoders) == 1 else f"clip_name{i}": e for i, e in enumerate(family.encoders, 1)}
    loader = "CLIPLoader" if len(family.encoders) == 1 else "DualCLIPLoader"
    return {
        "model": _node("UNETLoader", unet_name=file, weight_dtype="default"),
        "encoder": _node(loader, **names, type=family.encoder),
        "vae": _node("VAELoader", vae_name=family.vae),
    }


def _vae(family: Family) -> list[Any]:
    return ["model", 2] if family.encoder is None else ["vae", 0]


def _texts(kind: str, family: Family, row: Row, size: tuple[int, int]) -> Graph:
    clip = ["model", 1] if family.encoder is None else ["encoder", 0]
    texts = {"positive": plain_text(row["prompt"]), "negative": plain_text(row["sampler"].get("negative_prompt") or "")}
    if kind != "StableDiffusionXLPipeline":
        return {name: _node("CLIPTextEncode", clip=clip, text=text) for name, text in texts.items()}
    width, height = size  # which ComfyUI would otherwise take from nowhere
    seen = {"width": width, "height": height, "crop_w": 0, "crop_h": 0, "target_width": width, "target_height": height}
    return {
        name: _node("CLIPTextEncodeSDXL", clip=clip, text_g=text, text_l=text, **seen) for name, text in texts.items()
    }


def plain_text(prompt: str) -> str:
    """A prompt in which ComfyUI finds no weights: it reads (lamp) as a lamp 1.1 times as strong."""
    return prompt.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def noise_levels(scheduler: Any) -> list[float]:
    """The standard deviations of noise, beside a signal of 1 or of 1 less it, that a scheduler just went through."""
    levels = getattr(scheduler, "sigmas", None)
    if levels is None or len(levels) > len(scheduler.timesteps) + 1:  # counts from the training's own steps
        kept = scheduler.alphas_cumprod[scheduler.timesteps.unique().flip(0).long().cpu()]
        levels = torch.cat([((1 - kept) / kept) ** 0.5, torch.zeros(1)])
    return [float(level) for level in levels]


def sampler(scheduler: Any) -> str:
    """ComfyUI's sampler for a scheduler; UserError where it has none that takes the same steps."""
    name = type(scheduler).__name__
    if name not in SAMPLERS:
        raise UserError(f"--format comfyui: it has no sampler like {name}; give --format single-file")
    return SAMPLERS[name]
