"""The benchmarks that the docs name can be started: what they import is there."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
IMPORT = "import sys; sys.path.insert(0, sys.argv[1]); [__import__(name) for name in sys.argv[2:]]"


@pytest.mark.parametrize("name", ["muse_tokens", "reconstructions"])
def test_what_comes_back_of_true_pictures_is_measured(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--scenes", "4"])
    runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")  # a process of its own imports for seconds
    decibels = re.search(r"PSNR ([\d.]+) dB", capsys.readouterr().out)
    assert decibels is not None
    assert 20 < float(decibels[1]) < 40


def test_every_benchmark_finds_what_it_imports() -> None:
    pytest.importorskip("starlette", reason="the extra `desk` is not installed")
    pytest.importorskip("playwright", reason="playwright is not installed")
    names = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
    assert names
    done = subprocess.run([sys.executable, "-c", IMPORT, str(BENCHMARKS), *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
