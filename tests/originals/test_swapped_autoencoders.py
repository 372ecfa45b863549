"""Another autoencoder in a model's place has its latents, or is refused by its description, before a weight is read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AsymmetricAutoencoderKL, AutoencoderKLQwenImage, AutoencoderKLWan, AutoencoderTiny

from architectures import PROMPTS, SEEDS, make
from emu import single_files
from emu.errors import UserError
from emu.parts.fourier import FourierAutoencoderKL
from flow_pipelines import qwen_autoencoder
from pipelines import autoencoder, build

Folder = Callable[[str], Path]


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(autouse=True)
def kept_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))


def tiny() -> AutoencoderTiny:
    widths = {"encoder_block_out_channels": (16, 16), "decoder_block_out_channels": (16, 16)}
    return AutoencoderTiny(latent_channels=4, **widths, num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1))


def asymmetric() -> AsymmetricAutoencoderKL:
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    widths = {"down_block_out_channels": (16, 16), "up_block_out_channels": (16, 16)}
    return AsymmetricAutoencoderKL(latent_channels=4, norm_num_groups=8, **kinds, **widths)


def qwen(**settings: Any) -> AutoencoderKLQwenImage:
    own = {key: value for key, value in qwen_autoencoder().config.items() if not key.startswith("_")}
    return AutoencoderKLQwenImage(**own | settings)


def wan() -> AutoencoderKLWan:
    statistics = {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}
    return AutoencoderKLWan(base_dim=8, z_dim=4, dim_mult=[1, 2], num_res_blocks=1, **statistics)


MEANS = {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}
OTHERS: dict[str, tuple[str, Callable[[], Any], str]] = {
    "another class": ("latent", tiny, "an AutoencoderTiny, and the model's is an AutoencoderKL; give an"),
    "of two sides": ("latent", asymmetric, "an AsymmetricAutoencoderKL, and the model's is an AutoencoderKL"),
    "another family": ("qwen_image", wan, "an AutoencoderKLWan, and the model's is an AutoencoderKLQwenImage"),
    "more channels": ("latent", lambda: autoencoder(8), "its latent_channels is 8, and the model's has 4"),
    "more of Qwen's": (
        "qwen_image",
        lambda: qwen(z_dim=8, latents_mean=[0.0] * 8, latents_std=[1.0] * 8),
        "its z_dim is 8, and the model's has 4",
    ),
    "smaller latents": (
        "latent",
        lambda: autoencoder(4, levels=3),
        "its block_out_channels has 3 levels, and the model's 2, so its latents are of another size",
    ),
    "another scale": (
        "latent",
        lambda: autoencoder(4, scaling_factor=0.13025),
        r"its scaling_factor is 0\.13025, and the model's has 0\.18215; give an autoencoder of its family",
    ),
    "another shift": (
        "z_image",
        lambda: autoencoder(
            4, scaling_factor=0.3611, shift_factor=0.5, use_quant_conv=False, use_post_quant_conv=False
        ),
        r"its shift_factor is 0\.5, and the model's has 0\.1159",
    ),
    "means": ("latent_xl", lambda: autoencoder(4, scaling_factor=0.13025, **MEANS), "its latents_mean is .* has None"),
    "Qwen's means": ("qwen_image", lambda: qwen(latents_mean=[0.5] * 4), r"its latents_mean is \[0\.5, .* has \[0\.1"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_s_latents_are_refused(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    kind, made, said = OTHERS[name]
    made().save_pretrained(tmp_path / "vae")
    for file in (tmp_path / "vae").glob("*.safetensors"):
        file.write_bytes(b"not read")
    with pytest.raises(UserError, match=f"model.vae {tmp_path / 'vae'}: {said}"):
        single_files.describing(str(tiny_folder(kind)), vae=str(tmp_path / "vae"))
    with pytest.raises(UserError, match=said):
        make(kind, tiny_folder(kind), vae=str(tmp_path / "vae"))


@pytest.mark.parametrize("settings", [{"layers_per_block": 2}, {"force_upcast": False}, {}])
def test_other_layers_and_defaults_left_out_are_no_other_latents(
    settings: dict[str, Any], tiny_folder: Folder, tmp_path: Path
) -> None:
    """Older descriptions say no scaling_factor: their class has it by default."""
    autoencoder(4, **settings).save_pretrained(tmp_path / "vae")
    description = tmp_path / "vae" / "config.json"
    known = ("_class_name", "latent_channels", "block_out_channels", "norm_num_groups", "layers_per_block")
    kept = (*known, "down_block_types", "up_block_types")
    said = json.loads(description.read_text())
    description.write_text(json.dumps({key: value for key, value in said.items() if key in kept}))
    model = make("latent", tiny_folder("latent"), vae=str(tmp_path / "vae"))
    assert len(model.pipeline.vae.encoder.down_blocks[0].resnets) == settings.get("layers_per_block", 1)


def test_one_of_emus_own_is_loaded_as_that(tiny_folder: Folder, tmp_path: Path) -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        other: Any = FourierAutoencoderKL(**build("joined").vae.config)
    other.save_pretrained(tmp_path / "vae")
    model = make("joined", tiny_folder("joined"), vae=str(tmp_path / "vae"))
    assert type(model.pipeline.vae) is FourierAutoencoderKL
    wanted = other.decoder.conv_out.weight
    assert torch.equal(model.pipeline.vae.decoder.conv_out.weight, wanted)
    with torch.no_grad():
        drawn = model.sample(model.encode(PROMPTS[:1]), model.negative_prompt(), SEEDS[:1])
    model.save_pipeline(tmp_path / "out")
    again = make("joined", tmp_path / "out")
    with torch.no_grad():
        same = again.sample(again.encode(PROMPTS[:1]), again.negative_prompt(), SEEDS[:1])
    torch.testing.assert_close(drawn, same, rtol=0, atol=1e-5)
