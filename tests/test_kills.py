"""The commands beside `emu fit`, killed in their midst: given again, each leaves what an unbroken one leaves.

The short form of `benchmarks/faults.py`, whose jobs these are; it kills at drawn moments, here they are chosen ones.
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from emu.cli import main
from emu.layouts import runs
from emu.storage.cache import Cache
from processes import ranks
from test_layouts import config

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from faults import Job, jobs

Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Folder) -> Path:
    root = tmp_path_factory.mktemp("kills")
    (root / "pipeline").symlink_to(tiny_folder("latent"))
    (root / "many.txt").write_text("".join(f"number {i}\n" for i in range(12)))
    config(root, "latent", root / "pipeline")
    assert given(root, "fit, alone", root / "done") == [0]
    return root


def job(root: Path, name: str) -> Job:
    return next(one for one in jobs(root, next(root.glob("*.yaml"))) if one.name == name)


def given(root: Path, name: str, out: Path, dies: str = "") -> list[int | None]:
    """The exit codes of the command; `dies` names one of MOMENTS."""
    out.mkdir(exist_ok=True)
    wanted = job(root, name)
    argv = wanted.argv(out)
    return ranks(wanted.world, *((dying, argv, dies) if dies else (main, argv)), log=out / ".log")


def named(end: str, *called: Any) -> bool:
    return any(str(one).endswith(end) for one in called)


def second() -> Callable[..., bool]:
    calls = count(1)
    return lambda *called: next(calls) == 2


MOMENTS: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "encode, alone: before the captions": (Cache, "put_many", second()),
    "sample, alone: before its plan is written": (Path, "replace", partial(named, runs.SAMPLES)),
    "sample, alone: while a picture is written": (Path, "replace", partial(named, "00007.png")),
    "sample, alone: before its rows are written": (Path, "replace", partial(named, f"drawn/{runs.SAMPLES}")),
    "compare: between its two files": (Path, "replace", partial(named, "verdict.json")),
    "export: half of it is written": (os, "mkdir", partial(named, "vae")),
    "export: before it is renamed": (Path, "rename", partial(named, "model")),
}


def dying(argv: list[str], moment: str) -> None:
    """`emu ARGV` that is killed at the first call for whose arguments it is that moment."""
    owner, name, when = MOMENTS[moment]
    call = getattr(owner, name)

    def killed(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)

    setattr(owner, name, killed)
    main(argv)


@pytest.mark.parametrize("name", ["encode, alone", "sample, alone", "compare", "export"])
def test_killed_in_its_midst_a_command_ends_as_an_unbroken_one(root: Path, name: str) -> None:
    unbroken, out = root / f"{name} unbroken", root / f"{name} killed"
    assert given(root, name, unbroken) == [0]
    wanted = job(root, name).left(unbroken)
    for moment in (one for one in MOMENTS if one.startswith(f"{name}:")):
        codes = given(root, name, out, moment)
        assert codes == [-signal.SIGKILL], f"{moment}: {codes}, {(out / '.log.0').read_text()[-2000:]}"
    assert given(root, name, out) == [0], (out / ".log.0").read_text()[-2000:]
    assert job(root, name).left(out) == wanted
    assert not list(out.rglob(".*.tmp"))
