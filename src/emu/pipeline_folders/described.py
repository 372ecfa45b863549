"""What a pipeline folder's JSON says of how it is drawn and trained, held against what a run began with.

Two autoencoders of the same weights draw otherwise by their `scaling_factor`, two schedulers by `prediction_type`.
Notable: a folder that newer libraries saved again spells out what was a default, and says which version it was; neither
is another setting. Tokenizers, whose files differ from version to version, are known otherwise (`tokenizing.py`).
"""

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu.pipeline_folders import components, folders, weight_files
from emu.storage.records import read_json
from emu.storage.shapes import ComponentConfig

CLASS = "class"
SAY_NOTHING = (
    *("architectures", "auto_map", "dtype", "torch_dtype", "transformers_version", "use_cache"),
    *("requires_safety_checker", "add_watermarker", "force_upcast"),
)
"""Keys of no effect on what is computed here: no safety checker is loaded, and autoencoders are held in float32."""

Settings = dict[str, ComponentConfig]
"""Component, or the index, -> what its JSON says, and its class."""


@dataclass(frozen=True)
class Difference:
    """A component, or the index, one of its settings, and that setting's two values."""

    name: str
    key: str
    before: Any
    now: Any


def settings(folder: Path) -> Settings:
    """Of all networks and schedulers of a pipeline folder, and of the pipeline itself."""
    index = folders.read_index(folder)
    found = {folders.INDEX: {key: value for key, value in index.items() if not components.is_part(value)}}
    for name in components.used(index):
        for file in ("config.json", "scheduler_config.json"):
            if (path := folder / name / file).is_file():
                found[name] = {CLASS: index[name][1], **read_json(path, ComponentConfig, remedy=weight_files.AGAIN)}
    return {name: {key: one for key, one in said.items() if _counts(key)} for name, said in found.items()}


def differences(before: Settings, now: Settings, folder: Path, pipeline: type[Any]) -> Iterator[Difference]:
    """The settings that are others by now, in a folder of a class of pipelines.

    A key that one of the two lacks has its class's default there, and counts for nothing where that has none.
    """
    kinds = {**components.used(folders.read_index(folder)), folders.INDEX: pipeline}
    for name in sorted(before.keys() & now.keys()):
        standard = defaults(kinds.get(name))
        then, today = ({**standard, **said[name]} for said in (before, now))
        for key in sorted(then.keys() & today.keys()):
            if not _same(then[key], today[key]):
                yield Difference(name, key, then[key], today[key])


def _counts(key: str) -> bool:
    return not key.startswith("_") and key not in SAY_NOTHING


def _same(one: Any, other: Any) -> bool:
    """Of configs inside of a config what both have."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_same(one[key], other[key]) for key in one.keys() & other.keys() if _counts(key))
    return bool(one == other)


def defaults(kind: type[Any] | None) -> ComponentConfig:
    """Of a constructor's arguments, as JSON has them."""
    parameters = inspect.signature(kind.__init__).parameters.values() if kind else ()
    given = {one.name: one.default for one in parameters if one.default is not one.empty}
    found: ComponentConfig = json.loads(json.dumps(given, default=str))
    return found
