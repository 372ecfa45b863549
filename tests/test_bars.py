"""Bars of progress: in a log they are lines, few of them, the last one whole."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emu.pipeline_folders import weight_files
from emu.terminal import bars
from emu.terminal.bars import Bar
from emu.training.console import tidy


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def through(file: io.StringIO, number: int = 5000) -> str:
    for _ in Bar(range(number), desc="pictures", file=file):
        pass
    return file.getvalue()


def test_a_log_gets_a_line_at_the_start_and_one_at_the_end() -> None:
    first, last = through(io.StringIO()).splitlines()
    assert "0/5000" in first
    assert "5000/5000" in last


def test_a_log_gets_a_line_each_time_that_its_pace_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bars.PACE, False, 0.0)
    written = through(io.StringIO(), number=4)
    assert [f"{i}/4" in line for i, line in enumerate(written.splitlines())] == [True] * 5
    assert "\r" not in written


def test_a_terminal_gets_one_line_that_is_written_again() -> None:
    written = through(Terminal())
    assert written.count("\n") == 1
    assert "\r" in written


def test_a_message_between_them_is_a_line_of_its_own() -> None:
    file = io.StringIO()
    with Bar(total=2, file=file) as bar:
        Bar.write("warning: black all over", file=file)
        bar.update(2)
    assert "warning: black all over" in file.getvalue().splitlines()


def test_one_under_another_is_a_line_as_well() -> None:
    file = io.StringIO()
    with Bar(total=2, file=file), Bar(total=3, desc="inner", leave=True, file=file) as inner:
        inner.update(3)
    assert any(line.startswith("inner: 100%") for line in file.getvalue().splitlines())
    assert "\x1b" not in file.getvalue()


def test_one_that_is_not_to_be_seen_writes_nothing() -> None:
    file = io.StringIO()
    with Bar(total=2, file=file, disable=True) as bar:
        bar.update(2)
    assert not file.getvalue()


ASKED = """
import contextlib, sys
from emu.cli import main
with contextlib.suppress(SystemExit):
    main(["--help"])
import datasets
from huggingface_hub.utils import are_progress_bars_disabled
print("disabled", datasets.are_progress_bars_disabled(), are_progress_bars_disabled())
"""


def test_in_a_log_no_library_has_a_bar() -> None:
    given = {name: value for name, value in os.environ.items() if not name.endswith("DISABLE_PROGRESS_BARS")}
    said = subprocess.run([sys.executable, "-c", ASKED], env=given, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "disabled True True"


def test_on_a_terminal_loading_and_saving_show_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    import pipelines

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    of_diffusers.enable_progress_bar()
    of_transformers.enable_progress_bar()
    tidy()
    made = pipelines.build("latent")
    made.save_pretrained(tmp_path / "base")
    type(made).from_pretrained(tmp_path / "base")
    assert terminal.getvalue() == ""
    of_transformers.enable_progress_bar()
    weight_files.load(type(made.text_encoder), tmp_path / "base" / "text_encoder")
    assert terminal.getvalue() == ""
