"""What the guards see of a run, and what they find: in its pictures and scores, and in the check that was kept."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emu.compare.attributes import claimed
from emu.compare.curated import CuratedSet, see
from emu.compare.judged import judge_of
from emu.compare.pairing import Pairing
from emu.compare.pictures import open_picture
from emu.compare.verdict import Attributes, Change
from emu.guards import Evidence, Finding, Side, not_measured, of_folders
from emu.guards.drift import moved, noted
from emu.guards.evidence import Numbers
from emu.guards.held_out import NAME as HELD_OUT
from emu.guards.looks import LAYOUT, colours

if TYPE_CHECKING:
    from emu.judges import Embedder


def look(pairing: Pairing, curated: CuratedSet, embedder: "Embedder | None") -> Evidence:
    """Both sides as the guards take them; every picture is decoded here once for all of them."""
    before, after = (_side(pairing, side, embedder) for side in (0, 1))
    return Evidence(
        prompts=pairing.prompts,
        before=before,
        after=after,
        groups=[pair.groups for pair in pairing.pairs],
        ties={name: judge_of(pairing, name)["tie"] for name in pairing.criteria},
        training=curated.training,
        without_training=curated.absent,
        features=LAYOUT if embedder is None else embedder.name,
    )


def findings(pairing: Pairing, seen: Evidence, attributes: Attributes | None) -> list[Finding]:
    """A finding for every number that is watched."""
    found = [finding for guard in of_folders() for finding in guard.findings(seen)]
    found = claimed(found, attributes) if attributes else found
    known = {finding.guard for finding in found}
    kept = [finding for finding in _of_the_check(pairing) if finding.guard not in known]
    if not any(finding.guard == HELD_OUT for finding in kept):
        kept.append(not_measured(HELD_OUT, "the run kept no held-out losses of this step"))
    return [*found, *kept]


def drift(seen: Evidence) -> dict[str, Change]:
    """Measure -> how colour and contrast moved over all pictures, whatever they show, paired by prompt and seed."""
    return {name: Change(**vars(change), noted=noted(name, change)) for name, change in moved(seen).items()}


def _of_the_check(pairing: Pairing) -> list[Finding]:
    """What the kept check found, by the guards of the run's config: held-out loss, and those of a user's own."""
    checks = [check for check in pairing.quality.checks if check.step == pairing.after_step]
    return [finding for check in checks for finding in check.guards]


def _side(pairing: Pairing, side: int, embedder: "Embedder | None") -> Side:
    files = [(pair.before, pair.after)[side] for pair in pairing.pairs]
    seen = [_look(file, embedder) for file in files]
    scores = {
        name: [pair.scores[name][side] if pair.judged_by(name) else math.nan for pair in pairing.pairs]
        for name in pairing.criteria
    }
    return Side(np.stack([one for one, _ in seen]), np.stack([one for _, one in seen]), scores, files=files)


def _look(file: Path, embedder: "Embedder | None") -> tuple[Numbers, Numbers]:
    picture = open_picture(file)
    return colours(np.asarray(picture)), see(picture, embedder)
