"""The recipe of a run, in a few lines for the page: what its config says of model, data, optimizer and steps."""

from collections.abc import Iterator
from typing import Any

import yaml

from emu.compare.pairs import Run

TOLD = {  # where it lies in config.yaml -> how the page calls it
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


def recipe(config: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, value) of what a reader asks first; empty for a folder that `emu fit` did not make."""
    return list(_told(config))


def whole(config: dict[str, Any]) -> str:
    """All of the config, as YAML."""
    return yaml.safe_dump(config, sort_keys=False) if config else ""


def seeds(run: Run) -> str:
    """`240 prompts, one seed each, 0 to 239`: how the pictures were drawn."""
    if run.by_name:
        return f"{len(run.pairs):,} pairs of files of one name; seeds are not known"
    prompts, drawn = len({pair.prompt for pair in run.pairs}), [pair.seed for pair in run.pairs]
    each = "one seed each" if prompts == len(drawn) else f"{len(drawn) / prompts:.3g} seeds each on average"
    return f"{prompts:,} prompts, {each}, {min(drawn)} to {max(drawn)}"


def _told(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, name in TOLD.items():
        value: Any = config
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            yield name, f"{value:g}" if isinstance(value, float) else str(value)
