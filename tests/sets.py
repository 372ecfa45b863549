"""Captioned sets in the layouts that people and their tools make; of each it is known what should come out."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

RECORD = {"url": "", "caption": "", "key": "", "status": "", "error_message": "", "width": 0, "height": 0, "sha256": ""}


def picture(seed: int, kind: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
    """A picture file of noise; `seed` decides every pixel."""
    stream = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, kind)
    return stream.getvalue()


def write(folder: Path, files: dict[str, bytes | str]) -> Path:
    """Files below a folder, by name."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def write_tar(path: Path, members: dict[str, bytes | str]) -> Path:
    """A tar of files, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Parquet with the columns of the first row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.Table.from_pylist(rows[:1]).schema), path)
    return path


def downloaded(folder: Path, form: str, *, good: int, failed: int, shard: str = "00000") -> Path:
    """What img2dataset leaves of `good` pictures and `failed` addresses, as `files`, `webdataset` or `parquet`."""
    notes = [_note(shard, i, "success" if i < good else "failed_to_download") for i in range(good + failed)]
    contents = [picture(i, "JPEG") for i in range(good)]
    if form == "parquet":
        found = [*contents, *[None] * failed]
        write_table(folder / f"{shard}.parquet", [n | {"jpg": jpg} for n, jpg in zip(notes, found, strict=True)])
    else:
        members = {
            f"{note['key']}.{ending}": content
            for note, jpg in zip(notes, contents, strict=False)
            for ending, content in (("jpg", jpg), ("txt", note["caption"]), ("json", json.dumps(note, indent=4)))
        }
        if form == "files":
            write(folder / shard, members)
        else:
            write_tar(folder / f"{shard}.tar", members)
        write_table(folder / f"{shard}.parquet", notes)
    return write(folder, {f"{shard}_stats.json": json.dumps({"count": good + failed})})


def _note(shard: str, i: int, status: str) -> dict[str, Any]:
    key = f"{shard}{i:04}"
    error = "" if status == "success" else "HTTP Error 404: Not Found"
    said = {"url": f"https://example.org/{key}.jpg", "caption": f"caption {i}", "key": key, "status": status}
    return RECORD | said | {"error_message": error}
