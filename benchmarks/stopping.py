"""The stop rule replayed on full-length curves: how far from the best checkpoint it stops, and how early.

    emu study length --base latent/tiny --out runs/studies/length-latent        # curves with the rule off
    python benchmarks/stopping.py runs/studies/length-*

A curve is a run with the rule off, its pictures scored at every check. The rule sees checks one by one, as in a run,
and keeps a checkpoint; `gap` is the appeal win rate of the curve's best checkpoint minus that of the kept one, in
points. Gaps are told twice: on the very prompts that the rule saw, where the best of many checks is partly luck, and
with the rule seeing every other prompt and the gap taken on the rest.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emu import runs
from emu.quality.stopping import Check, StopRule

SHIPPED = StopRule(patience=3, margin=2.0, min_steps=0, max_steps=10**9)
Sides = tuple[list[Check], list[Check]]  # what the rule sees, and what it is measured on
HEAD = "| rule | within 2 points | mean gap | largest | mean share of steps | range |\n|---|---|---|---|---|---|"
NEAR = 2.0  # points of win rate


@dataclass(frozen=True)
class Curve:
    """What a run's checks found, on all prompts and on both halves of them."""

    name: str
    seed: int
    everything: list[Check]
    seen: list[Check]
    unseen: list[Check]


@dataclass(frozen=True)
class Replay:
    """Where a rule stopped: how far below the best of the curve (None where it kept nothing), at which share of it."""

    gap: float
    share: float


def read(run: Path) -> Curve:
    """A run folder as a curve."""
    name, _, seed = run.name.rpartition("-")
    judges = runs.read_quality(run)["judges"]
    ties = {criterion: judge["tie"] for criterion, judge in judges.items()}
    steps = {step: runs.read_scores(runs.step_folder(run, step)) for step in runs.complete_steps(run)}
    files = sorted(steps[0])

    def checks(chosen: Sequence[str]) -> list[Check]:
        picked = {step: {file: scores[file] for file in chosen} for step, scores in steps.items()}
        return [
            Check.against(picked[0], scores, step=step, ties=ties, held_out_ratio=None)
            for step, scores in picked.items()
            if step
        ]

    return Curve(f"{run.parent.name} {name}", int(seed), checks(files), checks(files[::2]), checks(files[1::2]))


def replay(rule: StopRule, seen: Sequence[Check], measured: Sequence[Check]) -> Replay:
    """Show `rule` the checks one by one, and measure what it keeps on `measured`, the same steps."""
    last = seen[-1].step
    rule = replace(rule, max_steps=last)
    stop = next(n for n in range(1, len(seen) + 1) if rule.reason(seen[:n]))
    kept = rule.best(seen[:stop])
    wins = {check.step: check.appeal.win if check.appeal else 0.0 for check in measured}
    return Replay(gap=max(wins.values()) - (wins[kept.step] if kept else 0.0), share=seen[stop - 1].step / last)


def row(
    label: str, rule: StopRule, curves: Sequence[Curve], of: Callable[[Curve], tuple[list[Check], list[Check]]]
) -> str:
    """A line of the table: over curves, how many kept a checkpoint near the best, the gaps, and the shares of steps."""
    told = [replay(rule, *of(curve)) for curve in curves]
    near = sum(one.gap <= NEAR + 1e-9 for one in told)
    gaps, shares = [one.gap for one in told], [one.share for one in told]
    return (
        f"| {label} | {near} of {len(told)} | {statistics.mean(gaps):.1f} | {max(gaps):.1f} "
        f"| {100 * statistics.mean(shares):.0f} % | {100 * min(shares):.0f} to {100 * max(shares):.0f} % |"
    )


def main() -> None:
    """Prints a table a study and rule, on the prompts seen and on the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path, nargs="+", help="OUT folders of `emu study length`")
    parser.add_argument("--patience", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    given = parser.parse_args()
    for study in given.studies:
        curves = [read(file.parent) for file in sorted(study.glob("*/flags.json"))]
        print(f"\n{study.name}: {len(curves)} curves of {len(curves[0].everything)} checks")
        print(
            "| rule | within 2 points | mean gap | largest | mean share of steps | range |\n|---|---|---|---|---|---|"
        )
        for patience in given.patience:
            rule = replace(SHIPPED, patience=patience)
            print(row(f"patience {patience}", rule, curves, lambda curve: (curve.everything, curve.everything)))
            print(row(f"patience {patience}, other prompts", rule, curves, lambda curve: (curve.seen, curve.unseen)))


if __name__ == "__main__":
    main()
