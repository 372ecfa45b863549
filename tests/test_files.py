"""Files are written whole or not at all, whatever happens meanwhile, and are known by their sha256."""

import hashlib
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier

import pytest

from emu.storage import files


@dataclass(frozen=True)
class Score:
    of: str
    value: float


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("durable", [False, True])
def test_what_is_written_comes_back_and_nothing_lies_beside(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a" / "b.txt"
    files.write(path, b"\x00one", durable=durable)
    assert path.read_bytes() == b"\x00one"
    files.write(path, "caf\u00e9", durable=durable)
    assert path.read_text(encoding="utf-8") == "caf\u00e9"
    assert names(path.parent) == ["b.txt"]


def test_threads_that_write_one_file_at_once_do_not_take_it_from_each_other(tmp_path: Path) -> None:
    """As the desk's do, of which two raters ask for one thumbnail."""
    path, all_there = tmp_path / "b", Barrier(8)

    def write(content: bytes) -> None:
        with files.replacing(path) as beside:
            all_there.wait()
            beside.write_bytes(content)
            all_there.wait()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, [bytes([number]) * 9 for number in range(8)]))
    assert len(path.read_bytes()) == 9
    assert names(tmp_path) == ["b"]


def test_what_is_raised_while_a_file_is_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    files.write(path, "old")

    def half(beside: Path) -> None:
        beside.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), files.replacing(path) as beside:
        half(beside)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["b.txt"]


def test_an_error_of_the_system_names_the_file_and_not_the_one_beside(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError) as error:
        files.write(tmp_path / "a", "text")
    assert error.value.filename == str(tmp_path / "a")
    with pytest.raises(OSError, match="full") as error, files.replacing(tmp_path / "b"):
        raise OSError(28, "full")
    assert error.value.filename == str(tmp_path / "b")
    with pytest.raises(FileNotFoundError, match="source"), files.replacing(tmp_path / "b"):
        (tmp_path / "source").read_bytes()


def test_dataclasses_are_json_and_what_is_not_finite_is_none(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"scores": [Score("a", 0.5)]}, indent=1)
    assert json.loads((tmp_path / "a.json").read_text()) == {"scores": [{"of": "a", "value": 0.5}]}
    files.write_lines(tmp_path / "a.jsonl", [Score("a\u2028", 1), {"b": None}])
    lines = (tmp_path / "a.jsonl").read_text().split("\n")
    assert [json.loads(line) for line in lines[:-1]] == [{"of": "a\u2028", "value": 1}, {"b": None}]
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "a.json", Score("a", float("nan")))
    assert json.loads((tmp_path / "a.json").read_text())["scores"]


def test_sweeping_removes_what_killed_writers_left_and_nothing_else(tmp_path: Path) -> None:
    left, others = [".a.json.4711.tmp", f".b.json.{os.getpid()}.tmp"], [".a.tmp", "a.4711.tmp", ".a.json.x.tmp", "a"]
    for name in left + others:
        (tmp_path / name).touch()
    files.write(tmp_path / "a.json", "{}", alone=True)
    assert names(tmp_path) == sorted([*left[1:], *others, "a.json"])
    files.sweep(tmp_path)
    assert names(tmp_path) == sorted([*others, "a.json"])


@pytest.mark.parametrize(
    ("name", "other"), [("a[1].json", "a1.json"), ("a*", "ab"), ("a?.json", "ab.json"), ("a", "a.json"), ("[", "a")]
)
def test_what_is_swept_beside_a_file_is_its_own_whatever_its_name(tmp_path: Path, name: str, other: str) -> None:
    (tmp_path / f".{name}.4711.tmp").touch()
    (tmp_path / f".{other}.4711.tmp").touch()
    files.write(tmp_path / name, "{}", alone=True)
    assert names(tmp_path) == sorted([name, f".{other}.4711.tmp"])


def test_the_sum_of_a_file_is_that_of_a_stream_of_its_content(tmp_path: Path) -> None:
    content = os.urandom(1 << 20)
    (tmp_path / "a").write_bytes(content)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest() == files.sha256(io.BytesIO(content))
