"""The command `emu`. It answers in a blink: what a command needs is imported when the command runs.

emu plan -c latent/sdxl --data.root my/needles      # what a run will do and cost
emu fit -c latent/sdxl --data.root my/needles       # quality-tune
emu compare runs/sdxl --out report.html             # before against after
"""

import argparse
import os
import platform
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import NoReturn

from emu import commands, flags, refused
from emu.class_paths import signatures, trust
from emu.errors import UserError, closest, of_the_system, printable, system_error
from emu.starting import starting, waiting

CONFIGURED = {
    "fit": "quality-tune a model",
    "validate": "the held-out loss of a checkpoint",
    "encode": "run the frozen encoders once, into --data.cache",
    "plan": "what a run will do and cost, before any weight loads",
}


STANDS_ON = ("torch", "lightning", "diffusers", "transformers")
INTERRUPTED = 130  # the exit code of what Ctrl-C ended


def main(argv: list[str] | None = None) -> None:
    """Runs one command; what the user can mend ends in one line on stderr and exit code 2."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it warns of torchvision, which nothing here needs
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # of what emu counts itself
    if not sys.stderr.isatty():  # where a bar becomes one endless line
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        with waiting():
            run(trust.take(sys.argv[1:] if argv is None else argv))
    except UserError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:  # whoever read the output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python says so at its end
        raise SystemExit(1) from None
    except Exception as error:
        if (message := mendable(error)) is None:
            raise
        fail(message)


def mendable(error: Exception) -> str | None:
    """What to say of an error of the system, of the parser or of a device's memory; None of any other.

    And of one that the parser made of a `UserError`, as of those that a class raises when it is made.
    """
    if isinstance(error.__cause__, UserError):
        return str(error.__cause__)
    if system := system_error(error):
        return of_the_system(system)
    match type(error).__name__:  # by their names, so that they need not be imported
        case "ArgumentError":
            return refused.plain(str(error))
        case "OutOfMemoryError":
            first = str(error).partition(". ")[0]
            return f"{first}; lower data.batch_size or --batch-size (emu plan says what a run takes)"
        case "RuntimeError" if too_much := re.search(r"DefaultCPUAllocator: .* allocate (\d+) bytes", str(error)):
            return f"no memory for {int(too_much[1]):,} bytes; lower data.resolution or data.batch_size"
    return None


def fail(message: str) -> NoReturn:
    """One line `emu: ...` on stderr, exit code 2."""
    sys.stderr.write(f"emu: {printable(message)}\n")
    raise SystemExit(2)


def run(argv: list[str]) -> None:
    """Runs one command; raises UserError for what the user can mend."""
    if argv and argv[0] in CONFIGURED:
        configured(argv[0], argv[1:])
        return
    given, unknown = parser().parse_known_args(argv or ["--help"])
    if unknown:
        words = re.findall(r"--[a-z-]+", given.parser.format_help())
        raise UserError(f"unknown {unknown[0]}" + closest(unknown[0], words, otherwise="; see emu --help"))
    given.action(given)


def parser() -> commands.Parser:
    """Every command; those that take a config are here for --help alone."""
    top = commands.Parser(prog="emu", description="Quality-tune any text-to-image model; prove before against after.")
    top.add_argument("--version", action=Version, nargs=0, help="emu's version, and those of what it stands on")
    chosen = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, summary in CONFIGURED.items():
        chosen.add_parser(name, help=summary)
    commands.add_to(chosen)
    return top


class Version(argparse.Action):
    """Prints what a report of a fault should say, read from metadata: nothing is imported for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        below = ", ".join(f"{name} {version(name)}" for name in STANDS_ON)
        print(f"emu {version('emu-quality-tuning')} (Python {platform.python_version()}, {below})")
        parser.exit()


def configured(command: str, args: list[str]) -> None:
    """Runs a command that takes a config, with its keys as flags."""
    if {"-h", "--help"} & set(args):
        sys.stdout.write(help_text(command))
        return
    given = flags.check(args)
    with starting():
        match command:
            case "plan":
                from emu.planning.plan import plan

                print(plan(given))
            case "encode":
                from emu.training.fit import encode

                encode(given)
            case _:
                from emu.training.fit import run as fit

                fit(command, given)


def help_text(command: str) -> str:
    """The short help: the flags of our own classes with their defaults, read from their signatures and docstrings."""
    taken = {**signatures.sections(), "model": signatures.any_model()}
    lines = [
        f"usage: emu {command} -c FILE [--KEY VALUE ...]",
        "",
        CONFIGURED[command],
        "",
        f"  emu {command} -c latent/sdxl --data.root my/needles",
        "",
        "  -c FILE  a config, or the name of a bundled one such as latent/tiny; a later one is laid over an earlier",
    ]
    for section in ("data", "quality", "model", "checkpoint"):
        lines += ["", *(line for name, one in taken[section].items() for line in flag_help(f"{section}.{name}", one))]
    lines += [
        "",
        "  --model.NAME      what a class of model has beside these: see --print_config",
        "  --trainer.NAME    Lightning's Trainer: devices, precision, default_root_dir (the run folder) and more",
        "  --ckpt_path FILE  continue from a checkpoint; without it, from the newest in the run folder",
        "  --resume never    refuse a run folder that holds a run",
        "  --trust MODULE    run a class of your own that a config names, or another package's; asked for once",
        "  --print_config    every key with its value, then stop",
    ]
    return "\n".join(lines) + "\n"


def flag_help(key: str, parameter: signatures.Parameter) -> Iterator[str]:
    """`  --data.batch_size 8`, and below it what the flag does."""
    yield f"  --{key} {parameter.default or '(needed)'}".replace("'", "")
    yield from textwrap.wrap(parameter.about, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
