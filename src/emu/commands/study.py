"""`emu study`: one question put to `emu fit` many times over, ending in a table with intervals."""

import argparse
import signal
import sys
from pathlib import Path

from emu.class_paths import named
from emu.commands.parser import Parser
from emu.errors import UserError


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("study", help="many runs that answer one question: arms, seeds, a table, a plot")
    parser.set_defaults(action=study, parser=parser)
    parser.add_argument("study", help="a .yaml file, or a bundled study: needles, bar, length, noise-offset, overfit")
    parser.add_argument(
        "--out", type=Path, required=True, help="the folder for its runs; the same command resumes them"
    )
    parser.add_argument("--base", help="the config to start from, instead of the study's own")
    parser.add_argument(
        "--seeds", type=int, nargs="+", metavar="N", help="seeds of every arm, instead of the study's own"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on a device of its own (1)")
    settings = "a key of all arms, such as data.root=my/needles; may be repeated"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=settings)


def study(given: argparse.Namespace) -> None:
    """Runs what is not done yet; prints the table."""
    from emu.study.plan import Study
    from emu.study.run import run

    if given.jobs < 1:
        raise UserError(f"--jobs {given.jobs}: give 1 or more")
    settings = dict(named.setting(pair, flag="--set", like="data.root=my/needles") for pair in given.set)
    asked = Study.read(given.study, base=given.base, seeds=given.seeds, settings=settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # its runs save and leave first
    print(run(asked, out=given.out, jobs=given.jobs))
