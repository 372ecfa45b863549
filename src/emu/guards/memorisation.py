"""Memorisation: whether tuned pictures are copies of training pictures.

Tuning is meant to bring pictures nearer to the curated set. A copy is nearer than training pictures are to each other:
nearer than the nearest neighbours of all but one in a hundred of them. What counts is how many more such there are than
the base drew from the same prompts and seeds.
"""

from dataclasses import dataclass

import numpy as np

from emu.guards.evidence import Evidence, Numbers, Training
from emu.guards.finding import Finding, Part, not_measured
from emu.guards.guard import Guard
from emu.guards.looks import distances
from emu.statistics import net_rate

NAME = "memorisation"
NEAR = 0.01  # the share of training pictures that have a neighbour nearer than a copy is
SHOWN = 6
AT_ONCE = 512
ALIKE = 1e-4  # a distance of one picture to itself, rounding allowed for


@dataclass(frozen=True)
class Memorisation(Guard):
    """Broken where the share of copies grew by more than `threshold` percentage points."""

    threshold: float = 5.0
    kind, unit = "at_most", "points more copies"

    def __call__(self, evidence: Evidence) -> list[Finding]:
        training, before, after = evidence.training, evidence.before.features, evidence.after.features
        if training is None:
            return [not_measured(NAME, evidence.without_training)]
        if before is None or after is None:
            return [not_measured(NAME, "nobody has looked at the pictures")]
        if len(training.names) < 2:
            return [not_measured(NAME, "one training picture has no neighbour to compare with")]
        (was, _), (now, which) = (nearest(side, training.features) for side in (before, after))
        limit = copy_distance(training.features)
        if limit is None:
            return [not_measured(NAME, "all training pictures are alike, so that none tells how near a copy is")]
        copies = [(apart < limit).astype(float).tolist() for apart in (was, now)]
        more = net_rate(*copies, tie=0, prompts=evidence.prompts)  # not a mean's: of no copies at all it has a width
        sentence = (
            f"{100 * np.mean(copies[1]):.1f} % of the pictures are as near to a training picture as a copy, "
            f"{100 * np.mean(copies[0]):.1f} % before; "
            f"the typical distance to the nearest went from {np.median(was):.3g} to {np.median(now):.3g}"
        )
        worst = np.argsort(now, kind="stable")[:SHOWN].tolist()
        files = {i: evidence.after.files[i].name for i in worst} if evidence.after.files else {}
        parts = [
            nearest_part(i, files.get(i), int(which[i]), training, (float(was[i]), float(now[i])), limit=limit)
            for i in worst
        ]
        return [self.found(NAME, sentence, more.net, more.ci95, parts=parts)]


def nearest_part(
    pair: int, file: str | None, row: int, training: Training, distances: tuple[float, float], *, limit: float
) -> Part:
    """A picture and the training picture that it is nearest to, with the distances before and after."""
    return {
        "pair": pair,
        "file": file,
        "training": training.names[row],
        "row": row,
        "distance": distances[1],
        "before": distances[0],
        "copied": distances[1] < limit,
    }


def nearest(pictures: Numbers, training: Numbers) -> tuple[Numbers, Numbers]:
    """For each picture (n,d) the distance to its nearest training picture (t,d), and the row of that: (n,) twice."""
    parts = [distances(pictures[i : i + AT_ONCE], training) for i in range(0, len(pictures), AT_ONCE)]
    return np.concatenate([part.min(1) for part in parts]), np.concatenate([part.argmin(1) for part in parts])


def copy_distance(training: Numbers) -> float | None:
    """Below it a picture counts as a copy: of training pictures (t,d), all but NEAR have no such near neighbour.

    A training picture that is there twice is no neighbour of itself: it would make every distance larger than a copy's.
    None where no two are different.
    """
    found = []
    for start in range(0, len(training), AT_ONCE):
        part = distances(training[start : start + AT_ONCE], training)
        found.append(np.where(part > ALIKE, part, np.inf).min(1))
    near = np.concatenate(found)
    return float(np.quantile(near, NEAR)) if np.isfinite(near).all() else None
