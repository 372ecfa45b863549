"""Which pictures are held out and which are trained on: what shows one picture stays on one side."""

from collections.abc import Iterable, Sequence

import numpy as np

from emu.data.keys import Digests
from emu.data.sources.openers import length
from emu.data.survey import Picture


def alike(pictures: Sequence[Picture]) -> list[list[int]]:
    """Indices of the pictures, those of one content together, in the order of the first of each.

    A file is read only where another one has its size.
    """
    sizes: dict[tuple[int, int, int], list[int]] = {}
    for i, picture in enumerate(pictures):
        sizes.setdefault((length(picture.entry.open), picture.height, picture.width), []).append(i)
    digests, groups = Digests(), dict[tuple[object, ...], list[int]]()
    for size, together in sizes.items():
        for i in together:
            content = digests(pictures[i].entry.open) if len(together) > 1 else ""
            groups.setdefault((*size, content), []).append(i)
    return sorted(groups.values())


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
