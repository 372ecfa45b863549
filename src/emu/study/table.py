"""A study's outcome as a plain-text table for the terminal; every rate in percent of draws, with its 95 % interval."""

from collections.abc import Iterator

from emu.statistics import WinRate
from emu.statistics.intervals import Interval
from emu.study.outcome import AgainstReference, Arm, StudyOutcome
from emu.terminal.aligned import aligned

HEAD = ["", "seeds", "best step", "appeal win", "95 %", "mean score", "faithful +/-", "95 %", "contrast", "saturation"]
AGAINST = ["win", "tie", "lose", "95 %"]


def study_table(outcome: StudyOutcome) -> str:
    """A row an arm: its best pictures against its own step 0; then, where there is a reference, against that arm."""
    rows = [HEAD, *(_row(name, arm) for name, arm in outcome.arms.items())]
    parts = [f"{outcome.question} ({outcome.base})", "\n".join(aligned(rows))]
    if outcome.before:
        rows = [["", "its best: win", *AGAINST[1:], "last step: win", *AGAINST[1:]], *_against(outcome)]
        parts.append("\n".join([f"appeal against {outcome.reference}, same prompts and seeds", *aligned(rows)]))
    return "\n\n".join(parts)


def _against(outcome: StudyOutcome) -> Iterator[list[str]]:
    """A row an arm: best against best, then at the last step of both."""
    compared = {"(before tuning)": outcome.before} | outcome.arms
    for name, arm in compared.items():
        if arm and arm.against and arm.against_last:
            yield [name, *_rates(arm.against), *_rates(arm.against_last)]


def _row(name: str, arm: Arm) -> list[str]:
    steps = sorted(arm.best_steps)
    cells = [name, str(len(arm.seeds)), str(steps[0]) if steps[0] == steps[-1] else f"{steps[0]}-{steps[-1]}"]
    appeal, score, net = arm.appeal, arm.score, arm.faithfulness_net
    cells += [f"{appeal.win:.1f}", interval(appeal.ci95)] if appeal else ["-", "-"]
    cells += [f"{score.before:.2f} -> {score.after:.2f}"] if score else ["-"]
    cells += [f"{net.net:+.1f}", interval(net.ci95)] if net else ["-", "-"]
    return cells + [f"{arm.drift[name].difference:+.3f}" for name in ("contrast", "saturation")]


def _rates(against: AgainstReference) -> list[str]:
    rates: WinRate | None = against.appeal
    if rates is None:
        return ["-"] * len(AGAINST)
    return [f"{rates.win:.1f}", f"{rates.tie:.1f}", f"{rates.lose:.1f}", interval(rates.ci95)]


def interval(ci95: Interval) -> str:
    """`[92.1, 99.0]`"""
    return f"[{ci95[0]:.1f}, {ci95[1]:.1f}]"
