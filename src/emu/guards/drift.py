"""Drift: how colour and contrast moved over all pictures, regardless of what they show.

Tuning is known to do this beyond what a prompt asks for, noise offset above all; a judge of appeal may like it.
"""

from dataclasses import dataclass

from emu.guards.evidence import Evidence
from emu.guards.finding import Finding, not_measured
from emu.guards.guard import Guard
from emu.guards.looks import COLOURS
from emu.statistics import MeanDifference, mean_difference

ANY = (-1.0, 1.0)  # the interval of one prompt, which says nothing of all pictures
NOTED = 0.05  # of the whole range: a change visible side by side
WORDS = {  # measure -> what more of it is called, and less of it
    "brightness": ("brighter", "darker"),
    "contrast": ("richer in contrast", "flatter"),
    "saturation": ("more colourful", "paler"),
}


@dataclass(frozen=True)
class Drift(Guard):
    """Broken where a mean moved by more than `threshold` of the whole range, up or down.

    A curated set of clear light moved the demo's hazy bases by 0.17 at most (docs/compare.md); no taste asks for a
    quarter of the whole range.
    """

    threshold: float = 0.25
    kind, unit = "within", "of the whole range"

    def __call__(self, evidence: Evidence) -> list[Finding]:
        if evidence.before.colours is None or evidence.after.colours is None:
            return [not_measured("drift", "nobody has looked at the pictures")]
        findings = []
        for name, move in moved(evidence).items():
            seen = noted(name, move)
            sentence = f"all pictures are {seen} than before" if seen else f"{name} stayed where one would not notice"
            findings.append(self.found(f"drift of {name}", sentence, move.difference, move.ci95 or ANY))
        return findings


def moved(evidence: Evidence) -> dict[str, MeanDifference]:
    """measure -> its means on both sides and their difference, paired by prompt and seed; needs colours."""
    before, after = evidence.before.colours, evidence.after.colours
    assert before is not None
    assert after is not None
    sides = before.astype(float).T.tolist(), after.astype(float).T.tolist()
    return {name: mean_difference(sides[0][i], sides[1][i], prompts=evidence.prompts) for i, name in enumerate(COLOURS)}


def noted(measure: str, move: MeanDifference) -> str | None:
    """A word for a difference above NOTED whose interval excludes no change."""
    more, less = WORDS[measure]
    sure = move.ci95 is not None and (move.ci95[0] > 0 or move.ci95[1] < 0)
    return (more if move.difference > 0 else less) if sure and abs(move.difference) > NOTED else None
