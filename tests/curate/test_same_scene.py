"""One scene shown again and again: who is found, who stays, and what is said of it."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from test_selections import chosen
from test_stages import picture, texture

from emu.curate import Funnel, curate
from emu.curate.explain import explain
from emu.curate.stages import SameScene
from emu.curate.stages.same_scene import BLOCK, leaders
from emu.errors import UserError
from haystack import Here, config, pixels, stored


def vectors(*angles: float) -> np.ndarray:
    """Of length 1, at angles in degrees: the cosine of two is that of the angle between them."""
    return np.stack([np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))], axis=1).astype(np.float32)


def scores(found: np.ndarray, **more: Any) -> dict[str, Any]:
    embedding = np.array([one.astype("<f2").tobytes() for one in found], dtype=object)
    return {"embedding": embedding, "width": np.full(len(found), 10), "height": np.full(len(found), 10), **more}


def test_the_largest_of_a_scene_stays_and_the_others_say_which_it_is() -> None:
    stage = SameScene("unused", cosine=0.95)
    found = scores(vectors(0, 10, 90, 5, 95), width=np.array([10, 30, 10, 20, 10]))
    stay, choice = chosen(stage, found)
    assert stay == [1, 2]
    assert choice.reasons[3] == "shows what row 1 shows (cosine 0.996), of rows 0, 1, 3"
    assert choice.reasons[4] == "shows what row 2 shows (cosine 0.996), of rows 2, 4"
    assert choice.notes == {"scenes shown more than once": 2, "pictures of them": 3}


def test_the_best_by_the_rule_of_the_config_stays() -> None:
    found = scores(vectors(0, 5, 10), aesthetic=np.array([1.0, 2.0, 3.0]))
    assert chosen(SameScene("unused", by={"aesthetic": 1}), found)[0] == [2]
    assert chosen(SameScene("unused", by={"aesthetic": -1}), found)[0] == [0]
    assert chosen(SameScene("unused"), found)[0] == [0]


def test_chains_do_not_swallow_what_differs_and_who_left_before_is_nobody_s_original() -> None:
    assert chosen(SameScene("unused", cosine=0.95), scores(vectors(0, 15, 30, 45)))[0] == [0, 2]
    found = scores(vectors(0, 5, 60))
    found["embedding"][0] = None  # it left before it was measured
    assert chosen(SameScene("unused"), found, [False, True, True])[0] == [1, 2]
    assert chosen(SameScene("unused"), found, [False] * 3)[0] == []


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(1, 60), cosine=st.sampled_from([0.3, 0.8, 0.95]))
def test_blocks_find_what_comparing_one_by_one_finds(seed: int, count: int, cosine: float) -> None:
    rng = np.random.default_rng(seed)
    every = rng.normal(size=(max(1, count // 3), 4))[rng.integers(0, max(1, count // 3), count)]
    every = every + rng.normal(size=every.shape) * 0.3
    every = (every / np.linalg.norm(every, axis=1, keepdims=True)).astype(np.float32)
    wanted, stay = {}, list[int]()
    for i in range(count):
        near = max(((float(every[i] @ every[j]), -j) for j in stay), default=(-2.0, 0))
        if near[0] >= cosine:
            wanted[i] = -near[1]
        else:
            stay.append(i)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emu.curate.stages.same_scene.BLOCK", 7)
        assert {i: twin for i, (twin, _) in leaders(every, cosine).items()} == wanted


def test_several_blocks_of_many_take_seconds() -> None:
    rng = np.random.default_rng(0)
    every = rng.normal(size=(5 * BLOCK, 64)).astype(np.float16)
    copies = rng.integers(0, 4 * BLOCK, BLOCK)
    every[4 * BLOCK :] = every[copies] + rng.normal(size=(BLOCK, 64)) * 0.02
    began = time.process_time()
    found = leaders(every, 0.99)
    assert time.process_time() - began < 20
    assert set(found) == set(range(4 * BLOCK, 5 * BLOCK))
    assert [found[4 * BLOCK + i][0] for i in range(BLOCK)] == copies.tolist()


def near(folder: Path, first: Image.Image, second: Image.Image, **how: Any) -> float:
    """The cosine of two pictures, by a stage of its own."""
    stage = SameScene(str(folder), **how)
    a, b = (np.frombuffer(stage.measure(picture(one))["embedding"], "<f2").astype(float) for one in (first, second))
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_turned_and_mirrored_copies_are_the_same_where_all_views_are_seen(clip_folder: Path) -> None:
    square = texture((48, 48))
    for copy in (ImageOps.mirror(square), square.rotate(90), ImageOps.flip(square.rotate(90))):
        assert near(clip_folder, square, copy, views=8) > 0.9999
    assert near(clip_folder, square, ImageOps.mirror(square), views=2) > 0.9999
    assert near(clip_folder, square, square.rotate(90), views=2) < 0.999
    assert near(clip_folder, square, ImageOps.mirror(square)) < 0.999
    assert near(clip_folder, square, pixels(3, (48, 48)), views=8) < 0.999
    with pytest.raises(UserError, match="views 3: one of 1, 2, 8"):
        SameScene(str(clip_folder), views=3)


def test_from_end_to_end_a_scene_s_rows_are_in_the_manifest_and_its_embedding_is_not(
    clip_folder: Path, tmp_path: Path
) -> None:
    import json

    source = tmp_path / "hay"
    source.mkdir()
    one, other = texture((96, 96)), pixels(7, (96, 96))
    drawn = [one, other, one.resize((120, 120)), ImageOps.mirror(other), one.resize((90, 90))]
    for i, image in enumerate(drawn):
        (source / f"{i}.png").write_bytes(stored(image, "PNG"))
    lines = [json.dumps({"file_name": f"{i}.png", "text": "a text"}) for i in range(5)]
    (source / "metadata.jsonl").write_text("\n".join(lines))
    stage = {"class_path": "emu.curate.stages.SameScene",
             "init_args": {"embedder": str(clip_folder), "cosine": 0.99, "views": 2, "batch": 2}}  # fmt: skip
    footer = curate(Funnel(config(stage)), str(source), tmp_path / "out", engine=Here())
    rows = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["dropped", "kept", "kept", "dropped", "dropped"]
    assert "shows what row 2 shows" in rows[0]["reason"]
    assert rows[0]["reason"].endswith("of rows 0, 2, 4")
    assert rows[3]["reason"].endswith("of rows 1, 3")
    assert "embedding" not in rows[0]
    assert footer.notes["same scene"]["pictures of them"] == 3
    assert any("of rows 1, 3" in line for line in explain(tmp_path / "out", "row 3"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_picture_of_which_an_embedder_makes_nothing_hides_no_copies(bad: float) -> None:
    """NaN was taken for the nearest of a block of those that stay, so that no copy of them was found."""
    seen = vectors(*range(0, 90, 10))
    every = np.concatenate([np.full_like(seen[:1], bad), seen, np.full_like(seen[:1], bad), seen]).astype("<f2")
    many = np.concatenate([every, np.zeros((BLOCK, every.shape[1]), "<f2"), seen.astype("<f2")])
    found = {place: twin for place, (twin, _) in leaders(many, 0.999).items()}
    copies = {11 + i: 1 + i for i in range(9)} | {len(every) + BLOCK + i: 1 + i for i in range(9)}
    assert found == copies
