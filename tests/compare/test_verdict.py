"""verdict.json by its schema: written, read again, and read as earlier versions wrote it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.compare import compare
from emu.compare.verdict import Verdicts
from emu.errors import UserError

MakeRun = Callable[..., Path]


@pytest.fixture
def written(make_run: MakeRun, tmp_path: Path) -> Path:
    compare([make_run("latent", groups=("seen", "unseen")), make_run("muse")], out=tmp_path / "report.html")
    return tmp_path / "verdict.json"


def test_what_is_written_is_what_is_read(written: Path) -> None:
    found = Verdicts.read(written)
    assert (found.schema, [run.name for run in found.runs]) == (1, ["latent", "muse"])
    document = json.loads(written.read_text())
    assert found.headline == document["headline"]
    run, row = found.runs[0], document["runs"][0]
    assert run.rates["appeal"].win == row["appeal"]["win"] == 100
    assert run.rates["appeal"].opinions[0].ci95 == tuple(row["appeal"]["ci95"])
    assert run.groups["unseen"].rates["faithfulness"].tie == row["groups"]["unseen"]["faithfulness"]["tie"] == 100
    assert [finding.guard for finding in run.guards] == [finding["guard"] for finding in row["guards"]]


def test_what_nobody_asked_for_is_absent(written: Path) -> None:
    assert not json.loads(written.read_text())["runs"][0].keys() & {"sets", "attributes"}


def test_a_file_of_before_there_were_schemas_is_read(written: Path) -> None:
    document = json.loads(written.read_text())
    del document["schema"]
    for run in document["runs"]:
        for later in ("unheard", "black", "notes", "alone", "features", "people"):
            del run[later]
        for guard in run["guards"]:
            guard.pop("kind")
            guard.pop("unchanged")
    written.write_text(json.dumps(document))
    found = Verdicts.read(written)
    assert (found.runs[0].black, found.runs[0].people, found.runs[0].rates["appeal"].win) == (0, {}, 100)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "schema is 2, not 1"),
        ({"runs": [{"name": "a"}]}, "no 'before' in runs[0]"),
        ({"headline": None}, "headline is None, not text"),
    ],
)
def test_another_schema_is_one_line(written: Path, change: dict[str, object], said: str) -> None:
    written.write_text(json.dumps(json.loads(written.read_text()) | change))
    with pytest.raises(UserError) as refused:
        Verdicts.read(written)
    assert str(refused.value) == f"{written}: {said}; compare again with this version of emu"
