"""A run folder's files: what is written comes back, nothing is half there, nothing leads outside."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emu.errors import UserError
from emu.layouts import runs
from emu.layouts.quality_json import Quality, read_quality, write_quality

ROWS = [{"file": "00000.png", "prompt": "a caf\u00e9 \u2028 at night", "seed": 7, "index": 0, "sampler": {"a": 1.5}}]


def test_rows_come_back(tmp_path: Path) -> None:
    runs.write_samples(tmp_path, ROWS)
    runs.write_scores(tmp_path, {"00000.png": {"appeal": 0.1}})
    assert runs.read_samples(tmp_path) == ROWS
    assert runs.read_scores(tmp_path) == {"00000.png": {"appeal": 0.1}}


def test_pictures_come_back(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    runs.save_picture(tmp_path / "a" / "b.png", pixels)
    assert (np.asarray(Image.open(tmp_path / "a" / "b.png")) == pixels).all()


def test_a_step_counts_once_its_samples_are_written(tmp_path: Path) -> None:
    for step in (1500, 0, 20):
        runs.write_samples(runs.step_folder(tmp_path, step), ROWS)
    runs.write_scores(runs.step_folder(tmp_path, 7), {})
    assert runs.complete_steps(tmp_path) == [0, 20, 1500]


def test_checkpoints_are_in_the_order_of_their_steps_beyond_a_million_too(tmp_path: Path) -> None:
    wanted = [runs.checkpoint(tmp_path, step) for step in (500, 999_500, 1_000_000, 10_000_000)]
    for path in wanted:
        path.parent.mkdir(exist_ok=True)
        path.with_name(f"{path.name}.json").touch()
    assert runs.checkpoints(tmp_path) == wanted


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    write_quality(tmp_path, Quality(best_step=1))
    with pytest.raises(ValueError, match="JSON compliant"):
        write_quality(tmp_path, Quality(judges={"appeal": {"name": "x", "tie": float("nan")}}))
    assert read_quality(tmp_path) == Quality(best_step=1)
    assert [path.name for path in tmp_path.iterdir()] == ["quality.json"]


def test_never_judged_or_tuned_is_empty(tmp_path: Path) -> None:
    assert runs.read_scores(tmp_path) == {}
    assert read_quality(tmp_path) == Quality()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"file": "a.png", "prompt": "x", "seed": 1}\n{"file"', "samples.jsonl:2: not JSON"),
        ("[1]\n", "samples.jsonl:1: not a JSON object"),
        ('{"file": "a.png", "prompt": "x"}\n', "samples.jsonl:1: no 'seed'"),
        (
            '{"file": "../a.png", "prompt": "x", "seed": 1}\n',
            "samples.jsonl:1: '../a.png' is not a file of this folder",
        ),
        ('{"file": "/etc/a.png", "prompt": "x", "seed": 1}\n', "is not a file of this folder"),
    ],
)
def test_damage_is_named(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / runs.SAMPLES).write_text(text)
    with pytest.raises(UserError) as error:
        runs.read_samples(tmp_path)
    assert told in str(error.value)


def test_absent_samples_and_damaged_quality_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"samples\.jsonl: no such file"):
        runs.read_samples(tmp_path)
    (tmp_path / runs.QUALITY).write_text("{")
    with pytest.raises(UserError, match=r"quality\.json: not JSON"):
        read_quality(tmp_path)
