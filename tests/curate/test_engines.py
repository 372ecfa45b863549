"""Other engines write what the pool writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from haystack import SEEN, config, folder


def run(source: Path, out: Path, engine: str) -> None:
    """In a process of its own: a runner of Daft is set once."""
    argv = [sys.executable, "-m", "emu", "curate", "-c", str(out.parent / "config.yaml"), str(source), str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    subprocess.run([*argv, "--engine", engine, "--workers", "2"], env=environment, check=True, timeout=300)


def left(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("engine", ["daft", pytest.param("ray", marks=pytest.mark.slow)])
def test_every_engine_writes_the_same_bytes(tmp_path: Path, engine: str) -> None:
    for module in dict.fromkeys(("daft", engine)):
        pytest.importorskip(module, reason=f"the extra `curate-{engine}` is not installed")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(SEEN)))
    source = folder(tmp_path / "hay", ["good", "html", "truncated", "cmyk"] * 100)
    run(source, tmp_path / "pool", "pool")
    run(source, tmp_path / engine, engine)
    assert left(tmp_path / "pool") == left(tmp_path / engine)
