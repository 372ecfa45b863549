"""What users get wrong: one clear line each, and DST stays as it was."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emu.curate import Funnel, curate
from emu.errors import UserError
from haystack import READABLE, SEEN, Here, config, content, folder

STAGES = "emu.curate.stages."


def said(document: dict[str, Any], source: Path, out: Path) -> str:
    with pytest.raises(UserError) as ended:
        curate(Funnel(document), str(source), out, engine=Here())
    assert "\n" not in str(ended.value)
    return str(ended.value)


def stage(kind: str, **init_args: Any) -> dict[str, Any]:
    return {"class_path": STAGES + kind, "init_args": init_args}


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({"stages": [{**READABLE, "at_least": {"format": 1}}]}, "column format holds no numbers"),
        (config(SEEN, stage("Best", number=2, by={"format": 1})), "stage best: column format holds no numbers"),
        (config(SEEN, stage("Best", number=2, by={"meen": 1})), "stage best: no column meen up to there"),
        (config(SEEN, stage("Best", number="two", by={"mean": 1})), "number is 'two', which is no int"),
        (config(SEEN, stage("Best", number=-2, by={"mean": 1})), "number is at least 0"),
        (config(stage("Balance", most=2)), "stage balance: no column concept up to there"),
        (config(stage("Borders", cut="yes please")), "cut is 'yes please', which is no bool"),
        (config(stage("Duplicates", distance=70)), "distance 70: -1 to 10"),
        (config(stage("Concepts", classes="food")), "classes is 'food', which is no"),
        (config({"class_path": STAGES + "Shape", "init_args": [1]}), "stages[1].init_args is [1], not an object"),
        (config(SEEN, budget={"by": ["meen"]}), "stage budget: no column meen"),
        (config(SEEN, budget={"by": "mean"}), "by is 'mean', which is no"),
        (config(SEEN, fetch={"per_host": 0}), "fetch.per_host: 0: more than 0"),
        (config(SEEN, fetch={"parallel": "many"}), "fetch.parallel is 'many', not a whole number"),
        (config(SEEN, fetch={"allow": "10.0.0.0/8"}), "allow is '10.0.0.0/8'"),
        (config(SEEN, data={"columns": {"likes": "number"}}), "data.columns"),
    ],
)
def test_what_a_config_gets_wrong_is_told_before_anything_is_read(
    document: dict[str, Any], wanted: str, tmp_path: Path
) -> None:
    assert wanted in said(document, folder(tmp_path / "hay", ["good"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_made_does_not_lie_in_what_is_read(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good"])
    assert f"lies in {source}, which is read" in said(config(SEEN), source, source / "needles")
    assert "which is read" in said(config(SEEN), source, source)
    assert not (source / "needles").exists()


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "hay.parquet"
    pq.write_table(pa.table({"image": [content("good", i) for i in range(40)], "text": ["a text"] * 40}), path)
    return path


def test_sources_that_cannot_be_read_and_columns_that_are_not_there(tmp_path: Path, parquet: Path) -> None:
    out, whole = tmp_path / "out", parquet.read_bytes()
    wrong = config(SEEN, data={"image_column": "picture"})
    assert "no column picture; there are image, text" in said(wrong, parquet, out)
    parquet.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as parquet" in said(config(SEEN), parquet, out)
    tar = tmp_path / "hay.tar"
    with tarfile.open(tar, "w") as file:
        for name, body in (("0.jpg", content("good", 0)), ("0.txt", b"a text")):
            member = tarfile.TarInfo(name)
            member.size = len(body)
            file.addfile(member, io.BytesIO(body))
    tar.write_bytes(tar.read_bytes()[:700])
    assert "cannot be read as a tar" in said(config(SEEN), tar, out)
    assert "no such folder or file" in said(config(SEEN), tmp_path / "nowhere", out)
    assert not out.exists()


def test_a_piece_of_parquet_that_is_damaged_costs_its_rows(tmp_path: Path, parquet: Path) -> None:
    table = pq.read_table(parquet)
    with pq.ParquetWriter(parquet, table.schema) as writer:
        for start in (0, 20):
            writer.write_table(table.slice(start, 20))
    whole = bytearray(parquet.read_bytes())
    whole[40:2000] = b"\xff" * 1960
    parquet.write_bytes(whole)
    curate(Funnel(config(SEEN)), str(parquet), tmp_path / "out", engine=Here())
    rows = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["failed"] * 20 + ["kept"] * 20
    assert all("cannot be read" in row["reason"] for row in rows[:20])


@pytest.mark.parametrize(
    ("kinds", "last", "wanted"),
    [
        (["html"] * 4, SEEN, "stage readable: nothing is left, of 4 that came 4 failed; the first one: not a picture"),
        (["good"] * 4, {**SEEN, "at_least": {"mean": 300}}, "stage seen: nothing is left, .* mean has the quartiles "),
        (["good"] * 4, stage("Best", number=0, by={"width": 1}), "stage best: nothing is left, .*the first one: rank"),
        (
            ["good"] * 4,
            {**stage("Popularity", column="votes"), "at_least": {"popularity": 1}},
            "stage popularity: nothing is left, .*the first one: popularity None is below 1; loosen its limits",
        ),
    ],
)
def test_nothing_left_tells_where_and_why(kinds: list[str], last: dict[str, Any], wanted: str, tmp_path: Path) -> None:
    import re

    out = tmp_path / "out"
    assert re.search(wanted, said(config(last), folder(tmp_path / "hay", kinds), out))
    assert not (out / "metadata.jsonl").exists()
    assert pq.read_table(out / "manifest.parquet").num_rows == 4


def test_nothing_left_names_the_captions_that_were_not_read(tmp_path: Path) -> None:
    hay = folder(tmp_path / "hay", ["good"] * 2)
    (hay / "metadata.jsonl").rename(hay / "captions.jsonl")
    told = said(config(SEEN), hay, tmp_path / "out")
    assert "of 3 that came 2 failed; left out captions.jsonl: a table beside the pictures, not read" in told
    assert "no caption beside it" in told
    assert "write captions (docs/sets.md says where), or take pictures without them by --uncaptioned" in told
