"""What a checkpoint is comes from all of its configs: it is trained on the schedule it is drawn with, or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers import AutoencoderKL

from architectures import CLASSES, PROMPTS, make
from emu.errors import UserError
from emu.models.gaussian import schedule_of
from pipelines import autoencoder, build

Folder = Callable[[str], Path]

# diffusers hands torch tensors to numpy
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The configuration file of this scheduler:FutureWarning"),  # of steps_offset
]

SAMPLERS = [
    "DDIM", "DDPM", "DEISMultistep", "DPMSolverMultistep", "DPMSolverSinglestep", "EulerAncestralDiscrete",
    "EulerDiscrete", "HeunDiscrete", "KDPM2AncestralDiscrete", "KDPM2Discrete", "LMSDiscrete", "PNDM", "SASolver",
    "UniPCMultistep",
]  # fmt: skip
SCHEDULES: list[dict[str, Any]] = [
    {},  # each class has defaults of its own
    {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    {"beta_schedule": "squaredcos_cap_v2"},
    {"trained_betas": [0.001 * i for i in range(1, 51)], "num_train_timesteps": 50},
]


def scheduler(name: str, **config: Any) -> Any:
    return getattr(diffusers, f"{name}Scheduler")(**config)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("config", SCHEDULES, ids=["own", "scaled", "cosine", "betas"])
def test_a_checkpoint_is_trained_on_the_schedule_that_it_is_drawn_with(name: str, config: dict[str, Any]) -> None:
    drawn = scheduler(name, **config)
    torch.testing.assert_close(schedule_of(drawn).alphas_cumprod, drawn.alphas_cumprod, rtol=0, atol=0)


@pytest.mark.parametrize(
    "name", ["DDIM", "DDPM", "EulerDiscrete", "EulerAncestralDiscrete", "DPMSolverMultistep", "UniPCMultistep"]
)
def test_zero_terminal_snr_reaches_training(name: str) -> None:
    drawn = scheduler(name, rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing")
    schedule = schedule_of(drawn)
    assert schedule.alphas_cumprod[-1] == 0  # samplers put 2**-24 for it, to divide by
    torch.testing.assert_close(schedule.alphas_cumprod[:-1], drawn.alphas_cumprod[:-1], rtol=0, atol=0)
    assert schedule.config.prediction_type == "v_prediction"


def refused(tmp_path: Path, name: str, *, part: str = "scheduler", **config: Any) -> str:
    path = tmp_path / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    with pytest.raises(UserError) as caught:
        CLASSES[name](str(tmp_path)).configure_model()
    return str(caught.value)


FOREIGN: list[tuple[str, dict[str, Any], str]] = [
    ("EDMEuler", {}, "its EDMEulerScheduler is EDM's"),
    ("EDMDPMSolverMultistep", {}, "its EDMDPMSolverMultistepScheduler is EDM's"),
    ("EulerDiscrete", {"timestep_type": "continuous", "prediction_type": "v_prediction"}, "is EDM's"),
    ("DPMSolverMultistep", {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}, "has use_flow_sigmas"),
    ("FlowMatchEulerDiscrete", {}, "has prediction_type None"),
    ("HeunDiscrete", {"beta_schedule": "exp"}, "has no schedule to train on"),
    ("LCM", {}, "distilled to draw in few steps"),
    ("TCD", {}, "distilled to draw in few steps"),
]


@pytest.mark.parametrize(("kind", "config", "said"), FOREIGN, ids=[kind for kind, *_ in FOREIGN])
@pytest.mark.parametrize("name", ["latent", "latent_xl"])
def test_what_is_trained_otherwise_is_refused_in_a_line(
    tmp_path: Path, name: str, kind: str, config: dict[str, Any], said: str
) -> None:
    pipeline = build(name)
    pipeline.scheduler = scheduler(kind, **config)
    pipeline.save_pretrained(tmp_path)
    message = refused(tmp_path, name)
    assert said in message
    assert "\n" not in message


def test_a_network_that_takes_more_than_text_is_refused(tmp_path: Path) -> None:
    import pipelines

    pipeline = build("latent")
    pipeline.register_modules(unet=pipelines.unet(9))
    pipeline.save_pretrained(tmp_path)
    assert "takes 9 channels and its autoencoder makes 4" in refused(tmp_path, "latent")
    pipeline.register_modules(unet=pipelines.unet(time_cond_proj_dim=8))
    pipeline.save_pretrained(tmp_path)
    assert "distilled" in refused(tmp_path, "latent")
    pixel = build("pixel")
    pixel.register_modules(unet=pipelines.unet(6, out_channels=6))
    pixel.save_pretrained(tmp_path / "pixel")
    assert "takes 6 channels, and PixelDiffusion gives it 3" in refused(tmp_path / "pixel", "pixel")


NORMALISED: dict[str, Any] = {"latents_mean": [-1.6, 1.9, -1.4, 2.5], "latents_std": [8.5, 5.9, 6.5, 5.2]}


def test_latents_with_a_mean_and_deviation_are_those_that_the_pipeline_draws(tmp_path: Path) -> None:
    pipeline = build("latent_xl")
    pipeline.register_modules(vae=autoencoder(scaling_factor=0.5, **NORMALISED))
    pipeline.save_pretrained(tmp_path)
    model: Any = make("latent_xl", tmp_path)
    cond = model.encode_prompts(PROMPTS[:1])
    given = {"height": 32, "width": 32, "num_inference_steps": 2, "generator": torch.manual_seed(1)}
    drawn = model.pipeline(**cond, guidance_scale=1.0, output_type="latent", **given).images
    given["generator"] = torch.manual_seed(1)
    picture = model.pipeline(**cond, guidance_scale=1.0, output_type="pt", **given).images
    mean, deviation = (torch.tensor(values).view(1, 4, 1, 1) for values in NORMALISED.values())
    encoded = drawn * deviation / 0.5 + mean
    vae: AutoencoderKL = model.pipeline.vae
    torch.testing.assert_close((vae.decode(encoded).sample / 2 + 0.5).clamp(0, 1), picture)
    moments = torch.cat([encoded, torch.full_like(encoded, -30)], dim=1)
    torch.testing.assert_close(model.latents(moments), drawn, rtol=1e-3, atol=1e-4)


def test_latents_that_the_pipeline_would_draw_otherwise_are_refused(tmp_path: Path) -> None:
    build("latent").save_pretrained(tmp_path / "sd")
    assert "StableDiffusionPipeline draws without" in refused(tmp_path / "sd", "latent", part="vae", **NORMALISED)
    build("latent_xl").save_pretrained(tmp_path / "xl")
    half = {"latents_mean": NORMALISED["latents_mean"]}
    assert "takes both or none" in refused(tmp_path / "xl", "latent_xl", part="vae", **half)
