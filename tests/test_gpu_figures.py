"""benchmarks/gpu.py runs from end to end without a GPU, on tiny networks: it is not to rot until there is one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_every_row_is_measured_but_for_what_only_a_gpu_has(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path), "--device", "cpu", "--tiny"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((tmp_path / "gpu.json").read_text())
    unmeasured = {name: row["why"] for name, row in report["rows"].items() if "why" in row}
    assert unmeasured == {}
    assert all(
        value > 0 for name, row in report["rows"].items() for value in row["figures"].values() if "levels" not in name
    )
    assert "measured, GB" not in report["rows"]["memory"]["figures"]
    table = (tmp_path / "gpu.md").read_text()
    assert all(f"| {name} |" in table for name in report["rows"])
    assert report["command"] in table
