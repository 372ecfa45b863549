"""What kind of card a rater meets when: training, then matches with checks hidden among them.

Checks and repeats fall on one drawn place in every block of 1/share cards, whole ones: their number is sure, their
place is not to be foretold. A repeat whose place a check has taken comes on the next that is free. All of it depends on
the poll's secret, the rater and the question alone.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import count, islice, pairwise, repeat

from emu.desk.vote.poll import Poll
from emu.desk.vote.questions import CHECKS, MATCH, REPEAT, TRAINING


def slots(poll: Poll, rater: int, question: str) -> Iterator[str]:
    """The kinds of a rater's cards, from the first on, without end."""
    kinds = CHECKS[question]
    for number in range(poll.options.training):
        yield TRAINING + kinds[number % len(kinds)]
    checks = repeats = 0
    drawn = _drawn(poll, ("check", rater, question), poll.options.checks)
    for check, again in zip(drawn, _drawn(poll, ("repeat", rater, question), poll.options.repeats), strict=True):
        repeats += again
        if check:
            yield kinds[checks % len(kinds)]
            checks += 1
        elif repeats:
            yield REPEAT
            repeats -= 1
        else:
            yield MATCH


def slot(poll: Poll, rater: int, question: str, position: int) -> str:
    """The kind of the card at `position`, from 0."""
    return next(islice(slots(poll, rater, question), position, None))


def cards_for(poll: Poll, rater: int, question: str, *, matches: int, start: int) -> int:
    """How many cards it takes to show so many matches, from position `start` on."""
    if not matches:
        return 0
    for cards, kind in enumerate(islice(slots(poll, rater, question), start, None), start=1):
        matches -= kind == MATCH
        if not matches:
            return cards
    raise AssertionError("slots have no end")


def _drawn(poll: Poll, about: tuple[str, int, str], share: float) -> Iterator[bool]:
    """Place by place whether it is the drawn one of its block, without end."""
    exact = Fraction(share).limit_denominator(10_000)
    if not exact:
        yield from repeat(False)
    ends = (int(block / exact) for block in count())  # blocks of 2 and 3 cards where the share is 0.4
    for block, (start, end) in enumerate(pairwise(ends)):
        place = poll.number(*about, block) % (end - start)
        yield from (within == place for within in range(end - start))
