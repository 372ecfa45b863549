"""Guards: what quality-tuning is known to break, each a number with an interval, a threshold and a sentence.

One file a guard; a user's own is one too: a subclass of `Guard`, named in the config of a run.
"""

from collections.abc import Mapping, Sequence

from emu.errors import UserError
from emu.guards.diversity import Diversity
from emu.guards.drift import Drift
from emu.guards.evidence import Evidence, Side, Training
from emu.guards.finding import Finding, not_measured
from emu.guards.generality import Generality
from emu.guards.guard import Guard
from emu.guards.held_out import HeldOut
from emu.guards.memorisation import Memorisation

__all__ = [
    "Diversity",
    "Drift",
    "Evidence",
    "Finding",
    "Generality",
    "Guard",
    "HeldOut",
    "Memorisation",
    "Side",
    "Training",
    "at_a_check",
    "not_measured",
    "of_folders",
]

AT_A_CHECK: dict[str, type[Drift | Diversity | HeldOut]] = {
    "drift": Drift,
    "diversity": Diversity,
    "held_out": HeldOut,
}
AFTERWARDS = ("memorisation", "generality")  # named in configs of earlier versions; a run reads neither


def at_a_check(given: Sequence[Guard] | Mapping[str, float] | None = None) -> list[Guard]:
    """What a run reads at every check: the cheap guards, and those given, each in place of one of its own class.

    Args:
        given: guards, or the thresholds of cheap ones by name, such as {"drift": 0.3}. UserError: no such name.
    """
    if isinstance(given, Mapping):
        for name in given.keys() - {*AT_A_CHECK, *AFTERWARDS}:
            raise UserError(f"quality.guards.{name}: no such guard; there are {', '.join(AT_A_CHECK)}")
        given = [AT_A_CHECK[name](threshold) for name, threshold in given.items() if name in AT_A_CHECK]
    own = list(given or ())
    for guard in own:
        guard.require()
    return [*(kind() for kind in AT_A_CHECK.values() if not any(type(one) is kind for one in own)), *own]


def of_folders() -> list[Guard]:
    """Those that the pictures, scores and training pictures on disk are enough for."""
    return [Generality(), Diversity(), Memorisation(), Drift()]
