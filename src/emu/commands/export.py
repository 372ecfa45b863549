"""`emu export`: a run or a checkpoint as a pipeline folder that plain diffusers loads."""

import argparse
from pathlib import Path

from emu.commands.parser import Parser


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("export", help="a run or a checkpoint as a diffusers pipeline folder")
    parser.set_defaults(action=export, parser=parser)
    parser.add_argument("run", type=Path, help="a run folder, or one of its checkpoints")
    parser.add_argument("out", type=Path, help="the pipeline folder to write")


def export(given: argparse.Namespace) -> None:
    """Writes the folder, and says how near its picture is to the run's."""
    from emu.export import export

    print(f"{given.out}: loads in diffusers; largest difference to the run's picture {export(given.run, given.out)}")
