"""`emu compare`: before against after, as one page and one table."""

import argparse
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from emu import named
from emu.commands.parser import Parser
from emu.errors import UserError

if TYPE_CHECKING:
    from emu.compare.attributes import AttributeReader
    from emu.compare.judging import Bench
    from emu.compare.reference import Reference
    from emu.judges import Embedder, Judge


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("compare", help="before against after: one page and one table")
    parser.set_defaults(action=compare, parser=parser)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders; or two folders of pictures, before and after")
    parser.add_argument("--out", type=Path, required=True, help="the page; verdict.json is written beside it")
    for criterion in ("appeal", "faithfulness"):
        parser.add_argument(
            f"--{criterion}",
            metavar=named.FORM,
            action="append",
            default=[],
            help=f"judges the {criterion} of pictures that it has not scored yet; ARG is its first argument, such as a "
            "model; may be repeated, and the first is the headline",
        )
    parser.add_argument(
        "--device", metavar="NAME", help="where judges compute: cpu, cuda, cuda:1; a GPU if there is one"
    )
    parser.add_argument(
        "--cache", metavar="FOLDER", type=Path, help="keeps scores, for any run; ~/.cache/emu by default"
    )
    parser.add_argument("--reference", metavar="FOLDER", type=Path, help="pictures that both sides are held against")
    parser.add_argument(
        "--embedder",
        metavar=f"MODEL|{named.FORM}",
        help="tells near pictures from far ones, for the reference and for the guards: a folder or hub name of CLIP or "
        "SigLIP, or a class of emu.judges.Embedder",
    )
    parser.add_argument(
        "--training",
        metavar="ROOT",
        help="the curated set, which samples are held against; by default what the run's config names",
    )
    parser.add_argument(
        "--attributes",
        metavar=named.FORM,
        help="reads in pictures what the prompt file's columns of the same names ask for: how often a model draws it; "
        "such as emu.judges.world.WorldFaithfulness",
    )
    parser.add_argument("--paths", action="store_true", help="keep absolute paths; only their last part stays else")


def compare(given: argparse.Namespace) -> None:
    """Writes the page and the verdict beside it; prints the table."""
    from emu.compare import Against, compare

    appeal, faithfulness = (
        [judge(one, flag=flag) for one in judges]
        for flag, judges in (("--appeal", given.appeal), ("--faithfulness", given.faithfulness))
    )
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
    print(table)


def judge(given: str, *, flag: str) -> "Judge":
    """The judge that a flag names. UserError: no judge, or one that takes other arguments."""
    from emu.judges import Judge

    return named.make(given, Judge, where=flag, like="emu.judges.clip.ClipScore", typed=True)


def _bench(given: argparse.Namespace) -> "Bench":
    from emu.compare.judging import Bench, usable_device
    from emu.compare.score_cache import ScoreCache

    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Bench(usable_device(given.device), ScoreCache(given.cache or Path(caches) / "emu"))


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


def _reference(given: argparse.Namespace, embedder: "Embedder | None") -> "Reference | None":
    if given.reference is None:
        return None
    if embedder is None:
        raise UserError("--reference: give --embedder too, what sees the pictures")
    from emu.compare.judging import usable_device
    from emu.compare.reference import Reference

    return Reference(given.reference, embedder, device=usable_device(given.device))
