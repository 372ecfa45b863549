"""The tables of docs/results/studies.md, from the folders of studies that have ended.

    python scripts/study_results.py runs/studies --write docs/results

Fills what lies between the page's marks, and draws the plots beside it.
"""

import argparse
import json
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emu.guards.diversity import NAMES as DIVERSITY
from emu.guards.held_out import NAME as HELD_OUT
from emu.study.plot import plot

ARCHITECTURES = ("latent", "pixel", "muse")
COLUMNS = ("seeds", "best step", "appeal win", "95 %", "mean score")
COLUMNS += ("faithfulness win - lose", "95 %", "contrast", "saturation")


def rows(told: dict[str, Any], model: str) -> str:
    """A study's table in Markdown."""
    compared = "before" in told
    more = [f"last step against {told['reference']}: win / tie / lose", "win - lose, 95 %"] if compared else []
    head = [f"{model}: arm", *COLUMNS, *more]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    if compared:
        lines.append("| before tuning |" + " |" * len(COLUMNS) + against(told["before"]))
    for arm, figures in told["arms"].items():
        net, score = figures["faithfulness_net"], figures["score"]
        cells = [arm, str(len(figures["seeds"])), span(figures["best_steps"])]
        cells += [f"{figures['appeal']['win']:.1f}", interval(figures["appeal"])]
        cells += [f"{score['before']:.2f} -> {score['after']:.2f}", f"{net['net']:+.1f}", interval(net)]
        cells += [f"{figures['drift'][name]['difference']:+.3f}" for name in ("contrast", "saturation")]
        lines.append(f"| {' | '.join(cells)} |" + (against(figures) if compared else ""))
    return "\n".join(lines)


def against(figures: dict[str, Any]) -> str:
    """The cells of the comparison with the reference; empty for the reference itself."""
    if "against_last" not in figures:
        return " | |"
    rates = figures["against_last"]["appeal"]
    net = figures["against_last"]["appeal_net"]
    cells = f" {rates['win']:.1f} / {rates['tie']:.1f} / {rates['lose']:.1f} |"
    return f"{cells} {net['net']:+.1f}, {interval(net)} |"


def curve(told: dict[str, Any], model: str) -> str:
    """How a study without a reference went over its steps."""
    (figures,) = told["arms"].values()
    lines = [f"| {model}: step | appeal win | 95 % | score gained | faithfulness win - lose | 95 % | saturation |"]
    lines.append("|---|---|---|---|---|---|---|")
    for check in figures["curve"]:
        net = check["faithfulness_net"]
        cells = [str(check["step"]), f"{check['appeal']['win']:.1f}", interval(check["appeal"])]
        cells += [f"{check['score']['difference']:+.3f}", f"{net['net']:+.1f}", interval(net)]
        lines.append(f"| {' | '.join(cells)} | {check['drift']['saturation']['difference']:+.3f} |")
    return "\n".join(lines)


def guarded(told: dict[str, Any], model: str) -> str:
    """What guards measured early, half-way and at the end of each arm, and where the held-out loss was lowest."""
    head = [f"{model}: arm", "step", "appeal win", "95 %", "faithfulness win - lose", "95 %"]
    head += ["diversity over seeds", "held-out loss", "lowest at", f"faithfulness against {told['reference']}, 95 %"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for arm, figures in told["arms"].items():
        curve = figures["curve"]
        losses = [mean(check, HELD_OUT) for check in curve]
        for check in (curve[0], curve[len(curve) // 2 - 1], curve[-1]):
            net = check["faithfulness_net"]
            cells = [arm, str(check["step"]), f"{check['appeal']['win']:.1f}", interval(check["appeal"])]
            cells += [f"{net['net']:+.1f}", interval(net), f"{mean(check, DIVERSITY[0]):.2f}"]
            cells += [f"{mean(check, HELD_OUT):.3f}"]
            last = check is curve[-1]
            cells += [f"step {curve[losses.index(min(losses))]['step']}: {min(losses):.3f}" if last else ""]
            against = figures.get("against_last", {}).get("faithfulness_net")
            cells += [f"{against['net']:+.1f}, {interval(against)}" if last and against else ""]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def mean(check: dict[str, Any], guard: str) -> float:
    """Of what a guard measured in all runs of an arm."""
    values = [run["value"] for run in check["guards"][guard]]
    return float(sum(values) / len(values))


def interval(figures: dict[str, Any]) -> str:
    """`92.1 to 99.0`"""
    low, high = figures["ci95"]
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
        told = json.loads(path.read_text())
        study, _, model = path.parent.name.rpartition("-")
        table = {"length": curve, "overfit": guarded}.get(study, rows)
        tables[path.parent.name] = table(told, model)
        if given.write:
            (given.write / f"study-{path.parent.name}.svg").write_bytes(plot(told))
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
