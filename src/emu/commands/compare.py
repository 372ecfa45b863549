"""`emu compare`: before against after, as one page and one table."""

import argparse
import inspect
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from emu.commands.parser import Parser
from emu.errors import UserError

if TYPE_CHECKING:
    from emu.judges import Judge


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("compare", help="before against after: one page and one table")
    parser.set_defaults(action=compare, parser=parser)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders")
    parser.add_argument("--out", type=Path, required=True, help="the page; verdict.json is written beside it")
    for criterion in ("appeal", "faithfulness"):
        parser.add_argument(
            f"--{criterion}",
            metavar="CLASS_PATH[:ARG]",
            help=f"judges the {criterion} of pictures that have no such score yet; ARG is its first argument",
        )


def compare(given: argparse.Namespace) -> None:
    """Writes the page and the verdict beside it; prints the table."""
    from emu.compare import compare

    appeal, faithfulness = judge(given.appeal, flag="--appeal"), judge(given.faithfulness, flag="--faithfulness")
    print(compare(given.runs, out=given.out, appeal=appeal, faithfulness=faithfulness))


def judge(given: str | None, *, flag: str) -> "Judge | None":
    """`my_judges.Sharp` -> the judge of that class with its defaults; `my_judges.Sharp:ARG` with its first argument.

    None where none is given. Raises UserError, naming the flag, for what is no judge or takes other arguments.
    """
    if given is None:
        return None
    from emu.judges import Judge

    class_path, colon, argument = given.partition(":")
    module, _, name = class_path.rpartition(".")
    arguments = [argument] if colon else []
    try:
        chosen = getattr(import_module(module), name)
        if not issubclass(chosen, Judge):
            raise UserError(f"{flag} {given}: no emu.judges.Judge; name a class that subclasses it")
        inspect.signature(chosen).bind(*arguments)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(f"{flag} {given}: {error}; give a class such as emu.judges.clip.ClipScore") from error
    made: Judge = chosen(*arguments)
    return made
