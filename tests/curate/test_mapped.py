"""A column of bytes in a file is read as numpy's array of the same would be."""

import gc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.curate.mapped import Mapped
from emu.errors import UserError

VALUES = st.lists(st.none() | st.binary(max_size=5), max_size=6)


@given(parts=st.lists(VALUES, max_size=4))
def test_it_reads_as_an_array_does(tmp_path_factory: pytest.TempPathFactory, parts: list[list[bytes | None]]) -> None:
    folder = tmp_path_factory.mktemp("mapped")
    found, values = Mapped(iter(parts), folder), [value for part in parts for value in part]
    assert len(found) == len(values)
    assert [found[row] for row in range(len(values))] == values
    rows = np.arange(len(values))[::-2]
    assert found[rows].tolist() == values[::-2]
    assert found[rows[:1]].tolist() == values[::-2][:1]
    chosen = np.array([bool(value) for value in values], dtype=bool)
    assert found[chosen].tolist() == [value for value in values if value]
    assert not list(folder.iterdir())  # the file has no name, so that a kill leaves none


def test_what_it_holds_is_not_in_memory(tmp_path: Path) -> None:
    def anonymous() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) << 10

    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc")
    gc.collect()
    before = anonymous()
    found = Mapped(([bytes([part % 256]) * (1 << 20)] for part in range(64)), tmp_path)
    assert sum(found[row] == bytes([row]) * (1 << 20) for row in range(64)) == 64
    assert anonymous() - before < 16 << 20  # of 64 MiB


def test_a_disk_that_takes_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone"):
        Mapped([[b"x"]], tmp_path / "gone")
