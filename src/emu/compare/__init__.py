"""Compare: before against after, pair by pair, for any number of run folders.

Reads folders only: no GPU, no weights, no architecture. Torch is imported only where a judge has to run.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emu import files
from emu.compare.folders import are_folders, read_folders
from emu.compare.guarding import guarded, look
from emu.compare.headline import headline
from emu.compare.pairs import Run, read_run, require_shared
from emu.compare.people import read_people
from emu.compare.report import report
from emu.compare.table import table
from emu.compare.verdict import verdict
from emu.places import without_places
from emu.runs import read_config

if TYPE_CHECKING:
    from emu.compare.judging import Bench
    from emu.compare.reference import Reference
    from emu.judges import Embedder, Judge

__all__ = ["compare"]


def compare(
    runs: list[Path],
    *,
    out: Path,
    appeal: "Judge | Sequence[Judge] | None" = None,
    faithfulness: "Judge | Sequence[Judge] | None" = None,
    bench: "Bench | None" = None,
    reference: "Reference | None" = None,
    training: str | None = None,
    embedder: "Embedder | None" = None,
    pairs_shown: int = 300,
    paths: bool = False,
) -> str:
    """Write the page `out` and `verdict.json` beside it; return the table for the terminal.

    Runs whose pictures no judge has scored are paired and shown all the same, and said to be not judged.

    Args:
        runs: run folders, each compared at step 0 against its best step; or two plain folders of pictures, before and
            after, into which nothing is written.
        out: the HTML page, one file that needs no network.
        appeal, faithfulness: judges, the headline's first; those that have not scored the pictures yet do so, and the
            scores are kept in the run folders.
        bench: where judges sit, a device and a cache of scores; without it the CPU and none.
        reference: pictures that both sides are held against as sets.
        training: the curated set, as `data.root` takes it; by default what the config of each run names, if it is here.
        embedder: tells near pictures from far ones; by default where light and dark lie (`emu.guards.looks`).
        pairs_shown: at most so many prompts on the page, evenly spread; every prompt counts in the verdict.
        paths: keep absolute paths of configs and judges in both files; without it their last part alone stays.

    Raises:
        UserError: a folder without a before or an after, or drawn with two samplers; votes on other pictures.
    """
    given = {"appeal": _judges(appeal), "faithfulness": _judges(faithfulness)}
    judges = {name: some for name, some in given.items() if some}
    if are_folders(runs):
        read = [read_folders(runs[0], runs[1], judges=judges, bench=bench)]
        runs = runs[1:]
    else:
        read = _judged_runs(runs, judges, bench)
    require_shared(read)
    seen = look(list(zip(runs, read, strict=True)), training=training, embedder=embedder)
    people = [read_people(*each) for each in zip(runs, read, strict=True)]
    verdicts = [
        {**verdict(run), "people": said.told, "unheard": said.unheard, **guarded(run, found)}
        for run, said, found in zip(read, people, seen, strict=True)
    ]
    if reference:
        for paired, told in zip(read, verdicts, strict=True):
            told["sets"] = reference.measure(paired)
    configs = [read_config(run) or {} for run in runs]
    if not paths:
        verdicts, configs = without_places(verdicts), without_places(configs)
    page = report(read, verdicts, seen, votes=[said.votes for said in people], configs=configs, pairs_shown=pairs_shown)
    document = {"headline": headline(verdicts), "runs": verdicts}
    for path, content in (
        (out, page),
        (out.with_name("verdict.json"), json.dumps(document, indent=2, allow_nan=False)),
    ):
        files.write(path, content, alone=True)
    return table(verdicts)


def _judged_runs(runs: list[Path], judges: "dict[str, Sequence[Judge]]", bench: "Bench | None") -> list[Run]:
    if judges:
        from emu.compare.judging import judge_run

        for run in runs:
            judge_run(run, judges=judges, bench=bench)
    return [read_run(run) for run in runs]


def _judges(given: "Judge | Sequence[Judge] | None") -> "Sequence[Judge]":
    if given is None:
        return ()
    return given if isinstance(given, Sequence) else (given,)
