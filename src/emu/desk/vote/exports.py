"""Votes for other tools: every vote as a line of JSON, and preference pairs as trainers of DPO take them.

Pictures are named relative to the file that names them, so that both may move together.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from emu import files
from emu.desk.vote.attention import kept
from emu.desk.vote.matches import Match
from emu.desk.vote.questions import APPEAL, MATCH
from emu.desk.vote.study import Study
from emu.desk.vote.tally import majority, sign
from emu.desk.vote.votes import Vote, read_votes


def write_votes(study: Study, path: Path) -> int:
    """Every answer, checks and raters below the bar included (`counted` says which count); returns how many.

    {"rater", "question", "kind", "prompt", "seed", "first", "second", "models": [first's, second's], "outcome",
    "counted", "right", "reason", "seconds", "at"}.
    """
    votes = read_votes(study)
    clean = {id(vote) for vote in kept(votes)}
    return _write(path, (_row(vote, path, counted=id(vote) in clean and vote.kind == MATCH) for vote in votes))


def write_dpo(study: Study, path: Path) -> int:
    """{"prompt", "chosen", "rejected", "seed", "votes_for", "votes_against"} of every pair with a majority on appeal.

    Raters below the bar and pairs that tie are left out; returns how many pairs are in.
    """
    by_match: dict[str, list[int]] = defaultdict(list)
    for vote in kept(read_votes(study)):
        if vote.kind == MATCH and vote.question == APPEAL:
            by_match[vote.match.key].append(sign(vote.outcome))
    pairs = ((study.matches[key], signs) for key, signs in by_match.items())
    return _write(path, (_preference(match, signs, path) for match, signs in pairs if majority(signs)))


def _row(vote: Vote, path: Path, *, counted: bool) -> dict[str, Any]:
    return {
        "rater": vote.rater,
        "question": vote.question,
        "kind": vote.kind,
        "prompt": vote.match.prompt,
        "seed": vote.match.seed,
        "first": _relative(vote.match.first, path),
        "second": _relative(vote.match.second, path),
        "models": vote.match.models,
        "outcome": vote.outcome,
        "counted": counted,
        "right": vote.right,
        "reason": vote.reason,
        "seconds": vote.milliseconds / 1000,
        "at": vote.at,
    }


def _preference(match: Match, signs: list[int], path: Path) -> dict[str, Any]:
    won = majority(signs)
    chosen, rejected = (match.second, match.first) if won > 0 else (match.first, match.second)
    return {
        "prompt": match.prompt,
        "chosen": _relative(chosen, path),
        "rejected": _relative(rejected, path),
        "seed": match.seed,
        "votes_for": signs.count(won),
        "votes_against": signs.count(-won),
    }


def _relative(picture: Path, to: Path) -> str:
    return Path(os.path.relpath(picture.resolve(), to.resolve().parent)).as_posix()


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    lines = list(rows)
    files.write_lines(path, lines, alone=True)
    return len(lines)
