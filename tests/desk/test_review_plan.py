"""A plan that is mistyped is answered in one line, before anything is opened."""

from pathlib import Path

import pytest
import yaml

from emu.desk.review.plan import CAPTIONS, GRID, SINGLE, Pass, read_plan
from emu.errors import UserError

BUNDLED = Path(__file__).parents[2] / "configs" / "review" / "paper.yaml"
GOOD = {"name": "first", "page": "grid"}


def test_the_bundled_plan_is_the_papers_two_passes_and_captions() -> None:
    plan = read_plan(BUNDLED)
    assert [one.page for one in plan.passes] == [GRID, SINGLE, CAPTIONS]
    assert "Lighting" in plan.guideline
    lines = BUNDLED.read_text().splitlines()
    assert max(map(len, lines)) <= 120
    assert any("emu review" in line for line in lines)


def test_a_guideline_of_ones_own_takes_the_place_of_the_plans(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("# Only cats")
    assert read_plan(BUNDLED, guideline=tmp_path / "mine.txt").guideline == "# Only cats"
    with pytest.raises(UserError, match="--guideline .*absent.txt: No such file or directory; give a text file"):
        read_plan(BUNDLED, guideline=tmp_path / "absent.txt")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("a: [", "not YAML"),
        ("[]", "the keys passes"),
        ("{}", "the keys passes"),
        ("{passes: [], more: 1}", "the keys passes"),
        ("{passes: []}", "at least one pass"),
        ("{passes: 3}", "at least one pass"),
        ([1], "pass 1: a mapping"),
        ([{"page": "grid"}], "names no name"),
        ([{"name": "first"}], "names no page"),
        ([{**GOOD, "vote": 2}], "unknown key vote; did you mean votes?"),
        ([{**GOOD, "name": "../first"}], "name '../first': give small letters"),
        ([{**GOOD, "page": "list"}], "page 'list': give one of grid, single, captions"),
        ([{**GOOD, "votes": 0}], "votes 0: give 1 to 20"),
        ([{**GOOD, "votes": "two"}], "votes 'two': give 1 to 20"),
        ([{**GOOD, "overlap": 2}], "overlap 2: give a share"),
        ([{**GOOD, "keep": "none"}], "keep 'none': give one of any, most, all"),
        ([{**GOOD, "reasons": [*"abcdefghij"]}], "give at most 9"),
        ([GOOD, GOOD], "two passes have one name"),
    ],
)
def test_what_is_mistyped_is_one_line(tmp_path: Path, document: object, says: str) -> None:
    text = document if isinstance(document, str) else yaml.safe_dump({"passes": document})
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        read_plan(tmp_path / "plan.yaml")
    assert says in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("keep", "ends"),
    [
        ("any", [True, True, True, False]),
        ("most", [True, True, False, False]),
        ("all", [True, False, False, False]),
    ],
)
def test_the_rules_from_all_who_keep_to_all_who_reject(keep: str, ends: list[bool]) -> None:
    one = Pass("first", GRID, keep=keep)
    assert [one.stays(3 - rejected, rejected) for rejected in range(4)] == ends


@pytest.mark.parametrize("key", ["reasons", "tokenizers"])
def test_a_reason_is_no_truth_value(key: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(f"passes:\n- {{name: specialists, page: single, {key}: [dull, no]}}\n")
    with pytest.raises(UserError, match="put quotes around a word that YAML takes for true or false"):
        read_plan(path)
    path.write_text(f"passes:\n- {{name: specialists, page: single, {key}: [dull, 'no', 7]}}\n")
    assert getattr(read_plan(path).passes[0], key) == ("dull", "no", "7")
