"""The simulated web tells the truth about itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emu.errors import UserError
from emu.study.sets import draw_prompts
from emu.world import COLOURS, KINDS, PLACES, QUALITIES, TIMES, UNSEEN_KINDS, Scene, World, named

GOOD = (True,) * len(QUALITIES)


def pixels(scene: Scene, size: int = 64) -> np.ndarray:
    return np.asarray(scene.render(size), dtype=np.float32) / 255


def without(scene: Scene, quality: str) -> Scene:
    return replace(scene, good=tuple(good and name != quality for name, good in zip(QUALITIES, GOOD, strict=True)))


def test_a_picture_is_the_same_whatever_was_drawn_before_it() -> None:
    alone = World(3).haystack(7)
    world = World(3)
    for i in range(5):
        world.haystack(i).render()
    assert world.haystack(7) == alone
    assert world.haystack(7).render().tobytes() == alone.render().tobytes()
    assert World(4).haystack(7) != alone


def test_needles_have_every_quality_and_leave_some_kinds_unseen() -> None:
    scenes = [World(0).needle(i) for i in range(1500)]
    assert {scene.good for scene in scenes} == {GOOD}
    assert {scene.kind for scene in scenes} == set(KINDS) - set(UNSEEN_KINDS)


def test_the_haystack_is_mostly_mediocre_and_its_qualities_are_independent() -> None:
    good = np.array([World(0).haystack(i).good for i in range(4000)], dtype=float)
    assert np.all(np.abs(good.mean(0) - 0.5) < 0.04)
    assert (good.sum(1) == len(QUALITIES)).mean() < 0.06
    assert np.abs(np.corrcoef(good.T) - np.eye(len(QUALITIES))).max() < 0.07


def test_there_are_many_kinds_and_thousands_of_captions() -> None:
    assert len(KINDS) >= 24
    assert len({World(0).haystack(i).caption for i in range(6000)}) > 3000


def test_a_caption_names_nothing_that_is_not_there() -> None:
    for i in range(500):
        scene = World(1).haystack(i)
        truth = {"kind": scene.kind, "colour": scene.colour, "place": scene.place, "time": scene.time}
        assert named(scene.caption).items() <= truth.items()
        assert "kind" in named(scene.caption)


def test_prompts_are_distinct_full_captions_in_two_groups() -> None:
    rows = World(2).prompts(80, unseen=20)
    assert len({row["prompt"] for row in rows}) == 80
    for row in rows:
        names = named(row["prompt"])
        assert set(names) == {"kind", "colour", "place", "time"}
        assert (names["kind"] in UNSEEN_KINDS) == (row["group"] == "unseen")
    assert sum(row["group"] == "unseen" for row in rows) == 20


def test_there_are_as_many_prompts_as_captions_and_no_more() -> None:
    """All of both groups come; one more of either ends in words, where it once looked for it without an end."""
    most = len(UNSEEN_KINDS) * len(COLOURS) * len(PLACES) * len(TIMES)
    assert len(World(2).prompts(most, unseen=most)) == most
    with pytest.raises(ValueError, match="1,025 captions of 4 kinds are asked for; there are 1,024"):
        World(2).prompts(most + 1, unseen=most + 1)
    with pytest.raises(ValueError, match="kinds are asked for"):
        World(2).prompts(10**6, unseen=0)
    with pytest.raises(UserError, match=r"world.prompts 1,000,000: .* are asked for; there are 1,024"):
        draw_prompts(Path("prompts.jsonl"), 10**6)


def saturation(picture: np.ndarray) -> float:
    return float((picture.max(-1) - picture.min(-1)).mean())


def sharpness(picture: np.ndarray) -> float:
    return float(np.abs(np.diff(picture, axis=0)).mean() + np.abs(np.diff(picture, axis=1)).mean())


def exposure(picture: np.ndarray) -> float:
    return -abs(float(picture.mean()) - 0.5)


@pytest.mark.parametrize(
    ("quality", "measure", "share"),
    [("colour", saturation, 0.85), ("focus", sharpness, 0.95), ("lighting", exposure, 0.8)],
)
def test_a_fault_shows_in_the_pixels(quality: str, measure, share: float) -> None:
    scenes = [World(5).needle(i) for i in range(100)]
    assert np.mean([measure(pixels(s)) > measure(pixels(without(s, quality))) for s in scenes]) >= share


@pytest.mark.parametrize("quality", QUALITIES)
def test_each_quality_can_be_bad_on_its_own(quality: str) -> None:
    scene = World(5).needle(1)
    assert np.abs(pixels(scene) - pixels(without(scene, quality))).mean() > 0.01


def test_every_kind_colour_place_and_time_looks_different() -> None:
    base = replace(World(0).needle(0), kind="star", colour="red", place="meadow", time="noon")
    for field, values in (("kind", KINDS), ("colour", COLOURS), ("place", PLACES), ("time", TIMES)):
        views = [pixels(replace(base, **{field: value})) for value in values]
        gaps = [np.abs(a - b).mean() for i, a in enumerate(views) for b in views[:i]]
        assert min(gaps) > 0.004, field


def test_sizes_show_the_same_scene() -> None:
    scene = World(0).needle(4)
    large = np.asarray(scene.render(128).resize((64, 64), Image.Resampling.BOX), dtype=np.float32) / 255
    assert np.abs(large - pixels(scene)).mean() < 0.03
