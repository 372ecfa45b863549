"""`emu taste`: what people should look at next, by what they kept and rejected."""

import argparse
from pathlib import Path

from emu.commands.parser import Parser

EMBEDDER = "openai/clip-vit-large-patch14"


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("taste", help="rank what people should look at next, by what they kept and rejected")
    parser.set_defaults(action=taste, parser=parser)
    parser.add_argument("folder", type=Path, metavar="DST", help="a curated folder with a review.json")
    parser.add_argument("--embedder", default=EMBEDDER, help=f"CLIP or SigLIP by folder or hub name ({EMBEDDER})")
    parser.add_argument("--pass", dest="name", metavar="NAME", help="learn from one pass's votes (from all decisions)")
    parser.add_argument(
        "--explore", type=float, default=0.2, metavar="SHARE", help="so many of the next are uncertain ones (0.2)"
    )


def taste(given: argparse.Namespace) -> None:
    """Fits, ranks, and says how well the head tells decisions that it did not see."""
    from emu.curated import TASTE
    from emu.taste import taste, told

    lines = told(taste(given.folder, given.embedder, name=given.name, explore=given.explore))
    print("\n".join([*lines, f"{given.folder / TASTE}: file, score, uncertainty, order"]))
