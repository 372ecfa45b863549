"""`emu card`: the data card of a curated folder."""

import argparse
from pathlib import Path

from emu.commands.parser import Parser, add_paths


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("card", help="write the data card of a curated folder, as README.md and as a page")
    parser.set_defaults(action=card, parser=parser)
    parser.add_argument("folder", type=Path, help="a curated folder, or any folder with a metadata.jsonl")
    add_paths(parser)


def card(given: argparse.Namespace) -> None:
    """Writes the card."""
    from emu.card import write_card

    readme, page = write_card(given.folder, paths=given.paths)
    print(f"{readme}: the card, as the Hub reads it\n{page}: the same, for any browser")
