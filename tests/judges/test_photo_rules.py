"""PhotoRules against its formulas' known values and the simulated web; what all bundled judges keep exactly."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ImageFilter
from torch import Tensor

from emu.bundled import resolve
from emu.judges import Judge, judge_card
from emu.judges.photo_rules import ACCURACY, PhotoRules, blur, colourfulness, exposure, rules
from emu.judges.world import WorldAppeal, WorldFaithfulness
from emu.statistics import win_rate
from emu.world import World

BUNDLED = [PhotoRules, WorldAppeal, WorldFaithfulness]


def tensor(pictures: list[object]) -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(one) for one in pictures])).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def needles() -> list[object]:
    return [World(6).needle(i).render() for i in range(100)]


def test_colourfulness_is_the_papers() -> None:
    """Grey has none; half red, half blue has means 0 and 255 / 4 - 255 / 2, deviations 255 and 3 x 255 / 4."""
    assert colourfulness(torch.full((3, 8, 8), 0.3)) == 0
    halves = torch.zeros(3, 8, 8)
    halves[0, :4] = halves[2, 4:] = 1
    rg, yb = [255.0, 0.0], [127.5, -255.0]
    wanted = np.hypot(np.std(rg), np.std(yb)) + 0.3 * np.hypot(np.mean(rg), np.mean(yb))
    assert colourfulness(halves).item() == pytest.approx(wanted, rel=1e-5)


def test_exposure_is_best_in_the_middle() -> None:
    values = [exposure(torch.full((4, 4), level)).item() for level in (0.0, 0.3, 0.5, 0.7, 1.0)]
    assert values == pytest.approx([np.exp(-3.125), np.exp(-0.5), 1, np.exp(-0.5), np.exp(-3.125)])


def test_blur_is_none_in_noise_and_all_where_nothing_is() -> None:
    assert blur(torch.rand(64, 64)) < 0.2
    assert blur(torch.full((64, 64), 0.4)) == 1
    ramp = torch.linspace(0, 1, 64).expand(64, 64)
    assert blur(ramp) > 0.8


def test_rules_stay_in_their_range_for_any_picture() -> None:
    for image in (torch.zeros(3, 5, 300), torch.ones(3, 1, 1), torch.rand(3, 700, 40), torch.rand(3, 2, 2).round()):
        assert all(0 <= value <= 1 for value in rules(image).values()), image.shape


def test_it_is_as_good_on_another_world_as_it_says() -> None:
    sys.path.append(str(Path(__file__).parents[2] / "scripts"))
    from rules_accuracy import accuracy

    told, measured = json.loads(Path(resolve(ACCURACY)).read_text()), accuracy(PhotoRules(), World(81), 120)
    assert told.keys() == measured.keys()
    for name, value in measured.items():
        # 2.8 standard deviations of 120 coins at most; of two scenes only about 50 pairs differ
        assert value == pytest.approx(told[name], abs=0.2 if name == "any" else 0.13), name
    card = judge_card(PhotoRules())
    assert card["held-out accuracy: focus"] == told["focus"]
    assert card["family"] != WorldAppeal.family


@pytest.mark.parametrize("kind", [PhotoRules, WorldAppeal])
def test_a_blurred_copy_scores_lower(kind: type[Judge], needles: list[object]) -> None:
    sharp = kind().score(tensor(needles), [""] * len(needles))
    for radius in (1.5, 2.5):
        blurred = [one.filter(ImageFilter.GaussianBlur(radius)) for one in needles]  # type: ignore[attr-defined]
        assert (kind().score(tensor(blurred), [""] * len(needles)) < sharp).all()


@pytest.mark.parametrize("kind", BUNDLED)
def test_neither_batch_nor_order_counts_and_identical_pictures_tie(kind: type[Judge], needles: list[object]) -> None:
    judge, images = kind(), tensor(needles[:12])
    prompts = [World(6).needle(i).caption for i in range(12)]
    scores = judge.score(images, prompts)
    for size in (1, 5):
        parts = [judge.score(images[i : i + size], prompts[i : i + size]) for i in range(0, 12, size)]
        assert torch.equal(torch.cat(parts), scores)
    assert torch.equal(judge.score(images.flip(0), prompts[::-1]).flip(0), scores)
    assert win_rate(scores.tolist(), kind().score(images, prompts).tolist(), tie=judge.tie).tie == 100


def test_the_sum_in_the_card_stands_for_what_the_rules_say() -> None:
    """Runs that were judged by these rules keep their scores; rules that say something else need another `SHA256`."""
    noise = torch.rand(3, 40, 64, generator=torch.Generator().manual_seed(5))
    ramp = torch.linspace(0, 1, 300).expand(3, 200, 300) * torch.tensor([1, 0.8, 0.5])[:, None, None]
    said = [[float(value) for value in rules(image).values()] for image in (noise, ramp, torch.full((3, 30, 30), 0.4))]
    known = {
        "30b4f6acae4d079ac71f87ba03dae06eefe01a5c8d96e3c5387ad4c8eef63ab2": [
            [0.9999, 0.8409, 1.0, 0.8921],
            [0.9046, 0.951, 0.6114, 0.0312],
            [0.8825, 0.0, 0.0, 0.0],
        ]
    }
    np.testing.assert_allclose(said, known[str(PhotoRules().describe()["sha256"])], atol=1e-3)
