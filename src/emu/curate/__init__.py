"""Curate: from a haystack of any size to the needles, and a manifest that accounts for every straw.

Reads pictures and captions; needs no GPU and no model but what its stages name.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from emu import locks
from emu.bundled import resolve
from emu.curate import ledger, manifest, needles
from emu.curate.config import SHARD, Funnel
from emu.curate.counts import as_rows, count, require_some
from emu.curate.decide import column, decide
from emu.curate.engine import Engine
from emu.curate.shards import Shard, cut
from emu.curate.sources import read_pictures
from emu.curate.stage import Choice, Selection, Stage
from emu.curate.work import Work
from emu.data.sources import Item
from emu.data.sources.kinds import METADATA
from emu.errors import UserError
from emu.places import without_places
from emu.records import read_json

__all__ = ["Choice", "Selection", "Stage", "curate"]

log = logging.getLogger(__name__)

RUN = "run.json"
PAGE = "funnel.html"


def curate(document: dict[str, Any], source: str, out: Path, *, engine: Engine, paths: bool = False) -> dict[str, Any]:
    """Run the funnel `document` over `source` into the folder `out`; returns what the manifest's footer tells.

    The same call after a kill goes on: at most one shard a worker is measured again, and what comes out is the same
    to the byte. A folder that is complete is left as it is; a warning names pictures in it that are damaged or gone.

    Args:
        paths: keep absolute paths of source and config in the manifest and the page; else their last part alone stays.

    Raises:
        UserError: the config, the source, a model or the disk; a folder made by another config or from another source.
    """
    funnel = Funnel(document)
    funnel.require()
    _require_same(out, funnel, source)
    existed = out.exists()
    with locks.alone(out, "emu curate", name=ledger.LOCK):
        ledger.sweep(out)
        ledger.write_durably(out / ledger.FOLDER / RUN, json.dumps(_identity(funnel, source)))
        try:
            if not (out / METADATA).exists():
                _run(funnel, source, out, engine, paths=paths)
            elif damaged := needles.damaged(out, manifest.kept(out / manifest.NAME)):
                log.warning(
                    "%s: %d pictures are gone or not as they were written, first %s; to have them made again, remove "
                    "them and %s",
                    *(out, len(damaged), damaged[0], METADATA),
                )
        except UserError:
            _leave_as_it_was(out, existed)
            raise
        for done in ("shards", "fetched", "hosts", "life"):
            shutil.rmtree(out / ledger.FOLDER / done, ignore_errors=True)
    return manifest.told(out)


def _run(funnel: Funnel, source: str, out: Path, engine: Engine, *, paths: bool) -> None:
    shards = _measure(funnel, source, out, engine)
    if not shards:
        raise UserError(f"{source}: holds no picture")
    fates = decide(funnel, shards)
    counts = count(funnel, fates, shards)
    told = {
        **_identity(funnel, source),
        "document": funnel.document,
        "stages": as_rows(counts),
        "told": fates.told,
    }
    if not paths:
        told = without_places(told)
    manifest.write(out, funnel, fates, shards, told)
    from emu.curate.page import page

    ledger.write_durably(out / PAGE, page(funnel, fates, shards, told))
    require_some(funnel, fates, counts, lambda name: column(shards, name))
    kept = manifest.kept(out / manifest.NAME)
    needles.write_pictures(out, kept, _source(funnel, source), funnel.readable)
    needles.write_metadata(out, kept)


def _measure(funnel: Funnel, source: str, out: Path, engine: Engine) -> list[Path]:
    """Every shard that is not done yet; returns the files of all, in order."""
    done = ledger.Ledger(out, funnel.sha256)
    paths: list[Path] = []
    bar = tqdm(desc="pictures", unit="", mininterval=1)

    def missing() -> Iterator[Shard]:
        for shard in cut(_source(funnel, source), size=SHARD):
            paths.append(done.path(shard.number))
            if done.done(shard.number, shard.sha256):
                bar.update(len(shard.items))
            else:
                yield shard

    try:
        engine.start(Work(funnel.document, out))
        for _ in engine.map(missing()):
            bar.update(SHARD)
    finally:
        engine.stop()
        bar.close()
    return paths


def _source(funnel: Funnel, source: str) -> Iterator[Item]:
    data = funnel.data
    return read_pictures(source, image_column=data.image_column, text_column=data.text_column, lines=data.caption_lines)


def _leave_as_it_was(out: Path, existed: bool) -> None:
    """What failed before anything was measured claims no folder: the config will be another one."""
    measured = (out / ledger.FOLDER / "shards").glob("shard-*")
    if (out / manifest.NAME).exists() or any(measured):
        return
    shutil.rmtree(out / ledger.FOLDER)
    if not existed:
        out.rmdir()


def _identity(funnel: Funnel, source: str) -> dict[str, str]:
    return {"config": funnel.sha256, "source": source}


def _is_same(source: str, other: str) -> bool:
    """One place has many spellings."""
    return source == other or len({os.path.realpath(Path(resolve(one)).expanduser()) for one in (source, other)}) == 1


def _require_same(out: Path, funnel: Funnel, source: str) -> None:
    run = out / ledger.FOLDER / RUN
    if not run.exists():
        if out.exists() and (not out.is_dir() or any(path.name != ledger.FOLDER for path in out.iterdir())):
            raise UserError(f"{out}: holds something else; name a new folder, or an empty one")
        return
    found = read_json(run, dict[str, str], remedy=f"remove {out}, and curate again")
    if not _is_same(str(found.get("source")), source):
        raise UserError(f"{out}: was curated from {found.get('source')}; name another folder, or remove this one")
    if found.get("config") != funnel.sha256:
        raise UserError(f"{out}: was made by another config; name another folder, or remove this one")
