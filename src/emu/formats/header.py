"""What a file says of itself in its header: what it was made of and how, and how much it was preferred.

Keys of `modelspec` are those of Stability AI's ModelSpec 1.0.0, which other programs show. Notable: no path of the
machine that made it, and no name of a folder, goes into a file.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emu.compare.recipe import recipe
from emu.data.sources import roots
from emu.errors import UserError
from emu.formats import STEP
from emu.layouts import runs
from emu.layouts.curated_folder import CARD, stated_licences
from emu.layouts.quality_json import read_quality
from emu.loras.written import BASE, identity
from emu.module import TextToImageModule
from emu.storage import files
from emu.terminal.counted import many

ARCHITECTURES = {
    "StableDiffusionPipeline": "stable-diffusion-v1",
    "StableDiffusionXLPipeline": "stable-diffusion-xl-v1-base",
    "StableDiffusion3Pipeline": "stable-diffusion-3",
    "FluxPipeline": "flux-1-dev",
    "ChromaPipeline": "chroma",
    "Flux2Pipeline": "flux-2-dev",
    "Flux2KleinPipeline": "flux-2-klein",
    "ZImagePipeline": "z-image",
    "Lumina2Pipeline": "lumina-2",
    "QwenImagePipeline": "qwen-image",
    "QwenImage21Pipeline": "qwen-image-2.1",
    "Krea2Pipeline": "krea-2",
    "SanaPipeline": "sana",
    "AuraFlowPipeline": "auraflow-v0.3",
    "ErnieImagePipeline": "ernie-image",
}
PLACES = ("started from", "curated set")  # of a recipe


def story(run: Path, step: int, model: TextToImageModule) -> dict[str, str]:
    """Of a run: its step, its base's weights, its recipe, its set's data card and what its judges said, as it is known.

    Texts, as a .safetensors header takes them.
    """
    config = runs.read_config(run) or {}
    shown = {name: value for name, value in recipe(config) if name not in PLACES}
    found = {
        STEP: str(step),
        BASE: identity(model.folder, model.slot, model.merged_loras),
        "emu.recipe": json.dumps(shown),
    }
    if model.licence:
        found["emu.licence"] = model.licence
    if sums := [files.sha256(card) for card in cards_of(config) if card.is_file()]:
        found["emu.data_card_sha256"] = ", ".join(sums)
    if of_pictures := data_licences(config):
        found["emu.data_licences"] = ", ".join(of_pictures)
    for check in read_quality(run).checks:
        for criterion, rate in (("appeal", check.appeal), ("faithfulness", check.faithfulness)):
            if check.step == step and rate:
                low, high = rate.ci95
                said = f"{rate.win:.1f} % won ({low:.1f} - {high:.1f}), {rate.lose:.1f} % lost, {many(rate.n, 'pair')}"
                found[f"emu.{criterion}"] = said
    return found


def cards_of(config: Mapping[str, Any]) -> list[Path]:
    """Where the cards of a run's set lie, of those of its folders that have one, of all its stages."""
    given = [(config.get("data") or {}).get("root"), *(one.get("data.root") for one in config.get("stages") or [])]
    places = [place for root in given if root for place in _places(str(root))]
    return list(dict.fromkeys((place if place.is_dir() else place.parent) / CARD for place in places))


def data_licences(config: Mapping[str, Any]) -> list[str]:
    """Of a run's pictures, as the cards of its set say: `unknown` too where a folder has none, [] without any."""
    stated = [stated_licences(card) for card in cards_of(config)]
    return list(dict.fromkeys(one for card in stated for one in card or ["unknown"])) if any(stated) else []


def _places(root: str) -> list[Path]:
    try:
        return roots.find(root)
    except UserError:  # not there by now, or an address
        return []


def model_spec(model: TextToImageModule, title: str, *, lora: bool = False) -> dict[str, str]:
    """ModelSpec's keys: required ones and what is known."""
    name = ARCHITECTURES.get(model.pipeline_class.__name__, model.pipeline_class.__name__)
    if name == "stable-diffusion-v1" and getattr(model.backbone, "config", {}).get("cross_attention_dim") == 1024:
        name = "stable-diffusion-v2-768-v" if prediction(model) == "v" else "stable-diffusion-v2-512"
    found = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": f"{name}/lora" if lora else name,
        "modelspec.implementation": "https://github.com/huggingface/diffusers",
        "modelspec.title": title,
        "modelspec.date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if model.resolution is not None:
        found["modelspec.resolution"] = f"{model.resolution}x{model.resolution}"
    if model.licence:
        found["modelspec.license"] = model.licence
    if kind := prediction(model):
        found["modelspec.prediction_type"] = kind
    return found


def prediction(model: TextToImageModule) -> str | None:
    """epsilon or v, as ModelSpec calls them, of models that predict one of the two."""
    kinds = {"epsilon": "epsilon", "v_prediction": "v"}
    config: Mapping[str, Any] = getattr(model.pipeline.scheduler, "config", {})
    return kinds.get(str(config.get("prediction_type"))) if model.slot == "unet" else None
