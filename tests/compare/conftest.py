"""Run folders for comparing, written with the real writers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emu.layouts import runs
from emu.layouts.quality_json import Quality, write_quality

MakeRun = Callable[..., Path]
JUDGES = {
    "appeal": {"name": "eye", "tie": 0.1, "held-out accuracy": 0.97},
    "faithfulness": {"name": "reader", "tie": 0.0, "preprocessing": "none"},
}


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """`make_run(name, count=4, ...)` -> a run folder whose pictures brighten and whose appeal rises by 0.5 a prompt."""

    def make(
        name: str = "latent", count: int = 4, *, size: int = 8, groups: tuple[Any, ...] = (), **changes: Any
    ) -> Path:
        run = tmp_path / name
        for step, score in ((0, 0.0), (20, 0.5)):
            folder = runs.step_folder(run, step)
            rows = [
                {"file": runs.picture_name(i), "prompt": f"prompt {i}", "seed": i, "index": i, "sampler": {"steps": 5}}
                | ({"group": groups[i % len(groups)]} if groups else {})
                | changes.get("after" if step else "before", {})
                for i in range(count)
            ]
            for i, row in enumerate(rows):
                runs.save_picture(
                    folder / row["file"], np.full((size, size, 3), (10 * i + step) % 256 or 1, dtype=np.uint8)
                )
            runs.write_scores(folder, {row["file"]: {"appeal": score, "faithfulness": 1.0} for row in rows})
            runs.write_samples(folder, rows)
        write_quality(run, Quality(name=name, best_step=20, judges=JUDGES))
        return run

    return make


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores are kept nowhere else."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
