"""What pictures still wait for, in words: who reviews sees why a picture has not come to the end yet."""

from collections.abc import Iterable, Mapping
from typing import Any

from emu.desk.review.plan import CAPTIONS


def words(missing: Mapping[int, int], page: str) -> str:
    """`300 wait for 1 look, 12 for 2 looks`: pictures of a pass by how much they wait for; empty where none does."""
    thing = "caption" if page == CAPTIONS else "look"
    told = [f"for {looks} {thing}{'s' if looks > 1 else ''}" for looks in sorted(missing)]
    numbers = [f"{missing[looks]:,}{'' if at else ' wait'}" for at, looks in enumerate(sorted(missing))]
    return ", ".join(f"{number} {what}" for number, what in zip(numbers, told, strict=True))


def by_pass(passes: Iterable[Mapping[str, Any]]) -> str:
    """The same of all passes: `generalists: 9 wait for 1 look; captions: ...`.

    Args:
        passes: as `results` has them.
    """
    waiting = [(one["name"], words(one["waiting"], one["page"])) for one in passes]
    return "; ".join(f"{name}: {told}" for name, told in waiting if told)
