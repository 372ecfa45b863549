"""The figures of docs/results/emoji.md: filled in between two marks, so that the words around them stay as written."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

from emu import runs
from emu.compare import compare
from emu.errors import UserError

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
CRITERIA = ("appeal", "faithfulness")


def write_results(tuned: list[Path], work: Path, page: Path, *, threads: int) -> None:
    """Compare the run folders and write the figures into `page`, the grid of pictures beside it as .png."""
    text = page.read_text() if page.is_file() else ""
    if BEGIN not in text or END not in text:
        raise UserError(f"--results {page}: no text with {BEGIN} and {END} in it; name docs/results/emoji.md")
    print(compare(tuned, out=work / "report.html"))
    verdicts = json.loads((work / "verdict.json").read_text())["runs"]
    figures = [_machine(work, threads), _table(tuned, verdicts), _stops(verdicts), _judges(verdicts[0]["judges"])]
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text("\n\n".join([before + BEGIN, *figures, END]) + after)
    grid = [sys.executable, str(Path(__file__).with_name("grid.py")), *map(str, tuned)]
    subprocess.run([*grid, "--out", str(page.with_suffix(".png"))], check=True)


def _machine(work: Path, threads: int) -> str:
    seconds = json.loads((work / "seconds.json").read_text())
    stages = ", ".join(f"{name} {taken / 60:.1f}" for name, taken in seconds.items())
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightning", "diffusers"))
    machine = f"{platform.machine()}, {os.cpu_count()} CPU cores of which {threads} used, no GPU"
    return f"""\
Machine: {machine}; Python {platform.python_version()}, {versions}.
Minutes: {sum(seconds.values()) / 60:.0f} in all ({stages})."""


def _table(tuned: list[Path], verdicts: list[dict[str, Any]]) -> str:
    head = "| | prompts | steps |" + "".join(f" {name}: win / tie / lose | 95 % of win | mean |" for name in CRITERIA)
    rows = [head, "|---" * (3 + 3 * len(CRITERIA)) + "|"]
    for run, told in zip(tuned, verdicts, strict=True):
        cells = [told["name"], str(told["prompts"]), f"{told['before_step']} -> {told['after_step']}"]
        for name in CRITERIA:
            rate, (low, high) = told[name], told[name]["ci95"]
            means = [_mean(run, told[step], name) for step in ("before_step", "after_step")]
            cells += [f"{rate['win']:.1f} / {rate['tie']:.1f} / {rate['lose']:.1f}", f"{low:.1f} to {high:.1f}"]
            cells += [f"{means[0]:.2f} -> {means[1]:.2f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _mean(run: Path, step: int, criterion: str) -> float:
    return fmean(row[criterion] for row in runs.read_scores(runs.step_folder(run, step)).values())


def _stops(verdicts: list[dict[str, Any]]) -> str:
    return "\n".join(f"- {told['name']} stopped at {told['stop_reason']}." for told in verdicts)


def _judges(judges: dict[str, dict[str, Any]]) -> str:
    lines = []
    for criterion in CRITERIA:
        name, tie = judges[criterion]["name"], judges[criterion]["tie"]
        lines += [f"| {criterion} by {name}; scores at most {tie:g} apart tie | |", "|---|---|"]
        figures = {key: value for key, value in judges[criterion].items() if isinstance(value, float) and key != "tie"}
        lines += [*(f"| {what} | {value:g} |" for what, value in figures.items()), ""]
    return "\n".join(lines).rstrip()
