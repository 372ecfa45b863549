"""The plan of a review: its passes, each with a page, how many look at a picture, and what lets a picture stay."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from emu.errors import UserError, reason
from emu.storage import documents

GRID, SINGLE, CAPTIONS = "grid", "single", "captions"
PAGES = (GRID, SINGLE, CAPTIONS)
RULES = {
    "any": "a picture stays where any of its raters keeps it",
    "most": "a picture stays where at least half of its raters keep it",
    "all": "a picture stays where all of its raters keep it",
}
CAPTIONED = "a picture stays once it has a caption"
MOST_REASONS = 9  # one a digit
LONGEST_REASON = 200  # characters
LENGTHS = set(range(1, LONGEST_REASON + 1))


@dataclass(frozen=True)
class Pass:
    """One pass of people over the pictures that the pass before let stay.

    Args:
        page: grid, single or captions.
        votes: how many raters look at a picture; where fewer are invited, all of them.
        overlap: share of the pictures, in [0, 1], that one rater more looks at, for agreement.
        keep: any, most or all: which of a picture's raters have to keep it.
        reasons: for a rejection, by the keys 1 to 9.
        tokenizers: by hub name or folder, whose tokens a caption is counted in.
    """

    name: str
    page: str
    votes: int = 1
    overlap: float = 0.0
    keep: str = "all"
    reasons: tuple[str, ...] = ()
    tokenizers: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """What lets a picture stay, in plain words."""
        return CAPTIONED if self.page == CAPTIONS else RULES[self.keep]

    def stays(self, keep: int, reject: int) -> bool:
        """Whether a picture stays with these votes, once all are in."""
        match self.keep:
            case "any":
                return keep > 0
            case "most":
                return keep >= reject
        return not reject


@dataclass(frozen=True)
class Plan:
    """The passes in their order, and the text that raters see beside the pictures."""

    passes: list[Pass]
    guideline: str


def read_plan(path: Path, *, guideline: Path | None = None) -> Plan:
    """The plan of a file; `guideline` replaces the text that it names. UserError for whatever is mistyped."""
    document = documents.read_mapping(path, keys=("passes", "guideline"))
    if not {"passes"} <= document.keys() <= {"passes", "guideline"}:
        raise UserError(f"{path}: a plan has the keys passes, a list of them, and guideline, a text file")
    given = document["passes"]
    if not isinstance(given, list) or not given:
        raise UserError(f"{path}: passes is a list, of at least one pass")
    passes = [_pass(path, number, one) for number, one in enumerate(given, start=1)]
    if len({one.name for one in passes}) < len(passes):
        raise UserError(f"{path}: two passes have one name")
    named = path.parent / str(document["guideline"]) if document.get("guideline") else None
    return Plan(passes, _text(guideline or named))


def _text(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--guideline {path}: {reason(error)}; give a text file") from error


def _pass(path: Path, number: int, given: Any) -> Pass:
    where = f"{path}: pass {number}"
    if not isinstance(given, dict):
        raise UserError(f"{where}: a mapping, with a name and a page")
    known = [one.name for one in fields(Pass)]
    documents.require_known(given, known, where=where)
    for key in ("name", "page"):
        if key not in given:
            raise UserError(f"{where}: names no {key}")
    lists = {key: given.get(key) or [] for key in ("reasons", "tokenizers")}
    for key, value in lists.items():
        if not isinstance(value, list):
            raise UserError(f"{where}: {key} {value!r}: give a list")
        if any(isinstance(one, bool) for one in value):  # as YAML reads no, yes, on and off
            raise UserError(f"{where}: {key} {value!r}: put quotes around a word that YAML takes for true or false")
    made = Pass(**{**given, **{key: tuple(map(str, value)) for key, value in lists.items()}})
    _require(where, made)
    return made


def _require(where: str, made: Pass) -> None:
    for key, good, says in (
        ("name", isinstance(made.name, str) and re.fullmatch(r"[a-z][a-z0-9-]{0,30}", made.name), "small letters"),
        ("page", made.page in PAGES, f"one of {', '.join(PAGES)}"),
        ("votes", type(made.votes) is int and 1 <= made.votes <= 20, "1 to 20"),
        ("overlap", type(made.overlap) in (int, float) and 0 <= made.overlap <= 1, "a share from 0 to 1"),
        ("keep", made.keep in RULES, f"one of {', '.join(RULES)}"),
        ("reasons", len(made.reasons) <= MOST_REASONS, f"at most {MOST_REASONS}"),
        ("reasons", {len(one) for one in made.reasons} <= LENGTHS, f"1 to {LONGEST_REASON} characters each"),
    ):
        if not good:
            raise UserError(f"{where}: {key} {getattr(made, key)!r}: give {says}")
