"""The two judges against renderings whose truth is known and that neither they nor any model saw."""

import numpy as np
import pytest
import torch
from torch import Tensor

from emu.judges.world import WorldAppeal, WorldFaithfulness
from emu.statistics import win_rate
from emu.world import QUALITIES, Scene, World, named


def tensor(scenes: list[Scene]) -> Tensor:
    pictures = np.stack([np.asarray(scene.render()) for scene in scenes])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [World(77).haystack(i) for i in range(600)]


def test_appeal_reads_each_quality_as_well_as_it_says(scenes: list[Scene]) -> None:
    judge = WorldAppeal()
    read = judge.reader(tensor(scenes)) > 0
    right = (read == torch.tensor([scene.good for scene in scenes])).float().mean(0)
    for name, measured in zip(QUALITIES, right.tolist(), strict=True):
        assert measured > judge.accuracy[name] - 0.05, name
        assert measured > 0.8, name


def test_appeal_prefers_more_qualities(scenes: list[Scene]) -> None:
    scores = WorldAppeal().score(tensor(scenes), [""] * len(scenes)).numpy()
    assert np.corrcoef(scores, [sum(scene.good) for scene in scenes])[0, 1] > 0.85


def test_faithfulness_knows_a_true_caption_from_another(scenes: list[Scene]) -> None:
    judge, needles = WorldFaithfulness(), [World(78).needle(i) for i in range(300)]
    pictures = tensor(needles)
    true = judge.score(pictures, [scene.caption for scene in needles])
    other = judge.score(pictures, [needles[i - 1].caption for i in range(len(needles))])
    assert true.mean() > 0.9
    assert win_rate(other.tolist(), true.tolist(), tie=judge.tie).win > 80


def test_a_score_does_not_depend_on_its_batch(scenes: list[Scene]) -> None:
    pictures, prompts = tensor(scenes[:8]), [scene.caption for scene in scenes[:8]]
    for judge in (WorldAppeal(), WorldFaithfulness()):
        together = judge.score(pictures, prompts)
        alone = torch.cat([judge.score(pictures[i : i + 1], prompts[i : i + 1]) for i in range(8)])
        assert torch.equal(together, alone)


def test_judges_say_what_they_are() -> None:
    for judge in (WorldAppeal(), WorldFaithfulness()):
        told = judge.describe()
        assert told["name"] == judge.name
        assert len(str(told["sha256"])) == 64
        assert any(key.startswith("held-out accuracy") for key in told)


def test_an_unnamed_attribute_is_not_asked_for() -> None:
    scene = World(79).needle(0)
    judge = WorldFaithfulness()
    assert judge.score(tensor([scene]), ["something else entirely"]).item() == 1.0
    assert named("something else entirely") == {}
