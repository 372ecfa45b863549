"""How many cores a process may use, where a machine has more."""

import os
from pathlib import Path

import pytest

from emu import cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives no process a part of its cores")
def test_what_a_scheduler_leaves_counts_and_not_what_the_machine_has() -> None:
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mine)})
    try:
        assert cores.cores() == 1
    finally:
        os.sched_setaffinity(0, mine)


@pytest.mark.parametrize(
    ("limit", "most"), [("150000 100000", 2), ("1000 100000", 1), ("max 100000", None), ("", None)]
)
def test_a_container_s_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int | None
) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert cores.cores() == (most or 64)
