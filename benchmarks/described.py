"""Folders that describe the published pipelines, without their weights: what `emu plan` reads of them.

    python benchmarks/described.py latent/sdxl runs/described/sdxl

The networks are those of described.yaml, at their published sizes; the tokenizers are tiny ones of the same classes.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import diffusers
import yaml
from transformers.models.t5gemma.configuration_t5gemma import T5GemmaConfig, T5GemmaModuleConfig

from emu import models
from emu.parts.tokenizer import clip_tokenizer, t5_tokenizer

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import tokens

CONFIGS = Path(__file__).parents[1] / "configs"
PUBLISHED: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
NAMES = tuple(PUBLISHED["pipelines"])


def describe(name: str, folder: Path) -> Path:
    """Write the folder of the pipeline that `-c NAME` tunes, such as latent/sdxl."""
    published = PUBLISHED["pipelines"][name]
    init_args = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["model"]
    pipeline_class = getattr(models, init_args["class_path"].rpartition(".")[2]).pipeline_class
    index: dict[str, Any] = {"_class_name": pipeline_class.__name__, **published.get("index", {})}
    parts = {
        slot: PUBLISHED["schedulers" if slot.endswith("scheduler") else "parts"][of]
        for slot, of in published["with"].items()
    }
    parts |= {slot: published[slot] for slot in ("unet", "transformer") if slot in published}
    if "new" in published:
        made = yaml.safe_load((CONFIGS / f"{published['new']}.yaml").read_text())["components"]
        parts["unet"] = ("UNet2DConditionModel", made["unet"])
        parts |= {slot: (made[slot]["_class_name"], made[slot]) for slot in ("vae", "scheduler")}
    for slot, (kind, config) in parts.items():
        index[slot] = [write_config(folder / slot, kind, config), kind.rpartition(".")[2]]
    for slot, (family, longest) in published["tokens"].items():
        tokenizer = FAMILIES[family](longest)
        tokenizer.save_pretrained(folder / slot)
        index[slot] = ["transformers", type(tokenizer).__name__]
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    return folder


def write_config(folder: Path, kind: str, config: dict[str, Any]) -> str:
    """Write a component's description; the library that its class is of."""
    module, _, name = kind.rpartition(".")
    if hasattr(diffusers, name) or module == "emu.parts.fourier":
        folder.mkdir(parents=True)
        file = "scheduler_config.json" if kind.endswith("Scheduler") else "config.json"
        (folder / file).write_text(json.dumps({**config, "_class_name": name}, indent=2))
        return module or "diffusers"
    if kind == "T5GemmaEncoder":  # the published folder has the whole model's config
        T5GemmaConfig(encoder=T5GemmaModuleConfig(**config), is_encoder_decoder=False, **config).save_pretrained(folder)
    else:
        library = importlib.import_module(module or "transformers")
        getattr(library, name).config_class(**config).save_pretrained(folder)
    return module or "transformers"


def t5(longest: int) -> Any:
    tokenizer = t5_tokenizer(tokens.CAPTIONS)
    tokenizer.model_max_length = longest
    return tokenizer


FAMILIES = {
    "clip": lambda longest: clip_tokenizer(tokens.CAPTIONS, vocab_size=300, max_length=longest),
    "t5": t5,
    "qwen": tokens.qwen,
    "qwen-processor": tokens.qwen_processor,
    "gemma": tokens.gemma,
    "glm": tokens.glm,
}

if __name__ == "__main__":
    describe(sys.argv[1], Path(sys.argv[2]))
