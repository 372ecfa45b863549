"""`emu demo`: the whole path on three tiny models, minutes on two cores."""

import argparse
import signal
import sys
from pathlib import Path

from emu.bundled import DEMO
from emu.commands.parser import Parser


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("demo", help="the whole path on three tiny models, minutes on two cores")
    parser.set_defaults(action=demo, parser=parser)
    parser.add_argument("--out", type=Path, default=Path(DEMO), help=f"the folder to write ({DEMO})")
    parser.add_argument("--quick", action="store_true", help="a smaller run, which shows only that everything works")


def demo(given: argparse.Namespace) -> None:
    """The whole path."""
    from emu.demo import tour

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # its runs save and leave first
    tour.main(given.out, quick=given.quick)
