"""Many questions at once: p-values and levels that keep the chance of one false alarm among all of them."""

from collections.abc import Sequence


def corrected(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down: below 0.05 with a chance of at most 5 % that any of them is a false alarm.

    Holm 1979, Scand. J. Statist. 6(2); it needs no independence, which categories that share prompts do not have.
    """
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests  # brings pandas: no run should wait for it at its start

    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def simultaneous_level(questions: int, *, level: float = 0.95) -> float:
    """The level of each of so many intervals at which all of them hold at once with `level` (Bonferroni)."""
    return 1 - (1 - level) / max(1, questions)
