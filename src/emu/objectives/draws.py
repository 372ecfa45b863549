"""The random numbers of a loss, each picture's own.

`with seeded(...):` makes them the same in any batch and on any number of devices; `with at_times(...):` fixes the
times, so that losses are comparable from check to check.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

_times: ContextVar[Tensor | None] = ContextVar("times", default=None)
_generators: ContextVar[list[torch.Generator] | None] = ContextVar("generators", default=None)


@contextmanager
def seeded(seeds: Sequence[int], device: torch.device) -> Iterator[None]:
    """Inside, the random numbers of picture i of a batch of `len(seeds)` come from a generator of its own."""
    token = _generators.set([torch.Generator(device).manual_seed(seed) for seed in seeds])
    try:
        yield
    finally:
        _generators.reset(token)


def draw_normal(shape: Sequence[int], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Standard normal numbers of `shape` (b,...), filled in the order of the axes."""
    # Not `randn_like`: it fills memory in the order of its model, and a seed would mean another noise in channels_last.
    drawn: Tensor = randn_tensor(tuple(shape), generator=_generators.get(), device=device, dtype=dtype)
    return drawn


def draw_uniform(shape: Sequence[int], device: torch.device) -> Tensor:
    """float32 of `shape` (b,...) in [0,1)."""
    generators = _generators.get()
    if generators is None:
        return torch.rand(*shape, device=device)
    drawn = [torch.rand(tuple(shape[1:]), generator=one, device=one.device) for one in generators]
    return torch.stack(drawn).to(device)


def draw_posterior(moments: Tensor) -> Tensor:
    """An autoencoder's mean and log-variance, (b,2c,h,w) -> a sample (b,c,h,w)."""
    sample: Tensor = DiagonalGaussianDistribution(moments).sample(_generators.get())
    return sample


def draw_times(b: int, device: torch.device) -> Tensor:
    """float32 (b,) in [0,1): uniform; inside `at_times` those that were given."""
    fixed = _times.get()
    return draw_uniform([b], device) if fixed is None else fixed.to(device)


@contextmanager
def at_times(times: Tensor) -> Iterator[None]:
    """Inside, `draw_times` gives `times`, float (b,) in [0,1), for a batch of b."""
    token = _times.set(times)
    try:
        yield
    finally:
        _times.reset(token)
