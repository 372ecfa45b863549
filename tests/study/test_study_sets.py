"""Sets of the simulated web that a study draws once."""

from pathlib import Path

import pytest

from emu.errors import UserError
from emu.study.sets import draw_set


def test_a_set_that_is_there_is_left_and_another_one_refused(tmp_path: Path) -> None:
    """Runs of another set would be told as those of this one."""
    draw_set(tmp_path / "mixed", {"needles": 3, "haystack": 2})
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "mixed").iterdir()}
    draw_set(tmp_path / "mixed", {"haystack": 2, "needles": 3})
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "mixed").iterdir()} == before
    for other in ({"needles": 2, "haystack": 3}, {"needles": 3}, {"needles": 4, "haystack": 2}):
        with pytest.raises(UserError, match="mixed: holds another set than is asked for"):
            draw_set(tmp_path / "mixed", other)
