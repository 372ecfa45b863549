"""Folders: with a metadata file that names their pictures, or pictures with captions beside them, tars and tables."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from emu.data.sources.below import below
from emu.data.sources.entry import Dropped, Item, Wanted
from emu.data.sources.kinds import COMPANIONS, LISTS, METADATA_FILES, PICTURES, TABLES, UNREAD, hidden, suffix
from emu.data.sources.members import HIDDEN, Members, Place, key
from emu.data.sources.openers import File
from emu.data.sources.rows import is_record, read_record, read_rows
from emu.data.sources.tars import read_tar
from emu.errors import UserError
from emu.layouts.curated_folder import WORK, WORKS

REPEATS = re.compile(r"(\d{1,3})_(.+)")  # kohya's `10_subject`: how often to show each, and a caption for the rest


def read_folder(folder: Path, wanted: Wanted, *, root: Path | None = None) -> Iterator[Item]:
    """What a metadata file says of a folder, where there is one; or all that lies there and in the folders below.

    UserError: as `metadata_of`; a tar or a table that cannot be read.
    """
    metadata = metadata_of(folder)
    paths = [] if metadata else sorted(folder.iterdir())
    tables = [path for path in paths if path.suffix == ".parquet" and _names_files(path, wanted)]
    lists = [metadata] if metadata else tables
    if not lists:
        yield from read_paths(paths, wanted, root=root or folder)
        return
    if not metadata and any(path.suffix == ".tar" for path in paths):
        raise UserError(
            f"{folder}: holds tars and {lists[0].name}, which names files; name one kind, as {folder}/*.tar"
        )
    named = set[str]()
    for path in lists:
        yield from read_rows(path, wanted, named=named, title=_title(folder, root))
    yield from _unnamed(folder, named, title=_title(folder, root), by=" or ".join(path.name for path in lists))


def metadata_of(folder: Path) -> Path | None:
    """The file that names a folder's pictures, if any. UserError: there are two, or a funnel has not finished it."""
    found = [folder / name for name in METADATA_FILES if (folder / name).is_file()]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise UserError(f"{folder}: holds {names}; name one of them, as {found[0]}")
    if not found and (folder / WORK).is_dir():
        raise UserError(f"{folder}: emu curate has not finished it; run the same command again")
    return found[0] if found else None


def read_paths(paths: Sequence[Path], wanted: Wanted, *, root: Path | None = None) -> Iterator[Item]:
    """Pictures, tars, tables and folders, in this order. With `root` they are all that a folder below it holds.

    Without it they are what the user named: then captions are looked for beside them, and every table is read.
    """
    folders = [path for path in paths if path.is_dir()]
    files = [path for path in paths if not path.is_dir()]
    within: dict[Path, list[str]] = {}
    for path in files:
        within.setdefault(path.parent, []).append(path.name)
    for parent, names in within.items():
        yield from _loose(parent, names, wanted, root)
    for path in files:
        if suffix(path.name) == "tar" and not hidden(path.name):
            yield from read_tar(path, wanted, folder=_title(path.parent, root))
            yield from _record(path)
    yield from _tables([path for path in files if suffix(path.name) in TABLES], wanted, root)
    for folder in folders:
        if root is None:
            yield from read_folder(folder, wanted)
        elif folder.is_symlink():
            yield Dropped(f"{folder.relative_to(root)}: a link to a folder, not followed; name that as data.root")
        elif hidden(folder.name):
            yield from _unnamed(folder, set(), title=_title(folder, root))
        else:
            yield from read_folder(folder, wanted, root=root)
            yield from _record(folder)


def _loose(parent: Path, names: Sequence[str], wanted: Wanted, root: Path | None) -> Iterator[Item]:
    """Pictures that lie in a folder, with the captions beside them."""
    if root is None:
        keys = {key(name) for name in names if suffix(name) in PICTURES}
        beside = (
            [name for name in os.listdir(parent) if suffix(name) in COMPANIONS and key(name) in keys] if keys else []
        )
        own = [name for name in names if suffix(name) not in LISTS]  # those are read
        names = [*own, *sorted(set(beside).difference(own))]
    base, title = root or parent, _title(parent, root)

    def checked(name: str) -> File:
        path = parent / name
        return File(path if path.is_file() and not path.is_symlink() else below(base, title + name))

    def content(name: str, most: int) -> bytes:
        with checked(name)() as file:
            return file.read(most)

    kohya = REPEATS.fullmatch(parent.name)
    subject = kohya[2] if kohya else None
    columns = {"repeats": int(kohya[1])} if kohya else {}
    yield from Members(names, Place(title, checked, content, subject, columns), wanted)


def _title(folder: Path, root: Path | None) -> str:
    """What is put before the names of a folder's files, so that they differ from those of others."""
    return "" if root in (None, folder) else f"{folder.relative_to(root).as_posix()}/"


def _tables(paths: Sequence[Path], wanted: Wanted, root: Path | None) -> Iterator[Item]:
    pictures = list[Path]()
    for path in paths:
        if suffix(path.name) == "parquet":
            if not notes_downloads(path):
                pictures.append(path)
        elif root is None:  # of those below it `Members` says that they are not read
            yield from read_rows(path, wanted)
    if pictures:
        from emu.data.sources.tables import read_tables  # pyarrow takes a while to import

        yield from read_tables(pictures, wanted, title=_title(pictures[0].parent, root))


def _names_files(path: Path, wanted: Wanted) -> bool:
    from emu.data.sources.tables import stores_pictures

    return not notes_downloads(path) and not stores_pictures(path, wanted)


def notes_downloads(path: Path) -> bool:
    """Whether a parquet file is what a downloader noted of the tar or the folder beside it."""
    return (path.with_suffix(".tar").is_file() or path.with_suffix("").is_dir()) and is_record(path)


def _record(of: Path) -> Iterator[Item]:
    """What a downloader noted of a tar or a folder that it filled."""
    path = of.parent / f"{of.name.removesuffix('.tar')}.parquet"
    if path.is_file() and is_record(path):
        yield from read_record(path)


def _unnamed(folder: Path, named: set[str], *, title: str, by: str = "") -> Iterator[Dropped]:
    """What lies in a folder and is not in the table `by` that lists its pictures; or in a folder that is hidden."""
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - set(WORKS))
        for file in sorted(files):
            path = os.path.relpath(os.path.join(where, file), folder)
            if path in named:
                continue
            if hidden(title + path):
                if suffix(file) in PICTURES:
                    yield Dropped(f"{title}{path}: {HIDDEN}")
            elif suffix(file) in PICTURES | UNREAD | {"tar"}:
                yield Dropped(f"{title}{path}: {by} does not name it")
