"""What is read in pictures, on pictures whose every attribute is known."""

from pathlib import Path

import numpy as np
import pytest

from emu import runs
from emu.demo.attributes import read_right, table
from emu.judges.world import WorldFaithfulness
from emu.world import World

NUMBER = 48


def draw(folder: Path, *, shift: int) -> Path:
    """True needles, each beside the prompt of the needle `shift` further on; the last twelve are a group apart."""
    scenes = [World(5).needle(i) for i in range(NUMBER)]
    for i, scene in enumerate(scenes):
        runs.save_picture(folder / runs.picture_name(i), np.asarray(scene.render()))
    prompts = [scenes[(i + shift) % NUMBER].caption for i in range(NUMBER)]
    groups = ["unseen" if i >= NUMBER - 12 else "seen" for i in range(NUMBER)]
    rows = zip(prompts, groups, strict=True)
    runs.write_samples(
        folder,
        [
            {"file": runs.picture_name(i), "prompt": prompt, "seed": i, "index": i, "sampler": {}, "group": group}
            for i, (prompt, group) in enumerate(rows)
        ],
    )
    return folder


def test_what_a_picture_shows_is_read_and_what_it_does_not_is_not(tmp_path: Path) -> None:
    judge = WorldFaithfulness()
    right, wrong = (read_right(draw(tmp_path / str(shift), shift=shift), judge) for shift in (0, 1))
    assert all(share > 0.85 for share in right.values())
    assert wrong["kind"] < 0.3
    assert wrong["unseen"] < 0.5


def test_the_table_has_a_line_before_and_one_at_the_best_step(tmp_path: Path) -> None:
    draw(runs.step_folder(tmp_path / "latent", 0), shift=1)
    draw(runs.step_folder(tmp_path / "latent", 50), shift=0)
    draw(runs.step_folder(tmp_path / "latent", 100), shift=1)
    runs.write_quality(tmp_path / "latent", {"name": "latent", "best_step": 50})
    *_, before, after = table([tmp_path / "latent"]).splitlines()
    assert before.split()[:2] == ["latent", "before"]
    assert after.split()[:2] == ["latent", "after"]
    assert float(after.split()[2]) > 85 > float(before.split()[2]) + 50
    assert float(before.split()[2]) == pytest.approx(100 * read_right_kind(tmp_path), abs=0.06)


def read_right_kind(tmp_path: Path) -> float:
    return read_right(runs.step_folder(tmp_path / "latent", 0), WorldFaithfulness())["kind"]
