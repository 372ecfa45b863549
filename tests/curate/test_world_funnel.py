"""`curate/world` on renderings whose truth is known: what its limit on the five qualities takes and leaves."""

import io
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path

import pytest
import yaml

from emu.curate.config import Funnel
from emu.curate.picture import Picture
from emu.data.sources import Entry
from emu.world import QUALITIES, Scene, World
from haystack import stored

CONFIG = Path(__file__).parents[2] / "configs" / "curate" / "world.yaml"
EACH = 40


def kept(which: Callable[[Scene], bool]) -> int:
    """Of so many pictures of the haystack that limits were set on, how many stay at `appeal`."""
    (step,) = (step for step in Funnel(yaml.safe_load(CONFIG.read_text())).steps if step.stage.name == "appeal")
    scenes = list(islice(filter(which, map(World(5).haystack, count())), EACH))
    pictures = []
    for scene in scenes:
        content = stored(scene.render(128), "JPEG", quality=92)
        entry = Entry("name.jpg", scene.caption, lambda: io.BytesIO())
        pictures.append(Picture(entry, content, side=0, max_pixels=10**6))
    return sum(step.verdict(row) is None for row in step.stage.measure_many(pictures))


def test_who_has_all_five_qualities_stays() -> None:
    assert kept(lambda scene: all(scene.good)) >= 0.95 * EACH


@pytest.mark.parametrize("missing", QUALITIES)
def test_who_lacks_one_quality_leaves(missing: str) -> None:
    others = len(QUALITIES) - 1
    assert kept(lambda scene: sum(scene.good) == others and not scene.has(missing)) <= 0.1 * EACH
