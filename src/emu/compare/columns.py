"""Who judged what: the columns of `scores.jsonl`, and the judges that `quality.json` names for them.

A criterion's own column ("appeal") is by the judge that scored first, as a rule the one that watched the tuning. Every
further judge has a column of its own, "appeal by NAME HASH", so that no score ever changes its judge.
"""

import hashlib
import json
from collections.abc import Collection

from emu.layouts.quality_json import Quality
from emu.storage.shapes import Card

BY = " by "


def columns(quality: Quality, criterion: str) -> list[str]:
    """The columns of a criterion whose judge is known, the headline's first."""
    first = quality.headline.get(criterion, criterion)
    own = [name for name in quality.judges if criterion_of(name) == criterion]
    return sorted(own, key=lambda name: name != first)


def column_of(
    card: Card, criterion: str, quality: Quality, *, begun: Collection[str], complete: Collection[str]
) -> str:
    """Where the judge of this card has its scores, or shall have them.

    `begun` are the columns that hold any score, `complete` those that hold every one. A complete column is a judge's
    own where all that both cards tell is the same, though a library has another version now, or a card tells more;
    any other column is so only where the cards are the same, so that scores of two versions never mix in one.
    """
    judges = quality.judges
    for name in columns(quality, criterion):
        if judges[name] == card or (name in complete and same_judge(judges[name], card)):
            return name
    if criterion not in judges and criterion not in begun:
        return criterion
    digest = hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()
    return f"{criterion}{BY}{card['name']} {digest[:8]}"


def criterion_of(column: str) -> str:
    """`appeal by pick-score 0f3a99c1` -> appeal."""
    return column.partition(BY)[0]


def same_judge(first: Card, second: Card) -> bool:
    """Whether two cards tell the same, of what both tell, libraries' versions apart."""
    known = dict(second)
    return all(value == known[key] for key, value in first.items() if key in known and key != "versions")
