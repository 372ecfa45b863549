"""Counting: votes on many prompts -> win, tie and lose, by majority of each pair and pooled over all votes.

Majority rule: what most votes of a pair say; where two say it equally often, the pair ties. "Both" and "neither" are
one tie, as in Emu (2023), section 4.1. The paper does not say how it pools votes, so both ways are given.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

from emu.desk.vote.questions import MATCH
from emu.desk.vote.votes import Vote
from emu.layouts.votes_json import Tally
from emu.statistics import WinRate, win_rate
from emu.statistics.agreement import krippendorff_alpha

Sign = Literal[1, 0, -1]
SIGNS: dict[str, Sign] = {"second": 1, "first": -1}


def sign(outcome: str) -> Sign:
    """1 where the second picture was chosen, -1 where the first, 0 for every tie."""
    return SIGNS.get(outcome, 0)


def majority(signs: Sequence[int]) -> int:
    """The commonest of 1, 0, -1; 0 where two are equally common."""
    (top, count), *rest = Counter(signs).most_common()
    return 0 if rest and rest[0][1] == count else top


def tally(votes: Sequence[Vote], question: str) -> Tally | None:
    """Of the votes on matches in a question; None where there are none."""
    by_match: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        if vote.kind == MATCH and vote.question == question:
            by_match[vote.match.key].append(vote)
    if not by_match:
        return None
    votes = [vote for group in by_match.values() for vote in group]
    settled = [float(majority([sign(vote.outcome) for vote in group])) for group in by_match.values()]
    prompts = [group[0].match.prompt for group in by_match.values()]
    return Tally(
        pairs=len(by_match),
        votes=len(votes),
        majority=win_rate([0.0] * len(settled), settled, tie=0, prompts=prompts),
        pooled=pooled(votes),
        alpha=krippendorff_alpha([[vote.outcome for vote in group] for group in by_match.values()]),
    )


def pooled(votes: Sequence[Vote]) -> WinRate | None:
    """Shares of all votes; the interval takes prompts as its units, for votes on one prompt are not independent."""
    prompts, signs = [vote.match.prompt for vote in votes], [float(sign(vote.outcome)) for vote in votes]
    if len(set(prompts)) < 2:
        return None
    return win_rate([0.0] * len(signs), signs, tie=0, prompts=prompts)
