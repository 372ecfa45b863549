"""Haystacks of every form give the same pictures."""

import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emu.curate import Funnel, curate
from emu.curate.pool import Pool
from emu.data.sources import Entry, Fault, read_source
from emu.data.sources.tables import Cursor
from emu.errors import UserError
from haystack import SEEN, Here, config, content
from sets import downloaded, write

COUNT = 40
CONTENT = [content("good", i) for i in range(COUNT)]
TEXTS = [f"a picture number {i}" for i in range(COUNT)]


def make(root: Path, form: str) -> Path:
    root.mkdir()
    if form == "tar":
        with tarfile.open(root / "a.tar", "w") as tar:
            for i in range(COUNT):
                for kind, data in (("jpg", CONTENT[i]), ("json", json.dumps({"text": TEXTS[i]}).encode())):
                    member = tarfile.TarInfo(f"{i:04}.{kind}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
        return root
    for i, data in enumerate(CONTENT):
        (root / f"{i}.jpg").write_bytes(data)
    if form == "folder":
        lines = [json.dumps({"file_name": f"{i}.jpg", "text": TEXTS[i]}) + "\n" for i in range(COUNT)]
        (root / "metadata.jsonl").write_text("".join(lines))
        return root
    images = {
        "bytes": pa.array(CONTENT, type=pa.binary()),
        "struct": pa.array([{"bytes": data, "path": None} for data in CONTENT]),
        "paths": pa.array([f"{i}.jpg" for i in range(COUNT)]),
    }[form]
    pq.write_table(pa.table({"image": images, "text": TEXTS}), root / "a.parquet", row_group_size=25)
    return root / "a.parquet"


@pytest.mark.parametrize("form", ["folder", "tar", "bytes", "struct", "paths"])
def test_every_form_gives_the_same_pictures(tmp_path: Path, form: str) -> None:
    source = make(tmp_path / "hay", form)
    curate(Funnel(config(SEEN)), str(source), tmp_path / "out", engine=Pool(1))
    rows = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert [row["text"] for row in rows] == TEXTS
    assert [(tmp_path / "out" / row["file"]).read_bytes() for row in rows] == CONTENT


def test_a_cursor_goes_on_and_back(tmp_path: Path) -> None:
    path = make(tmp_path / "hay", "bytes")
    cursor = Cursor(path, 0, "image")
    for row in (0, 3, 24, 23, 2, 17):
        assert cursor.at(row) == CONTENT[row]


def test_paths_stay_below_their_folder(tmp_path: Path) -> None:
    (tmp_path / "hay").mkdir()
    (tmp_path / "secret.jpg").write_bytes(CONTENT[0])
    (tmp_path / "hay" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    paths = ["../secret.jpg", str(tmp_path / "secret.jpg"), "link.jpg", "a\0.jpg", "pipe:touch x", None, "FILE://x"]
    table = pa.table({"image": paths, "text": ["a text"] * len(paths)})
    pq.write_table(table, tmp_path / "hay" / "a.parquet")
    found = list(read_source(str(tmp_path / "hay"), image_column="image", text_column="text"))
    said = [item.message.partition(": ")[2] for item in found if isinstance(item, Fault)]
    assert len(said) == len(found) == len(paths)
    assert all("out of the folder" in one for one in said[:3])
    assert all("no such file" in one for one in said[3:5])
    assert "its image is empty" in said[5]
    assert "refused" in said[6]


def test_what_is_no_table_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    pq.write_table(pa.table({"image": [1], "text": ["a"]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"picture": [b""], "text": ["a"]}), tmp_path / "c.parquet")
    for name, said in (("a", "cannot be read as parquet"), ("b", "holds int64"), ("c", "no column image; there are")):
        with pytest.raises(UserError, match=said):
            list(read_source(str(tmp_path / f"{name}.parquet"), image_column="image", text_column="text"))


@pytest.mark.parametrize("captioned", [True, False])
def test_pictures_without_captions_are_curated_where_that_is_said(tmp_path: Path, captioned: bool) -> None:
    source = tmp_path / "hay"
    write(source, {"0.jpg": CONTENT[0], "1.jpg": CONTENT[1], "1.txt": "a boat", "2.jpg": CONTENT[2]})
    curate(Funnel(config(SEEN, data={"captioned": captioned})), str(source), tmp_path / "out", engine=Here())
    rows = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert [row["status"] for row in rows] == (["failed", "kept", "failed"] if captioned else ["kept"] * 3)
    lines = map(json.loads, (tmp_path / "out" / "metadata.jsonl").read_text().splitlines())
    assert [line["text"] for line in lines] == (["a boat"] if captioned else ["", "a boat", ""])


def test_numbers_of_a_table_of_text_are_numbers(tmp_path: Path) -> None:
    """A CSV has nothing but text: likes were no numbers, so that all pictures left, and typed columns were empty."""
    source, stage = tmp_path / "hay", "emu.curate.stages.Popularity"
    lines = ["file_name,text,likes,share", "0.jpg,a,5,0.5", "1.jpg,b,12, 1e-2", "2.jpg,c,many,"]
    write(source, {f"{i}.jpg": CONTENT[i] for i in range(3)} | {"metadata.csv": "\n".join(lines)})
    columns = {"likes": "int64", "share": "float64"}
    popular = {"class_path": stage, "at_least": {"popularity": 10}}
    funnel = Funnel(config(SEEN, popular, data={"columns": columns}))
    curate(funnel, str(source), tmp_path / "out", engine=Here())
    rows = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["dropped", "kept", "dropped"]
    assert [(row["likes"], row["share"]) for row in rows] == [(5, 0.5), (12, 0.01), (None, None)]


def test_no_column_of_the_source_is_written_over(tmp_path: Path) -> None:
    source, row = tmp_path / "hay", {"file_name": "0.jpg", "caption": "a boat", "text": "IMG 7", "source": "a museum"}
    write(source, {"0.jpg": CONTENT[0], "metadata.jsonl": json.dumps(row)})
    curate(Funnel(config(SEEN, data={"text_column": "caption"})), str(source), tmp_path / "out", engine=Here())
    again = Funnel(config(SEEN))
    curate(again, str(tmp_path / "out"), tmp_path / "again", engine=Here())
    for name, of in (("out", "0.jpg"), ("again", "images/00000000.jpg")):
        (line,) = map(json.loads, (tmp_path / name / "metadata.jsonl").read_text().splitlines())
        assert (line["text"], line["source"]) == ("a boat", of)
        assert (line["source_text"], line["source_source"]) == ("IMG 7", "a museum")


def test_all_captions_of_a_picture_outlive_the_funnel(tmp_path: Path) -> None:
    source = tmp_path / "hay"
    write(source, {f"{i}.jpg": CONTENT[i] for i in range(3)} | {f"{i}.txt": f"{i} a\n{i} b" for i in range(3)})
    downloaded(source, "files", good=2, failed=3)
    curate(Funnel(config(SEEN, data={"caption_lines": True})), str(source), tmp_path / "out", engine=Here())
    rows = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["kept"] * 5 + ["dropped"] * 3
    assert all("failed_to_download" in row["reason"] for row in rows[5:])
    again = [item.texts for item in read_source(str(tmp_path / "out")) if isinstance(item, Entry)]
    assert again == [("0 a", "0 b"), ("1 a", "1 b"), ("2 a", "2 b"), ("caption 0",), ("caption 1",)]
