"""Held out by content, captions drawn by the picture's own seed, and what is said of a set before it is trained on."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.data import CuratedData
from emu.data.split import alike, split
from emu.errors import UserError
from sets import picture, write, write_tar


def curated(root: Path, **kw: Any) -> CuratedData:
    data = CuratedData(str(root), **{"resolution": 16, "bucket_step": 16, "num_workers": 0, "batch_size": 4, **kw})
    data.setup("fit")
    return data


def rows(folder: Path, lines: list[dict[str, Any]]) -> Path:
    return write(folder, {"metadata.jsonl": "\n".join(map(json.dumps, lines))})


def names(pictures: list[Any]) -> set[str]:
    return {picture.entry.name for picture in pictures}


def test_rows_of_one_picture_stay_on_one_side(tmp_path: Path) -> None:
    write(tmp_path, {f"{i}.png": picture(i) for i in range(10)})
    rows(tmp_path, [{"file_name": f"{i}.png", "text": f"{i}: {c}"} for i in range(10) for c in range(5)])
    data = curated(tmp_path, held_out=10)
    assert len(data.held_out_pictures) == 10
    assert len(data.train_pictures) == 40
    assert not names(data.held_out_pictures) & names(data.train_pictures)


def test_copies_under_other_names_stay_together_in_files_and_tars(tmp_path: Path) -> None:
    folder, members = tmp_path / "set", dict[str, bytes | str]()
    for i in range(8):
        write(folder, {f"{i}.png": picture(i), f"{i}.txt": str(i)})
        shutil.copy(folder / f"{i}.png", folder / f"copy-{i}.png")
        write(folder, {f"copy-{i}.txt": f"{i} again"})
        members |= {f"{i}.png": picture(i), f"{i}.txt": f"{i} in a tar"}
    write_tar(folder / "a.tar", members)
    data = curated(folder, held_out=6)
    number = {text.split()[0] for text in data.captions()}
    assert len(number) == 8
    held = {picture.entry.text.split()[0] for picture in data.held_out_pictures}
    assert len(data.held_out_pictures) == 6
    assert len(held) == 2
    assert not held & {picture.entry.text.split()[0] for picture in data.train_pictures}


def test_only_files_of_one_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [(8, 6), (9, 6), (10, 6), (10, 6)]
    write(tmp_path, {f"{i}.bmp": picture(i, "BMP", size) for i, size in enumerate(lengths)})
    rows(tmp_path, [{"file_name": f"{i}.bmp", "text": "a"} for i in (0, 1, 2, 3, 2)])
    seen = curated(tmp_path).train_pictures
    read: list[Path] = []
    monkeypatch.setattr(
        "emu.data.sources.openers.File.__call__", lambda self: read.append(self.path) or self.path.open("rb")
    )
    assert alike(seen) == [[0], [1], [2, 4], [3]]
    assert {path.name for path in read} == {"2.bmp", "3.bmp"}


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=30), asked=st.integers(0, 20), seed=st.integers(0, 9))
def test_every_index_is_on_one_side_with_its_group(sizes: list[int], asked: int, seed: int) -> None:
    numbers = iter(range(sum(sizes)))
    groups = [list(itertools.islice(numbers, size)) for size in sizes]
    held, rest = split(groups, held_out=asked, seed=seed)
    assert sorted(held + rest) == list(range(sum(sizes)))
    assert all(set(group) <= set(held) or set(group) <= set(rest) for group in groups)
    assert len(held) <= max(asked, min(sizes) if asked else 0)
    assert bool(held) == bool(asked)
    assert len(held) == asked or not asked or all(len(held) + len(g) > asked for g in groups if g[0] in rest)


def test_one_picture_alone_cannot_be_held_out(tmp_path: Path) -> None:
    write(tmp_path, {"0.png": picture(0)})
    rows(tmp_path, [{"file_name": "0.png", "text": text} for text in "abc"])
    with pytest.raises(UserError, match="all of it shows one picture"):
        curated(tmp_path, held_out=1)


def test_of_several_captions_one_is_drawn_at_each_visit(tmp_path: Path) -> None:
    write(tmp_path, {f"{i}.png": picture(i) for i in range(4)})
    rows(tmp_path, [{"file_name": f"{i}.png", "text": [f"{i}a", f"{i}b", f"{i}c"]} for i in range(4)])
    data = curated(tmp_path, caption_dropout=0.0, held_out=1)
    assert sorted(data.captions()) == sorted(f"{i}{c}" for i in range(4) for c in "abc")
    loader = data.train_dataloader()
    epochs = [
        {name: text for batch in loader for name, text in zip(batch["name"], batch["text"], strict=True)}
        for _ in range(30)
    ]
    assert all(text[0] == name[0] for epoch in epochs for name, text in epoch.items())
    assert {text for epoch in epochs for text in epoch.values()} == {
        text for picture in data.train_pictures for text in picture.entry.texts
    }
    again = curated(tmp_path, caption_dropout=0.0, held_out=1).train_dataloader()
    assert {name: text for batch in again for name, text in zip(batch["name"], batch["text"], strict=True)} == epochs[0]
    (held,) = data.val_dataloader()
    assert [batch["text"] for batch in held] == [batch["text"] for batch in held]  # the loss can be compared
    assert "3 pictures have several, of which one is drawn" in curated(tmp_path, num_pictures=3).describe()


def test_what_is_worth_knowing_of_a_set_is_said(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "10_cat/a.png": picture(0, size=(32, 32)),
            "10_cat/b.png": picture(1, size=(8, 6)),
            "10_cat/b.txt": "a cat\nin the sun",
            "more/c.png": picture(2, size=(16, 16)),
            "more/c.txt": "",
            "more/d.psd": b"",
            "more/e.png": b"broken",
            "more/e.txt": "a broken one",
        },
    )
    with pytest.warns(UserWarning, match="skipped, within data.max_bad 1: more/e.png: not a picture"):
        data = curated(tmp_path, max_bad=1, num_pictures=2)
    said = data.describe()
    assert "2 of 5 used, 0 held out" in said
    assert "not used: 1 not drawn, 1 bad, 1 left out: more/d.psd: .psd is not read" in said
    whole = curated(tmp_path / "10_cat").describe()
    assert "captions from the folder's name (1), .txt (1)" in whole
    assert "1 has several lines, read as one caption (data.caption_lines)" in whole
    assert "1 picture is smaller than its shape and is enlarged, by up to 2.7" in whole
    assert "folder names ask for repeats (10), which are not made" in whole
