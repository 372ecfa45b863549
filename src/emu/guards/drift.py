"""Drift: how colour and contrast moved over all pictures, whatever they show.

Tuning is known to do this beyond what a prompt asks for, noise offset above all; a judge of appeal may like it.
"""

from dataclasses import dataclass

from emu.guards.evidence import Evidence
from emu.guards.finding import Finding, not_measured, within
from emu.guards.looks import COLOURS
from emu.statistics import MeanDifference, mean_difference

NOTED = 0.05  # of the whole range: a change that one sees in pictures side by side
WORDS = {  # measure -> what more of it is called, and less of it
    "brightness": ("brighter", "darker"),
    "contrast": ("richer in contrast", "flatter"),
    "saturation": ("more colourful", "paler"),
}


@dataclass(frozen=True)
class Drift:
    """Broken where a mean moved by more than `threshold` of the whole range, up or down."""

    threshold: float

    def __call__(self, evidence: Evidence) -> list[Finding]:
        if evidence.before.colours is None or evidence.after.colours is None:
            return [not_measured("drift", "nobody has looked at the pictures")]
        return [self._finding(name, told) for name, told in moved(evidence).items()]

    def _finding(self, name: str, told: MeanDifference) -> Finding:
        found = noted(name, told)
        return Finding(
            guard=f"drift of {name}",
            sentence=f"all pictures are {found} than before" if found else f"{name} stayed where one would not notice",
            state=within(told.ci95, self.threshold),
            value=told.difference,
            ci95=told.ci95,
            threshold=self.threshold,
            unit="of the whole range, either way",
        )


def moved(evidence: Evidence) -> dict[str, MeanDifference]:
    """measure -> its means on both sides and their difference, paired by prompt and seed; needs colours."""
    before, after = evidence.before.colours, evidence.after.colours
    assert before is not None
    assert after is not None
    sides = before.astype(float).T.tolist(), after.astype(float).T.tolist()
    return {name: mean_difference(sides[0][i], sides[1][i], prompts=evidence.prompts) for i, name in enumerate(COLOURS)}


def noted(measure: str, told: MeanDifference) -> str | None:
    """A word for a difference above NOTED whose interval excludes no change."""
    more, less = WORDS[measure]
    sure = told.ci95[0] > 0 or told.ci95[1] < 0
    return (more if told.difference > 0 else less) if sure and abs(told.difference) > NOTED else None
