"""The workflow beside an exported file: what its numbers say, carried out here by hand, is the run's picture."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
)
from torch import Tensor

from architectures import make
from emu.errors import UserError
from emu.exporting.export import draw_plain
from emu.formats.comfyui import ComfyUI, noise_levels, plain_text, sampler, workflow
from emu.module import TextToImageModule
from pipelines import build
from single_files import WHOLE

Folder = Callable[[str], Path]
Graph = dict[str, dict[str, Any]]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def exported(model: TextToImageModule, out: Path, **settings: Any) -> tuple[Graph, np.ndarray[Any, Any]]:
    """The workflow, and the picture that plain diffusers drew."""
    model.sampler = {**model.sampler, **settings}
    written_as = ComfyUI()
    written_as.check(model, out)
    written_as.write(model, out, {})
    row = {"prompt": "a red boat at noon", "seed": 3, "sampler": model.sampler}
    pipeline = written_as.load(model, out)
    drawn = draw_plain(pipeline, row, model, torch.device("cpu"))
    sides = {"width": drawn.shape[1], "height": drawn.shape[0]}
    written_as.accompany(model, out, {**row, "sampler": model.sampler | sides}, pipeline)
    return json.loads(out.with_suffix(".json").read_text()), drawn


def by_hand(
    graph: Graph, denoise: Callable[[Tensor, float, str], Tensor], start: Tensor, levels: list[float]
) -> Tensor:
    """ComfyUI's euler and its guidance: latents at the last noise level."""
    cfg = graph["guider"]["inputs"]["cfg"]
    x = start
    for now, then in zip(levels, levels[1:], strict=False):
        positive, negative = (denoise(x, now, graph[name]["inputs"]["text"]) for name in ("positive", "negative"))
        clean = negative + cfg * (positive - negative)
        x = x + (x - clean) / now * (then - now)
    return x


def sizes_and_levels(graph: Graph, channels: int) -> tuple[Tensor, list[float]]:
    """The noise of the seed as ComfyUI draws it, and the noise levels."""
    width, height = (graph["latent"]["inputs"][side] for side in ("width", "height"))
    generator = torch.Generator().manual_seed(graph["noise"]["inputs"]["noise_seed"])
    levels = [float(text) for text in graph["sigmas"]["inputs"]["sigmas"].split(",")]
    return torch.randn(1, channels, height // 2, width // 2, generator=generator), levels


def pixels(model: TextToImageModule, latents: Tensor) -> np.ndarray[Any, Any]:
    config = model.pipeline.vae.config
    image = model.pipeline.vae.decode(latents / config.scaling_factor + (config.shift_factor or 0)).sample
    return (image[0] / 2 + 0.5).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()


@torch.no_grad()
def test_noise_prediction_by_hand_draws_the_runs_picture(whole: Folder, tmp_path: Path) -> None:
    model = make("latent", whole("sd15"))
    graph, drawn = exported(model, tmp_path / "one.safetensors", num_inference_steps=4, guidance_scale=3.0)
    noise, levels = sizes_and_levels(graph, 4)
    kept = model.pipeline.scheduler.alphas_cumprod
    table = ((1 - kept) / kept) ** 0.5

    def denoise(x: Tensor, level: float, text: str) -> Tensor:
        step = (table - level).abs().argmin()
        embeds = model.encode_prompts([text])["prompt_embeds"]
        return x - level * model.ema(x / (1 + level**2) ** 0.5, step, embeds).sample

    start = noise * (1 + levels[0] ** 2) ** 0.5
    latents = by_hand(graph, denoise, start, levels)
    assert np.abs(pixels(model, latents).astype(int) - drawn.astype(int)).max() <= 1
    assert graph["model"]["inputs"] == {"ckpt_name": "one.safetensors"}
    assert graph["guider"]["inputs"]["model"] == ["predicts", 0]
    assert graph["predicts"]["inputs"] == {"model": ["model", 0], "sampling": "eps", "zsnr": False}


@torch.no_grad()
def test_flow_by_hand_draws_the_runs_picture(whole: Folder, tmp_path: Path) -> None:
    model = make("flow", whole("sd3"))
    graph, drawn = exported(model, tmp_path / "one.safetensors", num_inference_steps=4, guidance_scale=3.0)
    noise, levels = sizes_and_levels(graph, 8)

    def denoise(x: Tensor, level: float, text: str) -> Tensor:
        cond = model.encode_prompts([text])
        velocity = model.ema(
            x, cond["prompt_embeds"], cond["pooled_prompt_embeds"], torch.tensor([1000 * level]), return_dict=False
        )[0]
        return x - level * velocity

    latents = by_hand(graph, denoise, noise, levels)
    assert np.abs(pixels(model, latents).astype(int) - drawn.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("name", "setting", "given", "cfg"),
    [
        ("z_image", "guidance_scale", 4.0, 5.0),
        ("krea2", "guidance_scale", 3.5, 4.5),
        ("flux2_klein", "guidance_scale", 4.0, 4.0),
        ("qwen_image", "true_cfg_scale", 4.0, 4.0),
    ],
)
def test_guidance_is_what_comfyui_calls_so(
    name: str, setting: str, given: float, cfg: float, tiny_folder: Folder, tmp_path: Path
) -> None:
    graph, _ = exported(make(name, tiny_folder(name)), tmp_path / "one.safetensors", **{setting: given})
    assert graph["guider"]["inputs"]["cfg"] == cfg
    assert graph["model"]["class_type"] == "UNETLoader"
    levels = [float(text) for text in graph["sigmas"]["inputs"]["sigmas"].split(",")]
    assert levels[-1] == 0
    assert levels == sorted(levels, reverse=True)
    assert len(levels) == 3  # two steps


def test_every_input_that_names_a_node_names_one(whole: Folder, tmp_path: Path) -> None:
    for name, (kind, _) in WHOLE.items():
        graph, _ = exported(make(kind, whole(name)), tmp_path / f"{name}.safetensors")
        links = [one for node in graph.values() for one in node["inputs"].values() if isinstance(one, list)]
        assert {link[0] for link in links} <= graph.keys()
        used = {link[0] for link in links}
        assert graph.keys() - used == {"save"}


def test_a_velocity_whose_noise_ends_without_signal(whole: Folder) -> None:
    """ComfyUI takes SD 1 for a prediction of noise, and reads levels as digits and a point alone."""
    pipeline = make("latent_xl", whole("sdxl-v")).pipeline
    config = {**pipeline.scheduler.config, "clip_sample": False}
    pipeline.scheduler = DDIMScheduler.from_config(config, timestep_spacing="trailing")
    pipeline.scheduler.set_timesteps(3)
    graph = workflow("a.safetensors", {"prompt": "", "seed": 3, "sampler": {"width": 32, "height": 32}}, pipeline)
    assert graph["predicts"]["inputs"] == {"model": ["model", 0], "sampling": "v_prediction", "zsnr": True}
    levels = graph["sigmas"]["inputs"]["sigmas"].split(", ")
    assert all(re.fullmatch(r"\d+\.\d+", level) for level in levels)
    assert float(levels[0]) == 4518.77  # ComfyUI's own last; diffusers has infinity
    assert len(levels) == 4


def test_levels_are_those_that_are_gone_through() -> None:
    heun = HeunDiscreteScheduler()
    heun.set_timesteps(5)
    assert len(noise_levels(heun)) == 6  # though it looks at four of them twice
    as_published = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    ddim = DDIMScheduler(**as_published, set_alpha_to_one=False)
    ddim.set_timesteps(5)
    assert noise_levels(ddim)[-1] == pytest.approx(0.02917, rel=1e-3)  # of the first of its own steps


def of_tiny(name: str) -> Graph:
    pipeline = build(name)
    pipeline.scheduler.set_timesteps(2, **({"mu": 1.0} if pipeline.scheduler.config.use_dynamic_shifting else {}))
    row = {"prompt": "a boat", "seed": 3, "sampler": {"width": 32, "height": 32}}
    return workflow("a.safetensors", row, pipeline)


def test_texts_are_what_the_pipeline_makes_of_a_prompt() -> None:
    """Lumina 2 is told who it is, in prompts alone; Chroma sees one token of padding."""
    lumina, chroma = of_tiny("lumina2"), of_tiny("chroma")
    assert lumina["positive"]["inputs"]["text"] == f"{build('lumina2').system_prompt} <Prompt Start> a boat"
    assert lumina["negative"]["inputs"]["text"] == ""
    assert chroma["padded"]["inputs"] == {"clip": ["encoder", 0], "min_padding": 1, "min_length": 0}
    assert chroma["positive"]["inputs"] == {"clip": ["padded", 0], "text": "a boat"}


def test_parentheses_are_no_weights() -> None:
    assert plain_text("a boat (red) \\ blue") == "a boat \\(red\\) \\ blue"


@pytest.mark.parametrize("name", ["latent", "latent_xl"])
@pytest.mark.parametrize("prompt", ["a {red|blue} boat", "a boat // at noon", "a /* red */ boat", "a boat \\"])
def test_what_the_page_reads_in_a_box_lies_in_a_node_of_its_own(name: str, prompt: str) -> None:
    """Its page takes {a|b} for a choice, in texts of encoders' own boxes alone."""
    pipeline = build(name)
    pipeline.scheduler.set_timesteps(2)
    row = {"prompt": prompt, "seed": 3, "sampler": {"width": 32, "height": 32, "negative_prompt": "grey"}}
    graph = workflow("a.safetensors", row, pipeline)
    boxes = [value for key, value in graph["positive"]["inputs"].items() if key.startswith("text")]
    assert boxes == [["positive_text", 0]] * len(boxes)
    assert boxes
    assert graph["positive_text"] == {"class_type": "PrimitiveStringMultiline", "inputs": {"value": prompt}}
    assert "grey" in graph["negative"]["inputs"].values()
    assert "negative_text" not in graph


def test_a_sampler_that_comfyui_has_not_is_refused() -> None:
    euler = EulerDiscreteScheduler()
    euler.set_timesteps(5)
    assert len(noise_levels(euler)) == 6
    assert sampler(euler, {"eta": 1.0}) == "euler"  # which it does not read
    pndm = PNDMScheduler(skip_prk_steps=True, steps_offset=1)
    pndm.set_timesteps(5)
    assert len(noise_levels(pndm)) == 6
    with pytest.raises(UserError, match="no sampler like Tensor"):
        sampler(torch.zeros(1), {})


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (
            DPMSolverMultistepScheduler,
            {"algorithm_type": "sde-dpmsolver++"},
            "algorithm_type dpmsolver\\+\\+, .* has sde",
        ),
        (DPMSolverMultistepScheduler, {"solver_order": 3}, "solver_order 2, and this one has 3"),
        (DDIMScheduler, {"clip_sample": True}, "clip_sample False, and this one has True"),
        (DDIMScheduler, {"eta": 0.5}, "eta 0, and this one has 0.5"),
    ],
)
def test_steps_that_the_sampler_of_that_name_does_not_take_are_refused_before_anything_is_written(
    kind: Any, settings: dict[str, Any], said: str, whole: Folder, tmp_path: Path
) -> None:
    model = make("latent", whole("sd15"))
    if "eta" in settings:
        model.sampler |= settings
    else:
        model.pipeline.scheduler = kind.from_config(model.pipeline.scheduler.config, **settings)
    with pytest.raises(UserError, match=said):
        ComfyUI().check(model, tmp_path / "one.safetensors")


@pytest.mark.parametrize("setting", [{"guidance_rescale": 0.7}, {"clip_skip": 1}])
def test_a_setting_that_no_node_has_is_refused_and_not_left_out(
    setting: dict[str, Any], whole: Folder, tmp_path: Path
) -> None:
    model = make("latent", whole("sd15"), sampler={"guidance_rescale": 0.0, "eta": 0.0, "clip_skip": None})
    ComfyUI().check(model, tmp_path / "one.safetensors")
    model.sampler |= setting
    with pytest.raises(UserError, match=f"the run draws with {min(setting)} .*, which the workflow would leave out"):
        ComfyUI().check(model, tmp_path / "one.safetensors")


def test_a_flow_that_draws_noise_at_every_step_is_none_of_eulers() -> None:
    assert sampler(FlowMatchEulerDiscreteScheduler(), {}) == "euler"
    with pytest.raises(UserError, match="stochastic_sampling False, and this one has True"):
        sampler(FlowMatchEulerDiscreteScheduler(stochastic_sampling=True), {})


def test_noise_that_comfyui_does_not_know_is_refused(whole: Folder, tmp_path: Path) -> None:
    model = make("latent", whole("sd15"))
    model.pipeline.scheduler = DDIMScheduler.from_config(model.pipeline.scheduler.config, beta_end=0.02)
    with pytest.raises(UserError, match=r"Stable Diffusion's noise alone, beta_end 0.012; .* has 0.02; give"):
        ComfyUI().check(model, tmp_path / "one.safetensors")


def test_a_family_without_a_workflow_is_refused(tiny_folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="knows no workflow of a SanaPipeline"):
        ComfyUI().check(make("sana", tiny_folder("sana")), tmp_path / "one.safetensors")
