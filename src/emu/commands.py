"""The commands of plain arguments: sample, compare, export, demo. Each imports what it needs when it runs."""

import argparse
import inspect
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from emu.errors import UserError

if TYPE_CHECKING:
    from emu.judges import Judge


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The four commands with their flags; each sets `action`, what to do, and `parser`, itself."""
    draw = commands.add_parser("sample", help="draw prompts with any pipeline folder or checkpoint")
    draw.set_defaults(action=sample, parser=draw)
    draw.add_argument("model", help="a pipeline folder, a hub name, or a checkpoint of a run")
    draw.add_argument("prompts", type=Path, help=".txt, .tsv with a column Prompt, or .jsonl with a key prompt")
    draw.add_argument("out", type=Path, help="the folder to draw into; what is there already is not drawn again")
    draw.add_argument("--limit", type=int, default=0, help="how many prompts, spread over the file (0: all)")
    draw.add_argument("--seed", type=int, default=0, help="the first prompt's seed; the next has one more")
    draw.add_argument("--batch-size", type=int, default=16, help="pictures at a time")
    draw.add_argument("--sampler", action="append", default=[], metavar="KEY=VALUE", help="guidance_scale=5, ...")

    against = commands.add_parser("compare", help="before against after: one page and one table")
    against.set_defaults(action=compare, parser=against)
    against.add_argument("runs", type=Path, nargs="+", help="run folders")
    against.add_argument("--out", type=Path, required=True, help="the page; verdict.json is written beside it")
    for criterion in ("appeal", "faithfulness"):
        against.add_argument(
            f"--{criterion}",
            metavar="CLASS_PATH[:ARG]",
            help=f"judges the {criterion} of pictures that have no such score yet; ARG is its first argument",
        )

    out = commands.add_parser("export", help="a run or a checkpoint as a diffusers pipeline folder")
    out.set_defaults(action=export, parser=out)
    out.add_argument("run", type=Path, help="a run folder, or one of its checkpoints")
    out.add_argument("out", type=Path, help="the pipeline folder to write")

    show = commands.add_parser("demo", help="the whole path on three tiny models, minutes on two cores")
    show.set_defaults(action=demo, parser=show)
    show.add_argument("--out", type=Path, default=Path("runs/demo"), help="where it goes (runs/demo)")
    show.add_argument("--quick", action="store_true", help="a smaller run, to see that it works")


def sample(given: argparse.Namespace) -> None:
    """Draws prompts with a pipeline folder, a hub name or a checkpoint."""
    from emu.sample import sample

    sampler = dict(setting(pair) for pair in given.sampler)
    sample(
        given.model,
        given.prompts,
        given.out,
        limit=given.limit,
        seed=given.seed,
        batch_size=given.batch_size,
        sampler=sampler,
    )


def setting(pair: str) -> tuple[str, Any]:
    """`guidance_scale=5` -> ("guidance_scale", 5)."""
    name, equals, value = pair.partition("=")
    if not equals:
        raise UserError(f"--sampler {pair}: give KEY=VALUE, such as guidance_scale=5")
    return name, yaml.safe_load(value)


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


def export(given: argparse.Namespace) -> None:
    """Writes a pipeline folder that plain diffusers loads, and says how near its picture is to the run's."""
    from emu.export import export

    print(f"{given.out}: loads in diffusers; largest difference to the run's picture {export(given.run, given.out)}")


def demo(given: argparse.Namespace) -> None:
    """The whole path on three tiny models."""
    from emu.demo import tour

    tour.main(given.out, quick=given.quick)
