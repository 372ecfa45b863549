"""What a text names, wherever it is written: a class with its arguments, or a setting."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pytest

from emu.class_paths import named
from emu.curate.stages.caption import Language
from emu.curate.stages.judged import Judged
from emu.errors import UserError
from emu.judges import Judge
from emu.judges.photo_rules import PhotoRules

OWN = """
from typing import TYPE_CHECKING

from emu.judges.photo_rules import PhotoRules
if TYPE_CHECKING:
    from pathlib import Path


class Mine(PhotoRules):
    def __init__(self, model: str = "none", *, times: int | None = None, tie_at: float = 0.1, at: "Path | None" = None):
        if model == "broken":
            raise ValueError("a broken model")
        self.model, self.times, self.tie_at = model, times, tie_at
"""


@runtime_checkable
class Describes(Protocol):
    def describe(self) -> dict[str, object]: ...


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with judges of the user's own, in a module that nothing has imported yet."""
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"own_{tmp_path.name}.py").write_text(OWN)
    return tmp_path


def mine(here: Path) -> str:
    return f"own_{here.name}.Mine"


def made(given: str, *, typed: bool = True) -> Judge:
    return named.make(given, Judge, where="--appeal", like="emu.judges.clip.ClipScore", typed=typed)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("", ("none", None, 0.1)),
        (":", ("", None, 0.1)),
        (":a:b,c", ("a:b,c", None, 0.1)),
        (":12345678,tie_at=2e-2,times=3", ("12345678", 3, 0.02)),
        (",times=3,model=a=b", ("a=b", 3, 0.1)),
        (":x,times=null", ("x", None, 0.1)),
    ],
)
def test_arguments_reach_the_class_as_numbers_or_text(here: Path, arguments: str, wanted: tuple[object, ...]) -> None:
    judge = made(mine(here) + arguments)
    assert (judge.model, judge.times, judge.tie_at) == wanted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (":x,times=many", "times is 'many', which is no int | None"),
        (":x,times=1.5", "times is 1.5"),
        (",depth=1", "unexpected keyword argument 'depth'; it takes model, times, tie_at"),
        (":broken", "a broken model; give one such as emu.judges.clip.ClipScore"),
    ],
)
def test_what_a_class_does_not_take_is_one_line(here: Path, arguments: str, said: str) -> None:
    with pytest.raises(UserError, match="^--appeal own_") as error:
        made(mine(here) + arguments)
    assert said in str(error.value)


def test_code_that_a_file_names_is_run_only_where_it_is_trusted(here: Path) -> None:
    with pytest.raises(UserError, match="if you trust it, add --trust own_"):
        made(mine(here), typed=False)
    assert not named.leads_to(mine(here), Judge)
    made(mine(here))
    assert named.leads_to(mine(here), Judge)


def test_a_class_path_is_known_by_what_it_leads_to() -> None:
    assert named.leads_to("emu.curate.stages.Judged", Judged)
    assert named.leads_to("emu.curate.stages.judged.Judged", Judged)
    assert not named.leads_to("emu.curate.stages.Shape", Judged)
    assert not named.leads_to("nowhere.Judged", Judged)
    assert not named.leads_to(None, Judged)


def test_a_class_is_of_a_protocol_by_its_methods() -> None:
    like = {"where": "--embedder", "like": "emu.judges.photo_rules.PhotoRules"}
    assert named.find("emu.judges.photo_rules.PhotoRules", Describes, **like) is PhotoRules
    with pytest.raises(UserError, match="--embedder emu.storage.cache.Cache: no Describes; give a class such as"):
        named.find("emu.storage.cache.Cache", Describes, **like)


def test_a_text_without_a_class_path_may_be_the_argument_of_one(here: Path) -> None:
    for given in ("openai/clip-vit-large-patch14", "./models/A.B", "my/Model,x"):
        judge = named.make(given, Judge, where="--embedder", like="", bare=mine(here), typed=True)
        assert judge.model == given
    assert named.make(f"{mine(here)}:x", Judge, where="", like="", bare="no.Where", typed=True).model == "x"


def test_a_setting_ends_at_its_first_equals_sign() -> None:
    assert named.setting("a.b=c=d", flag="--set", like="a=1") == ("a.b", "c=d")
    with pytest.raises(UserError, match="--set a.b: give KEY=VALUE, such as a=1"):
        named.setting("a.b", flag="--set", like="a=1")


@pytest.mark.parametrize(
    ("value", "wanted", "good"),
    [
        (["en", "no"], list[str] | None, True),
        (["en", False], list[str] | None, False),  # what YAML makes of [en, no]
        ([1, 2.5], Sequence[float], True),
        ([1, True], list[float], False),
        ({"clip": 1}, dict[str, float], True),
        ({"clip": "1"}, dict[str, float], False),
        ({"a": ["x", "y"], "b": "z"}, dict[str, str | list[str]], True),
        ({"a": [["x"], False]}, dict[str, Any], True),
        ([{"a": 1}], list[dict[str, int]], True),
        ([{"a": None}], list[dict[str, int]], False),
        ([1, "a"], list, True),
    ],
)
def test_what_a_list_or_a_mapping_holds_is_of_its_type_too(value: object, wanted: object, good: bool) -> None:
    assert named.is_a(value, wanted) == good


def test_a_language_is_no_truth_value() -> None:
    with pytest.raises(UserError, match=r"wanted is \['en', False\], which is no list\[str\] \| None"):
        named.construct(Language, {"wanted": ["en", False]}, where="stages")
