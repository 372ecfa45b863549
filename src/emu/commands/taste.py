"""`emu taste`: what people should look at next, by what they kept and rejected."""

import argparse
from pathlib import Path

from emu.class_paths.named import FORM
from emu.commands.parser import Parser

EMBEDDER = "openai/clip-vit-large-patch14"


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("taste", help="rank what people should look at next, by what they kept and rejected")
    parser.set_defaults(action=taste, parser=parser)
    parser.add_argument("folder", type=Path, metavar="DST", help="a curated folder with a review.json")
    parser.add_argument(
        "--embedder",
        default=EMBEDDER,
        metavar=f"MODEL|{FORM}",
        help=f"a folder or hub name of CLIP or SigLIP, or a class of emu.judges.Embedder (default {EMBEDDER})",
    )
    parser.add_argument(
        "--pass",
        dest="name",
        metavar="NAME",
        help="learn from the votes of one pass (default: from what all passes decided)",
    )
    parser.add_argument(
        "--explore",
        type=float,
        default=0.2,
        metavar="SHARE",
        help="share of the ranking given to the pictures that it is least sure of (default 0.2)",
    )


def taste(given: argparse.Namespace) -> None:
    """Fits, ranks, and says how well the head predicts decisions that it did not learn from."""
    from emu.layouts.curated_folder import TASTE
    from emu.taste import summary, taste

    lines = summary(taste(given.folder, given.embedder, name=given.name, explore=given.explore))
    print("\n".join([*lines, f"{given.folder / TASTE}: file, score, uncertainty, order"]))
