"""The stop rule replayed on whole curves: how far from the best checkpoint it stops, and how early.

    emu study length --base latent/tiny --out runs/studies/length-latent        # curves with the rule off
    python benchmarks/stopping.py runs/studies/length-*

The rule sees a curve's checks one by one, as in a run, and keeps a checkpoint. `gap` is the appeal win rate of the
curve's best checkpoint minus that of the kept one, in points, on the prompts that both were chosen by: the best of many
checks is partly luck. `lost` takes the luck out: both are chosen on every other prompt and told apart on the rest, and
the other way round. A run that stopped with nothing to keep counts as step 0, which never wins against itself.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from emu.guards import Drift, Evidence, Side
from emu.guards.evidence import Numbers
from emu.guards.looks import colours
from emu.layouts import runs
from emu.layouts.quality_json import read_quality
from emu.quality.stopping import Check, StopRule

SHIPPED = StopRule(patience=3, margin=2.0, min_steps=0, max_steps=10**9)
DRIFT = Drift()
NEAR = 2.0  # points of win rate
HEAD = "| rule | within 2 points | mean gap | largest | lost | mean share of steps | range |\n" + "|---" * 7 + "|"


@dataclass(frozen=True)
class Curve:
    """What a run's checks found, on all prompts and on both halves of them."""

    everything: list[Check]
    halves: tuple[list[Check], list[Check]]


def read(run: Path) -> Curve:
    """A run folder as a curve; of the guards it has drift, the one that a picture a prompt is enough for."""
    ties = {criterion: judge["tie"] for criterion, judge in read_quality(run).judges.items()}
    steps = {step: runs.read_scores(runs.step_folder(run, step)) for step in runs.complete_steps(run)}
    looks = {step: {file: look(runs.step_folder(run, step) / file) for file in steps[step]} for step in steps}
    files = sorted(steps[0])

    def checks(chosen: Sequence[str]) -> list[Check]:
        picked = {step: {file: scores[file] for file in chosen} for step, scores in steps.items()}
        sides = {step: Side(colours=np.stack([looks[step][file] for file in chosen])) for step in steps}
        return [
            Check.against(
                picked[0],
                scores,
                step=step,
                ties=ties,
                held_out_ratio=None,
                guards=DRIFT(Evidence(chosen, sides[0], sides[step])),
            )
            for step, scores in picked.items()
            if step
        ]

    return Curve(checks(files), (checks(files[::2]), checks(files[1::2])))


def look(file: Path) -> Numbers:
    """A picture's colours, as the guard of drift takes them."""
    with Image.open(file) as picture:
        return colours(np.asarray(picture.convert("RGB")))


def stopped(rule: StopRule, checks: Sequence[Check]) -> int:
    """How many checks a run sees before `rule` stops it, or before it ends."""
    rule = replace(rule, max_steps=checks[-1].step)
    return next(n for n in range(1, len(checks) + 1) if rule.reason(checks[:n]))


def smoothed(checks: Sequence[Check], over: int) -> list[Check]:
    """Every win rate made the mean of the last `over`."""
    wins = [check.appeal.win for check in checks if check.appeal]
    means = [statistics.mean(wins[max(0, i + 1 - over) : i + 1]) for i in range(len(wins))]
    return [
        replace(check, appeal=replace(check.appeal, win=mean)) if check.appeal else check
        for check, mean in zip(checks, means, strict=True)
    ]


def gap(chosen_by: Sequence[Check], measured: Sequence[Check], *, rule: StopRule, over: int) -> tuple[float, float]:
    """(gap, share of steps): the whole curve's best against the kept one, both chosen on the first of the two."""
    seen = smoothed(chosen_by, over)
    stop = stopped(rule, seen)
    wins = {check.step: check.appeal.win if check.appeal else 0.0 for check in measured}
    kept, best = rule.best(seen[:stop]), rule.best(chosen_by)
    told = [wins[check.step] if check else 0.0 for check in (best, kept)]
    return told[0] - told[1], seen[stop - 1].step / seen[-1].step


def row(label: str, curves: Sequence[Curve], *, rule: StopRule, over: int) -> str:
    """A line of the table."""
    told = [gap(curve.everything, curve.everything, rule=rule, over=over) for curve in curves]
    folds = [fold for curve in curves for fold in (curve.halves, curve.halves[::-1])]
    lost = statistics.mean(gap(one, other, rule=rule, over=over)[0] for one, other in folds)
    gaps, shares = [gap for gap, _ in told], [100 * share for _, share in told]
    near = sum(gap <= NEAR + 1e-9 for gap in gaps)
    return (
        f"| {label} | {near} of {len(told)} | {statistics.mean(gaps):.1f} | {max(gaps):.1f} | {lost:+.1f} "
        f"| {statistics.mean(shares):.0f} % | {min(shares):.0f} to {max(shares):.0f} % |"
    )


def by_seed(curves: Mapping[int, Curve]) -> str:
    """The shipped rule, seed by seed."""
    told = [gap(curve.everything, curve.everything, rule=SHIPPED, over=1) for curve in curves.values()]
    lines = [("seed", *map(str, curves)), ("---",) * (len(told) + 1)]
    lines += [("gap, points", *(f"{gap:.1f}" for gap, _ in told))]
    lines += [("stopped at", *(f"{100 * share:.0f} %" for _, share in told))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Prints two tables a study: the shipped rule seed by seed, and a row a rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path, nargs="+", help="OUT folders of `emu study length`")
    parser.add_argument("--patience", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--margin", type=float, nargs="+", default=[SHIPPED.margin], help="points of faithfulness")
    parser.add_argument("--smooth", type=int, nargs="+", default=[1, 2], help="means of so many checks")
    parser.add_argument("--seeds", type=int, nargs="+", help="of these only")
    given = parser.parse_args()
    for study in given.studies:
        every = [file.parent for file in study.glob("*/flags.json")]
        found = {int(run.name.rpartition("-")[2]): run for run in every}
        if len(found) < len(every):
            parser.error(f"{study}: has several arms; give a study of one, such as length")
        curves = {seed: read(found[seed]) for seed in sorted(found) if not given.seeds or seed in given.seeds}
        checks = len(next(iter(curves.values())).everything)
        print(f"\n{study.name}: {len(curves)} curves of {checks} checks\n\n{by_seed(curves)}\n\n{HEAD}")
        for over, margin, patience in product(given.smooth, given.margin, given.patience):
            label = f"patience {patience}, margin {margin:g}" + (f", means of {over}" if over > 1 else "")
            rule = replace(SHIPPED, patience=patience, margin=margin)
            print(row(label, [*curves.values()], rule=rule, over=over))


if __name__ == "__main__":
    main()
