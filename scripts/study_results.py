"""The tables of docs/results/studies.md, from the folders of studies that have ended.

    python scripts/study_results.py runs/studies --write docs/results

Fills what lies between the page's marks, and draws the plots beside it.
"""

import argparse
import platform
import re
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

from emu.guards.diversity import NAMES as DIVERSITY
from emu.guards.held_out import NAME as HELD_OUT
from emu.statistics import NetRate, WinRate
from emu.study.outcome import AgainstReference, CurvePoint, StudyOutcome
from emu.study.plot import plot

ARCHITECTURES = ("latent", "pixel", "muse")
COLUMNS = ("seeds", "best step", "appeal win", "95 %", "mean score")
COLUMNS += ("faithfulness win - lose", "95 %", "contrast", "saturation")


def rows(outcome: StudyOutcome, model: str) -> str:
    """A study's table in Markdown."""
    before = outcome.before
    more = [f"last step against {outcome.reference}: win / tie / lose", "win - lose, 95 %"] if before else []
    head = [f"{model}: arm", *COLUMNS, *more]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    if before:
        lines.append("| before tuning |" + " |" * len(COLUMNS) + against(before.against_last))
    for name, arm in outcome.arms.items():
        assert arm.appeal
        assert arm.score
        assert arm.faithfulness_net
        cells = [name, str(len(arm.seeds)), span(arm.best_steps), f"{arm.appeal.win:.1f}", interval(arm.appeal)]
        cells += [f"{arm.score.before:.2f} -> {arm.score.after:.2f}"]
        cells += [f"{arm.faithfulness_net.net:+.1f}", interval(arm.faithfulness_net)]
        cells += [f"{arm.drift[measure].difference:+.3f}" for measure in ("contrast", "saturation")]
        lines.append(f"| {' | '.join(cells)} |" + (against(arm.against_last) if before else ""))
    return "\n".join(lines)


def against(figures: AgainstReference | None) -> str:
    """The cells of the comparison with the reference; empty for the reference itself."""
    if figures is None or figures.appeal is None or figures.appeal_net is None:
        return " | |"
    rates, net = figures.appeal, figures.appeal_net
    return f" {rates.win:.1f} / {rates.tie:.1f} / {rates.lose:.1f} | {net.net:+.1f}, {interval(net)} |"


def curve(outcome: StudyOutcome, model: str) -> str:
    """How a study without a reference went over its steps."""
    (arm,) = outcome.arms.values()
    lines = [f"| {model}: step | appeal win | 95 % | score gained | faithfulness win - lose | 95 % | saturation |"]
    lines.append("|---|---|---|---|---|---|---|")
    for at in arm.curve:
        assert at.appeal
        assert at.score
        assert at.faithfulness_net
        cells = [str(at.step), f"{at.appeal.win:.1f}", interval(at.appeal), f"{at.score.difference:+.3f}"]
        cells += [f"{at.faithfulness_net.net:+.1f}", interval(at.faithfulness_net)]
        lines.append(f"| {' | '.join(cells)} | {at.drift['saturation'].difference:+.3f} |")
    return "\n".join(lines)


def guarded(outcome: StudyOutcome, model: str) -> str:
    """What guards measured early, half-way and at the end of each arm, and where the held-out loss was lowest."""
    head = [f"{model}: arm", "step", "appeal win", "95 %", "faithfulness win - lose", "95 %"]
    head += ["diversity over seeds", "held-out loss", "lowest at", f"faithfulness against {outcome.reference}, 95 %"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, arm in outcome.arms.items():
        losses = [mean(at, HELD_OUT) for at in arm.curve]
        for at in (arm.curve[0], arm.curve[len(arm.curve) // 2 - 1], arm.curve[-1]):
            assert at.appeal
            assert at.faithfulness_net
            cells = [name, str(at.step), f"{at.appeal.win:.1f}", interval(at.appeal)]
            cells += [f"{at.faithfulness_net.net:+.1f}", interval(at.faithfulness_net)]
            cells += [f"{mean(at, DIVERSITY[0]):.2f}", f"{mean(at, HELD_OUT):.3f}"]
            last = at is arm.curve[-1]
            cells += [f"step {arm.curve[losses.index(min(losses))].step}: {min(losses):.3f}" if last else ""]
            net = arm.against_last.faithfulness_net if arm.against_last else None
            cells += [f"{net.net:+.1f}, {interval(net)}" if last and net else ""]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def mean(at: CurvePoint, guard: str) -> float:
    """Of what a guard measured in all runs of an arm."""
    return fmean(run.value for run in at.guards[guard])


def interval(figures: WinRate | NetRate) -> str:
    """`92.1 to 99.0`"""
    low, high = figures.ci95
    return f"{low:.1f} to {high:.1f}"


def span(steps: list[int]) -> str:
    """`16`, or `16 to 32` where seeds differ."""
    return str(min(steps)) if min(steps) == max(steps) else f"{min(steps)} to {max(steps)}"


def machine() -> str:
    """What the studies ran on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightning", "diffusers"))
    return f"Machine: {platform.machine()}, no GPU, one CPU core a run; Python {platform.python_version()}, {packages}."


def main() -> None:
    """Prints or writes every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path, help="the folder of studies, each named STUDY-ARCHITECTURE")
    parser.add_argument("--write", type=Path, help="the folder of studies.md; without it the tables are printed")
    given = parser.parse_args()
    tables = {"machine": machine()}
    for path in sorted(given.studies.glob("*/study.json")):
        outcome = StudyOutcome.read(path)
        study, _, model = path.parent.name.rpartition("-")
        table = {"length": curve, "overfit": guarded}.get(study, rows)
        tables[path.parent.name] = table(outcome, model)
        if given.write:
            (given.write / f"study-{path.parent.name}.svg").write_bytes(plot(outcome))
    if not given.write:
        print("\n\n".join(tables.values()))
        return
    page = given.write / "studies.md"
    text = page.read_text()
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->", "<!-- / -->"
        text = re.sub(f"{begin}.*?{end}", lambda _, filled=f"{begin}\n{table}\n{end}": filled, text, flags=re.DOTALL)
    page.write_text(text)


if __name__ == "__main__":
    main()
