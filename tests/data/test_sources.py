import io
import json
import pickle
import tarfile
from pathlib import Path, PurePath

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from emu.data.sources import Entry, Fault, read_source
from emu.errors import UserError
from needles import draw, make_folder


def read(root: str | Path) -> tuple[list[Entry], list[str]]:
    found = list(read_source(str(root), image_column="image", text_column="text"))
    return (
        [item for item in found if isinstance(item, Entry)],
        [item.message for item in found if isinstance(item, Fault)],
    )


def size(entry: Entry) -> tuple[int, int]:
    with pickle.loads(pickle.dumps(entry)).open() as file, Image.open(file) as image:
        return image.size


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def png(tmp_path: Path, size: tuple[int, int]) -> bytes:
    draw(tmp_path / "one.png", size)
    return (tmp_path / "one.png").read_bytes()


def test_files_named_by_whole_paths_are_in_the_table_too(tmp_path: Path) -> None:
    root = Path(make_folder(tmp_path, [(10, 20), (30, 5)]))
    rows = [json.loads(line) for line in (root / "metadata.jsonl").read_text().splitlines()]
    whole = [{**row, "file_name": str(root / row["file_name"])} for row in rows]
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in whole))
    assert [type(item) for item in read_source(str(root))] == [Entry, Entry]


def test_a_folder_with_braces_in_its_name_is_that_folder(tmp_path: Path) -> None:
    folder = tmp_path / "boats {red,blue} {1..3}"
    folder.mkdir()
    entries, _ = read(make_folder(folder, [(10, 20)]))
    assert len(entries) == 1


def test_a_pattern_over_many_folders_is_sorted_out_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number, looks = 60, 0
    for i in range(number):
        (tmp_path / f"{i}").mkdir()
        draw(tmp_path / f"{i}" / "a.png", (8, 8))
        (tmp_path / f"{i}" / "a.txt").write_text("a boat")
    plain = PurePath.parent.fget  # type: ignore[attr-defined]

    def counted(path: PurePath) -> PurePath:
        nonlocal looks
        looks += 1
        found: PurePath = plain(path)
        return found

    monkeypatch.setattr(PurePath, "parent", property(counted))
    entries, _ = read(f"{tmp_path}/*/*.png")
    assert len(entries) == number
    assert looks < 10 * number


def test_a_folder_gives_its_pictures_and_further_columns(tmp_path: Path) -> None:
    entries, faults = read(make_folder(tmp_path, [(10, 20), (30, 5)]))
    assert [size(entry) for entry in entries] == [(10, 20), (30, 5)]
    assert [entry.text for entry in entries] == ["number 0", "number 1"]
    assert [entry.columns for entry in entries] == [{"source": "noise"}] * 2
    assert faults == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{nonsense", "metadata.jsonl line 2: not JSON"),
        ('"text"', "metadata.jsonl line 2: not a JSON object"),
        ('{"text": "a"}', 'metadata.jsonl line 2: no "file_name"'),
        ('{"file_name": "gone.png", "text": "a"}', "metadata.jsonl line 2: no such file"),
        ('{"file_name": "0.png", "text": 7}', "its caption is not text but 7"),
        ('{"file_name": "0.png"}', "no caption under text; there are file_name"),
        ('{"file_name": "0.png", "text": null}', "its text is empty; there are file_name, text"),
        ('{"file_name": "0.png", "text": {"de": "a"}}', "its caption is a struct of de; name one, as caption.de"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_is_read(tmp_path: Path, line: str, message: str) -> None:
    root = make_folder(tmp_path, [(4, 4), (4, 4)])
    first, second = (root / "metadata.jsonl").read_text().splitlines()
    (root / "metadata.jsonl").write_text("\n".join([first, line, second]))
    entries, faults = read(root)
    assert len(entries) == 2
    assert len(faults) == 1
    assert message in faults[0]
    assert "\n" not in faults[0]


@pytest.mark.parametrize(("there", "named"), [("caf\u00e9", "cafe\u0301"), ("cafe\u0301", "caf\u00e9")])
def test_a_name_in_another_form_of_unicode_is_told_from_one_that_is_gone(
    tmp_path: Path, there: str, named: str
) -> None:
    root = make_folder(tmp_path, [(4, 4)])
    (root / "0.png").rename(root / f"{there}.png")
    for name, said in ((named, True), ("gone", False)):
        (root / "metadata.jsonl").write_text(json.dumps({"file_name": f"{name}.png", "text": "a"}))
        _, (fault,) = read(root)
        assert "no such file" in fault
        assert ("in another form of Unicode" in fault) == said


@pytest.mark.parametrize("name", ["../0.png", "/etc/passwd", "a/../../0.png", "..\\0.png", "C:\\0.png"])
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    root = make_folder(tmp_path, [(4, 4)])
    (root / "metadata.jsonl").write_text(json.dumps({"file_name": name, "text": "a"}))
    entries, faults = read(root)
    assert entries == []
    assert len(faults) == 1
    assert "leads out of the folder" in faults[0]


def test_a_tar_is_read_member_by_member(tmp_path: Path) -> None:
    members = {
        "a/0.png": png(tmp_path, (3, 4)),
        "a/0.json": json.dumps({"text": "zero", "licence": "MIT"}).encode(),
        "b/0.PNG": png(tmp_path, (5, 6)),
        "b/0.txt": b"other zero\n",
        "c.d.png": b"what a mask may be called",
        "2.jpg": b"",
        "3.json": b"{}",
    }
    write_tar(tmp_path / "set.tar", members)
    entries, faults = read(tmp_path / "set.tar")
    assert [(entry.name, entry.text, size(entry)) for entry in entries] == [
        ("set.tar:a/0.png", "zero", (3, 4)),
        ("set.tar:b/0.PNG", "other zero", (5, 6)),
    ]
    assert entries[0].columns == {"licence": "MIT"}
    assert faults == [f"set.tar:{name}: no caption beside it (.json, .txt, .caption)" for name in ("c.d.png", "2.jpg")]


def test_tars_are_found_by_folder_and_by_glob(tmp_path: Path) -> None:
    picture = png(tmp_path, (3, 4))
    for i in range(3):
        write_tar(tmp_path / f"{i}.tar", {"0.png": picture, "0.txt": f"of {i}".encode()})
    assert [entry.text for entry in read(tmp_path)[0]] == ["of 0", "of 1", "of 2"]
    assert [entry.text for entry in read(tmp_path / "[12].tar")[0]] == ["of 1", "of 2"]


@pytest.mark.parametrize("content", [b"[1, 2]", b"{", b"\xff"])
def test_a_bad_caption_in_a_tar_is_one_fault(tmp_path: Path, content: bytes) -> None:
    write_tar(tmp_path / "set.tar", {"0.png": png(tmp_path, (3, 4)), "0.json": content})
    entries, faults = read(tmp_path / "set.tar")
    assert entries == []
    assert len(faults) == 1
    assert faults[0].startswith("set.tar:0.png: ")


def test_a_torn_tar_is_refused_by_name(tmp_path: Path) -> None:
    write_tar(tmp_path / "set.tar", {"0.png": png(tmp_path, (30, 40)), "0.txt": b"zero"})
    (tmp_path / "set.tar").write_bytes((tmp_path / "set.tar").read_bytes()[:700])
    with pytest.raises(UserError, match=r"set.tar: cannot be read as a tar"):
        read(tmp_path / "set.tar")


def test_parquet_is_read_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [{"bytes": png(tmp_path, (3, 4)), "path": None}, {"bytes": png(tmp_path, (5, 6)), "path": "b.png"}]
    pyarrow.parquet.write_table(
        pyarrow.table({"image": rows, "text": ["zero", None], "source": ["x", "y"]}), tmp_path / "set.parquet"
    )
    entries, faults = read(tmp_path / "set.parquet")
    assert [(entry.text, size(entry), entry.columns) for entry in entries] == [("zero", (3, 4), {"source": "x"})]
    assert faults == ["set.parquet:0:1: its text is empty; there are text, source"]
    with pytest.raises(UserError, match=r"no column caption; there are image, text, source \(data.text_column\)"):
        list(read_source(str(tmp_path / "set.parquet"), image_column="image", text_column="caption"))


def test_a_torn_parquet_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "set.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="set.parquet: cannot be read as parquet") as error:
        read(tmp_path / "set.parquet")
    assert "\n" not in str(error.value)


def test_a_dataset_of_the_hub_is_read_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = datasets.Dataset.from_list([{"image": {"bytes": png(tmp_path, (3, 4)), "path": None}, "text": "zero"}])
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: asked.append((name, split)) or held)
    entries, faults = read("hf://datasets/owner/name")
    assert [(entry.text, size(entry)) for entry in entries] == [("zero", (3, 4))]
    assert faults == []
    assert asked == [("owner/name", "train")]


def test_a_dataset_that_the_hub_does_not_give_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, split: str) -> None:
        raise ConnectionError("no network\nand more lines")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(UserError, match=r"hf://datasets/owner/name: cannot be loaded from the hub \(no network\)"):
        read("hf://datasets/owner/name")


@pytest.mark.parametrize("root", ["/nowhere/at/all", "nowhere/", "my/needles"])
def test_a_missing_folder_is_one_line(root: str) -> None:
    with pytest.raises(UserError, match=f"data.root {root}: no such folder or file"):
        read(root)


def test_a_missing_set_of_the_demo_says_what_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"data.root runs/demo/needles: no such folder or file; emu demo makes it"):
        read("runs/demo/needles")


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no metadata.jsonl, .tar or .parquet"):
        read(tmp_path)
