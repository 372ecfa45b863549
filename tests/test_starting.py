"""A start looks for no garbage, and what follows it does."""

import gc
from collections.abc import Iterator

import pytest

from emu.starting import started, starting


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()
    gc.enable()


def test_garbage_is_looked_for_again_once_all_is_there() -> None:
    with starting():
        assert not gc.isenabled()
        started()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    assert gc.isenabled()


def test_garbage_is_looked_for_after_an_error() -> None:
    with pytest.raises(ValueError, match="broken"), starting():
        raise ValueError("broken")
    assert gc.isenabled()


def test_a_second_command_keeps_none_of_the_firsts_garbage() -> None:
    with starting():
        started()
    kept = gc.get_freeze_count()
    held = [{} for _ in range(1000)]
    held[0][0] = held
    with starting():
        started()
    assert gc.get_freeze_count() <= kept


def test_a_program_that_uses_emu_keeps_its_own_ways() -> None:
    started()
    assert gc.get_freeze_count() == 0
