"""Workers that die: the shard is tried again, what kills again is set aside, the others do not notice."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import emu.curate
from emu.cli import main
from emu.curate import Funnel, curate
from emu.curate.counts import Count
from emu.curate.pool import RETRIES, Pool
from emu.curate.shards import cut
from emu.curate.stage import Row, Stage
from emu.curate.work import Work
from emu.data.sources import read_source
from emu.errors import UserError
from haystack import SEEN, config, folder


class Kills(Stage):
    """SIGKILL to its own worker, as the kernel does where memory ends; with `once`, the first time only."""

    name = "kills"
    columns = {"survived": "bool"}

    def __init__(self, log: str, once: bool = False) -> None:
        self.log, self.once = Path(log), once

    def measure(self, picture: Any) -> Row:
        if picture.name.startswith("killer"):
            before = self.log.read_text() if self.log.exists() else ""
            with self.log.open("a") as file:
                file.write(f"{picture.name}\n")
            if not (self.once and picture.name in before.split("\n")):
                os.kill(os.getpid(), signal.SIGKILL)
        return {"survived": True}


class Faulty(Stage):
    """Raises of some pictures; of the config, if told to."""

    name = "faulty"

    def __init__(self, user: bool = False) -> None:
        self.user = user

    def measure(self, picture: Any) -> Row:
        if self.user:
            raise UserError("no such model")
        if "2" in picture.name:
            raise ZeroDivisionError("of this one")
        return {}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emu.curate, "SHARD", 8)


def stage(kind: str, **init_args: Any) -> dict[str, Any]:
    return {"class_path": f"test_pool.{kind}", "init_args": init_args}


@pytest.mark.parametrize(("once", "set_aside"), [(True, 0), (False, 2)])
def test_a_worker_that_dies_costs_at_most_the_picture(tmp_path: Path, once: bool, set_aside: int) -> None:
    kinds = [*["good"] * 3, "killer", *["good"] * 6, "killer", *["good"] * 9]
    source = folder(tmp_path / "hay", kinds)
    log = tmp_path / "log"
    curate(Funnel(config(stage("Kills", log=str(log), once=once))), str(source), tmp_path / "out", engine=Pool(2))
    found = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    failed = [row for row in found if row["status"] == "failed"]
    assert len(failed) == set_aside
    assert all("its worker died of it" in row["reason"] for row in failed)
    assert sum(row["status"] == "kept" for row in found) == len(kinds) - set_aside
    deaths = log.read_text().split()
    assert len(deaths) == 2 * (2 if once else RETRIES + 1)


def test_progress_is_told_by_pictures_with_a_total(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = folder(tmp_path / "hay", ["good"] * 19)
    pool, counts = Pool(2), list[int]()
    pool.start(Work(Funnel(config(SEEN)), tmp_path / "alone"))
    for pictures in pool.map(cut(read_source(str(source), sequential=True), size=8)):
        counts.append(pictures)
    pool.stop()
    assert sum(counts) == 19
    assert len(counts) > 3  # of three shards: they are not waited for
    curate(Funnel(config(SEEN)), str(source), tmp_path / "out", engine=Pool(1))
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(r"measured: 100%\|.*\| 19/19 \[.*(pictures/s|s/ pictures)\]", last), last


def test_what_a_stage_raises_costs_the_picture_and_what_the_user_can_mend_ends_the_job(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good"] * 4)
    footer = curate(Funnel(config(stage("Faulty"))), str(source), tmp_path / "out", engine=Pool(1))
    counted = Count("faulty", came=4, dropped=0, failed=1, stays=3, why={"ZeroDivisionError": 1})
    assert footer.stages[-1] == counted
    found = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert found[2]["reason"] == "ZeroDivisionError: of this one"
    with pytest.raises(UserError, match="no such model"):
        curate(Funnel(config(stage("Faulty", user=True))), str(source), tmp_path / "none", engine=Pool(1))


def test_what_workers_share_holds_no_pandas_and_finds_it_where_it_is_asked_for() -> None:
    pytest.importorskip("pandas", reason="the extra `curate` is not installed")
    said = (
        "import sys, emu.curate.warm, pyarrow; print('pandas' in sys.modules);"
        "print(len(pyarrow.table({'a': [1, 2]}).to_pandas()))"
    )
    assert subprocess.check_output([sys.executable, "-c", said], text=True).split() == ["False", "2"]


def test_ctrl_c_ends_it_in_silence_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """A terminal sends it to all processes at once, those too that are still importing."""
    source = folder(tmp_path / "hay", ["good"] * 20)
    (tmp_path / "config.json").write_text(json.dumps(config({"class_path": "emu.curate.stages.Technical"})))
    words = ["curate", "-c", str(tmp_path / "config.json"), "--workers", "2", str(source), str(tmp_path / "out")]
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # the background ignores it
    code = [sys.executable, "-c", f"{heard}; from emu.cli import main; main({words})"]
    for seconds in (0.3, 1.5):
        with subprocess.Popen(code, stderr=subprocess.PIPE, text=True, start_new_session=True) as one:
            assert one.stderr is not None
            said = one.stderr.readline()  # the bar: from here on workers are started
            time.sleep(seconds)
            os.killpg(one.pid, signal.SIGINT)
            said += one.stderr.read()
        assert one.returncode in (0, 130), said
        assert "Traceback" not in said
    main(words)
    assert len((tmp_path / "out" / "metadata.jsonl").read_text().splitlines()) == 20
