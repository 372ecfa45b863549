"""`emu check`: whether a model is what it was."""

import argparse
from pathlib import Path

from emu.commands.parser import Parser, a_model, add_model


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("check", help="whether a model still is what it was: losses, weights, first picture")
    parser.set_defaults(action=check, parser=parser)
    add_model(parser)
    against = "what is stored of a model (checks/NAME.json, or check.json in the model's folder)"
    parser.add_argument("--against", type=Path, metavar="FILE", help=against)
    anew = "store what is found now, in place of what was stored, and of a model that was never trained too"
    parser.add_argument("--anew", action="store_true", help=anew)
    precisions = ("32-true", "bf16-mixed", "16-mixed")
    parser.add_argument("--precision", default="32-true", choices=precisions, help="as --trainer.precision (32-true)")


def check(given: argparse.Namespace) -> None:
    """Prints what was found; exit code 1 where something failed."""
    with a_model():
        from emu.check import check

        checked = check(
            given.model,
            against=given.against,
            anew=given.anew,
            precision=given.precision,
            architecture=given.architecture,
            config=given.config,
            vae=given.vae,
        )
    print(checked.text)
    if not checked.sound:
        raise SystemExit(1)
