"""Which pictures are held out and which are trained on: what shows one picture stays on one side."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from emu.data.keys import Digests
from emu.data.pictures import Opener
from emu.data.sources.openers import end, length
from emu.data.survey import Picture
from emu.errors import UserError
from emu.terminal.counted import many


def parted(
    pictures: Sequence[Picture], *, root: str, held_out: int, num_pictures: int, seed: int
) -> tuple[list[Picture], list[Picture]]:
    """(to train on, `num_pictures` or 0 for all; held out), each in the order of the set. UserError: too few."""
    found = many(len(pictures), "picture")
    if held_out >= len(pictures):
        raise UserError(f"data.root {root}: {found}, none left to train on beside data.held_out {held_out:,}")
    if held_out + num_pictures > len(pictures):
        raise UserError(
            f"data.root {root}: {found}, fewer than data.num_pictures {num_pictures:,} and "
            f"data.held_out {held_out:,} together"
        )
    groups = alike(pictures) if held_out else [[i] for i in range(len(pictures))]
    kept, rest = split(groups, held_out=held_out, seed=seed)
    if not rest:
        raise UserError(f"data.root {root}: all of it shows one picture, which cannot be held out and trained on")
    trained = rest[: num_pictures or None]
    return [pictures[i] for i in sorted(trained)], [pictures[i] for i in sorted(kept)]


def alike(pictures: Sequence[Picture]) -> list[list[int]]:
    """Indices of the pictures, those of one content together, in the order of the first of each.

    A file's end is read only where another one has its size, and all of it only where that has its end too.
    """
    openers = [picture.entry.open for picture in pictures]
    groups = [list(range(len(pictures)))]
    for look in (length, end, Digests()):
        groups = [group for together in groups for group in _apart(together, openers, look)]
    return sorted(groups)


def _apart(together: list[int], openers: Sequence[Opener], look: Callable[[Opener], object]) -> list[list[int]]:
    if len(together) == 1:
        return [together]
    groups: dict[object, list[int]] = {}
    for i in together:
        groups.setdefault(look(openers[i]), []).append(i)
    return list(groups.values())


def split(groups: Sequence[Sequence[int]], *, held_out: int, seed: int) -> tuple[list[int], list[int]]:
    """(held out, the rest in the order in which they would be drawn), of groups that stay together.

    As many as asked for, or a few less where no group fits any more; one group at least.
    """
    order = [groups[i] for i in np.random.default_rng([seed, 2]).permutation(len(groups))]
    chosen: list[int] = []
    rest: list[Sequence[int]] = []
    for group in order:
        if len(chosen) + len(group) <= held_out:
            chosen += group
        else:
            rest.append(group)
    if held_out and not chosen:
        chosen = list(rest.pop(rest.index(min(rest, key=len))))
    return chosen, list(_flat(rest))


def _flat(groups: Iterable[Sequence[int]]) -> Iterable[int]:
    return (i for group in groups for i in group)
