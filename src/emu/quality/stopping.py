"""When quality-tuning has gone far enough: the stop rule, apart from the loop that it stops.

Quality-tuning is over long before the loss is (Dai et al. 2023, arXiv 2309.15807, section 3.4), so the rule reads
paired verdicts against step 0 and never the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from emu.guards import Finding
from emu.layouts.quality_json import Check


@dataclass(frozen=True)
class StopRule:
    """Stop when appeal no longer rises, faithfulness has fallen for sure, a guard is broken, or at `max_steps`.

    Args:
        patience: stop after so many checks in a row without a new best appeal win rate.
        margin: stop when faithfulness (win - lose, percentage points) is below -margin with its whole 95 % interval.
        min_steps: before this step only `max_steps` stops.
        max_steps: optimizer steps at most.
    """

    patience: int = 3
    margin: float = 2.0
    min_steps: int = 0
    max_steps: int = 15_000

    def best(self, checks: Sequence[Check]) -> Check | None:
        """The first check of the highest appeal win rate, above 0, among those that kept faithfulness and guards.

        Without an appeal judge the latest such check; None where there is none.
        """
        kept = [check for check in checks if not self.unfaithful(check) and not check.broken]
        if not any(check.appeal for check in kept):
            return kept[-1] if kept else None
        best = max(kept, key=_win)
        return best if _win(best) > 0 else None

    def reason(self, checks: Sequence[Check]) -> str | None:
        """Why to stop after the last of `checks`, in plain words; None to go on."""
        last = checks[-1]
        if last.step >= self.max_steps:
            return f"step {last.step}: this is the last step allowed (max_steps {self.max_steps})"
        if last.step < self.min_steps:
            return None
        if last.faithfulness_net and self.unfaithful(last):
            low, high = last.faithfulness_net.ci95
            return (
                f"step {last.step}: faithfulness fell {-last.faithfulness_net.net:.1f} points below step 0 "
                f"(95 % interval {low:.1f} to {high:.1f}), more than the margin of {self.margin:g}"
            )
        if last.broken:
            return f"step {last.step}: {_alarm(last.broken[0])}"
        if last.appeal and self.stale(checks) >= self.patience:
            best = self.best(checks)
            found = f"above the {_win(best):.1f} % of step {best.step}" if best else "above 0 %"
            return f"step {last.step}: the appeal win rate has not risen {found} (patience {self.patience})"
        return None

    def unfaithful(self, check: Check) -> bool:
        """Whether faithfulness has fallen by more than the margin, its interval excluding the margin."""
        return check.faithfulness_net is not None and check.faithfulness_net.ci95[1] < -self.margin

    def stale(self, checks: Sequence[Check]) -> int:
        """How many checks have passed since the best one; all of them where there is none."""
        best = self.best(checks)
        return len(checks) if best is None else len(checks) - 1 - checks.index(best)


def _alarm(broken: Finding) -> str:
    assert broken.ci95 is not None
    low, high = broken.ci95
    return (
        f"the guard of {broken.guard} is broken: {broken.sentence} "
        f"({broken.value:.3g}, 95 % interval {low:.3g} to {high:.3g}, threshold {broken.threshold:g})"
    )


def _win(check: Check) -> float:
    return check.appeal.win if check.appeal else 0.0
