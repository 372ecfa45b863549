"""Compiled blocks: few graphs however many sizes, the same losses, and a fallback that says so once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from functorch.compile import nop
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters

from architectures import make
from emu.module import TextToImageModule
from emu.networks import compiling
from emu.networks.blocks import blocks

Folder = Callable[[str], Path]
SIDES = ((32, 32), (48, 32), (32, 48), (64, 32))  # pixels


@pytest.fixture(autouse=True)
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Graphs are made and run without the minutes of a real backend; the compiler's settings are put back."""
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    with torch._dynamo.config.patch(recompile_limit=8, fail_on_recompile_limit_hit=False):
        torch._dynamo.reset()
        counters.clear()
        yield
        torch._dynamo.reset()


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler that users have: a minute a model."""
    monkeypatch.setattr(compiling, "BACKEND", "inductor")


def losses(model: TextToImageModule) -> list[Tensor]:
    """Of two pictures of each size, the way back taken too."""
    torch.manual_seed(0)
    found = []
    for height, width in SIDES:
        with torch.no_grad():
            x = model.encode_images(torch.rand(2, 3, height, width) * 2 - 1)
            cond = model.encode_prompts(["a red boat", ""])
        size = torch.tensor([[height, width, 0, 0, height, width]] * 2)
        loss = model.loss(x, {**cond, "size": size})
        loss.mean().backward()
        found.append(loss.detach())
    return found


@pytest.mark.parametrize("name", [pytest.param("latent", marks=pytest.mark.slow), "flow", "muse"])
def test_at_most_two_graphs_a_block_over_all_sizes(name: str, tiny_folder: Folder) -> None:
    wanted = losses(make(name, tiny_folder(name)))
    model = make(name, tiny_folder(name), compile_blocks=True)
    found = losses(model)
    assert 0 < counters["stats"]["unique_graphs"] <= 2 * len(list(blocks(model.backbone)))
    assert not counters["graph_break"]
    for ours, plain in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("name", ["flow", "muse"])  # a U-Net's many kinds of blocks take a quarter of an hour
def test_real_graphs_are_as_few_and_right_both_ways_over_all_sizes(
    name: str, tiny_folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    plain = make(name, tiny_folder(name))
    wanted = losses(plain)
    model = make(name, tiny_folder(name), compile_blocks=True)
    found = losses(model)
    assert not [record for record in caplog.records if record.name == compiling.__name__]  # it did not fall back
    assert 0 < counters["stats"]["unique_graphs"] <= 2 * len(list(blocks(model.backbone)))
    assert not counters["graph_break"]
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    for (of, weight), other in zip(model.backbone.named_parameters(), plain.backbone.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad, rtol=1e-3, atol=1e-4, msg=of)


def test_names_of_weights_stay_and_checkpointing_goes_along(tiny_folder: Folder) -> None:
    plain = make("latent", tiny_folder("latent"))
    model = make("latent", tiny_folder("latent"), compile_blocks=True, gradient_checkpointing=True)
    assert list(model.state_dict()) == list(plain.state_dict())
    for ours, theirs in zip(losses(model), losses(plain), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    for (name, ours_), theirs_ in zip(model.backbone.named_parameters(), plain.backbone.parameters(), strict=True):
        torch.testing.assert_close(ours_.grad, theirs_.grad, rtol=1e-3, atol=1e-5, msg=name)


def broken(graph: Any, inputs: Any) -> NoReturn:
    raise RuntimeError("no compiler here")


@pytest.mark.parametrize("backend", [broken, aot_autograd(fw_compiler=nop, bw_compiler=broken)], ids=["all", "back"])
def test_where_compiling_fails_the_model_goes_on_and_says_so_once(
    backend: Any, tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = losses(make("latent", tiny_folder("latent")))
    monkeypatch.setattr(compiling, "BACKEND", backend)
    model = make("latent", tiny_folder("latent"), compile_blocks=True)
    found = losses(model)
    assert all(torch.equal(ours, plain) for ours, plain in zip(found, wanted, strict=True))
    (said,) = [record.getMessage() for record in caplog.records if record.name == compiling.__name__]
    assert "no compiler here" in said
    assert "\n" not in said
