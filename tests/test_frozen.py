"""A run is gone on with beside the frozen networks that it began with alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from architectures import CLASSES, make
from emu.errors import UserError
from emu.networks.adapters import Adapter
from emu.parts.tokenizer import clip_tokenizer

Folder = Callable[[str], Path]
INDEX, SCHEDULER = "model_index.json", "scheduler/scheduler_config.json"


def another(folder: Path, component: str) -> None:
    """One weight of it is another."""
    (file,) = (folder / component).glob("*.safetensors")
    weights = load_file(file)
    first = min(weights)
    save_file({**weights, first: weights[first] + 1e-2}, file)


@pytest.mark.parametrize("adapter", [Adapter(rank=2), None], ids=["adapter", "all weights"])
@pytest.mark.parametrize("component", ["vae", "text_encoder"])
def test_a_run_goes_on_beside_its_own_frozen_parts_alone(
    component: str, adapter: Adapter | None, tiny_folder: Folder, tmp_path: Path
) -> None:
    """However they are held, and though a cache stands in for text encoders."""
    base = Path(shutil.copytree(tiny_folder("latent"), tmp_path / "base"))
    checkpoint: dict[str, Any] = {}
    make("latent", base, adapter=adapter).on_save_checkpoint(checkpoint)
    make("latent", base, adapter=adapter, encoders_dtype="bfloat16").on_load_checkpoint(checkpoint)
    another(base, component)
    model = CLASSES["latent"](str(base), adapter=adapter)
    model.reads_texts = False
    model.configure_model()
    with pytest.raises(UserError, match=f"its {component} has other weights than the run began with"):
        model.on_load_checkpoint(checkpoint)
    model.on_load_checkpoint({key: one for key, one in checkpoint.items() if key != "frozen"})  # of before


def test_a_text_encoder_that_is_gone_or_new_is_another_run(tiny_folder: Folder, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder("flow"), tmp_path / "less"))
    index = json.loads((folder / "model_index.json").read_text())
    without = index | {name: [None, None] for name in ("text_encoder_3", "tokenizer_3")}  # SD3 may do without T5
    (folder / "model_index.json").write_text(json.dumps(without))
    whole, less = make("flow", tiny_folder("flow")), make("flow", folder)
    saved: list[dict[str, Any]] = [{}, {}]
    whole.on_save_checkpoint(saved[0])
    less.on_save_checkpoint(saved[1])
    with pytest.raises(UserError, match="its text_encoder_3 is gone, and the run began with one"):
        less.on_load_checkpoint(saved[0])
    with pytest.raises(UserError, match="its text_encoder_3 was not there as the run began"):
        whole.on_load_checkpoint(saved[1])


def test_an_autoencoder_in_its_place_is_named_as_it_was_given(tiny_folder: Folder, tmp_path: Path) -> None:
    checkpoint: dict[str, Any] = {}
    make("latent", tiny_folder("latent")).on_save_checkpoint(checkpoint)
    other = Path(shutil.copytree(tiny_folder("latent") / "vae", tmp_path / "other" / "vae"))
    another(other.parent, "vae")
    with pytest.raises(UserError, match=f"model.vae {other}: its vae has other weights"):
        make("latent", tiny_folder("latent"), vae=str(other)).on_load_checkpoint(checkpoint)


def edited(file: Path, **settings: Any) -> None:
    """Its settings are others; those that are None are gone."""
    document = json.loads(file.read_text()) | settings
    file.write_text(json.dumps({key: one for key, one in document.items() if one is not None}))


MEANS = {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}
ANOTHER = {
    "vae": ("vae/config.json", {"scaling_factor": 0.5}, "its vae has scaling_factor 0.5, and the run began with 0.1"),
    "vae's means": ("vae/config.json", MEANS, r"its vae has latents_mean \[0.0.*\], and the run began with None"),
    "prediction": (SCHEDULER, {"prediction_type": "sample"}, "prediction_type sample, and the run began with epsilon"),
    "noise": (SCHEDULER, {"beta_end": 0.02}, "its scheduler has beta_end 0.02, and the run began with 0.012"),
    "network": ("unet/config.json", {"norm_eps": 0.1}, "its unet has norm_eps 0.1, and the run began with 1e-05"),
    "encoder": (
        "text_encoder/config.json",
        {"hidden_act": "relu"},
        "hidden_act relu, and the run began with quick_gelu",
    ),
    "pipeline": (INDEX, {"force_zeros_for_empty_prompt": False}, "force_zeros.* False, and the run began with True"),
    "class": (INDEX, {"scheduler": ["diffusers", "DDPMScheduler"]}, "class DDPMScheduler, .* with EulerDiscrete"),
}


@pytest.mark.parametrize("name", ANOTHER)
def test_a_run_goes_on_with_the_settings_that_it_began_with_alone(
    name: str, tiny_folder: Folder, tmp_path: Path
) -> None:
    file, settings, said = ANOTHER[name]
    base = Path(shutil.copytree(tiny_folder("latent_xl"), tmp_path / "base"))
    checkpoint: dict[str, Any] = {}
    make("latent_xl", base).on_save_checkpoint(checkpoint)
    edited(base / file, **settings)
    model = make("latent_xl", base)
    with pytest.raises(UserError, match=said):
        model.on_load_checkpoint(checkpoint)
    model.on_load_checkpoint({key: one for key, one in checkpoint.items() if key != "settings"})  # of before


def test_what_is_no_setting_is_no_other_run(tiny_folder: Folder, tmp_path: Path) -> None:
    """Versions, paths, dtypes, and defaults that are spelled out or left out."""
    base = Path(shutil.copytree(tiny_folder("latent"), tmp_path / "base"))
    checkpoint: dict[str, Any] = {}
    make("latent", base).on_save_checkpoint(checkpoint)
    edited(base / "vae/config.json", _diffusers_version="0.1", _name_or_path="/elsewhere", act_fn=None, new=1)
    edited(base / SCHEDULER, _diffusers_version="0.1", thresholding=None, timestep_spacing="leading")
    edited(base / "text_encoder/config.json", transformers_version="9.9", torch_dtype="float16", use_cache=True, new=1)
    edited(base / "model_index.json", _name_or_path="/elsewhere", requires_safety_checker=True)
    make("latent", base).on_load_checkpoint(checkpoint)


def longer(tokenizer: Any) -> Any:
    tokenizer.model_max_length = 20
    return tokenizer


def padded_otherwise(tokenizer: Any) -> Any:
    tokenizer.pad_token = tokenizer.bos_token
    return tokenizer


def larger(tokenizer: Any) -> Any:
    tokenizer.add_tokens(["moonboat"])
    return tokenizer


def of_other_captions(tokenizer: Any) -> Any:
    return clip_tokenizer(["nine blue trains", "a red boat at noon"], vocab_size=len(tokenizer), max_length=12)


TOKENIZERS = {
    "model_max_length 20": longer,
    r"pad_token <\|startoftext\|>": padded_otherwise,
    r"vocabulary \d+ tokens": larger,
    "(vocabulary|known texts cut as) ": of_other_captions,
}


@pytest.mark.parametrize("said", TOKENIZERS)
def test_a_run_goes_on_with_its_own_tokenizer_alone(said: str, tiny_folder: Folder, tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_folder("latent"), tmp_path / "base"))
    checkpoint: dict[str, Any] = {}
    make("latent", base).on_save_checkpoint(checkpoint)
    changed = TOKENIZERS[said](AutoTokenizer.from_pretrained(base / "tokenizer"))
    shutil.rmtree(base / "tokenizer")
    changed.save_pretrained(base / "tokenizer")
    model = make("latent", base)
    with pytest.raises(UserError, match=f"its tokenizer has {said}.*, and the run began with"):
        model.on_load_checkpoint(checkpoint)
    before = json.loads(checkpoint["settings"])
    del before["tokenizer"]
    model.on_load_checkpoint(checkpoint | {"settings": json.dumps(before)})  # of an earlier emu


@pytest.mark.parametrize("name", ["flow", "flux2_klein", "qwen_image_21", "kandinsky5", "lumina2", "hidream"])
def test_a_tokenizer_that_is_saved_anew_is_no_other(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    """Whatever the files then say, and after it has drawn; every one of a pipeline is known."""
    base = Path(shutil.copytree(tiny_folder(name), tmp_path / "base"))
    checkpoint: dict[str, Any] = {}
    begun = make(name, base)
    begun.on_save_checkpoint(checkpoint)
    folders = sorted(path.parent for path in base.glob("*/tokenizer_config.json"))
    assert {one.name for one in folders} <= json.loads(checkpoint["settings"]).keys()
    for folder in folders:
        AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    model = make(name, base)
    model.encode(["a red boat"])
    model.on_load_checkpoint(checkpoint)
    (drawn := make(name, base)).encode(["a red boat"])
    late: dict[str, Any] = {}
    drawn.on_save_checkpoint(late)
    assert json.loads(late["settings"]) == json.loads(checkpoint["settings"])
