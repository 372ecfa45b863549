"""What is read in pictures against the columns of their prompts: in verdict.json, on the page and in the table."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from emu.cli import main
from emu.compare import Against, compare
from emu.layouts import runs
from verdicts import read_verdict

MakeRun = Callable[..., Path]
SHADES = ("dark", "bright")


class Shades:
    """Reads whether a picture is dark or bright, and calls every size large."""

    def read(self, images: Sequence[Tensor]) -> list[Mapping[str, str]]:
        return [{"shade": SHADES[int(image.mean() > 0.5)], "size": "large", "mood": "calm"} for image in images]

    def describe(self) -> dict[str, str | float]:
        return {"name": "shades", "accuracy": 1.0}


def shaded(run: Path, *, right: dict[int, list[bool]], **columns: str) -> None:
    """Prompts that ask for dark and bright in turn; `right` by step says which pictures show it."""
    for step, shown in right.items():
        folder, rows = runs.step_folder(run, step), runs.read_samples(runs.step_folder(run, step))
        for i, (row, true) in enumerate(zip(rows, shown, strict=True)):
            level = 40 + 170 * (i % 2 if true else 1 - i % 2)
            runs.save_picture(folder / row["file"], np.full((8, 8, 3), level, np.uint8))
        runs.write_samples(folder, [row | {"shade": SHADES[i % 2], **columns} for i, row in enumerate(rows)])


def compared(run: Path) -> tuple[dict[str, Any], str, str]:
    table = compare([run], out=run.parent / "report.html", against=Against(attributes=Shades()))
    verdict = read_verdict(run.parent / "verdict.json")["runs"][0]
    return verdict, (run.parent / "report.html").read_text(), table


def test_shares_are_of_the_prompts_that_ask(make_run: MakeRun) -> None:
    run = make_run(count=8, groups=("seen", "seen", "seen", "unseen"))
    shaded(run, right={0: [True] * 4 + [False] * 4, 20: [True] * 7 + [False]}, size="large")
    verdict, page, table = compared(run)
    read = verdict["attributes"]["read"]
    assert verdict["attributes"]["reader"] == {"name": "shades", "accuracy": 1.0}
    assert [*read] == ["shade", "size"]  # no prompt asks for a mood
    shade = read["shade"]
    assert (shade["prompts"], shade["before"], shade["after"], shade["net"]) == (8, 50, 87.5, 37.5)
    assert shade["net_ci95"][0] <= 37.5 <= shade["net_ci95"][1]
    assert (read["size"]["before"], read["size"]["after"]) == (100, 100)
    assert {name: (group["prompts"], group["after"]) for name, group in shade["groups"].items()} == {
        "seen": (6, 100),
        "unseen": (2, 50),
    }
    assert {name: (one["groups"], one["after"]) for name, one in shade["values"].items()} == {
        "bright": (["seen", "unseen"], 75),
        "dark": (["seen"], 100),
    }
    rows = [line.split() for line in table.splitlines()]
    assert ["latent,", "before", "8", "50.0", "100.0"] in rows
    assert ["unseen,", "after", "2", "50.0", "100.0"] in rows
    assert "What is read in the pictures" in page
    assert "<h3>Attributes: shades</h3>" in page


@pytest.mark.parametrize(("drawn", "claims"), [(True, True), (False, False)])
def test_generality_is_claimed_only_where_the_base_draws_what_is_asked(
    make_run: MakeRun, drawn: bool, claims: bool
) -> None:
    run = make_run(count=8, groups=("seen", "unseen"))
    shaded(run, right={0: [drawn] * 8, 20: [drawn] * 8})
    verdict, page, _ = compared(run)
    (finding,) = [one for one in verdict["guards"] if one["guard"] == "generality"]
    assert (finding["state"] != "not measured") == claims
    assert len(finding["parts"]) == 2
    said = "the base does not draw what prompts ask for (shade in 0.0 % of its pictures)"
    assert (said in finding["sentence"]) == (said in page) == (not claims)


def test_a_fall_is_told_though_the_base_draws_little(make_run: MakeRun) -> None:
    run = make_run(count=40, groups=("seen", "unseen"))
    shaded(run, right={0: [False] * 40, 20: [False] * 40})
    folder = runs.step_folder(run, 20)
    runs.write_scores(folder, {file: {**row, "faithfulness": 0.0} for file, row in runs.read_scores(folder).items()})
    verdict, _, _ = compared(run)
    (finding,) = [one for one in verdict["guards"] if one["guard"] == "generality"]
    assert finding["state"] == "broken"


def test_prompts_without_columns_ask_for_nothing(make_run: MakeRun) -> None:
    verdict, page, table = compared(make_run())
    assert verdict["attributes"]["read"] == {}
    assert "What is read in the pictures" not in page
    assert "what is read" not in table
    assert "nothing to read with --attributes: no prompt says in columns what it asks for" in table


def test_a_reader_by_flag_is_any_class_that_reads(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_reader.py").write_text(
        "class Grey:\n    def read(self, images):\n        return [{'shade': 'bright'} for _ in images]\n\n"
        "    def describe(self):\n        return {'name': 'grey'}\n\n\nclass Blind:\n    pass\n"
    )
    run = make_run(count=8)
    shaded(run, right={0: [True] * 8, 20: [True] * 8})
    main(["compare", str(run), "--out", "report.html", "--attributes", "my_reader.Grey"])
    assert json.loads(Path("verdict.json").read_text())["runs"][0]["attributes"]["read"]["shade"]["before"] == 50
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["compare", str(run), "--out", "report.html", "--attributes", "my_reader.Blind"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "--attributes my_reader.Blind: " in line
