"""Pairing by prompt and seed, and what cannot be paired."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emu.compare.reading import read_run
from emu.errors import UserError
from emu.layouts import runs
from emu.storage.files import write_json

MakeRun = Callable[..., Path]


def rewrite(folder: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    runs.write_samples(folder, change(runs.read_samples(folder)))


def test_pairs_are_found_by_prompt_and_seed_in_any_order(make_run: MakeRun) -> None:
    run = make_run()
    rewrite(runs.step_folder(run, 20), lambda rows: rows[::-1])
    read = read_run(run)
    assert [pair.before.name for pair in read.pairs] == [pair.after.name for pair in read.pairs]
    assert [pair.seed for pair in read.pairs] == [0, 1, 2, 3]
    assert (read.before_step, read.after_step, read.alone) == (0, 20, [])


def test_what_has_no_partner_is_counted_and_left_out(make_run: MakeRun) -> None:
    run = make_run()
    rewrite(runs.step_folder(run, 20), lambda rows: [*rows[:2], rows[2] | {"seed": 99}])
    read = read_run(run)
    assert len(read.pairs) == 2
    assert read.alone == ["step-000000/00002.png", "step-000000/00003.png", "step-000020/00002.png"]


def test_after_is_the_best_step_else_the_last_checked_else_the_last(make_run: MakeRun) -> None:
    run = make_run()
    shutil.copytree(runs.step_folder(run, 20), runs.step_folder(run, 10))
    shutil.copytree(runs.step_folder(run, 20), runs.step_folder(run, 30))
    for quality, after in (
        ({"best_step": 10}, 10),
        (
            {
                "best_step": None,
                "checks": [
                    dict.fromkeys(["appeal", "faithfulness", "faithfulness_net", "held_out_ratio"]) | {"step": 20}
                ],
            },
            20,
        ),
        ({}, 30),
    ):
        write_json(run / runs.QUALITY, quality)
        assert read_run(run).after_step == after


def test_a_folder_never_tuned_is_named_by_its_folder(make_run: MakeRun) -> None:
    run = make_run("mine")
    (run / runs.QUALITY).unlink()
    assert read_run(run).name == "mine"


def test_two_samplers_do_not_compare(make_run: MakeRun) -> None:
    run = make_run(after={"sampler": {"steps": 6, "guidance_scale": 3}})
    with pytest.raises(UserError, match=r"differ in the sampler's guidance_scale, steps; draw both alike"):
        read_run(run)


def test_one_step_alone_does_not_compare(make_run: MakeRun) -> None:
    run = make_run()
    shutil.rmtree(runs.step_folder(run, 20))
    with pytest.raises(UserError, match="holds 1 drawn steps"):
        read_run(run)


def test_a_best_step_half_drawn_is_named(make_run: MakeRun) -> None:
    run = make_run()
    shutil.copytree(runs.step_folder(run, 20), runs.step_folder(run, 10))
    (runs.step_folder(run, 20) / runs.SAMPLES).unlink()
    with pytest.raises(UserError, match="step-000020: not drawn completely"):
        read_run(run)


def test_no_shared_prompt_is_an_error(make_run: MakeRun) -> None:
    with pytest.raises(UserError, match="share no prompt and seed"):
        read_run(make_run(after={"prompt": "another"}))


def test_an_absent_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such run folder"):
        read_run(tmp_path / "nowhere")
