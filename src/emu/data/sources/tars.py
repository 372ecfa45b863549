"""WebDataset tars, uncompressed: one is walked once, for the offsets of its members, and nothing is unpacked."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

from emu.data.sources.entry import Fault, Item, Wanted
from emu.data.sources.kinds import PICTURES, hidden, suffix
from emu.data.sources.members import Members, Place
from emu.data.sources.openers import Member
from emu.errors import UserError


def read_tar(path: Path, wanted: Wanted, *, folder: str = "") -> Iterator[Item]:
    """Every picture in the order of the tar; `folder` is put before its name.

    A member's name is a name and no path. Links, devices and second members of a name are faults where they would be
    pictures. UserError: no tar, or a torn one.
    """
    found: dict[str, Member] = {}
    faults: list[str] = []
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                picture = suffix(member.name) in PICTURES and not hidden(member.name)
                if member.name in found or not member.isfile():
                    if picture:
                        faults.append(f"{member.name}: {'its name is there already' if member.isfile() else LINK}")
                    continue
                found[member.name] = Member(path, member.offset_data, member.size)
            require_end(tar)
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{path}: cannot be read as a tar ({error})") from None
    title = f"{folder}{path.name}:"
    yield from (Fault(title + fault) for fault in faults)

    with path.open("rb") as file:

        def content(name: str, most: int) -> bytes:
            file.seek(found[name].offset)
            return file.read(min(found[name].size, most))

        yield from Members(list(found), Place(title, found.__getitem__, content), wanted)


LINK = "a link or a device, not a file"


def require_end(tar: tarfile.TarFile) -> None:
    """tarfile.ReadError where a tar that was walked breaks off between members: `tarfile` takes that for its end."""
    assert tar.fileobj
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it breaks off: no end mark")
