"""What the world's reader reads, on pictures whose every attribute is known."""

import json
from pathlib import Path

import numpy as np

from emu.compare import Against, compare
from emu.judges.world import WorldFaithfulness
from emu.layouts import runs
from emu.layouts.quality_json import Quality, write_quality
from emu.world import World, named

NUMBER = 48


def draw(folder: Path, *, shift: int) -> None:
    """True needles, each beside the prompt of the needle `shift` further on; the last twelve are a group apart."""
    scenes = [World(5).needle(i) for i in range(NUMBER)]
    for i, scene in enumerate(scenes):
        runs.save_picture(folder / runs.picture_name((i + shift) % NUMBER), np.asarray(scene.render()))
    rows = [
        {"file": runs.picture_name(i), "prompt": scene.caption, "seed": i, "index": i, "sampler": {}}
        | {"group": "unseen" if i >= NUMBER - 12 else "seen", **named(scene.caption)}
        for i, scene in enumerate(scenes)
    ]
    runs.write_samples(folder, rows)


def test_what_a_picture_shows_is_read_and_what_it_does_not_is_not(tmp_path: Path) -> None:
    run = tmp_path / "latent"
    for step, shift in ((0, 1), (50, 0), (100, 1)):
        draw(runs.step_folder(run, step), shift=shift)
    write_quality(run, Quality(name="latent", best_step=50))
    table = compare([run], out=tmp_path / "report.html", against=Against(attributes=WorldFaithfulness()))
    read = json.loads((tmp_path / "verdict.json").read_text())["runs"][0]["attributes"]["read"]
    assert sorted(read) == ["colour", "kind", "place", "time"]
    assert all(one["after"] > 85 for one in read.values())
    assert read["kind"]["before"] < 30
    assert read["kind"]["groups"]["unseen"]["before"] < 50
    (line,) = [line for line in table.splitlines() if line.startswith("latent, after")]
    assert f"{read['kind']['after']:.1f}" in line.split()
