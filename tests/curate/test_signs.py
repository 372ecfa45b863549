"""What Daft's workers say of themselves, without Daft."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emu.curate import daft
from emu.curate.daft import LIFE, Daft
from emu.errors import UserError


class Frame:
    """Is measured in a second, by workers that give no sign or one."""

    def __init__(self, sign: Path | None) -> None:
        self.sign = sign

    def to_pydict(self) -> dict[str, list[str]]:
        if self.sign:
            self.sign.touch()
        time.sleep(1)
        return {"said": ["done"]}


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(daft, "BEAT", 0.05)
    monkeypatch.setattr(daft, "SILENT", 0.3)
    (tmp_path / LIFE).mkdir(parents=True)
    made: Any = Daft(1, ray=True)
    made.work = SimpleNamespace(out=tmp_path)
    return made


def test_signs_of_a_job_that_was_killed_say_nothing_of_this_one(engine: Any, tmp_path: Path) -> None:
    """A cluster may take minutes until the first worker is there."""
    (tmp_path / LIFE / "killed").touch()
    assert engine._answers(Frame(None)) == ["done"]


def test_workers_that_fall_silent_are_not_waited_for(engine: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no worker gives a sign of life"):
        engine._answers(Frame(tmp_path / LIFE / "this"))
