"""Whether a command goes on with the run that its folder holds: the same run, and one that has not ended."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emu.bundled import is_same
from emu.class_paths import named
from emu.layouts import runs
from emu.layouts.quality_json import read_quality
from emu.quality.stopping import StopRule
from emu.storage.shapes import Config
from emu.training.stages import settings_of

# What a run is: with another of these it would be another run. How it is carried out may change.
MATTERS = (
    "seed_everything",
    "trainer.gradient_clip_val",
    "model",
    "data",
    "quality.appeal",
    "quality.faithfulness",
    "quality.batch",
)
MAY_CHANGE = (
    "model.init_args.gradient_checkpointing",
    "model.init_args.compile_blocks",
    "model.init_args.average_on",
    "data.batch_size",
    "data.sample_batch_size",
    "data.num_workers",
    "data.max_bad",
    "data.cache",
    "data.image_column",  # how the set is found; what is in it is held up by itself
    "data.text_column",
)
PLACES = (  # one place has many spellings
    "data.root",
    "data.prompts",
    "model.init_args.pretrained",
    "model.init_args.config",
    "model.init_args.vae",
)
CLASSES = {"data": "emu.data.options.Options", "quality": "emu.quality.QualityTuning", "trainer": "lightning.Trainer"}

Change = tuple[str, Any, Any]  # key, before, now


def changed(run: Path, config: Config) -> str | None:
    """`data.seed 0, not 1` where the run's config and this one differ in what matters; None where they do not."""
    known = () if not (run / runs.DATA).is_file() else ("data.root", "data.prompts")  # held up by what is in them
    for key, before, now in changes(run, config):
        if not key.startswith(known):
            return f"{key} {before}, not {now}"
    return None


def changes(run: Path, config: Config) -> Iterator[Change]:
    """What matters and differs between a run's config and this one; a key that one lacks has its default there."""
    document = runs.read_config(run)
    if document is None:
        return
    then, now = dict(_flat(document)), dict(_flat(config))
    for key in sorted((then.keys() | now.keys()) - settings_of(document) - settings_of(config)):
        if key not in now:
            before, after = then[key], _default(config, key)
        else:
            before, after = then[key] if key in then else _default(config, key), now[key]
        if _matters(key) and not _same(key, before, after):
            yield key, before, after


def rule_of(config: Any) -> StopRule:
    """The stop rule of a parsed config; of its two limits on steps the smaller holds, and the Trainer's -1 is none."""
    quality, limit = config.quality, int(config.trainer.max_steps)
    most = min(int(quality.max_steps), limit) if limit >= 0 else int(quality.max_steps)
    return StopRule(patience=quality.patience, margin=quality.margin, min_steps=quality.min_steps, max_steps=most)


def finished(run: Path, checkpoint: Path | None, rule: StopRule) -> str | None:
    """Why `rule` stops the run where it stands; None where it goes on, as with more patience or steps than it had.

    `checkpoint` is its newest: where that is older than the last check, the run was killed before it was saved.
    """
    checks = read_quality(run).checks
    if not checks or checkpoint != runs.checkpoint(run, checks[-1].step):
        return None
    reason = rule.reason(checks)
    return f"stopped already at {reason}" if reason else None


def _matters(key: str) -> bool:
    return key.startswith(MATTERS) and not key.startswith(MAY_CHANGE)


def _same(key: str, before: Any, now: Any) -> bool:
    if key in PLACES and None not in (before, now):
        return is_same(str(before), str(now))
    return str(before) == str(now)


def _default(config: Config, key: str) -> Any:
    """Of an argument of the class that takes it, by the config; None where none is known."""
    *inside, name = key.split(".")
    taken: Any = config
    for part in inside[:-1] if inside[-1:] == ["init_args"] else []:
        taken = taken.get(part) if isinstance(taken, dict) else None
    class_path = taken.get("class_path") if inside[-1:] == ["init_args"] and isinstance(taken, dict) else None
    class_path = class_path or CLASSES.get(".".join(inside))
    if class_path is None:
        return None
    kind: Any = named.find(str(class_path), object, where=f"{key}:", like="emu.models.LatentDiffusion")
    for each in kind.__mro__:
        parameter = inspect.signature(each.__init__).parameters.get(name)
        if parameter is not None:
            return None if parameter.default is parameter.empty else parameter.default
    return None


def _flat(document: Any, inside: str = "") -> Iterator[tuple[str, Any]]:
    """`{"a": {"b": 1}}` -> ("a.b", 1)."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _flat(value, f"{inside}.{key}".removeprefix("."))
    else:
        yield inside, document
