"""The guard with the oldest starlette, uvicorn and SQLAlchemy that pyproject.toml lets in: somebody has them."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `desk` is not installed")

ROOT = Path(__file__).parents[2]
KEPT = ("test_vote_security.py", "test_review_security.py", "test_desk_database.py", "test_vote_ballots.py")
SHOWN = (
    "import starlette, uvicorn, sqlalchemy; print(starlette.__version__, uvicorn.__version__, sqlalchemy.__version__)"
)


def floors() -> dict[str, str]:
    """Package -> the oldest version that the extra `desk` takes."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["desk"]
    return dict(re.fullmatch(r"([a-z0-9-]+)>=([\d.]+)", one).groups() for one in extra)


@pytest.mark.slow
def test_the_oldest_packages_keep_the_same_doors_closed(tmp_path: Path) -> None:
    old = {name: floors()[name] for name in ("starlette", "uvicorn", "sqlalchemy")}
    wanted = [f"{name}=={version}" for name, version in old.items()]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), *wanted]
    installed = subprocess.run(pip, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"no package index is reached: {installed.stderr.strip().splitlines()[-1]}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    found = subprocess.run([sys.executable, "-c", SHOWN], env=environment, capture_output=True, text=True, check=True)
    for version, floor in zip(found.stdout.split(), old.values(), strict=True):
        assert version.startswith(floor)
    tests = [str(ROOT / "tests" / "desk" / name) for name in KEPT]
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    told = subprocess.run(pytest_, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout[-4000:]
