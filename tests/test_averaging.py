"""The moving average, apart from any model."""

import pytest
import torch
from torch import nn

from emu.optim import averaging
from emu.planning.footprint import Peak


def pair() -> tuple[nn.Module, nn.Module]:
    average, live = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    nn.init.constant_(live.weight, 3.0)
    live.running_mean.fill_(7.0)
    return average, live


def test_a_young_average_forgets_faster() -> None:
    assert averaging.decay_at(1, 0.999) == pytest.approx(2 / 11)
    assert averaging.decay_at(10**6, 0.999) == 0.999
    assert averaging.decay_at(1, 0.0) == 0.0


def test_parameters_are_averaged_and_buffers_copied() -> None:
    average, live = pair()
    averaging.update(average, live, decay=0.75)
    assert average.weight.tolist() == [1.5] * 3
    assert live.weight.tolist() == [3.0] * 3
    assert average.running_mean.tolist() == [7.0] * 3


def test_without_decay_the_average_is_the_live_network() -> None:
    average, live = pair()
    averaging.update(average, live, decay=0.0)
    assert averaging.squares(average, live)[0] == 0


def test_squares_of_difference_and_size() -> None:
    average, live = pair()
    torch.testing.assert_close(averaging.squares(average, live), torch.tensor([12.0, 27.0]))


def test_the_difference_of_a_large_network_is_made_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else looking at a run would take as much memory as its weights, beside all that training keeps."""
    torch.manual_seed(0)
    average, live = (nn.Sequential(*(nn.Linear(8, 8) for _ in range(6))) for _ in range(2))
    wanted = averaging.squares(average, live)
    monkeypatch.setattr(averaging, "TOGETHER", 100)
    with Peak() as peak:
        found = averaging.squares(average, live)
    torch.testing.assert_close(found, wanted)
    assert peak.most < 4 * sum(weight.numel() for weight in live.parameters()) / 2
