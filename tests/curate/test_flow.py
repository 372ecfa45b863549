"""Batches: who waits with whom depends on the shard alone, and what is wrong with one picture is its own matter."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import emu.curate
from emu.curate import Funnel, curate
from emu.curate.pool import Pool
from emu.curate.stage import Row, Stage
from emu.errors import UserError
from haystack import config, folder

SHAPE = {"class_path": "emu.curate.stages.Shape", "at_least": {"short_side": 40}}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emu.curate, "SHARD", 8)


def stage(**init_args: Any) -> dict[str, Any]:
    return {"class_path": "haystack.Together", "init_args": init_args}


def run(tmp_path: Path, name: str, kinds: list[str], *stages: dict[str, Any], workers: int = 1) -> list[Row]:
    source = tmp_path / "hay"
    if not source.exists():
        folder(source, kinds)
    curate(Funnel(config(*stages)), str(source), tmp_path / name, engine=Pool(workers))
    found: list[Row] = pq.read_table(tmp_path / name / "manifest.parquet").to_pylist()
    return found


def test_those_who_come_to_a_stage_wait_for_each_other_in_order(tmp_path: Path) -> None:
    kinds = ["good", "html", "good", "good", "truncated", "good", "good", "good", "good", "good"]
    found = run(tmp_path, "out", kinds, stage())
    groups = [["good-0.jpg", "good-2.jpg", "good-3.jpg"], ["good-5.jpg", "good-6.jpg", "good-7.jpg"],
              ["good-8.jpg", "good-9.jpg"]]  # fmt: skip
    wanted = {name: " ".join(group) for group in groups for name in group}
    assert {row["source"]: row["together with"] for row in found if row["status"] == "kept"} == wanted
    assert [row["row"] for row in found] == list(range(10))
    assert [row["status"] for row in found if row["row"] in (1, 4)] == ["failed", "failed"]


def test_batches_follow_on_batches_and_single_looks_and_no_worker_changes_a_byte(tmp_path: Path) -> None:
    kinds = ["good", "cmyk", "html", "good", "rotated", "truncated"] * 5
    stages = [stage(name="first", batch=4), {"class_path": "haystack.Seen", "at_least": {"mean": 110}}]
    stages += [stage(name="second", batch=3), {**SHAPE}]
    files = [
        run(tmp_path, name, kinds, *stages, workers=workers)
        and (tmp_path / name / "manifest.parquet").read_bytes() + (tmp_path / name / "funnel.html").read_bytes()
        for name, workers in (("one", 1), ("three", 3))
    ]
    assert files[0] == files[1]
    found = pq.read_table(tmp_path / "one" / "manifest.parquet").to_pylist()
    seen = [row for row in found if row["mean"] is not None and row["mean"] >= 110]
    assert seen
    assert all(row["second with"] and row["first with"] for row in seen)
    assert all(row["second with"] is None for row in found if row not in seen)
    assert {row["status"] for row in seen} == {"kept"}


def test_what_waits_is_small_where_no_one_later_wants_it_large(tmp_path: Path) -> None:
    from emu.curate.picture import Picture
    from emu.data.sources import Entry
    from haystack import pixels, stored

    content = stored(pixels(0, (1600, 1200)), "PNG")
    one = Picture(Entry("a", "", lambda: None, {}), content, side=0, max_pixels=10**7)  # type: ignore[arg-type, return-value]
    whole = {side: np.asarray(one.small(side)) for side in (16, 144, 448)}
    assert one.shrink({0, 448}) >= 3 * 1600 * 1200
    assert one.image.size == (1600, 1200)
    assert one.shrink({16, 144, 448}) < 3 * 1600 * 1200 / 2 + len(content)
    assert one.image.size == (800, 600)
    assert one.shrink({16, 144}) < 3 * 1600 * 1200 / 20 + len(content)
    for side in (16, 144):  # what a stage sees is what it would have seen at once
        assert np.array_equal(np.asarray(one.small(side)), whole[side])


def test_what_waits_is_bounded_in_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import emu.curate.flow

    monkeypatch.setattr(emu.curate.flow, "HELD", 2 * 3 * 24 * 20)  # a JPEG is scaled to that while it is decoded
    from emu.curate.shards import cut
    from emu.curate.work import Work
    from emu.data.sources import read_source

    source = folder(tmp_path / "hay", ["good"] * 8)
    shard = next(cut(read_source(str(source), image_column="image", text_column="text"), size=8))
    Work(Funnel(config(stage(batch=100))), tmp_path / "out")(shard, lambda _: None)
    table = pq.read_table(next((tmp_path / "out").rglob("shard-*.parquet")))
    assert {len(names.split()) for names in table["together with"].to_pylist()} == {2}


def test_one_that_a_batch_cannot_take_costs_its_own_row(tmp_path: Path) -> None:
    found = run(tmp_path, "out", ["good", "rotated", "good", "good"], stage(raises="rotated"))
    assert [row["status"] for row in found] == ["kept", "failed", "kept", "kept"]
    assert found[1]["reason"] == "ZeroDivisionError: of one of them"
    assert found[1]["stage"] == "together"
    assert [row["together with"] for row in found] == ["good-0.jpg", None, "good-2.jpg", "good-3.jpg"]


def test_a_batch_that_kills_its_worker_costs_only_whose_fault_it_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    kinds = ["good", "good", "rotated", "good", "good"]
    found = run(tmp_path, "out", kinds, stage(log=str(log), kills="rotated"))
    assert [row["status"] for row in found] == ["kept", "kept", "failed", "kept", "kept"]
    assert "its worker died of it" in found[2]["reason"]
    deaths = [json.loads(line) for line in Path(f"{log}.deaths").read_text().splitlines()]
    assert deaths == [["good-0.jpg", "good-1.jpg", "rotated-2.jpg"]] * 3 + [["rotated-2.jpg"]]


class Missing(Stage):
    """Raises of the config."""

    name = "missing"
    batch = 2
    side = 16

    def measure_many(self, pictures: Any) -> list[Row]:
        raise UserError("no such model")


def test_what_the_user_can_mend_ends_the_job_and_claims_no_folder(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good"] * 3)
    for out in (tmp_path / "out", tmp_path / "there"):
        if out.name == "there":
            out.mkdir()
        with pytest.raises(UserError, match="no such model"):
            curate(Funnel(config({"class_path": "test_flow.Missing"})), str(source), out, engine=Pool(1))
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "there").iterdir()) == []
    curate(Funnel(config(stage())), str(source), tmp_path / "out", engine=Pool(1))


def test_limits_are_held_after_a_crop_too(tmp_path: Path) -> None:
    """A frame makes a small picture large enough, and leaves one that is too small, or too long."""
    from PIL import Image

    from haystack import pixels

    source = tmp_path / "hay"
    source.mkdir()
    for name, size in (("large", (90, 80)), ("small", (60, 30)), ("plain", (90, 80))):
        image = Image.new("RGB", (100, 90), "black")
        image.paste(pixels(3, size), (5, 5))
        (pixels(3, size) if name == "plain" else image).save(source / f"{name}.png")
    names = ("large", "plain", "small")
    lines = [json.dumps({"file_name": f"{name}.png", "text": name}) for name in names]
    (source / "metadata.jsonl").write_text("\n".join(lines))
    borders = {"class_path": "emu.curate.stages.Borders", "init_args": {"cut": True}}
    curate(Funnel(config(SHAPE, borders)), str(source), tmp_path / "out", engine=Pool(1))
    found = {row["source"]: row for row in pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()}
    assert [found[f"{name}.png"]["status"] for name in names] == ["kept", "kept", "dropped"]
    assert found["small.png"]["stage"] == "shape"
    assert found["small.png"]["reason"] == "short_side 26 is below 40 once cut to 56 x 26"
    assert found["large.png"]["short_side"] == found["large.png"]["height"] == 76


def test_what_is_decided_over_all_pictures_is_decided_last(tmp_path: Path) -> None:
    """The larger twin is dropped by a stage that the config names behind `Duplicates`: the other one stays."""
    from haystack import pixels

    source = tmp_path / "hay"
    source.mkdir()
    pixels(3, (90, 80)).save(source / "a.png")
    pixels(3, (180, 160)).save(source / "b.png")
    lines = [json.dumps({"file_name": f"{name}.png", "text": name}) for name in "ab"]
    (source / "metadata.jsonl").write_text("\n".join(lines))
    twins = {"class_path": "emu.curate.stages.Duplicates"}
    small = {"class_path": "emu.curate.stages.Shape", "at_most": {"short_side": 100}}
    footer = curate(Funnel(config(twins, small)), str(source), tmp_path / "out", engine=Pool(1))
    assert [one.stage for one in footer.stages] == ["readable", "shape", "duplicates"]
    found = {row["source"]: row["stage"] for row in pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()}
    assert found == {"a.png": None, "b.png": "shape"}
