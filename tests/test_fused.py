"""An optimizer's step is one kernel for all weights where torch has one, and moves them where they would have gone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from architectures import loader, make, trainer, training_batch
from emu.optim.settings import fused

KINDS = [torch.optim.AdamW, torch.optim.Adam]


def stepped(kind: Callable[..., torch.optim.Optimizer], *, by: Callable[[Any], Any]) -> torch.Tensor:
    torch.manual_seed(0)
    layer = nn.Linear(3, 3)
    optimizer = by(kind(layer.parameters(), lr=0.01))
    for _ in range(3):
        layer(torch.ones(2, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return layer.weight.detach()


@pytest.mark.parametrize("kind", KINDS)
def test_a_fused_step_goes_where_the_plain_one_goes(kind: type[torch.optim.Optimizer]) -> None:
    assert fused(kind([nn.Parameter(torch.ones(2))])).param_groups[0]["fused"]
    torch.testing.assert_close(stepped(kind, by=fused), stepped(kind, by=lambda one: one), rtol=1e-5, atol=1e-6)


def test_who_asks_for_another_way_gets_it_and_who_has_none_keeps_his() -> None:
    weights = [nn.Parameter(torch.ones(2))]
    assert not fused(torch.optim.AdamW(weights, foreach=True)).param_groups[0]["fused"]
    assert fused(torch.optim.AdamW(weights, fused=False)).param_groups[0]["fused"] is False
    assert not fused(torch.optim.SGD(weights, lr=0.1)).param_groups[0]["fused"]


def test_gradients_are_clipped_in_mixed_precision_too(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = make("latent", tiny_folder("latent"), optimizer=lambda p: torch.optim.AdamW(p, lr=1e-3))
    run = trainer(tmp_path, max_steps=1, precision="bf16-mixed", gradient_clip_val=1.0, limit_val_batches=0)
    run.fit(model, loader(training_batch("latent")), loader(training_batch("latent")))
    assert run.optimizers[0].param_groups[0]["fused"]
    assert run.global_step == 1
