"""Attributes: what a reader sees in the pictures, against what their prompts ask for, before and after.

What a prompt asks for stands in the prompt file: `{"prompt": "a red boat at noon", "kind": "boat", "colour": "red"}`.
For every attribute that the reader names and the file has a column of, the share of pictures in which the two are the
same says what a model draws at all; a judge's score does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from emu.compare.pairing import Pair, Pairing
from emu.compare.pictures import open_picture
from emu.compare.verdict import Attribute, Attributes, AttributeValue, ReadShare
from emu.guards import Finding, not_measured
from emu.guards.generality import NAME as GENERALITY
from emu.statistics import net_rate

if TYPE_CHECKING:
    from torch import Tensor

DRAWN = 50.0  # percent: an attribute that is read in fewer pictures of a model is not one that it draws


@runtime_checkable
class AttributeReader(Protocol):
    """What reads attributes in pictures, such as `emu.judges.world.WorldFaithfulness`."""

    def read(self, images: "Sequence[Tensor]") -> Sequence[Mapping[str, str]]:
        """Pictures, float (3,h,w) in [0,1] each -> of each, attribute -> the value that is read in it."""

    def describe(self) -> Mapping[str, str | float]:
        """What a reader of the verdict needs to trust or repeat it: weights, versions, accuracy."""


@dataclass(frozen=True)
class _Asked:
    """A pair whose prompt asks for a value, and whether that is read in its two pictures."""

    pair: Pair
    value: str
    before: bool
    after: bool


def read_attributes(pairing: Pairing, reader: AttributeReader) -> Attributes:
    """What is read in the pictures of all pairs; nothing where the prompt file has no columns of the reader's names."""
    asked: dict[str, list[_Asked]] = {}
    for pair in pairing.pairs:
        before, after = _read(pair.before, reader), _read(pair.after, reader)
        for name in [name for name in before if pair.columns.get(name)]:
            value = pair.columns[name]
            asked.setdefault(name, []).append(_Asked(pair, value, before[name] == value, after.get(name) == value))
    return Attributes(dict(reader.describe()), {name: _attribute(found) for name, found in asked.items()})


def claimed(findings: Sequence[Finding], attributes: Attributes) -> list[Finding]:
    """The findings, without a claim of generality where the base does not draw what its prompts ask for.

    Faithfulness cannot fall where nothing was drawn: that it has not is then no finding. A fall is one all the same.
    """
    absent = {name: one.before for name, one in attributes.read.items() if one.before < DRAWN}
    if not absent:
        return list(findings)
    shares = " and ".join(f"{name} in {share:.1f} %" for name, share in absent.items())
    nothing = not_measured(GENERALITY, f"the base does not draw what prompts ask for ({shares} of its pictures)")
    return [
        replace(nothing, parts=one.parts) if one.guard == GENERALITY and one.state in ("held", "unsure") else one
        for one in findings
    ]


def _read(path: Path, reader: AttributeReader) -> Mapping[str, str]:
    import torch

    pixels = torch.from_numpy(np.array(open_picture(path))).permute(2, 0, 1).float() / 255
    return reader.read([pixels])[0]


def _attribute(asked: Sequence[_Asked]) -> Attribute:
    groups: dict[str, list[_Asked]] = {}
    values: dict[str, list[_Asked]] = {}
    for one in asked:
        values.setdefault(one.value, []).append(one)
        for group in one.pair.groups.values():
            groups.setdefault(group, []).append(one)
    return Attribute(
        **vars(_share(asked)),
        groups={group: _share(some) for group, some in sorted(groups.items())},
        values={value: _value(some) for value, some in sorted(values.items())},
    )


def _value(asked: Sequence[_Asked]) -> AttributeValue:
    groups = {group for one in asked for group in one.pair.groups.values()}
    return AttributeValue(**vars(_share(asked)), groups=sorted(groups))


def _share(asked: Sequence[_Asked]) -> ReadShare:
    before, after = [float(one.before) for one in asked], [float(one.after) for one in asked]
    prompts = [one.pair.prompt for one in asked]
    net = net_rate(before, after, tie=0, prompts=prompts)  # an interval that has a width where nothing changed too
    shares = [100 * float(np.mean(side)) for side in (before, after)]
    return ReadShare(len(set(prompts)), shares[0], shares[1], net.net, net.ci95)
