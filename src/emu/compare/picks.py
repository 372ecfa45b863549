"""Which pairs the page shows first: the best, the worst and some at random, never only the best."""

from dataclasses import dataclass

import numpy as np

from emu.compare.pairs import Pair, Run

SHOWN = 4  # of each kind
SEED = 0  # of the random ones, so that nobody chose them


@dataclass(frozen=True)
class Picks:
    """The places of some pairs in `Run.pairs`, under a title that says why these."""

    title: str
    why: str
    pairs: list[int]


def picks(run: Run) -> list[Picks]:
    """Where appeal was judged its largest gains and losses; always a few that nobody has chosen."""
    count = max(1, min(SHOWN, len(run.pairs) // 3))
    drawn = sorted(np.random.default_rng(SEED).permutation(len(run.pairs))[:count].tolist())
    found = [Picks("At random", "drawn from all pairs, whatever a judge says", drawn)]
    if "appeal" not in run.criteria:
        return found
    order = sorted(range(len(run.pairs)), key=lambda i: _gain(run.pairs[i]))
    return [
        Picks("Best", "where appeal rose most", order[::-1][:count]),
        Picks("Worst", "where it fell most, or rose least", order[:count]),
        *found,
    ]


def _gain(pair: Pair) -> float:
    before, after = pair.scores["appeal"]
    return after - before
