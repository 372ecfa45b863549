"""The link that a start opens is in no process list: any user of the machine may read those."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("starlette", reason="the extra `desk` is not installed")

from emu.desk.serving import SECONDS, open_in_browser
from reviewers import write_folder
from voters import write_run

BROWSER = '#!/bin/sh\nprintf "%s" "$*" > "{asked}.part"; mv "{asked}.part" "{asked}"; sleep 60\n'


@pytest.mark.skipif(sys.platform == "win32", reason="the browser is a shell script")
@pytest.mark.parametrize("page", ["vote", "review"])
def test_the_browser_is_led_to_a_link_that_no_command_line_holds(tmp_path: Path, page: str) -> None:
    folder = write_run(tmp_path / "run", 3) if page == "vote" else write_folder(tmp_path / "needles", 3)
    script, asked = tmp_path / "browser", tmp_path / "asked"
    script.write_text(BROWSER.format(asked=asked))
    script.chmod(0o700)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "BROWSER": f"{script} %s &"}
    argv = [sys.executable, "-m", "emu", page, str(folder), "--port", "0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment, process_group=0) as process:
        try:
            assert process.stdout is not None
            link = process.stdout.readline().split(" at ")[-1].strip()
            token = link.rpartition("/")[-1]
            while not asked.exists():
                time.sleep(0.02)
            assert not any(token.encode() in command_line(one) for one in Path("/proc").glob("[0-9]*"))
            given = Path(unquote(urlsplit(asked.read_text()).path))
            assert given.stat().st_mode & 0o777 == 0o600
            assert re.findall('url=([^"]*)"', given.read_text()) == [link]
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def test_what_a_killed_page_left_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, others, mine = tmp_path / ".open-old.html", tmp_path / ".open-new.html", tmp_path / "open-old.html"
    for file in (old, others, mine):
        file.touch()
    for file in (old, mine):
        os.utime(file, (time.time() - 2 * SECONDS,) * 2)
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    open_in_browser("http://127.0.0.1:1/join/a", tmp_path)
    assert not old.exists()
    assert mine.exists()
    assert others.exists()  # a browser may be reading it
    assert len(list(tmp_path.iterdir())) == 3


def command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has ended
        return b""
