"""A single file and, beside it, a ComfyUI workflow that draws one of the run's prompts as the run drew it.

    emu export runs/sdxl my-sdxl.safetensors --format comfyui      # and my-sdxl.json, which is dropped on ComfyUI

Notable: the workflow has the noise levels themselves (ManualSigmas), as the run's scheduler had them: no name of a
schedule or of a shift has to mean the same in two programs. `benchmarks/comfyui.py` holds it against ComfyUI itself.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from emu.errors import UserError
from emu.formats.comfyui_families import FAMILIES, Family
from emu.formats.single_file import SingleFile
from emu.module import TextToImageModule
from emu.storage import files
from emu.storage.shapes import Row
from emu.terminal.counted import an

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
PLAIN = {"clip_sample": False, "thresholding": False}
STEPS: dict[str, dict[str, Any]] = {
    "DPMSolverMultistepScheduler": {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "midpoint"},
    "FlowMatchEulerDiscreteScheduler": {"stochastic_sampling": False},
}
"""Settings of a scheduler, where it has them, by which its steps are those of its sampler above."""
SAID = {"num_inference_steps", "sigmas", "timesteps", "eta", "negative_prompt", "max_sequence_length"}
"""Settings of a call that a workflow has, in its noise levels or its nodes, or that change nothing in it."""
PREDICTIONS = {"epsilon": "eps", "v_prediction": "v_prediction", "sample": "x0"}  # what ComfyUI calls them
BETAS = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "trained_betas": None,
    "num_train_timesteps": 1000,
}
MOST = 4518.77
"""The noise level that ComfyUI has where a schedule ends without any signal, and diffusers infinity or 4096."""
READ_BY_THE_PAGE = re.compile(r"[{}]|//|/\*|\\$")
"""What ComfyUI's page reads in the text of an encoder's own box: {a|b} as a choice, the rest as comments and escapes.

It has no escape for them that does not reach the encoder. A text that a node of its own hands on is left as it is.
"""


class ComfyUI(SingleFile):
    """The arguments are `SingleFile`'s."""

    says = "a single file for ComfyUI, and the workflow beside it"

    def check(self, model: TextToImageModule, out: Path) -> None:
        name = model.pipeline_class.__name__
        if name not in FAMILIES:
            raise UserError(f"--format comfyui: emu knows no workflow of {an(name)}; give --format single-file")
        require_known_noise(model.pipeline.scheduler)
        sampler(model.pipeline.scheduler, model.sampler)
        require_said(model, FAMILIES[name])
        super().check(model, out)
        require_workflow(out.with_suffix(".json"))

    def accompany(self, model: TextToImageModule, out: Path, row: Row, pipeline: Any) -> None:
        made = workflow(out.name, row, pipeline)
        files.write_json(out.with_suffix(".json"), made, indent=2)


def require_said(model: TextToImageModule, family: Family) -> None:
    """UserError where a run draws with a setting that no node of the workflow has, such as guidance_rescale."""
    usual = {name: one.default for name, one in model.call_parameters().items()}
    usual["cfg_normalization"] = False  # CFGGuider has none, though Lumina 2's pipeline has one unless it is turned off
    for name in model.sampler.keys() - {*SAID, family.guidance, family.distilled}:
        if model.sampler[name] != usual[name]:
            raise UserError(
                f"--format comfyui: the run draws with {name} {model.sampler[name]}, which the workflow would leave "
                "out; give --format single-file"
            )


def require_workflow(path: Path) -> None:
    """UserError where there is a file that is no workflow: other programs keep what they know of a model there."""
    if not path.exists():
        return
    try:
        nodes = json.loads(path.read_text()).values()
        ours = any(one["class_type"] == "ManualSigmas" for one in nodes)
    except (ValueError, LookupError, TypeError, AttributeError, OSError):
        ours = False
    if not ours:
        raise UserError(f"{path}: there already, and no export wrote it; name another file")


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
    graph = _loaders(file, family) | _predicts(pipeline.scheduler) | _texts(kind, family, row, size)
    positive = ["guidance" if family.distilled else "positive", 0]
    network = ["predicts" if "predicts" in graph else "model", 0]
    return graph | {
        "latent": _node(family.latent, width=size[0], height=size[1], batch_size=1),
        "noise": _node("RandomNoise", noise_seed=int(row["seed"])),
        "sigmas": _node("ManualSigmas", sigmas=", ".join(map(_decimal, noise_levels(pipeline.scheduler)))),
        "sampler": _node("KSamplerSelect", sampler_name=sampler(pipeline.scheduler, settings)),
        "guider": _node("CFGGuider", model=network, positive=positive, negative=["negative", 0], cfg=max(cfg, 1)),
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


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def _loaders(file: str, family: Family) -> Graph:
    if family.encoder is None:
        return {"model": _node("CheckpointLoaderSimple", ckpt_name=file)}
    names = {"clip_name" if len(family.encoders) == 1 else f"clip_name{i}": e for i, e in enumerate(family.encoders, 1)}
    loader = "CLIPLoader" if len(family.encoders) == 1 else "DualCLIPLoader"
    graph = {
        "model": _node("UNETLoader", unet_name=file, weight_dtype="default"),
        "encoder": _node(loader, **names, type=family.encoder),
        "vae": _node("VAELoader", vae_name=family.vae),
    }
    if family.padding:
        graph["padded"] = _node("T5TokenizerOptions", clip=["encoder", 0], min_padding=family.padding, min_length=0)
    return graph


def _predicts(scheduler: Any) -> Graph:
    """What a network of Gaussian noise predicts: ComfyUI takes SD 1 for one of noise, and guesses of SD 2."""
    kind = PREDICTIONS.get(scheduler.config.get("prediction_type"))
    if kind is None:
        return {}
    zero = bool(scheduler.config.get("rescale_betas_zero_snr"))
    return {"predicts": _node("ModelSamplingDiscrete", model=["model", 0], sampling=kind, zsnr=zero)}


def require_known_noise(scheduler: Any) -> None:
    """UserError where a U-Net learned at other noise than Stable Diffusion's, from which ComfyUI counts its times."""
    config = scheduler.config
    other = next((key for key, known in BETAS.items() if config.get(key) != known), None)
    if config.get("prediction_type") in PREDICTIONS and other:
        raise UserError(
            f"--format comfyui: it knows Stable Diffusion's noise alone, {other} {BETAS[other]}; this scheduler has "
            f"{config.get(other)}; give --format single-file"
        )


def _decimal(level: float) -> str:
    """Without an exponent: ManualSigmas reads 5e-05 as 5 and -5, and leaves out what is infinite."""
    return f"{min(level, MOST):.9f}"


def _vae(family: Family) -> list[Any]:
    return ["model", 2] if family.encoder is None else ["vae", 0]


def _texts(kind: str, family: Family, row: Row, size: tuple[int, int]) -> Graph:
    clip = ["model", 1] if family.encoder is None else ["padded" if family.padding else "encoder", 0]
    texts = {
        "positive": plain_text(family.before + row["prompt"]),
        "negative": plain_text(row["sampler"].get("negative_prompt") or ""),
    }
    apart = {name: text for name, text in texts.items() if READ_BY_THE_PAGE.search(text)}
    linked: dict[str, Any] = {name: [f"{name}_text", 0] if name in apart else text for name, text in texts.items()}
    strings = {f"{name}_text": _node("PrimitiveStringMultiline", value=text) for name, text in apart.items()}
    return strings | _conditions(kind, family, row, size, clip, linked)


def _conditions(
    kind: str, family: Family, row: Row, size: tuple[int, int], clip: list[Any], texts: Mapping[str, Any]
) -> Graph:
    if kind != "StableDiffusionXLPipeline":
        graph = {name: _node("CLIPTextEncode", clip=clip, text=text) for name, text in texts.items()}
        if family.distilled:
            strength = float(row["sampler"].get(family.distilled, 3.5))
            graph["guidance"] = _node("FluxGuidance", conditioning=["positive", 0], guidance=strength)
        return graph
    width, height = size  # which ComfyUI would otherwise take from nowhere
    seen = {"width": width, "height": height, "crop_w": 0, "crop_h": 0, "target_width": width, "target_height": height}
    return {
        name: _node("CLIPTextEncodeSDXL", clip=clip, text_g=text, text_l=text, **seen) for name, text in texts.items()
    }


def plain_text(prompt: str) -> str:
    """A prompt in which ComfyUI finds no weights: it reads (lamp) as a lamp 1.1 times as strong."""
    return prompt.replace("(", "\\(").replace(")", "\\)")


def noise_levels(scheduler: Any) -> list[float]:
    """The standard deviations of noise, beside a signal of 1 or of 1 less it, that a scheduler just went through."""
    levels = getattr(scheduler, "sigmas", None)
    if levels is None or len(levels) > len(scheduler.timesteps) + 1:  # counts from the training's own steps
        kept = scheduler.alphas_cumprod[scheduler.timesteps.unique().flip(0).long().cpu()]
        kept = torch.cat([kept, scheduler.final_alpha_cumprod.view(1)])  # SD 1.5 as published ends with a rest of noise
        levels = ((1 - kept) / kept) ** 0.5
    return [float(level) for level in torch.unique_consecutive(levels)]  # of two evaluations, as Heun's, it has two


def sampler(scheduler: Any, settings: Mapping[str, Any]) -> str:
    """ComfyUI's sampler for a scheduler and settings of a call; UserError where none takes the same steps."""
    name = type(scheduler).__name__
    if name not in SAMPLERS:
        raise UserError(f"--format comfyui: it has no sampler like {name}; give --format single-file")
    taken = {**scheduler.config, "eta": settings.get("eta") or 0}
    wanted = {**PLAIN, **STEPS.get(name, {}), **({"eta": 0} if name == "DDIMScheduler" else {})}
    if other := next((key for key, known in wanted.items() if taken.get(key, known) != known), None):
        raise UserError(
            f"--format comfyui: its {SAMPLERS[name]} is {an(name)} of {other} {wanted[other]}, and this one has "
            f"{taken[other]}; give --format single-file"
        )
    return SAMPLERS[name]
