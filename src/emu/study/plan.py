"""What a study asks: its YAML file, read and checked before anything is run.

Mistyped keys of the file and of its arms are answered in a blink, in one line, by what answers those of `emu fit`.
"""

from dataclasses import dataclass, field, fields
from os.path import isfile  # False of a name that no file can have, where `Path` raises
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from emu import flags
from emu.errors import UserError, closest
from emu.storage import documents
from emu.storage.records import fault

WORLD = "{world}"  # in a value: the folder of the sets that the study draws
NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."  # of folders: on any disk, in any shell

Overrides = dict[str, Any]


class Written(TypedDict):
    """A study's file."""

    base: str
    arms: dict[str, Overrides]
    question: NotRequired[str]
    set: NotRequired[Overrides]
    reference: NotRequired[str | None]
    cache: NotRequired[bool]
    world: NotRequired[dict[str, Any]]


@dataclass(frozen=True)
class Study:
    """One question and the runs that answer it.

    Args:
        base: a config as `emu fit -c` takes it.
        arms: name -> overrides of the base's keys, spelled as the flags of `emu fit` are.
        seeds: every arm is run with each: `seed_everything` and `data.seed`, so that arms share the noise of their
            pictures, seed by seed.
        question: in words, for the table's head and the plot.
        set: overrides that all arms have.
        reference: the arm that the others' best pictures are compared with; None for no such comparison.
        cache: run the frozen encoders once for all arms, which then have to have the same ones.
        world: sets that are drawn of the simulated web first: {"prompts": number, "draws": of each prompt, set:
            {"needles": n, "haystack": n}}.
    """

    base: str
    arms: dict[str, Overrides]
    seeds: list[int] = field(default_factory=lambda: [0])
    question: str = ""
    set: Overrides = field(default_factory=dict)
    reference: str | None = None
    cache: bool = False
    world: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        name: str,
        *,
        base: str | None = None,
        seeds: list[int] | None = None,
        settings: Overrides | None = None,
    ) -> "Study":
        """The study of a file, or a bundled one by its name such as `needles`.

        `base` and `seeds` replace the file's; `settings` override what all arms have. Raises UserError for whatever is
        mistyped.
        """
        path = find(name)
        known = [one.name for one in fields(cls)]
        document = documents.read_mapping(path, keys=known)
        documents.require_known(document, known, where=str(path))
        document |= ({"base": base} if base else {}) | ({"seeds": seeds} if seeds else {})
        _require_types(path, document)
        document["set"] = {**document.get("set", {}), **(settings or {})}
        study = cls(**document)
        study._check(path)
        return study

    def flags(self, arm: str, seed: int) -> list[str]:
        """The arguments of `emu fit` of one run, but for its folder and its cache; WORLD stands as it is."""
        given = {"seed_everything": seed, "data.seed": seed, **self.set, **self.arms[arm]}
        return ["-c", self.base, *(f"--{key}={_word(value)}" for key, value in given.items())]

    def _check(self, path: Path) -> None:
        for arm in self.arms:
            if not arm or set(arm) - set(NAME) or arm.startswith("."):
                raise UserError(f"{path}: arm {arm!r} names a folder; use letters, digits, '-', '_' and '.'")
            try:
                flags.check(self.flags(arm, 0))
            except UserError as error:
                raise UserError(f"{path}: arm {arm}: {error}") from None
        if self.reference is not None and self.reference not in self.arms:
            near = closest(self.reference, self.arms)
            raise UserError(f"{path}: reference {self.reference} is no arm{near}")


def find(name: str) -> Path:
    """A path as it is, or that of a bundled study; raises UserError for neither."""
    folders = [folder / "studies" for folder in flags.CONFIGS]
    candidates = [Path(name), *(folder / f"{name}.yaml" for folder in folders)]
    found = next((path for path in candidates if isfile(path)), None)
    if found is None:
        names = sorted(path.stem for folder in folders for path in folder.glob("*.yaml"))
        raise UserError(f"{name}: no such study; give a .yaml file, or one of {', '.join(names)}")
    return found


def _require_types(path: Path, document: dict[str, Any]) -> None:
    for key in ("base", "arms"):
        if not document.get(key):
            raise UserError(f"{path}: names no {key}; a study has a base config and arms, each a name with overrides")
    sections: dict[str, Any] = {key: document[key] for key in ("arms", "set", "world") if key in document}
    if isinstance(document["arms"], dict):
        sections |= {f"arms.{arm}": overrides for arm, overrides in document["arms"].items()}
    for name, section in sections.items():
        if not isinstance(section, dict):
            raise UserError(f"{path}: {name} is a mapping, such as {{quality.max_steps: 100}}")
    seeds = document.get("seeds", [0])
    if not (isinstance(seeds, list) and seeds and all(type(seed) is int and seed >= 0 for seed in seeds)):
        raise UserError(f"{path}: seeds {seeds}: give a list of whole numbers, such as [0, 1, 2]")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"{path}: seeds {seeds}: one stands there twice, and would be the same runs again")
    if wrong := fault(document, Written):
        raise UserError(f"{path}: {wrong}; see configs/studies for examples")
    document["arms"] = {str(arm): overrides for arm, overrides in document["arms"].items()}


def _word(value: Any) -> str:
    """A value as a flag has it; YAML's own words for true, false and null, and flow style for lists and mappings."""
    import yaml

    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n").removesuffix("\n...")
