"""The cache of scores: a second comparison runs no model; kills and two writers at once lose and mix nothing."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emu.compare import compare
from emu.compare.judging import Bench
from emu.compare.score_cache import FILE, ScoreCache, score_key
from emu.errors import UserError
from emu.judges.clip import ClipScore
from emu.layouts import runs
from emu.storage import files
from processes import start

MakeRun = Callable[..., Path]
Open = Callable[[], ScoreCache]
CARD: dict[str, Any] = {"name": "eye", "tie": 0.1, "sha256": "0f"}
PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import embedders

    return embedders.save_clip(tmp_path_factory.mktemp("clip"), width=16)


@pytest.fixture
def open_cache(tmp_path: Path) -> Iterator[Open]:
    """Each call opens the same cache once more."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(ScoreCache(tmp_path / "cache")))


def unjudged(run: Path) -> Path:
    for scores in run.rglob(runs.SCORES):
        scores.unlink()
    (run / runs.QUALITY).unlink()
    return run


def counted(judge: ClipScore) -> list[int]:
    """Grows by one whenever the judge's model looks at a picture."""
    looks: list[int] = []
    judge.embedder.model.vision_model.register_forward_hook(lambda *_: looks.append(1))
    return looks


def test_a_second_comparison_runs_no_model(
    make_run: MakeRun, clip_folder: Path, open_cache: Open, tmp_path: Path
) -> None:
    run, judge = unjudged(make_run()), ClipScore(str(clip_folder))
    looks, bench = counted(judge), Bench(cache=open_cache())
    first = compare([run], out=tmp_path / "a.html", faithfulness=judge, bench=bench)
    assert len(looks) == 8
    copy = unjudged(Path(shutil.copytree(run, tmp_path / "copy" / run.name)))
    again = ClipScore(str(clip_folder))
    looks = counted(again)
    bench = Bench(cache=open_cache())
    assert compare([copy], out=tmp_path / "b.html", faithfulness=again, bench=bench) == first
    assert looks == []
    for step in (0, 20):
        assert runs.read_scores(runs.step_folder(copy, step)) == runs.read_scores(runs.step_folder(run, step))


def test_only_a_picture_that_changed_is_looked_at(
    make_run: MakeRun, clip_folder: Path, open_cache: Open, tmp_path: Path
) -> None:
    run, judge = unjudged(make_run()), ClipScore(str(clip_folder))
    looks, bench = counted(judge), Bench(cache=open_cache())
    compare([run], out=tmp_path / "a.html", faithfulness=judge, bench=bench)
    runs.save_picture(runs.step_folder(run, 20) / "00002.png", np.full((8, 8, 3), 200, np.uint8))
    compare([unjudged(run)], out=tmp_path / "a.html", faithfulness=judge, bench=bench)
    assert len(looks) == 9


def test_the_key_is_pixels_prompt_and_judge() -> None:
    other = PIXELS.copy()
    other[0, 0, 0] += 1
    keys = [
        score_key(PIXELS, "a boat", CARD),
        score_key(other, "a boat", CARD),
        score_key(PIXELS.reshape(2, 8, 3), "a boat", CARD),
        score_key(PIXELS, "a bird", CARD),
        *(score_key(PIXELS, "a boat", CARD | change) for change in ({"sha256": "10"}, {"tie": 0.2}, {"versions": "2"})),
    ]
    assert len(set(keys)) == len(keys)
    assert score_key(PIXELS.copy(), "a boat", dict(reversed(CARD.items()))) == keys[0]


def test_what_is_no_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match=r"scores\.sqlite: no cache of scores .*; remove it, or name another --cache"):
        ScoreCache(tmp_path)
    with pytest.raises(UserError, match=r"no cache of scores"):
        ScoreCache(tmp_path / FILE / "below")


def test_a_full_disk_is_no_damage(open_cache: Open) -> None:
    cache = open_cache()
    cache.put([(key(0), 0.5)])
    (pages,) = cache._base.execute("pragma page_count").fetchone()
    cache._base.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(UserError, match=r"scores\.sqlite: the disk is full; make room and run the same command again"):
        cache.put((key(i), 0.5) for i in range(1000))
    cache._base.execute("pragma max_page_count = 1000")
    assert [cache.get(key(i)) for i in range(2)] == [0.5, None]


def key(i: int) -> bytes:
    return score_key(PIXELS, f"prompt {i}", CARD)


def keep(folder: Path, first: int, done: Path) -> None:
    """Keeps score i under prompt i, ten at a time, and after each ten says so."""
    with closing(ScoreCache(folder)) as cache:
        for start_at in range(first, first + 1000, 10):
            cache.put((key(i), float(i)) for i in range(start_at, start_at + 10))
            files.write(done, str(start_at + 10).encode())


def test_a_kill_loses_no_score_that_was_kept(open_cache: Open, tmp_path: Path) -> None:
    said = 0
    for turn in range(3):
        done = tmp_path / f"done-{turn}"
        (one,) = start(1, keep, tmp_path / "cache", 10_000 * turn, done, log=tmp_path / "log")
        until = time.monotonic() + 60
        while not (done.exists() and done.read_text()) and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(0.05 * turn)
        os.kill(one.pid or 0, signal.SIGKILL)
        one.join()
        cache, promised = open_cache(), int(done.read_text() or 0)
        kept = [cache.get(key(i)) for i in range(10_000 * turn, 10_000 * turn + 1000)]
        assert kept[: promised - 10_000 * turn] == list(map(float, range(10_000 * turn, promised)))
        held = [score for score in kept if score is not None]
        assert len(held) % 10 == 0
        said += promised - 10_000 * turn
    assert said > 0


def test_two_processes_may_keep_scores_at_once(open_cache: Open, tmp_path: Path) -> None:
    both = [
        start(1, keep, tmp_path / "cache", first, tmp_path / f"done-{first}", log=tmp_path / f"log-{first}")[0]
        for first in (0, 500)
    ]
    for one in both:
        one.join(120)
    assert [one.exitcode for one in both] == [0, 0]
    cache = open_cache()
    assert [cache.get(key(i)) for i in range(1500)] == list(map(float, range(1500)))
