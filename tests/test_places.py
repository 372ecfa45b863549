"""No absolute path and no user's name is left in what is handed on: manifests, pages, cards, reports, votes."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from emu.card import write_card
from emu.compare import compare
from emu.curate import Funnel, curate
from emu.curate.pool import Pool
from emu.storage.places import without_places
from haystack import SEEN, config, folder
from voters import write_run

HOME = "home-of-ada"
NAMES = st.text("abcXYZ09-_. ", min_size=1).filter(lambda name: name.strip(". ") == name and name)


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_of_a_path_its_last_part_stays(parts: list[str]) -> None:
    for path in (
        "/" + "/".join(parts),
        "C:\\" + "\\".join(parts),
        "~/" + "/".join(parts),
        "file:///" + "/".join(parts),
    ):
        assert without_places({"root": [path]}) == {"root": [parts[-1]]}


HUBS = ["hf://ada/needles", "https://a.example/b/c", "emu://tiny", "openai/clip"]


@pytest.mark.parametrize("kept", [*HUBS, "my/needles", "../needles", "and / or", "1/2", ""])
def test_what_is_no_absolute_path_stays(kept: str) -> None:
    assert without_places([kept, (kept, 3), {kept: None}]) == [kept, (kept, 3), {kept: None}]


def test_within_a_sentence() -> None:
    assert without_places("the pictures of /home/ada/sets, are not here (see 'C:\\Users\\Ada\\x')") == (
        "the pictures of sets, are not here (see 'x')"
    )


def words(root: Path) -> str:
    """All that the files below a folder say, those of parquet unpacked; hidden ones are the command's own notes."""
    found = []
    for path in sorted(root.rglob("*")):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            found.append(f"{table.schema.metadata} {table.to_pylist()}")
        elif path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
            found.append(path.read_bytes().decode(errors="replace"))
    return "\n".join(found)


@pytest.mark.parametrize("paths", [False, True])
def test_a_curated_folder_and_its_card(tmp_path: Path, paths: bool) -> None:
    hay = folder(tmp_path / HOME / "hay", ["good"] * 6 + ["html"])
    out = tmp_path / "needles"
    document = config(SEEN) | {"fetch": {"allow": []}}
    curate(Funnel(document), str(hay), out, engine=Pool(1), paths=paths)
    write_card(out, paths=paths)
    said = words(out)
    assert "hay" in said
    assert (HOME in said) == paths
    assert (str(tmp_path) in said) == paths


@pytest.mark.parametrize("paths", [False, True])
def test_a_report_and_its_verdict(tmp_path: Path, paths: bool) -> None:
    run = write_run(tmp_path / HOME / "run", 4)
    home = tmp_path / HOME
    data: dict[str, Any] = {"root": str(home / "needles"), "prompts": "~ada/prompts.tsv"}
    model = {"class_path": "emu.models.Muse", "init_args": {"pretrained": str(home / "base")}}
    (run / "config.yaml").write_text(yaml.safe_dump({"model": model, "data": data}))
    rows = [{"file": f"{i:05d}.png", "appeal": i / 10} for i in range(4)]
    for step in run.glob("step-*"):
        (step / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = {"name": "sharp", "tie": 0.0, "model": str(home / "judge"), "versions": "emu 0"}
    (run / "quality.json").write_text(json.dumps({"name": "run", "best_step": 20, "judges": {"appeal": judge}}))
    out = tmp_path / "shown"
    compare([run], out=out / "report.html", paths=paths)
    said = words(out)
    for name in ("needles", "base", "judge"):
        assert name in said
    assert (HOME in said) == paths
    assert ("~ada" in said) == paths


def test_counted_votes(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")
    from emu.desk.vote.exports import write_dpo, write_votes
    from emu.desk.vote.results import write_results
    from voters import Table, make_poll

    run = write_run(tmp_path / HOME / "run", 3)
    poll = make_poll(run)
    table = Table(poll, "Ada Lovelace")
    for shown in table.hand(table.raters[0]).open:
        table.answer(table.raters[0], shown, "a")
    write_results(poll, [run])
    write_votes(poll, run / "all.jsonl")
    write_dpo(poll, run / "dpo.jsonl")
    for name in ("votes.json", "all.jsonl", "dpo.jsonl"):
        said = (run / name).read_text()
        assert HOME not in said
        assert "Ada" not in said
    poll.database.close()
