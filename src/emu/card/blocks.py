"""What a card is made of, before it is Markdown or HTML: sections of sentences, tables and pictures.

A `Quoted` text comes from a source or from people and is never read as markup; all other texts are the card's own.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Quoted:
    """A text that somebody else wrote, as it stands."""

    text: str


Cell = str | Quoted


@dataclass(frozen=True)
class Table:
    """Columns under their heads; `number` says how many of the last columns are figures."""

    heads: Sequence[Cell]
    rows: list[list[Cell]]
    number: int = 0


@dataclass(frozen=True)
class Verbatim:
    """Lines of somebody else's in a block of their own: a guideline, a config."""

    title: str
    text: str


@dataclass(frozen=True)
class Pictures:
    """Files of the folder with their captions."""

    files: list[tuple[str, str]]


Block = str | Table | Verbatim | Pictures


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Card:
    """All of a card.

    Args:
        title: of the data set.
        lead: in one sentence.
        front: the YAML front matter of a Hub dataset card, as keys and values; unknown keys are not there.
        unknown: what of the front matter is not known, a comment in it.
    """

    title: Quoted
    lead: str
    sections: list[Section]
    front: dict[str, object]
    unknown: list[str]


def share(part: int, whole: int) -> str:
    """`12.5 %`, and a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def counted(head: Cell, noun: str, counts: Counter[str], *, most: int | None = None) -> Table:
    """How often each of others' texts occurs and its share of all, the commonest first."""
    rows: list[list[Cell]] = [
        [Quoted(text), f"{n:,}", share(n, counts.total())] for text, n in counts.most_common(most)
    ]
    return Table([head, noun, "Share"], rows, number=2)
