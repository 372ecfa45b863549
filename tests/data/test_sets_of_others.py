"""Sets as other programs write them, held to what those programs document."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emu.curate.folder import read_curated
from emu.data import CuratedData
from emu.data.sources import Dropped, Entry, Fault, read_source
from emu.desk.review.pictures import read_pictures
from emu.errors import UserError
from sets import picture, write


def read(root: Path, **asked: object) -> tuple[dict[str, str], list[str], list[str]]:
    """Captions by name, what failed, what was left out."""
    items = list(read_source(str(root), **asked))  # type: ignore[arg-type]
    return (
        {item.name: item.text for item in items if isinstance(item, Entry)},
        [item.message for item in items if isinstance(item, Fault)],
        [item.message for item in items if isinstance(item, Dropped)],
    )


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (None, []),
        ("after", ["b.png"]),
        ("before_file_name", ["a.png"]),
    ],
)
def test_datasets_names_pictures_by_columns_that_end_so(tmp_path: Path, asked: str | None, names: list[str]) -> None:
    """`X_file_name` is the picture `X` (datasets, "Create an image dataset"); of two one is to be named."""
    row = {"before_file_name": "a.png", "after_file_name": "b.png", "text": "a boat"}
    write(tmp_path, {"a.png": picture(0), "b.png": picture(1), "metadata.jsonl": json.dumps(row)})
    used, failed, _ = read(tmp_path, image_column=asked)
    assert list(used) == names
    assert ["data.image_column" in one for one in failed] == [True] * (not names)


def test_the_one_column_that_ends_so_is_the_pictures(tmp_path: Path) -> None:
    row = {"image_file_name": "a.png", "text": "a boat"}
    write(tmp_path, {"a.png": picture(0), "metadata.jsonl": json.dumps(row)})
    assert read(tmp_path) == ({"a.png": "a boat"}, [], [])


@pytest.mark.parametrize("captioned", [True, False])
def test_what_one_trainer_lays_beside_pictures_is_no_picture(tmp_path: Path, captioned: bool) -> None:
    """Its loaders pass over `-masklabel` and `-condlabel`; a picture that is only called so is one."""
    ends = ("", "-masklabel", "-condlabel")
    write(tmp_path, {f"a{end}.png": picture(i) for i, end in enumerate(ends)})
    write(tmp_path, {"a.txt": "a boat", "b-masklabel.png": picture(3), "b-masklabel.txt": "a mask"})
    used, failed, dropped = read(tmp_path, captioned=captioned)
    assert (used, failed) == ({"a.png": "a boat", "b-masklabel.png": "a mask"}, [])
    assert [one.partition(":")[0] for one in dropped] == ["a-condlabel.png", "a-masklabel.png"]


@pytest.mark.parametrize("kind", [pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_names_of_files_in_any_type_of_text(tmp_path: Path, kind: pa.DataType) -> None:
    write(tmp_path, {"a.png": picture(0)})
    names = pa.array(["a.png"])
    column = names.dictionary_encode() if pa.types.is_dictionary(kind) else names.cast(kind)
    pq.write_table(pa.table({"image": column, "text": ["a boat"]}), tmp_path / "set.parquet")
    assert read(tmp_path / "set.parquet") == ({"a.png": "a boat"}, [], [])


def test_text_that_is_not_utf_8_is_never_a_caption_of_nulls(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": picture(0), "a.txt": "a boat".encode("utf-16-le")})
    assert read(tmp_path)[:2] == ({}, ["a.png: its caption holds a NUL character; save it as UTF-8"])
    write(tmp_path, {"metadata.csv": "file_name\ttext\r\na.png\ta boat\r\n".encode("utf-16")})
    with pytest.raises(UserError, match=r"metadata\.csv: UTF-16, .*; save it as UTF-8"):
        read(tmp_path)


def test_a_caption_of_a_usual_name_in_a_field_of_its_own(tmp_path: Path) -> None:
    """As `webdataset` writes a sample of `jpg` and `caption.txt`; of two languages neither is taken unasked."""
    write(tmp_path, {"7.jpg": picture(0, "JPEG"), "7.caption.txt": "a boat", "7.mask.png": picture(1)})
    for name in ("8.jpg", "9.image.jpg"):
        write(tmp_path, {name: picture(2, "JPEG"), f"{name[0]}.de.txt": "Boot", f"{name[0]}.en.txt": "boat"})
    used, failed, _ = read(tmp_path)
    assert used == {"7.jpg": "a boat"}
    assert [one.partition(":")[0] for one in failed] == ["8.jpg", "9.image.jpg"]
    assert all("de.txt, en.txt; name one, as data.text_column de" in one for one in failed)
    assert read(tmp_path, text_column="en")[0] == {"7.jpg": "a boat", "8.jpg": "boat", "9.image.jpg": "boat"}
    assert list(read(tmp_path, captioned=False)[0]) == ["7.jpg", "8.jpg", "9.image.jpg"]


def test_other_pictures_of_a_row_are_not_carried_along(tmp_path: Path) -> None:
    """As in sets for editing and control; each was in memory for good, and a text of its bytes in the manifest."""
    other = pa.array([{"bytes": picture(1), "path": "b.png"}])
    columns = {
        "image": pa.array([{"bytes": picture(0), "path": "a.png"}]),
        "text": pa.array(["a boat"]),
        "before": other,
        "views": pa.array([[picture(2)]]),
        "likes": pa.array([3]),
    }
    pq.write_table(pa.table(columns), tmp_path / "set.parquet")
    names = {"file_name": pa.array(["a.png"]), **{name: columns[name] for name in ("text", "before", "likes")}}
    write(tmp_path / "named", {"a.png": picture(0)})
    pq.write_table(pa.table(names), tmp_path / "named" / "metadata.parquet")
    for place in ("set.parquet", "named"):
        (entry,) = read_source(str(tmp_path / place), sequential=True)
        assert isinstance(entry, Entry)
        assert entry.columns == {"likes": 3}
        with entry.open() as file:
            assert file.read() == picture(0)


def test_names_that_windows_wrote(tmp_path: Path) -> None:
    """They are as they lie to every reader of the set, and a file whose own name holds a backslash is itself."""
    rows = [{"file_name": name, "text": name} for name in ("img\\sub\\a.png", "b\\c.png")]
    write(tmp_path, {"img/sub/a.png": picture(0), "b\\c.png": picture(1), "b/c.png": picture(2)})
    write(tmp_path, {"metadata.jsonl": "\n".join(map(json.dumps, rows))})
    used, failed, dropped = read(tmp_path)
    assert (list(used), failed) == (["img/sub/a.png", "b\\c.png"], [])
    assert dropped == ["b/c.png: metadata.jsonl does not name it"]
    assert [row["file_name"] for row in read_curated(tmp_path).rows] == list(used)
    assert [one.file for one in read_pictures(tmp_path).values()] == list(used)


def test_a_name_that_windows_wrote_leads_nowhere_else(tmp_path: Path) -> None:
    write(
        tmp_path, {"out.png": picture(0), "set/metadata.jsonl": json.dumps({"file_name": "..\\out.png", "text": "a"})}
    )
    used, failed, _ = read(tmp_path / "set")
    assert (used, len(failed)) == ({}, 1)
    assert "leads out of the folder" in failed[0]


def test_splits_that_are_trained_on_together_are_named(tmp_path: Path) -> None:
    """Of a dataset that was cloned `load_dataset` gives the split that is asked for."""
    for place in ("train/0.png", "train/1.png", "test/2.png", "testimony/3.png"):
        write(tmp_path, {place: picture(int(place[-5])), place.replace("png", "txt"): "a boat"})
    data = CuratedData(str(tmp_path), resolution=64)
    data.setup("fit")
    assert "test (1) beside train: all are one set" in data.describe()
    alone = CuratedData(str(tmp_path / "train"), resolution=64)
    alone.setup("fit")
    assert "beside train" not in alone.describe()
