"""The funnel from end to end: every picture is accounted for, whatever it is and however often it is run."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import emu.curate
from emu.curate import Funnel, curate, ledger, manifest, needles
from emu.curate.manifest import Footer
from emu.curate.pool import Pool
from emu.curate.shards import cut
from emu.curate.stages import Readable
from emu.data.sources import Entry, read_source
from emu.errors import UserError
from emu.layouts.curated_folder import WORK
from emu.storage import locks
from haystack import BROKEN, ODD, SEEN, config, folder

SHAPE = {"class_path": "emu.curate.stages.Shape", "at_least": {"short_side": 40}}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emu.curate, "SHARD", 4)


def run(document: dict[str, Any], source: Path, out: Path, *, workers: int = 1) -> Footer:
    return curate(Funnel(document), str(source), out, engine=Pool(workers))


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(out / "manifest.parquet").to_pylist()
    return found


def files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and WORK not in path.parts
    }


def test_every_broken_file_is_named_and_no_good_one_is_lost(tmp_path: Path) -> None:
    kinds = [*BROKEN, *ODD, "good"] * 3
    source = folder(tmp_path / "hay", kinds)
    footer = run(config(SEEN), source, tmp_path / "out", workers=2)
    found = rows(tmp_path / "out")
    assert [row["row"] for row in found] == list(range(len(kinds)))
    status = {(kind, row["status"]) for kind, row in zip(kinds, found, strict=True)}
    assert status == {*((kind, "failed") for kind in BROKEN), *((kind, "kept") for kind in (*ODD, "good"))}
    assert all(row["reason"] and row["stage"] for row in found if row["status"] == "failed")
    assert all(row["reason"] is None and row["sha256"] for row in found if row["status"] == "kept")
    counts = Counter(row["status"] for row in found)
    assert sum(one.failed for one in footer.stages) == counts["failed"] == 21
    assert footer.stages[-1].stays == counts["kept"] == 18


def test_what_comes_out_is_what_a_fit_takes(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good", "palette", "html", "rotated"], author="me")
    out = tmp_path / "out"
    run(config(SEEN), source, out)
    entries = list(read_source(str(out), image_column="image", text_column="text"))
    assert all(isinstance(entry, Entry) for entry in entries)
    assert [entry.text for entry in entries if isinstance(entry, Entry)] == [f"a picture number {i}" for i in (0, 1, 3)]
    for row in map(json.loads, (out / "metadata.jsonl").read_text().splitlines()):
        assert (out / row["file_name"]).read_bytes() == (source / row["source"]).read_bytes()
        assert (row["license"], row["author"]) == ("CC0", "me")


def test_neither_workers_nor_a_second_call_change_a_byte(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good", "html", "cmyk", "truncated", "good"] * 4)
    for name, workers in (("one", 1), ("three", 3)):
        run(config(SHAPE, SEEN), source, tmp_path / name, workers=workers)
    assert files(tmp_path / "one") == files(tmp_path / "three")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    run(config(SHAPE, SEEN), source, tmp_path / "one")
    assert all(path.stat().st_mtime_ns == time for path, time in before.items() if path.suffix in (".parquet", ".jpg"))


def test_a_shard_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good"] * 12)
    out = tmp_path / "out"
    run(config(SEEN), source, out)
    whole = files(out)
    (out / "metadata.jsonl").unlink()  # as if killed before the end
    run(config(SEEN), source, out)
    assert files(out) == whole


def test_what_was_half_written_when_a_job_was_killed_is_gone_at_the_end(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good"] * 6)
    run(config(SEEN), source, tmp_path / "whole")
    out = tmp_path / "out"
    run(config(SEEN), source, out)
    (out / "metadata.jsonl").unlink()
    for place in (".manifest.parquet", ".funnel.html", ".metadata.jsonl", "images/.00000001.jpg", ".curate/.run.json",
                  ".curate/shards/.shard-000000.parquet", ".curate/fetched/ab/.abcd"):  # fmt: skip
        beside = out / f"{place}.4711.tmp"
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(b"half")
    run(config(SEEN), source, out)
    assert {path.relative_to(out) for path in out.rglob("*")} == {
        path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*")
    }
    assert files(out) == files(tmp_path / "whole")


def test_a_folder_of_another_config_or_source_is_left_as_it_is(tmp_path: Path) -> None:
    source, other = folder(tmp_path / "hay", ["good"]), folder(tmp_path / "other", ["good"])
    run(config(SEEN), source, tmp_path / "out")
    before = files(tmp_path / "out")
    with pytest.raises(UserError, match="another config"):
        run(config(SHAPE, SEEN), source, tmp_path / "out")
    with pytest.raises(UserError, match="was curated from"):
        run(config(SEEN), other, tmp_path / "out")
    with pytest.raises(UserError, match="holds something else"):
        run(config(SEEN), source, other)
    assert files(tmp_path / "out") == before


def test_where_nothing_is_left_the_stage_and_what_it_saw_are_told(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good"] * 3)
    tight = {"class_path": "emu.curate.stages.Shape", "at_least": {"short_side": 100}}
    with pytest.raises(UserError, match="stage shape: nothing is left, of 3 .* short_side has the quartiles 40, 40"):
        run(config(tight), source, tmp_path / "out")
    assert not (tmp_path / "out" / "metadata.jsonl").exists()
    assert {row["status"] for row in rows(tmp_path / "out")} == {"dropped"}
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "metadata.jsonl").touch()
    with pytest.raises(UserError, match="empty: holds no picture"):
        run(config(SEEN), tmp_path / "empty", tmp_path / "nothing")
    with pytest.raises(UserError, match="nothing is left, of 7 that came 7 failed"):
        run(config(SEEN), folder(tmp_path / "bad", ["html"] * 7), tmp_path / "none")


def test_limits_columns_and_classes_that_are_none_are_named(tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"stages": []}, "the first one is emu.curate.stages.Readable"),
        (config({"class_path": "emu.curate.stages.Nothing"}), "Nothing"),
        (config({"class_path": "pathlib.Path"}), "no Stage; give a class such as emu.curate.stages.Shape"),
        (config({**SHAPE, "at_least": {"short": 4}}), "no column short up to there"),
        (config({**SHAPE, "at_least": {"short_side": "4"}}), "short_side is '4', not a number"),
        (config({**SHAPE, "init_args": {"x": 1}}), "unexpected keyword argument 'x'"),
        (config({**SHAPE, "limits": {}}), "unknown key limits"),
        (config(SHAPE, SHAPE), "two are called shape"),
        (config(SHAPE, stage=1), "unknown key stage"),
        (config(SHAPE, data={"columns": {"license": "text"}}), "data.columns"),
    ]
    source = folder(tmp_path / "hay", ["good"])
    for document, said in wrong:
        with pytest.raises(UserError, match=said):
            run(document, source, tmp_path / "out")
        assert not (tmp_path / "out" / "manifest.parquet").exists()


def test_two_at_a_time_in_one_folder_are_refused(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good"])
    holds = locks.alone(tmp_path / "out", "emu curate", name=ledger.LOCK)
    with holds, pytest.raises(UserError, match="another emu curate is at work"):
        run(config(SEEN), source, tmp_path / "out")


def test_damage_in_a_complete_folder_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, out = folder(tmp_path / "hay", ["good"] * 3), tmp_path / "out"
    run(config(SEEN), source, out)
    run(config(SEEN), source, out)
    assert caplog.text == ""
    picture = out / "images" / "00000001.jpg"
    picture.write_bytes(picture.read_bytes()[:-9])
    run(config(SEEN), source, out)
    assert "1 picture is gone or not as written, first images/00000001.jpg" in caplog.text


def test_a_picture_that_changed_under_its_name_is_measured_again(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good"] * 3)

    def sums() -> list[str]:
        return [shard.sha256 for shard in cut(read_source(str(source)), size=2)]

    before = sums()
    (source / "good-2.jpg").write_bytes((source / "good-1.jpg").read_bytes())
    assert [old == new for old, new in zip(before, sums(), strict=True)] == [True, False]


def test_the_manifest_of_an_earlier_emu_opens_and_one_of_a_later_is_refused(tmp_path: Path) -> None:
    source, out = folder(tmp_path / "hay", ["good"] * 5), tmp_path / "out"
    best = {"class_path": "emu.curate.stages.Best", "init_args": {"number": 3, "by": {"mean": 1}}}
    footer = run(config(SEEN, best), source, out)
    assert footer.notes["best"]["last rank kept"] > 0
    table = pq.read_table(out / "manifest.parquet")
    said = json.loads(table.schema.metadata[ledger.FOOTER])
    earlier = {key: value for key, value in said.items() if key not in ("schema", "notes")} | {"told": said["notes"]}

    def write(document: dict[str, Any]) -> None:
        pq.write_table(table.replace_schema_metadata({ledger.FOOTER: json.dumps(document)}), out / "manifest.parquet")

    write(earlier)
    assert manifest.read_footer(out) == footer
    assert run(config(SEEN, best), source, out) == footer
    write({**said, "schema": 3})
    with pytest.raises(UserError, match=r"manifest.parquet: .*schema is 3, not 2.*; remove it, and curate again"):
        manifest.read_footer(out)


def test_another_spelling_of_the_source_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = folder(tmp_path / "hay", ["good"] * 3), tmp_path / "out"
    footer = run(config(SEEN), source, out)
    (tmp_path / "link").symlink_to(source)
    monkeypatch.chdir(tmp_path)
    for spelled in ("hay", "./hay/", "link"):
        assert curate(Funnel(config(SEEN)), spelled, out, engine=Pool(1)) == footer


def test_a_complete_folder_says_that_its_source_has_changed_or_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, out = folder(tmp_path / "hay", ["good"] * 6), tmp_path / "out"
    footer = run(config(SEEN), source, out)
    assert run(config(SEEN), source, out) == footer
    assert caplog.text == ""
    with (source / "metadata.jsonl").open("a") as lines:
        lines.write(json.dumps({"file_name": "good-0.jpg", "text": "once more"}) + "\n")
    before = files(out)
    assert run(config(SEEN), source, out) == footer
    assert "hay has changed since; name another folder" in caplog.text
    caplog.clear()
    source.rename(tmp_path / "moved")
    assert run(config(SEEN), source, out) == footer
    assert "its source cannot be read any more" in caplog.text
    assert files(out) == before


def test_a_source_changed_since_is_not_mixed(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good"] * 3)
    out = tmp_path / "out"
    run(config(SEEN), source, out)
    (out / "images" / "00000001.jpg").unlink()
    (source / "good-1.jpg").write_bytes((source / "good-2.jpg").read_bytes())
    entries = read_source(str(source), image_column="image", text_column="text")
    with pytest.raises(UserError, match=r"good-1.jpg: another file"):
        needles.write_pictures(out, manifest.kept(out), entries, Readable(max_bytes=1_000_000))
    assert not (out / "images" / "00000001.jpg").exists()
