"""What is compared, row by row, and which rows fail.

Two kinds. Laws hold of every trained model and need nothing stored: its loss is below that of a network that answers
zeros, below its own with the sign turned, and below that with the captions of other pictures. The rest holds a model
against what is stored of it, with what a tolerance allows.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from emu.check.measure import Measured, Pixels
from emu.check.prints import apart

THIRDS = {"early": slice(0, 3), "middle": slice(3, 5), "late": slice(5, 8)}  # of the times
HAIR = 0.005  # of a ratio of losses; bfloat16 moved those of untrained networks by at most 0.0017
TURNED, SHUFFLED = "loss / with the sign turned", "loss / with captions of others"


@dataclass(frozen=True)
class Tolerance:
    """What may differ at most, relative but for the picture; docs/check.md has what was measured.

    Args:
        why: for readers.
        link: of a print.
        loss: of a mean over a third of the times.
        picture: mean difference in 8-bit levels; None where a last bit may decide what is drawn.
        weights: of the size of each tensor.
    """

    why: str
    link: float
    loss: float
    picture: float | None
    weights: float = 0.05


EXACT = Tolerance("the same weights, precision and kind of device", link=2e-3, loss=1e-3, picture=2.0)
ROUNDED = Tolerance("other weights, precision or device, so rounded otherwise", link=0.25, loss=0.05, picture=None)


@dataclass(frozen=True)
class Row:
    """One comparison, as a table shows it, and whether it fails."""

    what: str
    stored: str
    now: str
    apart: str
    allowed: str
    fails: bool


def tolerance_of(now: Measured, stored: Measured) -> Tolerance:
    """How near two measurements of one model should be."""
    hashes = [{name: part.sha256 for name, part in one.parts.items()} for one in (now, stored)]
    same = hashes[0] == hashes[1] and (now.precision, now.device) == (stored.precision, stored.device)
    return EXACT if same else ROUNDED


def laws(measured: Measured, *, below: float = 1.0) -> list[Row]:
    """What holds of any trained model: ratios of losses, which fail where they are not `below` that."""
    own, shuffled, zero, turned = (np.array(measured.losses[kind]) for kind in ("own", "shuffled", "zero", "turned"))
    ratios = {
        f"{third} loss / with zeros for answers": own[at].mean() / zero[at].mean() for third, at in THIRDS.items()
    }
    ratios |= {TURNED: own.mean() / turned.mean(), SHUFFLED: own.mean() / shuffled.mean()}
    # "not below", so that what is no number fails
    return [Row(what, "", f"{ratio:.3f}", "", f"below {below:g}", not ratio < below) for what, ratio in ratios.items()]


def held_against(now: Measured, stored: Measured, pictures: tuple[Pixels, Pixels]) -> list[Row]:
    """A model against what is stored of it, link by link in the order in which they depend on each other.

    `pictures`: the first one, now and stored, uint8 (h,w,3).
    """
    allowed = tolerance_of(now, stored)
    rows = [_row(link, ("", ""), far, allowed.link) for link, far in distances(now, stored).items()]
    for third, at in THIRDS.items():
        before, loss = (float(np.mean(one.losses["own"][at])) for one in (stored, now))
        rows.append(_row(f"{third} loss", (f"{before:.4g}", f"{loss:.4g}"), abs(loss / before - 1), allowed.loss))
    for name in (name for name, part in stored.parts.items() if part.sha256):
        hashes = (stored.parts[name].sha256[:8], now.parts[name].sha256[:8] if name in now.parts else "none")
        farthest = max((far for _, far in changed_tensors(name, now, stored)), default=0.0)
        rows.append(_row(f"weights of {name}", hashes, farthest, allowed.weights))
    return [*rows, _picture(*pictures, allowed.picture)]


def distances(now: Measured, stored: Measured) -> dict[str, float]:
    """Link -> how far apart its prints are, at the time where they are farthest."""
    found = {}
    for link, prints in stored.links.items():
        others = now.links.get(link, [])
        if any(prints) or any(others):
            found[link] = max(map(apart, others, prints)) if len(others) == len(prints) else math.inf
    return found


def changed_tensors(name: str, now: Measured, stored: Measured) -> Iterator[tuple[str, float]]:
    """Tensors of a part whose sizes differ, and by how much of the stored size; infinite where one has no such."""
    if name in now.parts and now.parts[name].sha256 == stored.parts[name].sha256:
        return
    sizes, before = (one.parts[name].sizes if name in one.parts else {} for one in (now, stored))
    for tensor, was in before.items():
        size = sizes.get(_as_named_in(sizes, tensor), math.inf)
        if size != was:
            yield tensor, abs(size - was) / was if was else math.inf
    yield from ((tensor, math.inf) for tensor in sizes if _as_named_in(before, tensor) not in before)


def _as_named_in(sizes: Mapping[str, float], tensor: str) -> str:
    """The name that another version of a library has for a tensor: it may begin later in the path, or earlier."""
    if tensor in sizes:
        return tensor
    return next((name for name in sizes if name.endswith(f".{tensor}") or tensor.endswith(f".{name}")), "")


def _row(what: str, values: tuple[str, str], far: float, allowed: float) -> Row:
    return Row(what, *values, f"{far:.2%}", f"{allowed:.1%}", not far <= allowed)


def _picture(now: Pixels, stored: Pixels, allowed: float | None) -> Row:
    if now.shape != stored.shape:
        return Row("first picture", f"{stored.shape}", f"{now.shape}", "", "", True)
    levels = float(np.abs(now.astype(int) - stored.astype(int)).mean())
    limit = "look at it" if allowed is None else f"{allowed:g} levels"
    return Row("first picture", "", "", f"{levels:.1f} levels", limit, allowed is not None and levels > allowed)
