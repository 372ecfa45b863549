"""Matches: the pairs of pictures that people compare, read from run folders.

A match is known by what it shows, never by where it lies: its key is a hash of prompt, seed and both files, so a run
folder may move, and a step that was drawn again is another match.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from emu.compare.cells import spread
from emu.compare.pairing import Pair, Pairing
from emu.compare.people import match_key
from emu.errors import UserError


@dataclass(frozen=True)
class Match:
    """Two pictures of one prompt and seed. `run` is the number of the run whose before and after they are, or None."""

    key: str
    prompt: str
    seed: int
    first: Path
    second: Path
    models: tuple[str, str]
    run: int | None


def matches(read: Sequence[Pairing], *, limit: int, across: bool) -> dict[str, Match]:
    """By key, in the order of the runs; UserError for a run that comes twice.

    Args:
        limit: at most so many pairs of a run.
        across: also pair what every two runs drew after tuning.
    """
    chosen = [_limited(run, limit) for run in read]
    digests = {path: _digest(path) for pairs in chosen for pair in pairs for path in (pair.before, pair.after)}
    names = _names(read, chosen, digests)
    found: list[Match] = []
    for number, pairs in enumerate(chosen):
        found += [
            _match(digests, pair, (pair.before, pair.after), (names[number, 0], names[number, 1]), number)
            for pair in pairs
        ]
    for one, other in combinations(range(len(read)), 2) if across else ():
        drawn = {(pair.prompt, pair.seed): pair.after for pair in chosen[other]}
        models = (names[one, 1], names[other, 1])
        shared = [pair for pair in chosen[one] if (pair.prompt, pair.seed) in drawn]
        found += [_match(digests, pair, (pair.after, drawn[pair.prompt, pair.seed]), models, None) for pair in shared]
    by_key = {match.key: match for match in found}
    if len(by_key) < len(found):
        raise UserError("two of the runs hold the same pictures; give each run once")
    return by_key


def _limited(run: Pairing, limit: int) -> list[Pair]:
    by_key = {(pair.prompt, pair.seed): pair for pair in run.pairs}
    return [by_key[key] for key in spread(list(by_key), limit)]


def _names(
    read: Sequence[Pairing], chosen: Sequence[Sequence[Pair]], digests: dict[Path, str]
) -> dict[tuple[int, int], str]:
    """(run, side) -> a model's name. Runs tuned from one base drew the same before, which is one model."""
    names: dict[tuple[int, int], str] = {}
    known: dict[str, str] = {}
    for number, (run, pairs) in enumerate(zip(read, chosen, strict=True)):
        named = run.name if [other.name for other in read].count(run.name) == 1 else f"{run.name} {number + 1}"
        for side, step in enumerate((run.before_step, run.after_step)):
            drawn = "".join(digests[(pair.before, pair.after)[side]] for pair in pairs)
            names[number, side] = known.setdefault(drawn, f"{named} step {step}")
    return names


def _match(
    digests: dict[Path, str], pair: Pair, sides: tuple[Path, Path], models: tuple[str, str], run: int | None
) -> Match:
    key = match_key(pair.prompt, pair.seed, [digests[side] for side in sides])
    return Match(key, pair.prompt, pair.seed, *sides, models, run)


def _digest(path: Path) -> str:
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)):  # reads the head: a file that is no picture is seen before voting begins
            return hashlib.sha256(content).hexdigest()
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{path}: absent or not a picture; draw the step again") from error
