"""`emu curate`: a haystack of pictures through the stages of a config, into a curated folder and a manifest."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from emu.commands.parser import Parser, a_model, add_paths, add_sampler
from emu.cores import cores
from emu.errors import UserError
from emu.layouts.curated_folder import PAGE
from emu.storage import documents
from emu.storage.shapes import Arguments

if TYPE_CHECKING:
    from emu.curate.config import Funnel
    from emu.curate.upsamplers import Upsampler


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("curate", help="a haystack of pictures into a curated folder and a manifest")
    parser.set_defaults(action=curate, parser=parser)
    parser.add_argument("-c", "--config", default="curate/paper", help="a funnel, or a bundled one (curate/paper)")
    parser.add_argument("source", metavar="SRC", help="the source; of what looks at a curated folder, that folder")
    parser.add_argument("out", nargs="?", metavar="DST", help="the folder to make")
    parser.add_argument("--budget", type=int, metavar="N", help="keep at most N pictures: sets thresholds by quantile")
    taken = "take pictures that have no caption, and leave out what judges captions; people write them in emu review"
    parser.add_argument("--uncaptioned", action="store_true", help=taken)
    parser.add_argument("--explain", metavar="PICTURE", help="what each stage said of a picture; takes DST alone")
    allowed = "fetch pictures from this network too, though it is not public, such as 10.1.0.0/16; may be repeated"
    parser.add_argument("--allow", action="append", default=[], metavar="NETWORK", help=allowed)
    parser.add_argument("--engine", default="pool", help="pool (processes of this machine, the default), daft, ray")
    add_paths(parser)
    parser.add_argument("--workers", type=int, default=cores(), help="processes (one a core)")
    after = parser.add_argument_group("after the funnel, on DST alone")
    after.add_argument("--upsample", type=int, metavar="SIZE", help="mark pictures whose shorter side is under SIZE")
    by = "enlarge them: lanczos, or what makes pictures larger: a folder, a hub name, a run"
    after.add_argument("--upsampler", metavar="MODEL", help=by)
    add_sampler(after, "num_inference_steps=20")


def curate(given: argparse.Namespace) -> None:
    """Curates, and prints the funnel; or explains one picture, or makes small ones larger."""
    if given.explain is not None:
        explain(given)
        return
    if given.upsample is not None:
        upsample(given)
        return
    if given.upsampler or given.sampler:
        raise UserError("--upsampler: to which size? add --upsample SIZE")
    source, out = given.source, given.out
    if out is None:
        raise UserError(f"emu curate {source}: into which folder? name it behind, or see emu curate --help")
    if given.workers < 1:
        raise UserError(f"--workers {given.workers}: at least 1")
    from emu.curate import curate
    from emu.curate.counts import table
    from emu.curate.engines import make

    funnel = _funnel(given).without_missing(uncaptioned=given.uncaptioned)
    if missing := funnel.missing:
        lines = [f"without {', '.join(missing)}", *(f"  {name}: {why}" for name, why in missing.items())]
        print("\n".join(lines), flush=True)
    engine = make(given.engine, workers=given.workers)
    footer = curate(funnel, source, Path(out), engine=engine, paths=given.paths)
    print(f"{table(footer.stages)}\n{Path(out) / PAGE}: the funnel, for any browser")


def explain(given: argparse.Namespace) -> None:
    """Prints what became of one picture, stage by stage."""
    from emu.curate.explain import explain

    out = _curated(given, "--explain")
    print("\n".join(explain(Path(out), given.explain)))


def upsample(given: argparse.Namespace) -> None:
    """Marks small pictures, or makes them larger, and prints how many of each concept there are."""
    out = _curated(given, "--upsample")
    if given.sampler and not given.upsampler:
        raise UserError("--sampler: of which pipeline? add --upsampler MODEL")
    from emu.commands.sample import settings
    from emu.curate.upsample import table, upsample

    by = _upsampler(given.upsampler, settings(given.sampler)) if given.upsampler else None
    print(table(upsample(Path(out), given.upsample, by), given.upsample))


def _upsampler(name: str, settings: Arguments) -> "Upsampler":
    from emu.curate.upsamplers import LANCZOS, lanczos

    if name == LANCZOS:
        return lanczos(**settings)
    with a_model():
        from emu.sampling.enlarging import upsampler

        return upsampler(name, **settings)


def _funnel(given: argparse.Namespace) -> "Funnel":
    """The funnel of the config, with what the command line says over it."""
    from emu.curate.config import Funnel
    from emu.curate.document import KEYS
    from emu.flags import find_config

    path = find_config(given.config, of="curate")
    document = documents.read_mapping(path, keys=KEYS)
    if given.budget is not None:
        if not isinstance(document.get("budget"), dict):
            raise UserError(f"--budget {given.budget}: {path} has no section budget that says by which columns")
        if given.budget < 1:
            raise UserError(f"--budget {given.budget}: at least 1")
        document["budget"] = {**document["budget"], "number": given.budget}
    if given.uncaptioned:
        document["data"] = {**(document.get("data") or {}), "captioned": False}
    if given.allow:
        fetching = document.get("fetch") or {}
        document["fetch"] = {**fetching, "allow": [*fetching.get("allow", []), *given.allow]}
    return Funnel(document)


def _curated(given: argparse.Namespace, flag: str) -> str:
    """The one folder that a flag looks at."""
    if given.out is not None:
        raise UserError(f"{flag} takes one folder, that emu curate made, not {given.source} {given.out}")
    folder: str = given.source
    return folder
