"""Whether a command goes on with the run that its folder holds: the same run, and one that has not ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emu import documents, runs
from emu.quality.stopping import Check, StopRule

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
    "data.batch_size",
    "data.sample_batch_size",
    "data.num_workers",
    "data.max_bad",
    "data.cache",
)


def changed(run: Path, config: dict[str, Any]) -> str | None:
    """`data.seed 0, not 1` where the run's config and this one differ in what matters; None where they do not."""
    path = run / runs.CONFIG
    if not path.is_file():
        return None
    then, now = (dict(_flat(document)) for document in (documents.read_mapping(path, keys="model and data"), config))
    for key in sorted(then.keys() | now.keys()):
        before, after = then.get(key), now.get(key)
        if _matters(key) and str(before) != str(after):
            return f"{key} {before}, not {after}"
    return None


def rule_of(config: Any) -> StopRule:
    """The stop rule of a parsed config; of its two limits on steps the smaller holds, and the Trainer's -1 is none."""
    quality, limit = config.quality, int(config.trainer.max_steps)
    most = min(int(quality.max_steps), limit) if limit >= 0 else int(quality.max_steps)
    return StopRule(patience=quality.patience, margin=quality.margin, min_steps=quality.min_steps, max_steps=most)


def finished(run: Path, checkpoint: Path | None, rule: StopRule) -> str | None:
    """Why `rule` stops the run where it stands; None where it goes on, as with more patience or steps than it had.

    `checkpoint` is its newest: where that is older than the last check, the run was killed before it was saved.
    """
    checks = [Check.from_row(row) for row in runs.read_quality(run).get("checks", [])]
    if not checks or checkpoint != runs.checkpoint(run, checks[-1].step):
        return None
    reason = rule.reason(checks)
    return f"stopped already at {reason}" if reason else None


def _matters(key: str) -> bool:
    return key.startswith(MATTERS) and not key.startswith(MAY_CHANGE)


def _flat(document: Any, inside: str = "") -> Iterator[tuple[str, Any]]:
    """`{"a": {"b": 1}}` -> ("a.b", 1)."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _flat(value, f"{inside}.{key}".removeprefix("."))
    else:
        yield inside, document
