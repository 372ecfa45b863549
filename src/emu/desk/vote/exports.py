"""Votes for other tools: every vote as a line of JSON, and preference pairs as trainers of DPO take them.

Pictures are named relative to the file that names them, so that both may move together.
"""

import os
from collections import defaultdict
from pathlib import Path

from emu.desk.vote.attention import kept
from emu.desk.vote.poll import Poll
from emu.desk.vote.questions import APPEAL, MATCH
from emu.desk.vote.tally import majority, sign
from emu.desk.vote.votes import read_votes
from emu.storage import files


def write_votes(poll: Poll, path: Path) -> int:
    """Every answer, checks and raters below the bar among them (`counted` says which count); returns how many."""
    votes = read_votes(poll)
    clean = {id(vote) for vote in kept(votes)}
    lines = [
        {
            "rater": vote.rater,
            "question": vote.question,
            "kind": vote.kind,
            "prompt": vote.match.prompt,
            "seed": vote.match.seed,
            "first": _relative(vote.match.first, path),
            "second": _relative(vote.match.second, path),
            "models": vote.match.models,  # the first's, the second's
            "outcome": vote.outcome,
            "counted": id(vote) in clean and vote.kind == MATCH,
            "right": vote.right,
            "reason": vote.reason,
            "seconds": vote.milliseconds / 1000,
            "at": vote.at,
        }
        for vote in votes
    ]
    files.write_lines(path, lines, alone=True)
    return len(lines)


def write_dpo(poll: Poll, path: Path) -> int:
    """Every pair with a majority on appeal among raters above the bar; returns how many."""
    by_match: dict[str, list[int]] = defaultdict(list)
    for vote in kept(read_votes(poll)):
        if vote.kind == MATCH and vote.question == APPEAL:
            by_match[vote.match.key].append(sign(vote.outcome))
    lines = []
    for key, signs in by_match.items():
        if won := majority(signs):
            match = poll.matches[key]
            chosen, rejected = (match.second, match.first) if won > 0 else (match.first, match.second)
            files_of = {"chosen": _relative(chosen, path), "rejected": _relative(rejected, path)}
            votes = {"votes_for": signs.count(won), "votes_against": signs.count(-won)}
            lines.append({"prompt": match.prompt, **files_of, "seed": match.seed, **votes})
    files.write_lines(path, lines, alone=True)
    return len(lines)


def _relative(picture: Path, to: Path) -> str:
    return Path(os.path.relpath(picture.resolve(), to.resolve().parent)).as_posix()
