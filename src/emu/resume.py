"""Whether a command goes on with the run that its folder holds: the same run, and one that has not ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from emu import runs

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
    then, now = (dict(_flat(document)) for document in (yaml.safe_load(path.read_text()), config))
    for key in sorted(then.keys() | now.keys()):
        before, after = then.get(key), now.get(key)
        if _matters(key) and str(before) != str(after):
            return f"{key} {before}, not {after}"
    return None


def finished(run: Path, checkpoint: Path | None, *, max_steps: int) -> str | None:
    """Why the run ended, where it did by its own rule and `max_steps` lets it go no further; None where it goes on.

    `checkpoint` is its newest: where that is older than the last check, the run was killed before it was saved.
    """
    told = runs.read_quality(run)
    reason: str | None = told.get("stop_reason")
    if reason is None or not told["checks"]:
        return None
    last = told["checks"][-1]["step"]
    if checkpoint != runs.checkpoint(run, last) or ("max_steps" in reason and last < max_steps):
        return None
    return f"stopped already at {reason}"


def _matters(key: str) -> bool:
    return key.startswith(MATTERS) and not key.startswith(MAY_CHANGE)


def _flat(document: Any, inside: str = "") -> Iterator[tuple[str, Any]]:
    """`{"a": {"b": 1}}` -> ("a.b", 1)."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _flat(value, f"{inside}.{key}".removeprefix("."))
    else:
        yield inside, document
