"""Guards: what quality-tuning is known to break, each a number with an interval, a threshold and a sentence."""

from emu.guards.diversity import Diversity
from emu.guards.drift import Drift
from emu.guards.evidence import Evidence, Guard, Side, Training
from emu.guards.finding import Finding
from emu.guards.generality import Generality
from emu.guards.held_out import HeldOut
from emu.guards.memorisation import Memorisation
from emu.guards.thresholds import Thresholds

__all__ = ["Evidence", "Finding", "Guard", "Side", "Thresholds", "Training", "at_a_check", "of_folders"]


def at_a_check(thresholds: Thresholds) -> list[Guard]:
    """The cheap ones, which a run reads at every check."""
    return [Drift(thresholds.drift), Diversity(thresholds.diversity), HeldOut(thresholds.held_out)]


def of_folders(thresholds: Thresholds) -> list[Guard]:
    """Those that the pictures, scores and training pictures on disk are enough for."""
    return [
        Generality(thresholds.generality),
        Diversity(thresholds.diversity),
        Memorisation(thresholds.memorisation),
        Drift(thresholds.drift),
    ]
