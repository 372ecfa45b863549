"""The pairs on the page: every prompt across all runs; the best, the worst and some at random; and near copies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emu.compare.judged import pair_outcomes
from emu.compare.pairing import Pair, Pairing
from emu.compare.pictures import embed, embed_image
from emu.guards import Evidence, Finding
from emu.guards.finding import Part
from emu.guards.memorisation import NAME as MEMORISATION
from emu.layouts.votes_json import Cast

PICKED = 4  # best, worst and random pairs each
SEED = 0  # of the random ones, so that nobody chose them
Key = tuple[str, int]  # prompt and seed
Embedded = tuple[str, tuple[int, int]]  # a `data:` URL, and width and height in pixels


@dataclass(frozen=True)
class Cell:
    """One run's pair, ready to show: `data:` URLs, width and height in pixels; by criterion outcome and votes."""

    run: str
    pair: Pair
    before: str
    after: str
    size: tuple[int, int]
    outcomes: Mapping[str, str]
    votes: Mapping[str, Cast]


@dataclass(frozen=True)
class Line:
    """One prompt and seed across all runs; a run that has no such pair has None."""

    prompt: str
    seed: int | None
    groups: list[str]
    cells: list[Cell | None]


@dataclass(frozen=True)
class Picks:
    """Some pairs of a run by their places, under a title that says why these."""

    title: str
    why: str
    pairs: list[int]


@dataclass(frozen=True)
class Copy:
    """A picture after tuning beside the training picture that it is nearest to, and what the base had drawn."""

    figures: Part
    prompt: str
    base: Embedded
    after: Embedded
    nearest: Embedded
    caption: str


class Cells:
    """The cells of one run, each made when it is asked for, with pictures of at most `longest` pixels a side."""

    def __init__(self, pairing: Pairing, votes: Mapping[Key, Mapping[str, Cast]], longest: int) -> None:
        self.pairing, self.votes, self.longest = pairing, votes, longest
        self._outcomes = pair_outcomes(pairing)
        self._places = {pair.key: i for i, pair in enumerate(pairing.pairs)}

    def at(self, place: int) -> Cell:
        """The pair of that place in the run."""
        pair = self.pairing.pairs[place]
        (before, _), (after, size) = embed(pair.before, self.longest), embed(pair.after, self.longest)
        outcomes, votes = self._outcomes[place], self.votes.get(pair.key, {})
        return Cell(self.pairing.name, pair, before, after, size, outcomes, votes)

    def of(self, key: Key) -> Cell | None:
        """The pair of a prompt and seed; None where the run has none."""
        return self.at(self._places[key]) if key in self._places else None


def line(runs: Sequence[Cells], key: Key) -> Line:
    """A prompt and seed in all runs, one of which has it."""
    cells = [run.of(key) for run in runs]
    groups = next(cell.pair.groups for cell in cells if cell)
    return Line(key[0], None if runs[0].pairing.by_name else key[1], [*groups.values()], cells)


def spread(keys: Sequence[Key], count: int) -> list[Key]:
    """`count` of the keys at even distances, in order: prompt files are often sorted by category."""
    count = min(count, len(keys))
    return [keys[i * len(keys) // count] for i in range(count)]


def picks(pairing: Pairing) -> list[Picks]:
    """Where appeal was judged its largest gains and losses; always a few that nobody has chosen."""
    count = max(1, min(PICKED, len(pairing.pairs) // 3))
    drawn = sorted(np.random.default_rng(SEED).permutation(len(pairing.pairs))[:count].tolist())
    found = [Picks("At random", "drawn from all pairs, whatever a judge says", drawn)]
    if "appeal" not in pairing.criteria:
        return found
    gains = [after - before for before, after in (pair.scores["appeal"] for pair in pairing.pairs)]
    order = sorted(range(len(gains)), key=lambda i: gains[i])
    return [
        Picks("Best", "where appeal rose most", order[::-1][:count]),
        Picks("Worst", "where it fell most, or rose least", order[:count]),
        *found,
    ]


def copies(pairing: Pairing, findings: Sequence[Finding], seen: Evidence, longest: int) -> list[Copy]:
    """The pictures after tuning that are nearest to a training picture; empty where no curated set is at hand."""
    found: list[Copy] = []
    for part in (part for one in findings if one.guard == MEMORISATION for part in one.parts):
        place, row = part["pair"], part["row"]
        assert seen.training
        assert isinstance(place, int)
        assert isinstance(row, int)
        pair, nearest = pairing.pairs[place], embed_image(seen.training.show[row](), longest)
        sides = embed(pair.before, longest), embed(pair.after, longest)
        found.append(Copy(part, pair.prompt, *sides, nearest, seen.training.captions[row]))
    return found
