"""Counting: votes on many prompts -> win, tie and lose, by majority of each pair and pooled over all votes.

Majority rule: what most votes of a pair say; where two say it equally often, the pair ties. "Both" and "neither" are
one tie, as in Emu (2023), section 4.1. The paper does not say how it pools votes, so both ways are told.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from emu.desk.vote.votes import Vote
from emu.statistics import WinRate, win_rate
from emu.statistics.agreement import krippendorff_alpha

Sign = Literal[1, 0, -1]
SIGNS: dict[str, Sign] = {"second": 1, "first": -1}
RESAMPLES = 2000


@dataclass(frozen=True)
class Tally:
    """Votes on one set of matches; "win" is the second picture's, which is the one after tuning.

    Args:
        majority: in percent of `pairs`, with the Wilson interval of the wins.
        pooled: in percent of `votes`, with an interval that resamples prompts; None below two prompts.
        alpha: Krippendorff's, over the answers as given; None where it is not defined.
    """

    pairs: int
    votes: int
    majority: WinRate
    pooled: WinRate | None
    alpha: float | None


def sign(outcome: str) -> Sign:
    """1 where the second picture was chosen, -1 where the first, 0 for every tie."""
    return SIGNS.get(outcome, 0)


def majority(signs: Sequence[int]) -> int:
    """The commonest of 1, 0, -1; 0 where two are equally common."""
    (top, count), *rest = Counter(signs).most_common()
    return 0 if rest and rest[0][1] == count else top


def tally(votes: Sequence[Vote]) -> Tally | None:
    """None where there are no votes. The votes are of one question, each on a match."""
    if not votes:
        return None
    by_match: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        by_match[vote.match.key].append(vote)
    settled = [float(majority([sign(vote.outcome) for vote in group])) for group in by_match.values()]
    return Tally(
        pairs=len(by_match),
        votes=len(votes),
        majority=win_rate([0.0] * len(settled), settled, tie=0),
        pooled=pooled(votes),
        alpha=krippendorff_alpha([[vote.outcome for vote in group] for group in by_match.values()]),
    )


def pooled(votes: Sequence[Vote]) -> WinRate | None:
    """Shares of all votes. Prompts are drawn again, with all their votes: those on one prompt are not independent."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for vote in votes:
        counts[vote.match.prompt][1 - sign(vote.outcome)] += 1
    table = np.array(list(counts.values()), dtype=np.float64)
    if len(table) < 2:
        return None
    win, tie, lose = 100 * table.sum(axis=0) / table.sum()
    return WinRate(n=len(votes), win=float(win), tie=float(tie), lose=float(lose), ci95=_interval(table))


def _interval(table: NDArray[np.float64]) -> tuple[float, float]:
    wins, all_votes = table[:, 0], table.sum(axis=1)

    def share(won: NDArray[np.float64], cast: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        shares: NDArray[np.float64] = 100 * won.sum(axis=axis) / cast.sum(axis=axis)
        return shares

    found = stats.bootstrap(
        (wins, all_votes), share, paired=True, vectorized=True, n_resamples=RESAMPLES, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)
