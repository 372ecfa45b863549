"""A start looks for no garbage, and what follows it does; a package that it need not load waits."""

import gc
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from emu.starting import started, starting, waiting


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


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that stands for what is loaded later."""
    folder = tmp_path / "patient"
    folder.mkdir()
    (folder / "__init__.py").write_text("from patient import inner\nanswer = inner.answer\n")
    (folder / "inner.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("emu.starting.LATER", "patient")
    yield folder
    for name in ("patient", "patient.inner"):
        sys.modules.pop(name, None)


def test_a_package_runs_once_something_of_it_is_asked_for(package: Path) -> None:
    with waiting():
        patient = importlib.import_module("patient")
    assert importlib.util.find_spec("patient") is patient.__spec__
    assert patient.__file__ == str(package / "__init__.py")
    assert "patient.inner" not in sys.modules
    assert patient.answer == 42
    assert type(patient) is ModuleType
    with pytest.raises(AttributeError, match="patient"):
        _ = patient.question


def test_a_package_runs_before_its_submodules(package: Path) -> None:
    with waiting():
        importlib.import_module("patient")
    (package / "__init__.py").write_text("first = True\n")
    inner = importlib.import_module("patient.inner")
    assert sys.modules["patient"].first
    assert inner.answer == 42


def test_a_package_that_fails_says_so_whenever_it_is_asked(package: Path) -> None:
    (package / "__init__.py").write_text("raise OSError('no library')\n")
    with waiting():
        patient = importlib.import_module("patient")
    for _ in range(2):
        with pytest.raises(OSError, match="no library"):
            _ = patient.answer


def test_several_threads_run_a_package_once(package: Path) -> None:
    (package / "__init__.py").write_text("import time\ntime.sleep(0.1)\nanswer = object()\n")
    with waiting():
        patient = importlib.import_module("patient")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: patient.answer, range(4)))
    assert set(answers) == {patient.answer}


def test_what_is_installed_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    def reads() -> dict[str, list[str]]:
        nonlocal read
        read += 1
        return {}

    monkeypatch.setattr(metadata, "packages_distributions", reads)
    with starting():
        assert metadata.packages_distributions() is metadata.packages_distributions()
    assert read == 1
    assert metadata.packages_distributions is reads
