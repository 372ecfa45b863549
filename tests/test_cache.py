import pickle
import struct
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from emu.errors import UserError
from emu.storage.cache import Cache


def entries(start: int, stop: int) -> dict[str, dict[str, torch.Tensor]]:
    return {f"key-{i}": {"x": torch.full((2, 3), float(i)), "ids": torch.tensor(i)} for i in range(start, stop)}


def assert_same(cache: Cache, wanted: dict[str, dict[str, torch.Tensor]]) -> None:
    assert sorted(cache.keys()) == sorted(wanted)
    for key, tensors in wanted.items():
        got = cache.get(key)
        assert got.keys() == tensors.keys()
        for name, tensor in tensors.items():
            torch.testing.assert_close(got[name], tensor, rtol=0, atol=0)


def test_what_is_put_is_what_a_new_reader_gets(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put_many(entries(0, 5))
    cache.put_many(entries(5, 8))
    assert_same(cache, entries(0, 8))
    assert_same(Cache(tmp_path / "cache"), entries(0, 8))
    assert "key-7" in cache
    assert "key-8" not in cache
    with pytest.raises(KeyError):
        cache.get("key-8")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_dtypes_and_views_survive(tmp_path: Path, dtype: torch.dtype) -> None:
    batch = torch.arange(12).reshape(3, 4).to(dtype)
    Cache(tmp_path).put_many({str(i): {"row": batch[i], "column": batch[:, i]} for i in range(3)})
    cache = Cache(tmp_path)
    for i in range(3):
        assert torch.equal(cache.get(str(i))["row"], batch[i])
        assert torch.equal(cache.get(str(i))["column"], batch[:, i])


def test_an_empty_or_absent_folder_is_an_empty_cache(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "absent")
    cache.put_many({})
    assert cache.keys() == []
    assert not (tmp_path / "absent").exists()


def test_many_writers_at_once(tmp_path: Path) -> None:
    writers = [
        threading.Thread(target=lambda i=i: Cache(tmp_path).put_many(entries(i, i + 3))) for i in range(0, 24, 2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert_same(Cache(tmp_path), entries(0, 25))  # neighbours wrote one key both


def test_a_pickled_cache_opens_for_itself(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put_many(entries(0, 3))
    cache.get("key-0")
    assert_same(pickle.loads(pickle.dumps(cache)), entries(0, 3))


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("shard-*.safetensors"))


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_a_torn_shard_is_named_and_set_aside(tmp_path: Path, keep: int, caplog: pytest.LogCaptureFixture) -> None:
    Cache(tmp_path).put_many(entries(0, 3))
    torn = shards(tmp_path)[0]
    torn.write_bytes(torn.read_bytes()[:keep])
    Cache(tmp_path).put_many(entries(3, 6))
    assert_same(Cache(tmp_path), entries(3, 6))
    assert torn.name in caplog.text
    assert not torn.exists()
    assert torn.with_suffix(".aside").exists()


def test_a_shard_that_cannot_be_read_just_now_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many open files, a network's disk: hours of encoding would be made again."""
    Cache(tmp_path).put_many(entries(0, 3))

    def refused(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("emu.storage.cache.safe_open", refused)
        with pytest.raises(UserError, match="cannot be read .*Input/output error"):
            Cache(tmp_path).keys()
    assert_same(Cache(tmp_path), entries(0, 3))


def test_a_header_that_claims_too_much_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "shard-0.safetensors").write_bytes(struct.pack("<Q", 2**40) + b"{}")
    assert Cache(tmp_path).keys() == []
    assert shards(tmp_path) == []


def test_a_foreign_shard_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "shard-of-a-model.safetensors")
    assert Cache(tmp_path).keys() == []
    assert "not written by emu" in caplog.text


def test_what_a_killed_writer_left_beside_is_not_read(tmp_path: Path) -> None:
    Cache(tmp_path).put_many(entries(0, 3))
    shards(tmp_path)[0].rename(tmp_path / ".shard-1.safetensors.4711.tmp")
    assert Cache(tmp_path).keys() == []


def test_damage_to_an_entry_is_seen_when_it_is_asked_for(tmp_path: Path) -> None:
    Cache(tmp_path).put_many(entries(0, 3))
    (path,) = tmp_path.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # the last byte of the last tensor: the header is as it was
    path.write_bytes(content)
    cache = Cache(tmp_path)
    with pytest.raises(UserError, match="damaged since it was written, and set aside; run emu encode again"):
        [cache.get(key) for key in cache.keys()]  # noqa: SIM118  (a Cache is no mapping)
    assert [one.suffix for one in tmp_path.iterdir()] == [".aside"]
    assert Cache(tmp_path).keys() == []


def test_a_shard_of_an_earlier_emu_is_read(tmp_path: Path) -> None:
    save_file({"key-0/x": torch.ones(2)}, tmp_path / "shard-0.safetensors", metadata={"emu-cache": "1"})
    assert_same(Cache(tmp_path), {"key-0": {"x": torch.ones(2)}})


def test_an_error_in_a_loaders_worker_is_one_line(tmp_path: Path) -> None:
    from emu.data.loader import HeldOut, Planned
    from emu.data.survey import Faults

    with pytest.raises(UserError) as refused:
        list(HeldOut(Planned(Damaged(), 1, Faults("x", limit=0)), [[0]]))  # type: ignore[list-item]
    assert str(refused.value) == "a: damaged; run emu encode again"


class Damaged(torch.utils.data.Dataset[dict[str, int]]):
    def __getitem__(self, draw: int) -> dict[str, int]:
        raise UserError("a: damaged; run emu encode again")
