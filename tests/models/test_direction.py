"""Sign and time: what emu learns is what diffusers draws by, in every architecture.

A model that learned one picture draws it, and one whose output was turned around while it learned draws nothing like
it. Time turned around would tell little there, since a network sees how much noise one picture has: what it is told
while it learns is held against what it is told while it draws.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from architectures import CLASSES, make, prompts, side
from emu.objectives import draws
from emu.optim import averaging

Folder = Callable[[str], Path]
Cond = dict[str, Tensor]

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")  # torch tensors given to numpy

QUICK = ("flow", "z_image")
EVERY = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CLASSES]
TIMED = [one for one, name in zip(EVERY, CLASSES, strict=True) if "muse" not in name]  # tokens have no time
TIMES = ("timestep", "timesteps", "t")  # what networks call it
STEPS, TOGETHER = 100, 8
CERTAIN = -30.0  # a log-variance


def quarters(size: int) -> Tensor:
    """A picture of four colours: float (1,3,h,w) in [-1,1]."""
    colours = torch.tensor([[[0.9, -0.5, -0.9], [-0.7, 0.8, -0.2]], [[-0.9, -0.6, 0.9], [0.8, 0.7, -0.8]]])
    return colours.permute(2, 0, 1).repeat_interleave(size // 2, 1).repeat_interleave(size // 2, 2)[None]


def autoencoder(model: Any) -> Any:
    parts = model.pipeline.components
    return parts.get("vae") or parts.get("vqvae")


def learnable(x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """An encoded picture, without the spread where it is moments, and what the decoder is to be given, as `before`."""
    if before.ndim == 2 and x.ndim == 4:  # tokens, before those of the small picture
        return x, x[0, 0]
    if x.shape[1] != 2 * before.shape[0]:
        return x, x[0]
    mean = x.chunk(2, dim=1)[0]
    return torch.cat([mean, torch.full_like(mean, CERTAIN)], dim=1), mean[0]


def drawn(model: Any, cond: Cond) -> Tensor:
    """What the decoder is given for a prompt, since untrained ones show little; pixels where there is none: (c,h,w)."""
    vae, seen = autoencoder(model), []
    if vae is None:
        pixels: Tensor = model.sample(cond, model.negative_prompt(), [5])[0] * 2 - 1
        return pixels
    decode = vae.decode
    vae.decode = lambda first, *args, **kwargs: seen.append(first) or decode(first, *args, **kwargs)
    model.sample(cond, model.negative_prompt(), [5])
    del vae.decode
    latents: Tensor = seen[0][0]
    return latents.squeeze(1) if latents.ndim == 4 else latents  # of a film of one frame


def learn(model: Any, x: Tensor, cond: Cond) -> None:
    """One picture alone, with weights that end as the average's."""
    size = torch.tensor([[32, 32, 0, 0, 32, 32]])
    many = {key: value.expand(TOGETHER, *value.shape[1:]) for key, value in {**cond, "size": size}.items()}
    optimizer = torch.optim.Adam(model.backbone.parameters(), lr=3e-3)
    torch.manual_seed(0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        model.loss(x.expand(TOGETHER, *x.shape[1:]), many).mean().backward()
        optimizer.step()
    averaging.update(model.ema, model.backbone, decay=0.0)


def turn(network: Any) -> None:
    """Make a network give the opposite of its output: a tuple of tensors, or of lists of them."""
    forward = network.forward

    def opposite(*args: Any, **kwargs: Any) -> Any:
        found = forward(*args, **kwargs)
        if not isinstance(found, tuple):
            found.sample = -found.sample
            return found
        first, *rest = found
        return ([-one for one in first] if isinstance(first, list) else -first, *rest)

    network.forward = opposite


def distance(name: str, folder: Path, *, turned: bool) -> float:
    """Mean square between the picture and what is drawn after it was learned; before, it is 1."""
    model: Any = make(name, folder, sampler={"num_inference_steps": 8, "guidance_scale": 1.0})
    if turned:
        turn(model.backbone)
    with torch.no_grad():
        cond = prompts(model, ["a red boat at noon"])
        before = drawn(model, cond)
        x, wanted = learnable(model.encode_images(quarters(side(name))), before)
    learn(model, x, model.encode_prompts(["a red boat at noon"]))
    with torch.no_grad():
        after = drawn(model, cond)
    return float((after - wanted).float().square().mean() / (before - wanted).float().square().mean())


@pytest.mark.parametrize("name", EVERY)
def test_it_draws_what_it_learned(name: str, tiny_folder: Folder) -> None:
    assert distance(name, tiny_folder(name), turned=False) < 0.75


@pytest.mark.parametrize("name", TIMED)
def test_it_does_not_with_the_sign_turned_around(name: str, tiny_folder: Folder) -> None:
    assert distance(name, tiny_folder(name), turned=True) > 1


@contextmanager
def told(network: nn.Module) -> Iterator[list[float]]:
    """The time that a network is given, at each call."""
    times: list[float] = []
    signature = inspect.signature(network.forward)

    def note(module: nn.Module, args: Any, kwargs: Any) -> None:
        given = signature.bind(*args, **kwargs).arguments
        times.append(float(torch.as_tensor(next(given[name] for name in TIMES if name in given)).flatten()[0]))

    handle = network.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield times
    finally:
        handle.remove()


@pytest.mark.parametrize("name", TIMED)
@torch.no_grad()
def test_time_runs_as_it_did_in_learning(name: str, tiny_folder: Folder) -> None:
    model: Any = make(name, tiny_folder(name), sampler={"num_inference_steps": 8, "guidance_scale": 1.0})
    x = model.encode_images(quarters(side(name)))
    cond = {**model.encode_prompts(["a boat"]), "size": torch.tensor([[32, 32, 0, 0, 32, 32]])}
    with told(model.backbone) as learned:
        for u in (0.001, 0.999):
            with draws.at_times(torch.tensor([u])):
                model.loss(x, cond)
    clean, noise = learned
    with told(model.ema) as times:
        model.sample(prompts(model, ["a boat"]), model.negative_prompt(), [5])
    towards_picture = [(noise - time) / (noise - clean) for time in times]
    assert towards_picture == sorted(towards_picture)
    assert abs(towards_picture[0]) < 0.15  # pure noise, as far as the scheduler's spacing goes
    assert 0.4 < towards_picture[-1] < 1.2  # a last step may be cleaner than what is learned nearly always
