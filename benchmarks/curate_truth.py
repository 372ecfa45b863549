"""What the funnel of `curate/world` takes and leaves of a haystack whose truth is known, as tables of markdown."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from curate_haystack import STAGES

Rows = list[dict[str, Any]]


def tables(manifest: Path) -> None:
    """Prints all of them."""
    columns = ["status", "stage", "source_columns"]
    rows: Rows = [
        row | json.loads(row["source_columns"]) for row in pq.read_table(manifest, columns=columns).to_pylist()
    ]
    order = list(dict.fromkeys([*STAGES.values(), "appeal"]))
    faults(rows, order)
    stages(rows, order)
    needles(rows)


def share(part: int, whole: int) -> str:
    """With Wilson's interval of 95 %."""
    if not whole:
        return "-"
    z, p = 1.96, part / whole
    middle, half = p + z * z / (2 * whole), z * np.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole))
    low, high = (middle - half) / (1 + z * z / whole), (middle + half) / (1 + z * z / whole)
    return f"{p:.3f} ({low:.3f} to {high:.3f})"


def came(row: dict[str, Any], stage: str, order: list[str]) -> bool:
    return row["stage"] is None or order.index(row["stage"]) >= order.index(stage)


def faults(rows: Rows, order: list[str]) -> None:
    print("\n| fault | its stage | pictures | came there | of these left there | left anywhere |\n" + "|---" * 6 + "|")
    for kind, stage in STAGES.items():
        of_it = [row for row in rows if row["fault"] == kind]
        came_there = [row for row in of_it if came(row, stage, order)]
        there = share(sum(row["stage"] == stage for row in came_there), len(came_there))
        gone = share(sum(row["stage"] is not None for row in of_it), len(of_it))
        print(f"| {kind} | {stage} | {len(of_it):,} | {len(came_there):,} | {there} | {gone} |")


def is_for(row: dict[str, Any], stage: str) -> bool:
    """Whether a picture has what a stage is there for. Of the five qualities, focus is `technical`'s matter too, and
    all of them are `appeal`'s; these are no faults that were put in."""
    if stage == "appeal":
        return not row["needle"]
    return STAGES.get(row["fault"]) == stage or (stage == "technical" and not row["in_focus"])


def stages(rows: Rows, order: list[str]) -> None:
    print(
        "\n| stage | came | left | precision: its faults | with any fault | recall: of its faults | needles lost |\n"
        + "|---" * 7
        + "|"
    )
    for stage in order:
        there = [row for row in rows if came(row, stage, order)]
        left = [row for row in there if row["stage"] == stage]
        mine = [row for row in there if is_for(row, stage)]
        right = sum(is_for(row, stage) for row in left)
        any_fault = share(sum(bool(row["fault"]) or is_for(row, stage) for row in left), len(left))
        lost = sum(row["needle"] for row in left)
        print(f"| {stage} | {len(there):,} | {len(left):,} | {share(right, len(left))} | {any_fault} "
              f"| {share(right, len(mine))} | {lost:,} |")  # fmt: skip


def needles(rows: Rows) -> None:
    """Of the needles, how many come through; of what comes through, how much is needles, before and after people."""
    rng = np.random.default_rng(0)
    total = sum(row["needle"] for row in rows)
    kept = [row for row in rows if row["status"] == "kept"]

    def line(name: str, some: Rows) -> None:
        found = sum(row["needle"] for row in some)
        print(f"| {name} | {len(some):,} | {share(found, total)} | {share(found, len(some))} |")

    def people(some: Rows) -> Rows:
        """Each errs once in ten."""
        right = rng.random(len(some)) > 0.1
        return [row for row, true in zip(some, right, strict=True) if row["needle"] == bool(true)]

    print("\n| set | pictures | recall of needles | share of needles |\n|---|---|---|---|")
    line("the haystack", rows)
    line("as many as are kept, drawn at random", [rows[i] for i in rng.permutation(len(rows))[: len(kept)]])
    line("after the funnel, what pass 1 looks at", kept)
    first = people(kept)
    line("after pass 1", first)
    line("after pass 2", people(first))
