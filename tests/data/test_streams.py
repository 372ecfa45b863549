"""Streams: every record once in a pass, the same order on any devices and workers, resumed at any batch."""

import io
import tarfile
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, islice
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from emu.data import CuratedData
from emu.data.buckets import assign, list_buckets
from emu.data.fitting import fit, fit_quickly
from emu.data.pictures import decode
from emu.data.sources import Entry
from emu.data.sources.roots import find
from emu.data.streams import shards as spool
from emu.data.streams.loader import Streaming
from emu.data.streams.order import Place, arranged, share_at, shares
from emu.data.streams.reading import Reading
from emu.data.streams.setting_up import stream_of
from emu.data.streams.shards import Spool, addresses, file_name, read_shard
from emu.data.streams.stream import Stream
from emu.errors import UserError
from sets import downloaded, picture, write, write_table, write_tar
from tarred import tables, tars

Numbers = st.integers(1, 40)


def streamed(root: str, *, rank: int = 0, world: int = 1, accumulate: int = 1, **kw: Any) -> Streaming:
    options = {"resolution": 16, "bucket_step": 8, "batch_size": 2, "num_workers": 0, "lanes": 4, "shuffle": 4, **kw}
    data = CuratedData(root, stream=True, **options)
    data.setup("fit")
    assert data.stream
    workers = data.options.num_workers
    return Streaming(
        data.stream, data._spool, num_workers=workers, accumulate=accumulate, rank=rank, world=world, steps=-1
    )


def names(batches: Iterator[Any], number: int) -> list[list[str]]:
    return [batch["name"] for batch in islice(batches, number)]


@given(shards=Numbers, lanes=Numbers, seed=st.integers(0, 5))
def test_a_pass_has_every_part_of_every_shard_once(shards: int, lanes: int, seed: int) -> None:
    of = shares(shards, lanes)
    assert shards * of >= lanes
    for passed in (0, 3):
        found = [
            share_at(passed * shards * of + place, shards=shards, lanes=lanes, seed=seed)
            for place in range(shards * of)
        ]
        assert sorted(found) == [(shard, number, of) for shard in range(shards) for number in range(of)]


@given(ratios=st.lists(st.floats(0.2, 5), min_size=12, max_size=12), seed=st.integers(0, 9))
def test_a_window_makes_full_batches_of_all_its_pictures(ratios: list[float], seed: int) -> None:
    sizes = [(round(1000 * ratio), 1000) for ratio in ratios]
    shapes = list_buckets(64, step=16)
    batches = arranged(sizes, shapes, 4, np.random.default_rng(seed))
    assert all(len(of) == 4 and bucket in shapes for bucket, of in batches)
    assert sorted(i for _, of in batches for i in of) == list(range(12))
    for bucket, of in batches:  # the shape is the own one of half of them at least
        own = [assign(*sizes[i], shapes) for i in of]
        assert own.count(bucket) >= 1
        assert sum(shape[0] / shape[1] <= bucket[0] / bucket[1] for shape in own) >= 2
        assert sum(shape[0] / shape[1] >= bucket[0] / bucket[1] for shape in own) >= 2


@settings(max_examples=15)
@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=6).filter(any),
    lanes=st.integers(1, 7),
    seed=st.integers(0, 3),
)
def test_each_picture_is_read_once_in_a_pass_over_all_lanes(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], lanes: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    data = CuratedData(
        tars(folder, *sizes), stream=True, resolution=16, bucket_step=16, lanes=lanes, seed=seed, max_failed=1
    )
    stream, _ = stream_of(data.root, data.options, Spool(folder))
    passes = Counter[tuple[int, str]]()
    for lane in range(lanes):
        reading = Reading(stream, Place(lane), Spool(folder))
        for found in reading.pictures:
            passed = reading.place.part // stream.parts
            if passed > 1:
                break
            passes[passed, found.entry.name] += 1
    everything = [f"{shard:03}.tar:{shard}-{i}.png" for shard, size in enumerate(sizes) for i in range(size)]
    assert passes == Counter((passed, name) for passed in (0, 1) for name in everything)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tars(tmp_path_factory.mktemp("shards"), 8, 8, 8, 8, captions=3)


def test_each_is_once_in_a_pass_over_devices_and_workers(root: str) -> None:
    found = [
        name
        for rank in (0, 1)
        for batch in names(iter(streamed(root, rank=rank, world=2, num_workers=2)), 8)
        for name in batch
    ]
    assert len(found) == len(set(found)) == 32


def test_what_a_step_sees_depends_on_no_device_and_no_worker(root: str) -> None:
    """Eight steps of four batches: alone, on two devices, on four with workers."""
    wanted = names(iter(streamed(root, accumulate=4)), 32)
    for world, workers in ((2, 0), (2, 2), (4, 1)):
        own = [
            names(iter(streamed(root, rank=rank, world=world, accumulate=4 // world, num_workers=workers)), 32 // world)
            for rank in range(world)
        ]
        assert [batch for together in zip(*own, strict=True) for batch in together] == wanted


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return bool(one == other)


@pytest.mark.parametrize("kind", ["tar", "parquet"])
@pytest.mark.parametrize("stopped", [1, 7, 16, 23])
def test_it_goes_on_at_any_batch_bit_for_bit(tmp_path: Path, kind: str, stopped: int) -> None:
    root = tars(tmp_path, 5, 9, 3) if kind == "tar" else tables(tmp_path, 5, 9, 3)
    unbroken = streamed(root, aspect_ratios=True)
    batches = iter(unbroken)
    list(islice(batches, stopped))
    state, wanted = unbroken.state_dict(), list(islice(batches, 9))
    again = streamed(root, num_workers=2)
    again.load_state_dict(state)
    for batch, other in zip(islice(again, 9), wanted, strict=True):
        assert batch.keys() == other.keys()
        assert all(same(batch[key], other[key]) for key in batch)  # type: ignore[literal-required]


def test_it_goes_on_on_another_number_of_devices(root: str) -> None:
    """Stopped on two devices after three steps of four batches; then on one."""
    wanted = names(iter(streamed(root, accumulate=4)), 24)
    ranks = [streamed(root, rank=rank, world=2, accumulate=2) for rank in (0, 1)]
    for one in ranks:
        list(islice(one, 6))
    state = ranks[0].state_dict  # of one process here: what the other knows is laid beside it
    ranks[0]._of_all_ranks = lambda: [ranks[lane % 2].whole[lane] for lane in range(4)]  # type: ignore[method-assign]
    alone = streamed(root, accumulate=4)
    alone.load_state_dict(state())
    assert names(iter(alone), 12) == wanted[12:]


def test_only_whole_steps_count(root: str) -> None:
    stream = streamed(root, accumulate=2)
    batches = iter(stream)
    wanted = names(batches, 4)[2:]
    again = streamed(root, accumulate=2)
    later = streamed(root, accumulate=2)
    list(islice(again, 3))
    later.load_state_dict(again.state_dict())
    assert names(iter(later), 2) == wanted


def test_another_batch_size_begins_a_pass_that_nobody_has_seen(root: str) -> None:
    before = streamed(root)
    list(islice(before, 17))  # one is of the second pass
    after = streamed(root, batch_size=4)
    after.load_state_dict(before.state_dict())
    assert {place.part // after.stream.parts for place in after.places} == {2}
    found = [name for batch in names(iter(after), 8) for name in batch]
    assert len(set(found)) == 32


def test_order_shuffles_differ_from_pass_to_pass_and_by_seed(root: str) -> None:
    first = names(iter(streamed(root)), 32)
    assert first[:16] != first[16:]
    assert first != names(iter(streamed(root, seed=1)), 32)
    assert first == names(iter(streamed(root)), 32)


def test_captions_are_drawn_and_dropped_by_the_seed(root: str) -> None:
    def texts(**kw: Any) -> list[str]:
        return [
            text for batch in islice(streamed(root, caption_lines=True, **kw), 32) for text in batch.get("text", [])
        ]

    found = texts(caption_dropout=0.25)
    assert found == texts(caption_dropout=0.25)
    assert 0 < found.count("") < 40
    assert {text.split()[1] for text in found if text} == {"0", "1", "2"}


def test_a_batch_says_what_models_are_conditioned_on(tmp_path: Path) -> None:
    """A picture of 40 x 20 in a square of 16 is scaled to 32 x 16 and loses 8 columns on the left."""
    write_tar(tmp_path / "0.tar", {"a.png": picture(0, "PNG", (40, 20)), "a.txt": "wide"})
    batch = next(iter(streamed(str(tmp_path), aspect_ratios=False, bucket_step=16, batch_size=1, lanes=1, shuffle=1)))
    assert batch["size"].tolist() == [[20, 40, 0, 8, 16, 16]]
    assert batch["image"].shape == (1, 3, 16, 16)


@pytest.mark.parametrize("size", [(40, 300), (90, 64), (64, 64), (33, 47), (400, 330)])
@pytest.mark.parametrize("bucket", [(32, 32), (24, 40)])
def test_quickly_fitted_a_picture_is_the_same_to_the_eye(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    """Also where libjpeg scales it first: the same part of it, on the same pixels."""
    height, width = size
    waves = np.sin(np.linspace(0, 9, width)) * np.cos(np.linspace(1, 8, height))[:, None]
    pixels = np.stack([128 + 90 * waves, 128 - 60 * waves, 100 + 50 * waves], axis=2).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=98)
    file = partial(io.BytesIO, stream.getvalue())
    exactly = fit(decode(file, max_pixels=10**6), bucket)
    quickly = fit_quickly(decode(file, max_pixels=10**6, least=2 * max(bucket)), bucket, size)
    assert quickly.shape == exactly.shape == (3, *bucket)
    assert (quickly - exactly).abs().mean() * 127.5 < 2


def test_held_out_pictures_are_never_trained_on(root: str) -> None:
    data = CuratedData(root, stream=True, resolution=16, bucket_step=8, held_out=3)
    data.setup("fit")
    held = {picture.entry.name for picture in data.held_out_pictures}
    assert held == {f"000.tar:0-{i}.png" for i in range(3)}
    found = [name for batch in names(iter(streamed(root, held_out=3)), 32) for name in batch]
    assert not held.intersection(found)


# ---- bad input


@pytest.mark.parametrize("cut", [0, 100, 600])
def test_a_shard_that_is_missing_short_or_no_tar_is_named_and_passed_over(tmp_path: Path, cut: int) -> None:
    root = tars(tmp_path, 6, 6, 6, 6, 6, 6)
    (tmp_path / "001.tar").unlink()
    content = (tmp_path / "002.tar").read_bytes()
    with tarfile.open(tmp_path / "002.tar") as tar:
        short = tar.getmembers()[4].offset  # between two pictures
    (tmp_path / "002.tar").write_bytes(content[: short + cut])
    (tmp_path / "003.tar").write_bytes(b"no tar at all " * 100)
    stream = streamed(root, max_failed=0.5)
    found = {name.partition(":")[0] for batch in names(iter(stream), 40) for name in batch}
    assert found == {"000.tar", "004.tar", "005.tar"}
    assert {Path(shard).name for shard in stream.failures.lost} == {"001.tar", "002.tar", "003.tar"}
    with pytest.raises(UserError, match=r"shards cannot be used, data.max_failed allows 0.1 of them: .*00[123].tar"):
        names(iter(streamed(root, max_failed=0.1)), 40)


def test_more_missing_shards_than_may_be_are_said_before_anything_is_read(tmp_path: Path) -> None:
    tars(tmp_path, 6, 6)
    root = f"{tmp_path}/{{000..002}}.tar"
    with pytest.raises(UserError, match="1 of 3 shards cannot be used, .*002.tar: no such file"):
        streamed(root)
    assert streamed(root, max_failed=0.5)


def test_broken_pictures_are_counted_under_the_limit(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {}
    for i in range(40):
        whole = picture(i, "JPEG", (64, 64))
        members[f"{i}.jpg"] = whole if i % 4 else (b"no picture", whole[:300])[i % 8 // 4]
        members[f"{i}.txt"] = f"caption {i}"
    write_tar(tmp_path / "0.tar", members)
    stream = streamed(str(tmp_path), max_failed=0.05)
    weights = torch.cat([batch["weight"] for batch in islice(stream, 40)])
    assert stream.failures.pictures > 10
    assert weights.min() in (0, 1)
    with pytest.raises(UserError, match=r"pictures read cannot be used, data.max_failed allows 0 of them: 0.tar:"):
        names(iter(streamed(str(tmp_path), max_failed=0)), 40)


def test_where_no_captions_are_read_none_need_be_there(tmp_path: Path) -> None:
    """Of tars and of parquet, as a stream and as a set; what captions there are is kept."""
    write_tar(tmp_path / "tars" / "0.tar", {"a.png": picture(0), "b.png": picture(1), "b.txt": "two"})
    write_table(tmp_path / "tables" / "0.parquet", [{"image": {"bytes": picture(i)}} for i in range(2)])
    for root, wanted in (("tars/0.tar", {"", "two"}), ("tables/0.parquet", {""})):
        for stream in (True, False):
            data = CuratedData(str(tmp_path / root), stream=stream, resolution=16, bucket_step=8, caption_dropout=0)
            data.captioned = False
            data.setup("fit")
            if data.stream:
                found = {item.text for item in read_shard(tmp_path / root, data.stream.wanted) if type(item) is Entry}
            else:
                found = {picture.entry.text for picture in data.train_pictures}
            assert found == wanted


@pytest.mark.parametrize("workers", [0, 2])
def test_a_caption_column_that_is_not_there_ends_in_one_line(tmp_path: Path, workers: int) -> None:
    root = tables(tmp_path / "tables", 5, 5)
    with pytest.raises(UserError, match=r"no column alt; there are image, text \(data.text_column\)"):
        names(iter(streamed(root, text_column="alt", num_workers=workers)), 9)
    write_tar(tmp_path / "tars" / "0.tar", {f"{i}.png": picture(i) for i in range(30)})
    with pytest.raises(UserError, match="no caption beside it"):
        names(iter(streamed(str(tmp_path / "tars"), num_workers=workers)), 9)


@pytest.mark.parametrize(
    ("root", "options", "said"),
    [
        ("nowhere/{0..9}.tar", {}, "shards cannot be used"),
        ("nowhere/*.tar", {}, "no shard there"),
        ("s3://bucket/{0..9}.tar", {}, "s3fs"),
        ("nowhere/{0..9}.zip", {}, "no shard of a stream"),
        ("nowhere/{0..9}.tar", {"lanes": 6, "num_workers": 4}, "data.lanes 6: .*; give 8"),
        ("nowhere/{0..9}.tar", {"cache": "there"}, "data.cache: a stream takes none"),
        ("nowhere/{0..9}.tar", {"num_pictures": 3}, "data.num_pictures: a stream takes none"),
        ("nowhere/{0..9}.tar", {"max_bad": 3}, "data.max_bad: a stream takes none"),
        ("nowhere/{0..9}.tar", {"max_failed": -0.1}, "data.max_failed -0.1: give a share between 0 and 1"),
        ("nowhere/{0..9}.tar", {"bucket_step": 0}, "data.bucket_step 0: give 1 or more"),
        ("nowhere/{0..9}.tar", {"max_pixels": 0}, "data.max_pixels 0: give 1 or more"),
        ("nowhere/{0..9}.tar", {"num_workers": -1}, "data.num_workers -1: give 0 or more"),
        ("http://127.0.0.1:9/*.tar", {}, r"data.root http://127.0.0.1:9/\*.tar: its shards cannot be listed"),
        ("memory://nobody-was-here", {}, "no shard there"),
    ],
)
def test_what_cannot_be_a_stream_is_said(root: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        next(iter(streamed(root, **options)))


def test_an_address_without_a_stream_is_said() -> None:
    with pytest.raises(UserError, match="data.stream"):
        CuratedData("s3://bucket/0.tar").setup("fit")


def test_shards_from_elsewhere_are_fetched_and_go_again(root: str) -> None:
    folder = Path(root).parent
    stream = streamed(f"file://{root}")
    wanted, most = names(iter(streamed(root)), 48), 0
    for batch, own in zip(stream, wanted, strict=False):
        assert batch["name"] == own
        most = max(most, len(list(stream.spool.folder.iterdir())))
    assert 0 < most <= 4 * 3  # of each lane: in the window, being read, on its way
    assert streamed(f"file://{folder}/*.tar").stream.shards == tuple(f"file://{folder}/{i:03}.tar" for i in range(4))


def test_a_run_that_is_over_leaves_no_shard_to_the_next_stage(root: str) -> None:
    """Both are of one process, whose end may be weeks away."""

    class Line(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def training_step(self, batch: Any) -> torch.Tensor:
            return (self.weight * batch["image"]).mean()

        def validation_step(self, batch: Any, index: int, dataloader_idx: int = 0) -> None:
            held_out.extend(batch["name"])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    held_out: list[str] = []
    options = {"resolution": 16, "bucket_step": 8, "batch_size": 2, "lanes": 4, "shuffle": 4, "held_out": 1}
    data = CuratedData(f"file://{root}", stream=True, num_workers=2, **options)
    folders = []
    for _ in range(2):
        trainer = L.Trainer(
            accelerator="cpu",
            max_steps=6,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Line(), datamodule=data)
        folders.append(data._spool.folder)
        assert trainer.global_step == 6
        assert not data._spool.folder.exists()
        assert set(held_out) == {"000.tar:0-0.png"}
        held_out.clear()
    assert folders[0] != folders[1]


def test_a_fetch_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    storage, calls = fsspec.filesystem("memory"), count()
    storage.pipe_file("/once/0.tar", b"content")
    whole = type(storage).get_file

    def failing(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == 0:
            raise ConnectionError("reset")
        return whole(*args, **kwargs)

    monkeypatch.setattr(type(storage), "get_file", failing)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert Spool(tmp_path).fetch("memory://once/0.tar").read_bytes() == b"content"
    with pytest.raises(UserError, match="memory://once/1.tar: cannot be fetched"):
        Spool(tmp_path).fetch("memory://once/1.tar")


@pytest.mark.parametrize(("key", "value"), [("lanes", 7), ("shuffle", 7), ("max_failed", 0.5)])
def test_what_is_for_streams_alone_is_refused_of_a_set(tmp_path: Path, key: str, value: float) -> None:
    with pytest.raises(UserError, match=f"data.{key}: for streams alone"):
        CuratedData(str(tmp_path), **{key: value})


def test_shards_of_other_machines_in_a_shared_folder_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster's jobs may have one TMPDIR; whether another machine's process lives, its number does not tell."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ours = tmp_path / f"{spool.NAME}999999999-a"
    theirs = [tmp_path / "emu-stream-another-machine-999999999-a", tmp_path / f"{spool.NAME}999999999-999999998-a"]
    for folder in (ours, *theirs):  # the last one is of a machine whose name goes on where ours ends, with a number
        folder.mkdir()
    made = spool.Spool.of_this_process()
    assert not ours.exists()
    assert all(folder.exists() for folder in theirs)
    made.folder.rmdir()


def test_a_shard_that_is_listed_twice_is_read_once(root: str) -> None:
    folder = Path(root).parent
    assert streamed(f"{folder}/{{000,001,00*}}.tar").stream.shards == streamed(root).stream.shards


def test_brackets_in_a_folders_name_are_its_own(tmp_path: Path) -> None:
    wanted = tars(tmp_path / "my shards [v1]", 6, 6)
    folder = Path(wanted).parent
    for pattern in (wanted, f"{folder}/*.tar", f"{folder}/00?.tar"):
        assert len(streamed(pattern).stream.shards) == 2
        assert len(find(pattern)) == 2


@pytest.mark.parametrize("end", ["", "/", "/*.tar", "/{0..1}.t?r"])
@pytest.mark.parametrize("folder", ["shards", "shards [2023]"])
def test_so_they_are_in_an_address(folder: str, end: str) -> None:
    import fsspec

    storage = fsspec.filesystem("memory")
    wanted = [f"memory:///bracketed/{folder}/{number}.tar" for number in range(2)]
    for name in (*wanted, f"memory:///bracketed/{folder}/readme.txt"):
        storage.pipe_file(name, b"content")
    assert addresses(f"memory://bracketed/{folder}{end}") == wanted


@pytest.mark.parametrize("where", ["", "file://", "memory:/"])
def test_of_a_downloader_s_folder_the_tars_are_read_and_no_notes(tmp_path: Path, where: str) -> None:
    """img2dataset writes a parquet file of addresses beside each tar, here or into a bucket; a Mac adds `._NAME`."""
    import fsspec

    for shard in ("00000", "00001"):
        downloaded(tmp_path / "web", "webdataset", good=3, failed=2, shard=shard)
    write(tmp_path / "web", {"._00000.tar": b"a note of a Mac's"})
    if where == "memory:/":
        for file in (tmp_path / "web").iterdir():
            fsspec.filesystem("memory").pipe_file(f"{tmp_path}/web/{file.name}", file.read_bytes())
    for end in ("", "/", "/*.tar"):
        assert [file_name(each) for each in addresses(f"{where}{tmp_path}/web{end}")] == ["00000.tar", "00001.tar"]
    found = {name for batch in names(iter(streamed(f"{where}{tmp_path}/web")), 6) for name in batch}
    assert len(found) == 6


def test_an_address_may_be_a_folder_and_end_in_a_question(root: str) -> None:
    folder = Path(root).parent
    assert streamed(f"file://{folder}").stream.shards == streamed(f"file://{folder}/*.tar").stream.shards
    asked = "https://host/b/{0..1}.tar?download=true"
    assert addresses(asked) == [f"https://host/b/{i}.tar?download=true" for i in range(2)]
    assert file_name(addresses(asked)[1]) == "1.tar"


def test_pictures_smaller_than_their_shape_are_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three shapes one is 24 x 12, of which no side reaches 32."""
    monkeypatch.setattr("emu.data.streams.small.ENOUGH", 20)
    root = tars(tmp_path, 6, 6)
    names(iter(streamed(root, resolution=8, bucket_step=8)), 20)
    assert "enlarged" not in caplog.text
    names(iter(streamed(root, resolution=32, bucket_step=32)), 30)
    assert caplog.text.count("of the first 20 pictures 20 are smaller than their shape and are enlarged") == 1


def test_pictures_of_the_same_name_in_another_folder_are_not_held_out(tmp_path: Path) -> None:
    for folder in ("en", "fr"):
        tars(tmp_path / folder, 6, 6)
    root = f"{tmp_path}/{{en,fr}}/*.tar"
    found = Counter(name for batch in names(iter(streamed(root, held_out=3)), 40) for name in batch)
    assert {f"000.tar:0-{i}.png" for i in range(6)} <= set(found)
    assert streamed(root).identity != streamed(f"{tmp_path}/{{fr,en}}/*.tar").identity


def test_what_fails_is_named_by_its_address_and_once(tmp_path: Path) -> None:
    write_tar(tmp_path / "empty.tar", {})
    (tmp_path / "none.tar").write_bytes(b"no tar at all " * 100)
    for name, said in (("empty", "holds no picture"), ("none", "cannot be read as a tar")):
        with pytest.raises(UserError, match=f": file://{tmp_path}/{name}.tar: {said}"):
            next(iter(streamed(f"file://{tmp_path}/{name}.tar")))
    write_tar(tmp_path / "long.tar", {"a.png": picture(0), "a.txt": "x" * 30_000, "b.png": picture(1), "b.txt": "b"})
    with pytest.raises(UserError) as error:
        names(iter(streamed(f"{tmp_path}/long.tar")), 40)
    assert str(error.value).count("30,000 characters") == 1


def test_a_server_that_starts_again_is_waited_for(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies after the first shards were fetched, and comes back while the third trial is waited for."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(Path(root).parent))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *args: None)
    waited: list[float] = []

    def begin(port: int = 0) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def end(server: ThreadingHTTPServer) -> None:
        server.shutdown()
        server.server_close()

    server = begin()
    address = f"http://127.0.0.1:{server.server_port}/000.tar"
    assert Spool(tmp_path).fetch(address).stat().st_size
    end(server)

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            again.append(begin(server.server_port))

    again: list[ThreadingHTTPServer] = []
    monkeypatch.setattr("emu.data.streams.shards.time.sleep", sleep)
    assert Spool(tmp_path).fetch(address).stat().st_size
    assert waited == [1, 2, 4]
    end(again[0])


def test_a_stream_holds_one_window_however_long_it_is(tmp_path: Path) -> None:
    """What is alive of pictures after many passes is a window a lane, and no more than after the first."""
    import gc

    from emu.data.survey import Picture

    def pictures() -> int:
        gc.collect()
        return sum(type(one) is Picture for one in gc.get_objects())

    others = pictures()  # of other tests of this process
    batches = iter(streamed(tars(tmp_path, 40, 40), lanes=2, shuffle=8))
    alive = []
    for number in range(200):
        next(batches)
        if number % 50 == 49:
            alive.append(pictures() - others)
    assert max(alive) <= 2 * 8 + 4


def test_its_type_is_what_setting_up_makes(root: str) -> None:
    stream = streamed(root).stream
    assert isinstance(stream, Stream)
    assert stream.parts == 4
