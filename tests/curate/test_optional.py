"""Stages that may be missing: left out by name, and what ranks by their columns goes on without."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from emu.cli import main
from emu.curate import curate
from emu.curate.config import Funnel
from emu.curate.stage import Row, Stage
from emu.errors import UserError
from haystack import Here, config, folder

ROOT = Path(__file__).parents[2]
PAPER, PYPROJECT = ROOT / "configs" / "curate" / "paper.yaml", ROOT / "pyproject.toml"


class Absent(Stage):
    """Needs a package that nobody has."""

    name = "absent"
    columns = {"beauty": "float64", "concept": "string"}
    packages = {"no_such_module": "nothing"}

    def measure(self, picture: Any) -> Row:
        raise AssertionError("it is left out before it measures")


ABSENT = {"class_path": "test_optional.Absent"}
SEEN = {"class_path": "haystack.Seen"}
BALANCE = {"class_path": "emu.curate.stages.Balance", "init_args": {"most": 5}, "optional": True}
BEST = {"class_path": "emu.curate.stages.Best", "init_args": {"number": 5, "by": {"mean": 1, "beauty": 1}}}


def test_what_is_missing_is_left_out_with_what_cannot_do_without_it() -> None:
    document = config({**ABSENT, "optional": True}, SEEN, BEST, BALANCE, budget={"by": ["beauty", "mean"]})
    found = Funnel(document).without_missing()
    assert [step.stage.name for step in found.steps] == ["readable", "seen", "best", "budget"]
    assert found.steps[2].config.init_args == {"number": 5, "by": {"mean": 1}}
    assert found.document["budget"]["by"] == ["mean"]
    assert set(found.missing) == {"absent", "balance"}
    assert found.missing["absent"].startswith("needs no_such_module; pip install")
    assert found.missing["balance"] == "no stage measures concept"


def test_what_is_not_optional_ends_the_job_and_what_is_whole_stays_as_it_is() -> None:
    with pytest.raises(UserError, match="stage absent: needs no_such_module"):
        Funnel(config(ABSENT)).without_missing()
    whole = Funnel(config({**SEEN, "optional": True}))
    assert whole.without_missing() is whole


def test_a_budget_that_has_nothing_to_cut_by_says_so() -> None:
    with pytest.raises(UserError, match="cuts by beauty"):
        Funnel(config({**ABSENT, "optional": True}, budget={"by": ["beauty"], "number": 3})).without_missing()


def test_the_command_says_first_what_it_does_without(tmp_path: Path, capsys: Any) -> None:
    source, written = folder(tmp_path / "hay", ["good"] * 2), tmp_path / "funnel.yaml"
    written.write_text(yaml.safe_dump(config({**ABSENT, "optional": True}, SEEN)))
    assert main(["curate", "-c", str(written), str(source), str(tmp_path / "out"), "--workers", "1"]) in (0, None)
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert (first, second.split(";")[0]) == ("without absent", "  absent: needs no_such_module")


def test_the_papers_funnel_is_a_config_and_no_more_than_pixels_are_needed() -> None:
    document = yaml.safe_load(PAPER.read_text())
    optional = {step.stage.name for step in Funnel(document).steps if step.config.optional}
    assert optional == {
        "language",
        "offensive",
        "overlaid",
        "photograph",
        "alignment",
        "aesthetic",
        "concepts",
        "same scene",
        "balance",
    }
    assert max(map(len, PAPER.read_text().splitlines())) <= 120


def test_pictures_without_captions_are_taken_and_what_judges_captions_is_left_out(tmp_path: Path, capsys: Any) -> None:
    source, written = folder(tmp_path / "hay", ["good"] * 3), tmp_path / "funnel.yaml"
    (source / "metadata.jsonl").unlink()
    rules = {"judge": "emu.judges.photo_rules.PhotoRules", "column": "beauty"}
    clip = {"judge": "emu.judges.clip.ClipScore:./no-model", "column": "alignment"}
    judged = [{"class_path": "emu.curate.stages.Judged", "init_args": args} for args in (rules, clip)]
    captions = {"class_path": "emu.curate.stages.Caption", "at_least": {"caption_words": 2}}
    document = config(captions, *judged, budget={"by": ["beauty", "alignment"], "number": 2})
    written.write_text(yaml.safe_dump(document))
    main(["curate", "-c", str(written), str(source), str(tmp_path / "out"), "--uncaptioned", "--workers", "1"])
    assert "without caption, alignment\n" in capsys.readouterr().out
    assert len((tmp_path / "out" / "metadata.jsonl").read_text().splitlines()) == 2


def test_where_no_picture_has_a_caption_it_is_said_how_they_are_taken(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good"] * 3)
    (source / "metadata.jsonl").unlink()
    with pytest.raises(UserError, match="no caption beside it .* take pictures without them by --uncaptioned"):
        curate(Funnel(config(SEEN)), str(source), tmp_path / "out", engine=Here())


def test_the_extra_all_has_what_the_bundled_funnel_asks_for() -> None:
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    steps = Funnel(yaml.safe_load(PAPER.read_text())).steps
    asked = {extra for step in steps for extra in step.stage.packages.values()}
    assert asked
    assert asked <= set(everything.partition("[")[2].rstrip("]").split(","))
