"""Curate: from a haystack of any size to the needles, and a manifest that accounts for every straw.

Reads pictures and captions; needs no GPU and no model but what its stages name.
"""

import hashlib
import logging
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from emu.bundled import is_same
from emu.curate import ledger, needles
from emu.curate.config import SHARD, Funnel
from emu.curate.counts import count, require_some
from emu.curate.decide import decide
from emu.curate.engine import Engine
from emu.curate.manifest import Footer, kept, read_footer, write
from emu.curate.progress import Progress
from emu.curate.shards import Shard, cut
from emu.curate.stage import Choice, Selection, Stage
from emu.curate.work import Work
from emu.data.sources import Item, read_source
from emu.data.sources.roots import matching
from emu.errors import UserError
from emu.layouts.curated_folder import MANIFEST, METADATA, PAGE, WORK
from emu.storage import locks
from emu.storage.records import left_out, read_json, to_json
from emu.terminal.counted import many

__all__ = ["Choice", "Funnel", "Selection", "Stage", "curate"]

log = logging.getLogger(__name__)

RUN = "run.json"


@dataclass(frozen=True)
class Origin:
    """What a folder is curated by and from.

    Args:
        config: the sha256 of the config.
        source: as the command line names it.
        input: of a folder that is complete, the sha256 of what the source held: names, captions, columns, and the sizes
            and ages of files; None in folders of before.
    """

    config: str
    source: str
    input: str | None = left_out()


def curate(funnel: Funnel, source: str, out: Path, *, engine: Engine, paths: bool = False) -> Footer:
    """Run a funnel over `source` into the folder `out`; returns the footer of the manifest.

    The same call after a kill goes on: at most one shard a worker is measured again, and what comes out is the same
    to the byte. A folder that is complete is left as it is; warnings say whether its source has changed since, and
    which of its pictures are damaged or gone.

    Args:
        paths: keep absolute paths of source and config in the manifest and the page; else their last part alone stays.

    Raises:
        UserError: the source, a model or the disk; a folder made by another config or from another source.
    """
    funnel.require()
    _require_apart(source, out)
    origin = _require_same(out, Origin(funnel.sha256, source))
    existed = out.exists()
    with locks.alone(out, "emu curate", name=ledger.LOCK):
        ledger.sweep(out)
        ledger.write_durably(out / WORK / RUN, to_json(origin, indent=None))
        try:
            if (out / METADATA).exists():
                _warn(out, origin, funnel)
            else:
                seen = _run(funnel, source, out, engine, paths=paths)
                ledger.write_durably(out / WORK / RUN, to_json(replace(origin, input=seen), indent=None))
        except UserError:
            _leave_as_it_was(out, existed)
            raise
        for done in ("shards", "fetched", "hosts", "life"):
            shutil.rmtree(out / WORK / done, ignore_errors=True)
    return read_footer(out)


def _warn(out: Path, origin: Origin, funnel: Funnel) -> None:
    """What is no longer as it was when a folder was completed."""
    if damaged := needles.damaged(out, kept(out)):
        log.warning(
            "%s: %s gone or not as written, first %s; to have such made again, remove them and %s",
            *(out, many(len(damaged), "picture is", "pictures are"), damaged[0], METADATA),
        )
    if origin.input is None:
        return
    try:
        same = origin.input == _sum(shard.sha256 for shard in cut(_source(funnel, origin.source), size=SHARD))
    except UserError as error:
        log.warning("%s: its source cannot be read any more (%s)", out, error)
        return
    if not same:
        log.warning("%s: %s has changed since; name another folder to curate what it holds now", out, origin.source)


def _run(funnel: Funnel, source: str, out: Path, engine: Engine, *, paths: bool) -> str:
    """Returns the sum of what the source held."""
    shards, seen = _measure(funnel, source, out, engine)
    if not shards:
        raise UserError(f"{source}: holds no picture")
    fates = decide(funnel, shards)
    counts = count(funnel, fates, shards)
    footer = Footer(funnel.sha256, source, funnel.document, counts, fates.notes)
    if not paths:
        footer = footer.without_places()
    write(out, funnel, fates, shards, footer)
    from emu.curate.page import page

    ledger.write_durably(out / PAGE, page(funnel, fates, shards, footer))
    require_some(funnel, fates, counts, shards)
    pictures = kept(out)
    needles.write_pictures(out, pictures, _source(funnel, source), funnel.readable)
    needles.write_metadata(out, pictures)
    return seen


def _measure(funnel: Funnel, source: str, out: Path, engine: Engine) -> tuple[list[Path], str]:
    """Every shard that is not done yet; returns the files of all, in order, and the sum of their input."""
    done = ledger.Ledger(out, funnel.sha256)
    paths, sums = list[Path](), list[str]()
    progress = Progress(lambda: _source(funnel, source))

    def missing() -> Iterator[Shard]:
        for shard in cut(_source(funnel, source), size=SHARD):
            paths.append(done.path(shard.number))
            sums.append(shard.sha256)
            if done.done(shard.number, sums[-1]):
                progress.found(len(shard.items))
            else:
                yield shard

    try:
        engine.start(Work(funnel, out))
        for pictures in engine.map(missing()):
            progress.measured(pictures)
    finally:
        engine.stop()
        progress.close()
    return paths, _sum(sums)


def _sum(sums: Iterable[str]) -> str:
    return hashlib.sha256("".join(sums).encode()).hexdigest()


def _source(funnel: Funnel, source: str) -> Iterator[Item]:
    """All that it holds, in an order that is the same at every start; pictures are to be opened in that order."""
    data = funnel.data
    return read_source(
        source,
        image_column=data.image_column,
        text_column=data.text_column,
        lines=data.caption_lines,
        captioned=data.captioned,
        sequential=True,
    )


def _leave_as_it_was(out: Path, existed: bool) -> None:
    """What failed before anything was measured claims no folder: the config will be another one."""
    measured = (out / WORK / "shards").glob("shard-*")
    if (out / MANIFEST).exists() or any(measured):
        return
    shutil.rmtree(out / WORK)
    if not existed:
        out.rmdir()


def _require_apart(source: str, out: Path) -> None:
    """UserError: what is made would lie among the pictures that it is made of."""
    if any(
        folder.is_dir() and out.resolve().is_relative_to(folder.resolve()) for folder in map(Path, matching(source))
    ):
        raise UserError(f"{out}: lies in {source}, which is read; name a folder outside of it")


def _require_same(out: Path, origin: Origin) -> Origin:
    """The origin of the folder: this one, or the same of before. UserError: another one, or something else is there."""
    run = out / WORK / RUN
    if not run.exists():
        if out.exists() and (not out.is_dir() or any(path.name != WORK for path in out.iterdir())):
            raise UserError(f"{out}: holds something else; name a new folder, or an empty one")
        return origin
    found: Origin = read_json(run, Origin, remedy=f"remove {out}, and curate again")
    if not is_same(found.source, origin.source):
        raise UserError(f"{out}: was curated from {found.source}; name another folder, or remove this one")
    if found.config != origin.config:
        raise UserError(f"{out}: was made by another config; name another folder, or remove this one")
    return replace(origin, input=found.input)
