"""Sets as people have them: each layout gives its pictures with their captions, and a word for all the rest."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emu.data.sources import Dropped, Entry, Fault, read_source
from emu.errors import UserError
from sets import downloaded, picture, write, write_table, write_tar


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


def read(root: Path | str, **wanted: Any) -> tuple[dict[str, str], list[str], list[str]]:
    """Name -> caption of what is used, what failed, what was dropped; every picture that is used can be opened."""
    used, failed, dropped = {}, [], []
    for item in read_source(str(root), **wanted):
        match item:
            case Entry():
                assert item.name not in used
                used[item.name] = item.text
                with item.open() as stream:
                    assert stream.read()
            case Fault(message):
                failed.append(message)
            case Dropped(message):
                dropped.append(message)
    return used, failed, dropped


def test_captions_lie_beside_pictures(tmp_path: Path) -> None:
    root = write(
        tmp_path / "set",
        {
            "a.jpg": picture(0, "JPEG"),
            "a.txt": "a boat\n",
            "B.PNG": picture(1),
            "B.TXT": "a bear",
            "c.webp": picture(2, "WEBP"),
            "c.caption": "a cat",
            "d.jpg": picture(3, "JPEG"),
            "d.jpg.txt": "a dog",
            "e.tif": picture(4, "TIFF"),
            "e.json": json.dumps({"caption": None, "width": 8}),
            "e.txt": "an eel",
            "below/f.v2.jpg": picture(5, "JPEG"),
            "below/f.v2.txt": "a fox",
            "g.png": picture(6),
            "README.txt": "what this is",
            "h.txt": "a hare",
            "i.jxl": b"a format of its own",
            ".hidden/j.jpg": picture(7, "JPEG"),
            "._a.jpg": b"a note of a Mac's",
        },
    )
    used, failed, dropped = read(root)
    assert used == {
        "a.jpg": "a boat",
        "B.PNG": "a bear",
        "c.webp": "a cat",
        "d.jpg": "a dog",
        "e.tif": "an eel",
        "below/f.v2.jpg": "a fox",
    }
    assert failed == ["g.png: no caption beside it (.json, .txt, .caption)"]
    assert dropped == [
        "._a.jpg: a hidden file",
        "h.txt: no picture of that name",
        "i.jxl: .jxl is not read",
        ".hidden/j.jpg: a hidden file",
    ]


@pytest.mark.parametrize("layout", ["folder", "tar", "metadata"])
def test_hidden_pictures_are_named_in_every_layout(tmp_path: Path, layout: str) -> None:
    hidden = ["._0.png", ".hidden/1.png", ".hidden/below/2.png"]
    files: dict[str, bytes | str] = {"0.png": picture(0), "0.txt": "a boat", **dict.fromkeys(hidden, picture(1))}
    if layout == "metadata":
        files |= {"metadata.csv": "file_name,text\n0.png,a boat\n", ".review/thumbnails/0.webp": picture(0, "WEBP")}
    root = write_tar(tmp_path / "set.tar", files) if layout == "tar" else write(tmp_path / "set", files)
    used, failed, dropped = read(root)
    title = "set.tar:" if layout == "tar" else ""
    assert used == {f"{title}0.png": "a boat"}
    assert failed == []
    assert sorted(dropped) == sorted(f"{title}{name}: a hidden file" for name in hidden)


def test_folders_of_kohya_give_captions_and_say_their_repeats(tmp_path: Path) -> None:
    root = write(
        tmp_path / "train",
        {
            "10_sks_dog/1.png": picture(0),
            "10_sks_dog/1.caption": "a dog in the snow",
            "10_sks_dog/2.png": picture(1),
            "3_cat/1.png": picture(2),
        },
    )
    entries = [item for item in read_source(str(root)) if isinstance(item, Entry)]
    assert {entry.name: entry.text for entry in entries} == {
        "10_sks_dog/1.png": "a dog in the snow",
        "10_sks_dog/2.png": "sks_dog",
        "3_cat/1.png": "cat",
    }
    assert [entry.columns["repeats"] for entry in entries] == [10, 10, 3]


@pytest.mark.parametrize("form", ["files", "webdataset", "parquet"])
def test_what_a_downloader_leaves(tmp_path: Path, form: str) -> None:
    downloaded(tmp_path / "set", form, good=3, failed=2)
    used, failed, dropped = read(tmp_path / "set")
    assert list(used.values()) == ["caption 0", "caption 1", "caption 2"]
    assert failed == []
    assert len(dropped) == 2
    assert all("failed_to_download (HTTP Error 404: Not Found)" in one for one in dropped)


def test_shards_by_a_pattern(tmp_path: Path) -> None:
    for number in range(12):
        downloaded(tmp_path / "set", "webdataset", good=1, failed=1, shard=f"{number:05}")
    assert len(read(tmp_path / "set" / "{00000..00010}.tar")[0]) == 11
    assert len(read(tmp_path / "set" / "{00003,00007}.tar")[2]) == 2
    assert len(read(tmp_path / "set" / "0000*.tar")[0]) == 10
    with pytest.raises(UserError, match=r"no such folder or file .*00012.tar"):
        read(tmp_path / "set" / "{00000..00012}.tar")
    with pytest.raises(UserError, match="stands for more than 1,000,000 names"):
        read(tmp_path / "{0..99999999999}.tar")


def test_tables_in_a_folder_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    """`datasets` takes the names of its files for patterns."""
    write_table(tmp_path / "boats [2023] *" / "a.parquet", [{"image": picture(0), "text": "a boat"}])
    assert read(tmp_path / "boats [2023] *") == ({"a.parquet:0:0": "a boat"}, [], [])


def test_shards_in_folders_of_folders(tmp_path: Path) -> None:
    for part in ("a/0", "a/1", "b/0"):
        write_tar(tmp_path / "set" / f"{part}.tar", {"0.png": picture(0), "0.txt": part})
    assert list(read(tmp_path / "set")[0].values()) == ["a/0", "a/1", "b/0"]


def test_members_of_a_tar_whose_names_have_dots(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {
        "boat.v1.jpg": picture(0, "JPEG"),
        "boat.v1.txt": "the first boat",
        "boat.v2.jpg": picture(1, "JPEG"),
        "boat.v2.json": json.dumps({"caption": "the second boat"}),
        "7.image.png": picture(2),
        "7.caption.txt": "a column each",
        "8.jpg": picture(3, "JPEG"),
        "8.mask.png": picture(4),
        "8.txt": "a mask beside it",
        "9.input.png": picture(5),
        "9.output.png": picture(6),
        "9.txt": "which of them?",
    }
    path = write_tar(tmp_path / "a.tar", members)
    used, failed, dropped = read(path)
    assert used == {
        "a.tar:boat.v1.jpg": "the first boat",
        "a.tar:boat.v2.jpg": "the second boat",
        "a.tar:7.image.png": "a column each",
        "a.tar:8.jpg": "a mask beside it",
    }
    assert [one.partition(":")[2].partition(": ")[0] for one in failed] == ["9.input.png", "9.output.png"]
    assert "data.image_column output.png" in failed[0]
    assert dropped == ["a.tar:8.mask.png: beside 8.jpg, which the caption is of"]
    used, failed, dropped = read(path, image_column="output.png")
    assert used["a.tar:9.output.png"] == "which of them?"
    assert failed == []
    assert len(dropped) == 2


def test_a_stray_tar_swallows_no_folder(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {}
    for i in range(5):
        files |= {f"{i}.png": picture(i), f"{i}.txt": f"number {i}"}
    root = write(tmp_path / "set", files)
    write_tar(root / "old.tar", {"9.png": picture(9), "9.txt": "an old one"})
    assert list(read(root)[0].values()) == [*(f"number {i}" for i in range(5)), "an old one"]


ROWS = [{"file_name": "0.png", "text": "number 0"}, {"file_name": "1.png", "text": "number 1, and more"}]


def write_metadata(root: Path, kind: str) -> None:
    if kind == "parquet":
        write_table(root / "metadata.parquet", ROWS)
    elif kind == "csv":
        write(root, {"metadata.csv": '\ufefffile_name,text\n0.png,number 0\n1.png,"number 1, and more"\n'})
    else:
        write(root, {"metadata.jsonl": "\n".join(map(json.dumps, ROWS))})


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("below", [False, True])
def test_metadata_files_are_alike_and_rule_their_folder(tmp_path: Path, kind: str, below: bool) -> None:
    root = tmp_path / "set" / "train" if below else tmp_path / "set"
    write(root, {f"{i}.png": picture(i) for i in range(3)} | {"2.txt": "a caption of its own", "sub/3.png": picture(3)})
    write_metadata(root, kind)
    used, failed, dropped = read(tmp_path / "set")
    assert list(used.values()) == ["number 0", "number 1, and more"]
    assert failed == []
    where = "train/" if below else ""
    assert dropped == [f"{where}{name}: metadata.{kind} does not name it" for name in ("2.png", "sub/3.png")]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_metadata_names_nothing_outside_whatever_its_kind(tmp_path: Path, kind: str) -> None:
    write(tmp_path, {"secret.png": picture(0)})
    root = write(tmp_path / "set", {"1.png": picture(1)})
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    names = ["../secret.png", str(tmp_path / "secret.png"), "link.png", "sub/../1.png"]
    if kind == "csv":
        write(root, {"metadata.csv": "\n".join(["file_name,text", *(f"{name},a" for name in names)])})
    elif kind == "parquet":
        write_table(root / "metadata.parquet", [{"file_name": name, "text": "a"} for name in names])
    else:
        write(root, {"metadata.jsonl": "\n".join(json.dumps({"file_name": name, "text": "a"}) for name in names)})
    used, failed, _ = read(root)
    assert used == {}
    assert len(failed) == 4
    assert all("out of the folder" in one for one in failed)


def test_links_out_of_a_folder_are_no_pictures_and_no_captions(tmp_path: Path) -> None:
    write(tmp_path, {"secret.png": picture(0), "secret.txt": "a secret", "more/1.png": picture(1)})
    root = write(tmp_path / "set", {"a.png": picture(1), "b.txt": "b"})
    (root / "a.txt").symlink_to(tmp_path / "secret.txt")
    (root / "b.png").symlink_to(tmp_path / "secret.png")
    (root / "more").symlink_to(tmp_path / "more")
    used, failed, dropped = read(root)
    assert used == {}
    assert len(failed) == 2
    assert dropped == ["more: a link to a folder, not followed; name that as data.root"]


def test_a_snapshot_of_the_hub_s_cache_may_link_to_its_own_blobs(tmp_path: Path) -> None:
    cache = write(tmp_path / "datasets--owner--name", {"blobs/b0": picture(0), "blobs/b1": picture(1)})
    write(tmp_path, {"secret.png": picture(2)})
    rows = [{"file_name": f"{name}.png", "text": name} for name in ("0", "1", "out")]
    snapshot = write(cache / "snapshots" / "abc", {"train/metadata.jsonl": "\n".join(map(json.dumps, rows))}) / "train"
    for name, target in (
        ("0", cache / "blobs" / "b0"),
        ("1", cache / "blobs" / "b1"),
        ("out", tmp_path / "secret.png"),
    ):
        (snapshot / f"{name}.png").symlink_to(target)
    used, failed, _ = read(cache / "snapshots" / "abc")
    assert list(used.values()) == ["0", "1"]
    assert len(failed) == 1
    assert "link out of the folder" in failed[0]


def test_captions_of_other_encodings(tmp_path: Path) -> None:
    files = {"a.png": picture(0), "a.txt": "eine Gr\u00f6\u00dfe".encode("utf-16"), "b.png": picture(1)}
    used, failed, dropped = read(
        write(tmp_path, {**files, "b.txt": "Gr\u00f6\u00dfe".encode("latin-1"), "picture": picture(2)})
    )
    assert used == {"a.png": "eine Gr\u00f6\u00dfe"}
    assert failed == ["b.png: its caption is not UTF-8; save it again as that"]
    assert dropped == ["picture: its name has no ending"]


@pytest.mark.parametrize("column", ["text", "caption", "TEXT", "prompt", "Caption"])
def test_captions_stand_under_usual_names(tmp_path: Path, column: str) -> None:
    rows = [{"image": {"bytes": picture(0), "path": None}, column: "a boat", "score": 1.0}]
    write_table(tmp_path / "a.parquet", rows)
    (entry,) = read_source(str(tmp_path / "a.parquet"))
    assert isinstance(entry, Entry)
    assert (entry.text, entry.caption_from, entry.columns) == ("a boat", f"column {column}", {"score": 1.0})


def test_columns_that_are_not_there_are_named_with_those_that_are(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", [{"image": picture(0), "label": 3}])
    with pytest.raises(UserError, match=r"no column of captions \(text, caption, .*there are image, label"):
        read(tmp_path / "a.parquet")
    write(tmp_path, {"b.csv": "number;caption\n7;a"})
    with pytest.raises(UserError, match=r"no column of pictures \(.*there are number, caption"):
        read(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("cell", "wanted", "captions"),
    [
        (["a boat", None, "a ship", "a boat"], None, ("a boat", "a ship")),
        ({"en": "a boat", "de": "ein Boot"}, None, ("a boat",)),
        ({"de": "ein Boot", "fr": "un bateau"}, "text.fr", ("un bateau",)),
        ([{"raw": "a boat"}, {"raw": "a ship"}], None, ("a boat", "a ship")),
        (None, None, None),
        ([], None, None),
        ({"de": "ein Boot"}, None, None),
        (7, None, None),
    ],
)
def test_cells_of_captions(tmp_path: Path, cell: object, wanted: str | None, captions: tuple[str, ...] | None) -> None:
    write(tmp_path, {"0.png": picture(0), "metadata.jsonl": json.dumps({"file_name": "0.png", "text": cell})})
    (item,) = read_source(str(tmp_path), text_column=wanted)
    assert (item.texts if isinstance(item, Entry) else None) == captions


@pytest.mark.parametrize("layout", ["folder", "tar"])
@pytest.mark.parametrize(
    ("wanted", "caption"),
    [
        (None, "a boat"),
        ("caption.de", "ein Boot"),
        ("long.en", "a red boat at sea"),
        ("tags", "boat, sea"),
        ("txt", "boat"),
        ("caption.fr", None),
        ("tag", None),
    ],
)
def test_the_caption_that_is_asked_for_is_the_one_that_is_read(
    tmp_path: Path, layout: str, wanted: str | None, caption: str | None
) -> None:
    """Of a .json with several, nested ones too, and with a file of text beside it; another is never taken for it."""
    row = {"caption": {"en": "a boat", "de": "ein Boot"}, "long": {"en": "a red boat at sea"}, "tags": "boat, sea"}
    files: dict[str, bytes | str] = {"0.png": picture(0), "0.json": json.dumps(row), "0.txt": "boat"}
    root = write_tar(tmp_path / "0.tar", files) if layout == "tar" else write(tmp_path, files)
    used, failed, _ = read(root, text_column=wanted)
    assert list(used.values()) == ([caption] if caption else [])
    assert [f"no caption under {wanted}; there are caption, long, tags" in one for one in failed] == [True] * (
        not caption
    )


@pytest.mark.parametrize("end", ["png", "image.png"])
@pytest.mark.parametrize(("wanted", "caption"), [("de", "ein Boot"), ("caption", "a ship")])
def test_a_field_of_text_that_is_asked_for_is_read(tmp_path: Path, end: str, wanted: str, caption: str) -> None:
    files: dict[str, bytes | str] = {f"7.{end}": picture(0), "7.caption.txt": "a ship", "7.de.txt": "ein Boot"}
    files |= {"7.txt": "a boat"}
    assert list(read(write_tar(tmp_path / "0.tar", files), text_column=wanted)[0].values()) == [caption]


def test_notes_without_a_caption_make_way_for_a_file_of_text(tmp_path: Path) -> None:
    write(tmp_path, {"0.png": picture(0), "0.json": json.dumps({"score": 7}), "0.txt": "a boat"})
    assert read(tmp_path, text_column="text")[0] == {"0.png": "a boat"}


def test_a_null_caption_makes_way_for_another_column(tmp_path: Path) -> None:
    row = {"file_name": "0.png", "text": None, "caption": "a boat"}
    write(tmp_path, {"0.png": picture(0), "metadata.jsonl": json.dumps(row)})
    assert read(tmp_path)[0] == {"0.png": "a boat"}
    (said,) = read(tmp_path, text_column="text")[1]
    assert said == "0.png: its text is empty; there are file_name, text, caption"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"file_name": "0.png"}, "0.png: no caption under text or another usual name; there are file_name"),
        ({"file_name": 7, "text": "a"}, "metadata.jsonl line 1: its file_name is no name but 7"),
        ({"file_name": None, "text": "a"}, "metadata.jsonl line 1: its file_name is empty"),
        ({"text": "a"}, 'metadata.jsonl line 1: no "file_name"; there are text (data.image_column)'),
    ],
)
def test_a_row_says_what_it_lacks(tmp_path: Path, row: dict[str, object], said: str) -> None:
    write(tmp_path, {"0.png": picture(0), "metadata.jsonl": json.dumps(row)})
    assert said in read(tmp_path)[1]


@pytest.mark.parametrize(
    ("name", "remedy"), [("a.zip", "unpack it"), ("a.tar.gz", "unpack it"), ("a.arrow", "to_parquet")]
)
def test_what_is_not_read_says_what_helps(tmp_path: Path, name: str, remedy: str) -> None:
    write(tmp_path, {"0.png": picture(0), "0.txt": "a boat", name: b"x"})
    (said,) = [item.message for item in read_source(str(tmp_path)) if isinstance(item, Dropped)]
    assert said.startswith(f"{name}: .")
    assert said.endswith(remedy)


def test_lines_are_captions_where_that_is_asked_for(tmp_path: Path) -> None:
    root = write(tmp_path, {"0.png": picture(0), "0.txt": "a boat\n\n a ship \n"})
    (whole,), (lines,) = read_source(str(root)), read_source(str(root), lines=True)
    assert isinstance(whole, Entry)
    assert isinstance(lines, Entry)
    assert whole.texts == ("a boat\n\n a ship",)
    assert lines.texts == ("a boat", "a ship")


def test_a_comma_too_many_costs_a_row_and_no_caption(tmp_path: Path) -> None:
    write(tmp_path, {"0.png": picture(0), "metadata.csv": "file_name,text\n0.png,a boat, at sea\n0.png,a ship\n"})
    used, failed, _ = read(tmp_path)
    assert used == {"0.png": "a ship"}
    assert failed == ["metadata.csv line 2: 3 cells under 2 names; quote a text that holds commas"]


@pytest.mark.parametrize("said", ["", "sep=;\n", "\ufeffsep=;\r\n"])
def test_a_table_of_a_spreadsheet_is_parted_by_what_its_first_line_has(tmp_path: Path, said: str) -> None:
    rows = said + 'file_name;text;"x, y"\n0.png;a boat, at sea;\n;;\n1.png;"a bear; a cub";0,5\n2.png;a cat;1;2\n'
    write(tmp_path, {**{f"{i}.png": picture(i) for i in range(3)}, "metadata.csv": rows})
    used, failed, dropped = read(tmp_path)
    assert used == {"0.png": "a boat, at sea", "1.png": "a bear; a cub"}
    line = 6 if said else 5
    assert failed == [f"metadata.csv line {line}: 4 cells under 3 names; quote a text that holds semicolons"]
    assert dropped == ["2.png: metadata.csv does not name it"]


def test_what_two_files_could_say_is_asked(tmp_path: Path) -> None:
    write(tmp_path, {"metadata.jsonl": "", "metadata.csv": ""})
    with pytest.raises(UserError, match=r"holds metadata.jsonl and metadata.csv; name one of them"):
        read(tmp_path)


LAYOUTS = ("beside", "bare", "tar", "files", "webdataset", "parquet", "csv", "other", "orphan", "kohya")


def lay(root: Path, layout: str, count: int) -> tuple[int, int, int]:
    """Adds `count` pictures in some layout, in a folder of its own; returns how many are used, fail, are dropped."""
    match layout:
        case "beside":
            for i in range(count):
                write(root, {f"{i}.png": picture(i), f"{i}.txt": "a"})
            return count, 0, 0
        case "bare":
            write(root, {f"{i}.png": picture(i) for i in range(count)})
            return 0, count, 0
        case "kohya":
            write(root / "10_cat", {f"{i}.png": picture(i) for i in range(count)})
            return count, 0, 0
        case "tar":
            members = {f"{i}.{end}": data for i in range(count) for end, data in (("png", picture(i)), ("txt", "a"))}
            write_tar(root / "a.b.tar", {**members, "x.y.png": picture(0)})
            return count, 1, 0
        case "files" | "webdataset" | "parquet":
            downloaded(root, layout, good=count, failed=1)
            return count, 0, 1
        case "csv":
            write(root, {f"{i}.png": picture(i) for i in range(count + 2)})
            rows = "\n".join(f"{i}.png,a" for i in [*range(count), 99])
            write(root, {"metadata.csv": f"file_name,caption\n{rows}\n"})
            return count, 1, 2
        case "other":
            write(root, {f"{i}.jxl": b"?" for i in range(count)})
            return 0, 0, count
        case _:
            write(root, {f"{i}.caption": "a" for i in range(count)})
            return 0, 0, count


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.tuples(st.sampled_from(LAYOUTS), st.integers(1, 3)), min_size=1, max_size=5))
def test_all_that_a_mixture_of_layouts_holds_is_used_dropped_or_failed(
    parts: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("mixture")
    counts = [lay(root / f"part-{i}", layout, count) for i, (layout, count) in enumerate(parts)]
    found: dict[type, int] = {Entry: 0, Fault: 0, Dropped: 0}
    for item in read_source(str(root), sequential=True):
        found[type(item)] += 1
    assert tuple(found.values()) == tuple(map(sum, zip(*counts, strict=True)))
