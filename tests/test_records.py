"""Documents as dataclasses: what is written is read again as it was, and what has another shape is one line."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import pytest

from emu.errors import UserError
from emu.storage.records import left_out, read_json, to_json


class Card(TypedDict):
    name: str
    span: NotRequired[tuple[float, float]]


@dataclass(frozen=True)
class Rate:
    win: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Outcome:
    names: tuple[str, ...]
    rates: dict[str, Rate | None]
    cards: list[Card]
    appeal: Rate | None = left_out()
    black: int = 0
    notes: list[str] = field(default_factory=list)
    schema: Literal[2] = 2


RATE = Rate(60.0, (51.0, 68.5))
WHOLE = Outcome(("a", "b"), {"x": RATE, "y": None}, [{"name": "eye", "span": (0, 1)}], RATE, 3, ["seen"])


def written(folder: Path, document: Any) -> Any:
    path = folder / "outcome.json"
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    return read_json(path, Outcome, remedy="make it again")


@pytest.mark.parametrize("outcome", [WHOLE, Outcome((), {}, [])], ids=["whole", "least"])
def test_what_is_written_is_read_again_as_it_was(tmp_path: Path, outcome: Outcome) -> None:
    assert written(tmp_path, to_json(outcome)) == outcome


def test_what_there_is_not_is_left_out_and_all_else_is_written() -> None:
    plain = json.loads(to_json(Outcome((), {}, [])))
    assert plain == {"names": [], "rates": {}, "cards": [], "black": 0, "notes": [], "schema": 2}


def test_files_of_earlier_and_later_versions_of_one_schema_are_read(tmp_path: Path) -> None:
    earlier = {"names": ["a"], "rates": {}, "cards": [{"name": "eye", "weights": "of its own"}]}
    found = written(tmp_path, earlier | {"of a newer emu": 1})
    assert found == Outcome(("a",), {}, [{"name": "eye", "weights": "of its own"}])  # type: ignore[typeddict-unknown-key]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 3}, "schema is 3, not 2"),
        ({"rates": {"x": {"win": 1.0}}}, "no 'ci95' in rates.x"),
        ({"rates": {"x": {"win": 1.0, "ci95": [1]}}}, "rates.x.ci95 is [1], not a list of 2"),
        ({"rates": {"x": {"win": 10**400, "ci95": [1, 2]}}}, f"rates.x.win is 1{'0' * 59}, not a number"),
        ({"names": ["a", 2]}, "names[1] is 2, not text"),
        ({"cards": [{}]}, "no 'name' in cards[0]"),
        ({"appeal": []}, "appeal is [], not a JSON object"),
    ],
)
def test_another_shape_is_answered_in_one_line(tmp_path: Path, changes: Any, said: str) -> None:
    with pytest.raises(UserError) as refused:
        written(tmp_path, json.loads(to_json(WHOLE)) | changes)
    assert str(refused.value) == f"{tmp_path / 'outcome.json'}: {said}; make it again"


def test_a_number_that_is_not_finite_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(Rate(float("nan"), (0, 1)))
