"""The two pictures of a card: of a match its own, of a check one picture and what it is held against."""

from collections.abc import Hashable

from PIL import Image

from emu.compare.pictures import open_picture
from emu.desk.deck import Card
from emu.desk.pictures import Pictures, Sides, degrade
from emu.desk.vote.matches import Match
from emu.desk.vote.poll import Poll
from emu.desk.vote.questions import DEGRADED, FOREIGN, IDENTICAL, MATCH, REPEAT, kind_of_check


class CardPictures:
    """Encoded pictures by card; raters who look at one match share them."""

    def __init__(self, poll: Poll) -> None:
        self.poll = poll
        self.pictures = Pictures(self.draw)

    def sides(self, card: Card) -> Sides:
        """PNG files of what is shown as A and as B."""
        kind = MATCH if card.kind == REPEAT else kind_of_check(card.kind)
        first, second = self.pictures.sides((kind, card.pair))
        return (second, first) if card.swapped else (first, second)

    def draw(self, key: Hashable) -> tuple[Image.Image, Image.Image]:
        """(kind, match) -> its pictures, not swapped."""
        assert isinstance(key, tuple)
        kind, match = key[0], self.poll.matches[key[1]]
        one = (match.first, match.second)[self.poll.number("source", kind, match.key) & 1]
        if kind == IDENTICAL:
            picture = open_picture(one)
            return picture, picture
        if kind == DEGRADED:
            picture = open_picture(one)
            return picture, degrade(picture)
        if kind == FOREIGN:
            return open_picture(match.second), open_picture(foreign_to(self.poll, match).second)
        return open_picture(match.first), open_picture(match.second)


def foreign_to(poll: Poll, match: Match) -> Match:
    """The match whose prompt shares the fewest words with this one's."""
    words = set(match.prompt.lower().split())
    others = [other for other in poll.matches.values() if other.prompt != match.prompt]
    return min(
        others,
        key=lambda other: (
            len(words & set(other.prompt.lower().split())), poll.number(FOREIGN, match.key, other.key)
        ),
    )  # fmt: skip
