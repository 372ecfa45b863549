"""The figures of docs/results/emoji.md: filled in between two marks, so that the words around them stay as written."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

from emu.compare import compare
from emu.compare.verdict import CRITERIA, Verdict, Verdicts
from emu.errors import UserError
from emu.layouts import runs
from emu.storage.shapes import Card

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def write_results(tuned: list[Path], work: Path, page: Path, *, threads: int) -> None:
    """Compare the run folders and write the figures into `page`, the grid of pictures beside it as .png."""
    text = page.read_text() if page.is_file() else ""
    if BEGIN not in text or END not in text:
        raise UserError(f"--results {page}: no text with {BEGIN} and {END} in it; name docs/results/emoji.md")
    print(compare(tuned, out=work / "report.html"))
    verdicts = Verdicts.read(work / "verdict.json").runs
    figures = [_machine(work, threads), _table(tuned, verdicts), _stops(verdicts), _judges(verdicts[0].judges)]
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text("\n\n".join([before + BEGIN, *figures, END]) + after)
    grid = [sys.executable, str(Path(__file__).with_name("grid.py")), *map(str, tuned)]
    subprocess.run([*grid, "--pairs", "6", "--out", str(page.with_suffix(".png"))], check=True)


def _machine(work: Path, threads: int) -> str:
    seconds = json.loads((work / "seconds.json").read_text())
    stages = ", ".join(f"{name} {taken / 60:.1f}" for name, taken in seconds.items())
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightning", "diffusers"))
    machine = f"{platform.machine()}, {os.cpu_count()} CPU cores of which {threads} used, no GPU"
    return f"""\
Machine: {machine}; Python {platform.python_version()}, {versions}.
Minutes: {sum(seconds.values()) / 60:.0f} in all ({stages})."""


def _table(tuned: list[Path], verdicts: list[Verdict]) -> str:
    head = "| | prompts | steps |" + "".join(f" {name}: win / tie / lose | 95 % of win | mean |" for name in CRITERIA)
    rows = [head, "|---" * (3 + 3 * len(CRITERIA)) + "|"]
    for run, verdict in zip(tuned, verdicts, strict=True):
        steps = verdict.before_step, verdict.after_step
        cells = [verdict.name, str(verdict.prompts), f"{steps[0]} -> {steps[1]}"]
        for name, rates in verdict.rates.items():
            means = [_mean(run, step or 0, name) for step in steps]
            cells += [f"{rates.win:.1f} / {rates.tie:.1f} / {rates.lose:.1f}"]
            cells += [f"{rates.ci95[0]:.1f} to {rates.ci95[1]:.1f}", f"{means[0]:.2f} -> {means[1]:.2f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _mean(run: Path, step: int, criterion: str) -> float:
    return fmean(row[criterion] for row in runs.read_scores(runs.step_folder(run, step)).values())


def _stops(verdicts: list[Verdict]) -> str:
    return "\n".join(f"- {verdict.name} stopped at {verdict.stop_reason}." for verdict in verdicts)


def _judges(judges: dict[str, Card]) -> str:
    lines = []
    for criterion in CRITERIA:
        judge = judges[criterion]
        lines += [f"| {criterion} by {judge['name']}; scores at most {judge['tie']:g} apart tie | |", "|---|---|"]
        figures = {key: value for key, value in judge.items() if isinstance(value, float) and key != "tie"}
        lines += [*(f"| {what} | {value:g} |" for what, value in figures.items()), ""]
    return "\n".join(lines).rstrip()
