"""`emu compare`: before against after, as one page and one table."""

import argparse
import logging
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emu.class_paths import named
from emu.commands.parser import Parser, add_paths
from emu.errors import UserError
from emu.storage import own

if TYPE_CHECKING:
    from emu.compare.attributes import AttributeReader
    from emu.compare.judging import Bench
    from emu.compare.reference import ReferenceSet
    from emu.judges import Embedder, Judge

EMBEDDER = f"MODEL|{named.FORM}"
JUDGES: dict[str, Any] = {"metavar": named.FORM, "action": "append", "default": []}

log = logging.getLogger(__name__)


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("compare", help="before against after: one page and one table")
    parser.set_defaults(action=compare, parser=parser)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders; or two folders of pictures, before and after")
    parser.add_argument("--out", type=Path, required=True, help="the page to write; verdict.json goes beside it")
    judges = "for pictures without scores; may be repeated, and the first is the headline"
    parser.add_argument("--appeal", **JUDGES, help=f"a judge of appeal, {judges}")
    parser.add_argument("--faithfulness", **JUDGES, help=f"a judge of faithfulness, {judges}")
    parser.add_argument(
        "--device", metavar="NAME", help="where judges run, such as cpu or cuda:1 (a GPU if there is one)"
    )
    parser.add_argument("--cache", metavar="FOLDER", type=Path, help="keeps scores for later calls (~/.cache/emu)")
    parser.add_argument("--reference", metavar="FOLDER", type=Path, help="pictures to compare both sides with, as sets")
    parser.add_argument("--embedder", metavar=EMBEDDER, help="pictures as vectors, for --reference and guards")
    parser.add_argument(
        "--training", metavar="ROOT", help="the curated set, to find copies of (what the run was tuned on)"
    )
    attributes = (
        "reads kind, colour and the like in pictures, where the prompt file has columns of these names, such as "
    )
    attributes += "emu.judges.world.WorldFaithfulness"
    parser.add_argument("--attributes", metavar=named.FORM, help=attributes)
    add_paths(parser)


def compare(given: argparse.Namespace) -> None:
    """Writes the page and the verdict beside it; prints the table."""
    from emu.compare import Against, compare

    appeal = [judge(one, flag="--appeal") for one in given.appeal]
    faithfulness = [judge(one, flag="--faithfulness") for one in given.faithfulness]
    embedder = _embedder(given.embedder)
    reference = _reference(given, embedder)
    attributes = _attributes(given.attributes)
    bench = _bench(given) if appeal or faithfulness else None
    with ExitStack() as opened:
        if bench and bench.cache:
            opened.callback(bench.cache.close)
        table = compare(
            given.runs,
            out=given.out,
            appeal=appeal,
            faithfulness=faithfulness,
            bench=bench,
            against=Against(given.training, reference, attributes, embedder),
            paths=given.paths,
        )
    print(f"{table}\n{given.out}: the pictures, for any browser")


def judge(given: str, *, flag: str) -> "Judge":
    """The judge that a flag names. UserError: no judge, or one that takes other arguments."""
    from emu.judges import Judge

    return named.make(given, Judge, where=flag, like="emu.judges.clip.ClipScore", typed=True)


def _bench(given: argparse.Namespace) -> "Bench":
    from emu.compare.judging import Bench, usable_device
    from emu.compare.score_cache import ScoreCache

    device, folder = usable_device(given.device), given.cache or _own_cache()
    return Bench(device, None if folder is None else ScoreCache(folder))


def _own_cache() -> Path | None:
    """Where scores are kept unless a flag says otherwise; None where nothing can be: they are then given again."""
    folder = own.caches()
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
    except OSError:  # a home that is another's, or may only be read
        pass
    log.warning("%s: scores cannot be kept there for later calls; --cache names another folder", folder or "no home")
    return None


def _embedder(given: str | None) -> "Embedder | None":
    if given is None:
        return None
    from emu.judges.embedder import load

    return load(given, where="--embedder", typed=True)


def _attributes(given: str | None) -> "AttributeReader | None":
    if given is None:
        return None
    from emu.compare.attributes import AttributeReader

    like = "emu.judges.world.WorldFaithfulness"
    return named.make(given, AttributeReader, where="--attributes", like=like, typed=True)


def _reference(given: argparse.Namespace, embedder: "Embedder | None") -> "ReferenceSet | None":
    if given.reference is None:
        return None
    if embedder is None:
        raise UserError("--reference: give --embedder too, what sees the pictures")
    from emu.compare.judging import usable_device
    from emu.compare.reference import ReferenceSet

    return ReferenceSet(given.reference, embedder, device=usable_device(given.device))
