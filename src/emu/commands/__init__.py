"""The commands of plain arguments, one file each. A file imports what its command needs when that runs."""

import argparse

from emu.commands import card, check, compare, curate, demo, export, new, review, sample, study, taste, vote
from emu.commands.parser import Parser

__all__ = ["Parser", "add_to"]


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Every command with its flags; each sets `action`, what to do, and `parser`, itself."""
    for command in (curate, review, card, taste, new, check, sample, compare, vote, study, export, demo):
        command.add_to(commands)
