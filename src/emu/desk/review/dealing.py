"""Who looks at what: pictures fill evenly, nobody meets one twice, and an answer is taken once.

Pictures that others have begun come first, so that they are decided soon; then those that `emu taste` finds likely, or
all in a shuffled order.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from emu.data.sources.entry import LONGEST_CAPTION
from emu.desk import deck
from emu.desk.dealing import Presence, Share
from emu.desk.deck import Card, Status
from emu.desk.review.pictures import Candidate
from emu.desk.review.plan import GRID, LONGEST_REASON, Pass
from emu.desk.review.standing import CAPTION, REJECT, Standing, choices, standing
from emu.desk.review.study import Review
from emu.desk.review.tables import DECK, looks
from emu.errors import UserError

AHEAD = {GRID: 96}  # looks open at a time, of which the page shows some
AHEAD_SINGLE = 12
LONGEST = {"reason": LONGEST_REASON, "text": LONGEST_CAPTION}  # characters of what an answer says


@dataclass(frozen=True, kw_only=True)
class Answer(deck.Answer):
    """What a rater says of a look at its turn; `text` is the caption."""

    text: str = ""


@dataclass(frozen=True)
class Filter:
    """Which pictures a rater wants to see next: of a concept, with a score in [low, high]; empty for any.

    Where an arbiter settles what raters differ on, also those that one rater rejected, by number; 0 for any.
    """

    concept: str = ""
    score: str = ""
    low: float = float("-inf")
    high: float = float("inf")
    rater: int = 0

    def lets(self, picture: Candidate) -> bool:
        if self.concept and picture.concept != self.concept:
            return False
        return not self.score or self.low <= picture.scores.get(self.score, float("nan")) <= self.high


@dataclass(frozen=True)
class Hand:
    """The looks that a rater has open, the next one first, and how far the pass is.

    Args:
        answered: by this rater, in the order in which they were given.
        left: pictures that this rater may still be given, those that are open among them.
    """

    open: list[Card]
    answered: list[Card]
    left: int


def deal(
    review: Review, connection: Connection, rater: int, one: Pass, presence: Presence, *, chosen: Filter, ruling: bool
) -> Hand:
    """Top up a rater's open looks, inside a writing transaction; what the filter does not let is given back."""
    share = Share(DECK, connection, rater, {"pass": one.name, "ruling": ruling})
    stands = standing(review, connection)
    free = stands.disputed(one) if ruling else _free(stands, share, one, presence)
    theirs = _rejected_by(connection, one, chosen.rater) if ruling and chosen.rater else None
    wanted = dict.fromkeys(
        key for key in free if chosen.lets(review.pictures[key]) and (theirs is None or key in theirs)
    )
    share.give_back(look for look in share.open if look.picture not in wanted)
    met = {look.picture for look in share.mine}
    fresh = [key for key in wanted if key not in met]
    dealt = fresh[: max(0, AHEAD.get(one.page, AHEAD_SINGLE) - len(share.open))]
    share.give([{"picture": key, "reason": "", "text": ""} for key in dealt])
    return Hand(share.open, share.answered, len(share.open) + len(fresh) - len(dealt))


def store(connection: Connection, rater: int, one: Pass, given: Answer) -> Status:
    """Take a look's turn, inside a writing transaction. UserError for an answer that the pass does not take."""
    if given.choice not in choices(one) or (given.choice == CAPTION and not given.text.strip()):
        raise UserError(f"{given.choice}: no answer of this pass")
    look = DECK.find(connection, rater, given.id)
    if look is None or look._mapping["pass"] != one.name:
        return "unknown"
    return DECK.take(connection, look, given, fits=not _settled(connection, look))


def _settled(connection: Connection, look: Card) -> bool:
    """Whether another arbiter has settled what this one was dealt to settle: the first word stands."""
    same = (looks.c["pass"] == look._mapping["pass"]) & (looks.c.picture == look.picture) & looks.c.ruling
    theirs = same & (looks.c.rater != look.rater) & looks.c.choice.is_not(None)
    return look.ruling and connection.execute(select(looks.c.id).where(theirs)).first() is not None


def _free(stands: Standing, share: Share, one: Pass, presence: Presence) -> Iterable[str]:
    """The pictures that want this rater's look, in the order in which they are given out."""
    taken = share.held("picture", presence)
    wanting = [
        key
        for key in stands.entering(one.name)
        if stands.of(one, key).ruling is None and taken[key] < stands.wanted(one, key)
    ]
    return sorted(wanting, key=lambda key: (-taken[key], stands.review.ranks[key]))


def _rejected_by(connection: Connection, one: Pass, rater: int) -> set[str]:
    rejected = (looks.c["pass"] == one.name) & looks.c.ruling.is_(False) & (looks.c.choice == REJECT)
    return set(connection.execute(select(looks.c.picture).where(rejected & (looks.c.rater == rater))).scalars())
