"""argparse whose errors are one line."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from emu.errors import UserError
from emu.starting import starting

STAGE = "MODEL[,NAME=VALUE]"


def add_paths(parser: argparse.ArgumentParser) -> None:
    """The flag of what writes files that are handed on."""
    parser.add_argument(
        "--paths", action="store_true", help="write whole paths into what is made, not the last part alone"
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """A model, and what `emu.models.loading.load_model` asks of one that does not say by itself what it is."""
    parser.add_argument("model", help="a pipeline folder, a hub name, a .safetensors file, or a checkpoint of a run")
    architecture = "the class of a folder that no run exported, such as my_models.Mine"
    parser.add_argument("--architecture", metavar="CLASS_PATH", help=architecture)
    parser.add_argument("--config", metavar="FOLDER|NAME", help="what a single file is: a pipeline folder or hub name")
    parser.add_argument("--vae", metavar="FOLDER|FILE", help="another autoencoder than the model's")


@contextmanager
def a_model() -> Iterator[None]:
    """Around what loads a model: a start in few seconds, and libraries that say nothing of what emu says itself."""
    with starting():
        from emu.training.console import tidy

        tidy()
        yield


def add_sampler(parser: "argparse._ActionsContainer", like: str) -> None:
    """Arguments of a pipeline's call."""
    said = f"an argument of the pipeline's call, such as {like}; may be repeated"
    parser.add_argument("--sampler", action="append", default=[], metavar="KEY=VALUE", help=said)


class Parser(argparse.ArgumentParser):
    """Raises UserError where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")
