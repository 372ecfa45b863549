"""The script behind docs/results/emoji.md still runs, from the tars to the page: what it calls changes beside it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
DATA = PROJECT.parent / "shared" / "data"


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="the emoji sets are not beside the checkout")
def test_real_pictures_go_from_tars_to_a_page(tmp_path: Path) -> None:
    page = tmp_path / "emoji.md"
    page.write_text("before <!-- figures --> FIGURES OF BEFORE <!-- end of figures --> after")
    script: list[str | Path] = [
        sys.executable,
        PROJECT / "scripts" / "emoji.py",
        "--data",
        DATA,
        "--work",
        tmp_path / "work",
    ]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*script, "--quick", "--threads", "1", "--results", page], capture_output=True, text=True, env=offline
    )
    assert done.returncode == 0, done.stderr[-2000:]
    written = page.read_text()
    assert "FIGURES OF BEFORE" not in written
    assert all(f"| {name} | 8 | 0 -> " in written for name in ("latent", "pixel", "muse"))
    assert written.startswith("before")
    assert written.endswith("after")
    assert page.with_suffix(".png").stat().st_size > 1000
