"""The recipe of a run: what its config says of model, data, optimizer and steps, in a few lines for the page."""

from typing import Any

import yaml

from emu.compare.pairing import Pairing
from emu.storage.shapes import Config
from emu.terminal.counted import many

SHOWN = {  # where it lies in config.yaml -> how the page calls it
    "model.class_path": "model",
    "model.init_args.pretrained": "started from",
    "model.init_args.noise_offset": "noise offset",
    "model.init_args.optimizer.class_path": "optimizer",
    "model.init_args.optimizer.init_args.lr": "learning rate",
    "model.init_args.warmup_steps": "warm-up steps",
    "model.init_args.ema_decay": "average's decay",
    "data.root": "curated set",
    "data.held_out": "held-out pictures",
    "data.resolution": "resolution",
    "data.caption_dropout": "captions dropped",
    "quality.batch": "pictures a step",
    "quality.max_steps": "steps at most",
    "quality.check_every": "steps between checks",
    "quality.patience": "patience, in checks",
    "seed_everything": "seed",
}


def setting(config: Any, name: str) -> Any:
    """The value of `data.root` or the like; None where the config has none."""
    for key in name.split("."):
        config = config.get(key) if isinstance(config, dict) else None
    return config


def recipe(config: Config) -> list[tuple[str, str]]:
    """(name, value) of what a reader asks first; empty for a folder that `emu fit` did not make."""
    found = [(name, setting(config, where)) for where, name in SHOWN.items()]
    shown = [(name, value) for name, value in found if value is not None]
    return [(name, f"{value:g}" if isinstance(value, float) else str(value)) for name, value in shown]


def whole(config: Config) -> str:
    """All of the config, as YAML."""
    return yaml.safe_dump(config, sort_keys=False) if config else ""


def seeds(pairing: Pairing) -> str:
    """`240 prompts, one seed each, 0 to 239`: how the pictures were drawn."""
    if pairing.by_name:
        return f"{many(len(pairing.pairs), 'pair')} of files of one name; seeds are not known"
    prompts, drawn = len(set(pairing.prompts)), [pair.seed for pair in pairing.pairs]
    each = "one seed each" if prompts == len(drawn) else f"{len(drawn) / prompts:.3g} seeds each on average"
    return f"{many(prompts, 'prompt')}, {each}, {min(drawn)} to {max(drawn)}"
