"""Votes for other tools: every vote as a line of JSON, and preference pairs as trainers of DPO take them.

Pictures are named relative to the file that names them, so that both may move together.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emu import files
from emu.desk.vote.attention import kept
from emu.desk.vote.matches import Match
from emu.desk.vote.questions import APPEAL, MATCH
from emu.desk.vote.study import Study
from emu.desk.vote.tally import majority, sign
from emu.desk.vote.votes import Vote, read_votes


@dataclass(frozen=True)
class VoteLine:
    """An answer; `counted` says whether it counts as a vote. `models` are the first's and the second's."""

    rater: str
    question: str
    kind: str
    prompt: str
    seed: int
    first: str
    second: str
    models: tuple[str, str]
    outcome: str
    counted: bool
    right: bool | None
    reason: str
    seconds: float
    at: float


@dataclass(frozen=True)
class Preference:
    """A pair with a majority on appeal."""

    prompt: str
    chosen: str
    rejected: str
    seed: int
    votes_for: int
    votes_against: int


def write_votes(study: Study, path: Path) -> int:
    """Every answer, checks and raters below the bar among them, as a `VoteLine`; returns how many."""
    votes = read_votes(study)
    clean = {id(vote) for vote in kept(votes)}
    return _write(path, [_line(vote, path, counted=id(vote) in clean and vote.kind == MATCH) for vote in votes])


def write_dpo(study: Study, path: Path) -> int:
    """A `Preference` of every pair that raters above the bar do not tie; returns how many."""
    by_match: dict[str, list[int]] = defaultdict(list)
    for vote in kept(read_votes(study)):
        if vote.kind == MATCH and vote.question == APPEAL:
            by_match[vote.match.key].append(sign(vote.outcome))
    pairs = ((study.matches[key], signs) for key, signs in by_match.items())
    return _write(path, [_preference(match, signs, path) for match, signs in pairs if majority(signs)])


def _line(vote: Vote, path: Path, *, counted: bool) -> VoteLine:
    match = vote.match
    return VoteLine(
        rater=vote.rater,
        question=vote.question,
        kind=vote.kind,
        prompt=match.prompt,
        seed=match.seed,
        first=_relative(match.first, path),
        second=_relative(match.second, path),
        models=match.models,
        outcome=vote.outcome,
        counted=counted,
        right=vote.right,
        reason=vote.reason,
        seconds=vote.milliseconds / 1000,
        at=vote.at,
    )


def _preference(match: Match, signs: list[int], path: Path) -> Preference:
    won = majority(signs)
    chosen, rejected = (match.second, match.first) if won > 0 else (match.first, match.second)
    return Preference(
        prompt=match.prompt,
        chosen=_relative(chosen, path),
        rejected=_relative(rejected, path),
        seed=match.seed,
        votes_for=signs.count(won),
        votes_against=signs.count(-won),
    )


def _relative(picture: Path, to: Path) -> str:
    return Path(os.path.relpath(picture.resolve(), to.resolve().parent)).as_posix()


def _write(path: Path, rows: Sequence[VoteLine] | Sequence[Preference]) -> int:
    files.write_lines(path, rows, alone=True)
    return len(rows)
