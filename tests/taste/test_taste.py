"""`emu taste` on renderings of the simulated web: it learns from a review, and serves as a stage of the next funnel."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from emu.cli import main
from emu.curate import Funnel, curate
from emu.curate.folder import read_curated
from emu.curate.pool import Pool
from emu.errors import UserError
from emu.judges.head import read_head
from emu.judges.world import WorldFeatures
from emu.layouts.review_json import ReviewOutcome
from emu.storage.records import build
from emu.taste import Ranked, summary, taste
from emu.taste.decisions import decisions, groups
from emu.world import World
from haystack import config
from reviewed import review

EYE = "emu.judges.world.WorldFeatures"
APPEAL = f"{EYE}:world-appeal"
PICTURES, LOOKED = 80, 60


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Needles, every even one, among hay; people looked at the first sixty."""
    folder, world, rows = tmp_path_factory.mktemp("taste") / "set", World(11), []
    folder.mkdir()
    for i in range(PICTURES):
        scene = world.haystack(i) if i % 2 else world.needle(i)
        scene.render(32).save(folder / f"{i:03d}.png")
        rows.append(json.dumps({"file_name": f"{i:03d}.png", "text": scene.caption}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(rows))
    review(folder, {f"{i:03d}.png": i % 2 == 0 for i in range(LOOKED)})
    return folder


@pytest.fixture(scope="module")
def ranked(drawn: Path) -> Ranked:
    return taste(drawn, APPEAL)


def test_it_ranks_what_nobody_looked_at_and_says_how_well(drawn: Path, ranked: Ranked) -> None:
    table = pq.read_table(drawn / "taste.parquet")
    assert table.column_names == ["file", "score", "uncertainty", "order"]
    assert table["order"].to_pylist() == list(range(PICTURES))
    assert set(table["file"].to_pylist()[: PICTURES - LOOKED]) == {f"{i:03d}.png" for i in range(LOOKED, PICTURES)}
    score = dict(zip(table["file"].to_pylist(), table["score"].to_pylist(), strict=True))
    new = range(LOOKED, PICTURES)
    means = [np.mean([score[f"{i:03d}.png"] for i in new if i % 2 == odd]) for odd in (0, 1)]
    assert means[0] > means[1] + 0.3
    assert ranked.figures.better_than_chance
    assert (ranked.pictures, ranked.undecided, ranked.figures.kept) == (PICTURES, PICTURES - LOOKED, LOOKED // 2)
    assert not any("no better than chance" in line for line in summary(ranked))


def test_what_was_seen_once_is_not_looked_at_again(
    drawn: Path, ranked: Ranked, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (drawn / "taste.parquet").read_bytes()
    main(["taste", str(drawn), "--embedder", APPEAL])
    said = capsys.readouterr().out
    assert ranked.embedded == PICTURES
    assert "; 0 pictures were new to the embedder" in said
    assert "on decisions held out: AUC" in said
    assert (drawn / "taste.parquet").read_bytes() == before


def test_a_coin_s_decisions_are_called_so(drawn: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(drawn, tmp_path / "copy")
    review(copy, {f"{i:03d}.png": bool(np.random.default_rng(i).random() < 0.5) for i in range(LOOKED)})
    lines = summary(taste(copy, EYE))
    assert any(line.startswith("the head is no better than chance") for line in lines)


def test_too_few_decisions_are_refused_with_how_many_it_takes(drawn: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(drawn, tmp_path / "copy")
    (copy / "taste.parquet").unlink(missing_ok=True)
    review(copy, {f"{i:03d}.png": i < 19 for i in range(LOOKED)})
    with pytest.raises(UserError, match="19 kept and 41 rejected; a head needs 20 of each"):
        taste(copy, APPEAL)
    assert not (copy / "taste.parquet").exists()


def test_the_head_is_a_stage_of_the_next_funnel(drawn: Path, ranked: Ranked, tmp_path: Path) -> None:
    head, place = drawn / "taste.safetensors", {"class_path": "emu.curate.stages.Taste"}
    stage = {**place, "init_args": {"head": str(head), "embedder": APPEAL}, "at_least": {"taste": 0.5}}
    out = tmp_path / "out"
    curate(Funnel(config(stage)), str(drawn), out, engine=Pool(1))
    found = pq.read_table(out / "manifest.parquet", columns=["source", "taste"]).to_pylist()
    score = {row["file"]: row["score"] for row in pq.read_table(drawn / "taste.parquet").to_pylist()}
    assert {row["source"]: pytest.approx(row["taste"], abs=1e-5) for row in found} == score
    wrong = {**place, "init_args": {"head": str(head), "embedder": EYE}}
    with pytest.raises(UserError, match="was fitted with .*world-appeal, and not with"):
        curate(Funnel(config(wrong)), str(drawn), tmp_path / "wrong", engine=Pool(1))
    absent = {**place, "init_args": {"head": str(tmp_path / "none"), "embedder": EYE}}
    with pytest.raises(UserError, match="cannot be read"):
        curate(Funnel(config(absent)), str(drawn), tmp_path / "absent", engine=Pool(1))
    assert read_head(head).card["eye"]["model"] == "world-appeal"


def test_decisions_are_those_of_all_passes_or_of_one(drawn: Path) -> None:
    votes = {"first": {"keep": 2, "reject": 0}, "second": {"keep": 0, "reject": 1}}
    pictures = [
        {"file": "a", "votes": votes, "kept": False, "left": "second"},
        {"file": "b", "votes": {"first": {"keep": 1, "reject": 1}}, "kept": True},
        {"file": "c", "votes": {}, "kept": True},
        {"file": "d", "votes": {"second": {"keep": 1, "reject": 1, "ruling": "keep"}}, "kept": True},
        {"file": "e", "votes": {"second": {"keep": 2, "reject": 1, "ruling": "reject"}}, "left": "second"},
    ]
    review = build({"passes": [{"name": "first"}, {"name": "second"}], "pictures": pictures}, ReviewOutcome)
    assert decisions(review) == {"a": False, "b": True, "d": True, "e": False}
    assert decisions(review, "first") == {"a": True}
    assert decisions(review, "second") == {"a": False, "d": True, "e": False}  # an arbiter's word is over the votes
    with pytest.raises(UserError, match="--pass third: no such pass; there are first, second"):
        decisions(review, "third")


def test_pictures_of_one_caption_belong_together(drawn: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(drawn, tmp_path / "copy")
    lines = [json.dumps({"file_name": f"{i:03d}.png", "text": "A  fox" if i in (0, 3) else f"{i}"}) for i in range(5)]
    (copy / "metadata.jsonl").write_text("\n".join([*lines, json.dumps({"file_name": "005.png", "text": "a fox"})]))
    found = groups(read_curated(copy), [f"{i:03d}.png" for i in range(6)])
    assert found[0] == found[3] == found[5]
    assert len(set(found.tolist())) == 4


def test_pictures_that_look_alike_belong_together_though_others_are_nearer(drawn: Path) -> None:
    hashes = {"000.png": 0b11111, "001.png": 0xFF << 20, "002.png": 0, "003.png": 0, "004.png": (1 << 64) - 1}
    curated = read_curated(drawn)
    vars(curated).update(columns=["phash"], column=lambda name: hashes)
    found = groups(curated, [*hashes])
    assert found[0] == found[1] == found[2] == found[3] != found[4]


def test_a_picture_s_features_have_length_one_and_are_its_own() -> None:
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    for judge in ("world-appeal", "world-faithfulness"):
        eye = WorldFeatures(judge)
        first, second = eye.images(list(images))
        assert float(first.norm()) == pytest.approx(1, abs=1e-5)
        assert not torch.allclose(first, second)
    assert WorldFeatures().fingerprint != WorldFeatures("world-appeal").fingerprint


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--embedder", "emu.judges.world.WorldFeatures:eagle"], "no judge eagle; there are"),
        (["--embedder", "emu.nothing.Eye"], "--embedder emu.nothing.Eye: "),
        (
            ["--embedder", "emu.judges.photo_rules.PhotoRules"],
            "no Embedder; give a class such as emu.judges.clip.Clip:MODEL",
        ),
        (["--embedder", "./nothing"], "judge's model ./nothing"),
        (["--embedder", EYE, "--pass", "third"], "--pass third: no such pass; there are generalists"),
        (["--embedder", EYE, "--explore", "1.5"], "--explore 1.5: give a share"),
    ],
)
def test_a_mistake_is_one_line(argv: list[str], said: str, drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["taste", str(drawn), *argv])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("emu: ")]
    assert said in line


def test_a_folder_without_a_review_is_refused(drawn: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(drawn, tmp_path / "copy")
    (copy / "review.json").unlink()
    with pytest.raises(UserError, match="no review.json there; let people look"):
        taste(copy, APPEAL)
