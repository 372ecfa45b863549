"""Frozen linear layers in 4 bits: the base beside an adapter, text encoders.

    emu fit -c latent/flux1-dev -c cards/16gb-lora --data.root my/needles

NF4 of Dettmers et al. 2023, arXiv 2305.14314: each weight is one of 16 quantiles of a normal distribution, and 64
neighbours share a scale: 4.5 bits. bitsandbytes packs and unpacks them. Notable: the layer is not bitsandbytes' own,
whose scales lie outside of its parameters, where copies are not shared, and whose weights are packed anew in place when
one of two networks that share them draws on a CPU. diffusers' loading of such layers asks for a GPU.
"""

import logging
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from emu.errors import UserError
from emu.networks.blocks import blocks
from emu.pipeline_folders import tensor_files
from emu.pipeline_folders.tensor_files import Stored

BLOCK = 64  # weights of one scale
KIND = "nf4"


# On some processors bitsandbytes recommends a package, by whatever imports it, that would fetch kernels from a hub.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def require(*, by: str) -> None:
    """Let torch know bitsandbytes' operations. UserError: it is not installed, and `by` asks for it."""
    try:
        _ = import_module("bitsandbytes").functional  # it runs when something of it is asked for (emu/starting.py)
    except ImportError as error:
        raise UserError(
            f"{by}: takes bitsandbytes, which is not installed; pip install 'emu-quality-tuning[nf4]'"
        ) from error


class NF4Linear(nn.Linear):
    """A linear layer whose weight (out, in) is kept in 4 bits, and as `weight` is put together anew each time.

    `codes` and `scales` are bytes, so that no change of the network's dtype reaches them.

    Args:
        layer: whose weight, in bfloat16 as most are published, is taken over, and whose bias is.
        dtype: of `weight`.
    """

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.dtype = layer.in_features, layer.out_features, dtype
        self.bias = layer.bias
        weight = layer.weight.detach().bfloat16()
        codes, scales = torch.ops.bitsandbytes.quantize_4bit(weight, BLOCK, KIND, torch.uint8)
        self.codes = nn.Parameter(codes, requires_grad=False)  # (out * in / 2, 1), two numbers a byte
        self.scales = nn.Parameter(scales.view(torch.uint8), requires_grad=False)  # of float32

    @property
    def weight(self) -> Tensor:  # type: ignore[override]  # of nn.Linear a parameter
        """(out, in) in `dtype`, what the codes stand for."""
        return unpacked(self.codes, self.scales, self.in_features, self.dtype)

    def unpacked(self) -> nn.Linear:
        """A plain layer of `weight`."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        layer.weight, layer.bias = nn.Parameter(self.weight, requires_grad=False), self.bias
        return layer

    def forward(self, input: Tensor) -> Tensor:
        """(..., in) -> (..., out), in the dtype of autocast or of `input`."""
        kind = input.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else input.dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        product: Tensor = Product.apply(input.to(dtype), self.codes, self.scales, bias)
        return product


class Product(torch.autograd.Function):
    """x W^T + b, for whose way back the weight is unpacked again, and not kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, codes: Tensor, scales: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(codes, scales)
        ctx.width = x.shape[-1]
        return functional.linear(x, unpacked(codes, scales, ctx.width, x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = gradients
        codes, scales = ctx.saved_tensors
        return gradient @ unpacked(codes, scales, ctx.width, gradient.dtype), None, None, None


def unpacked(codes: Tensor, scales: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """(out, width) in `dtype`, of bytes as `NF4Linear` has them."""
    scales = scales.view(torch.float32)
    # A scale a row: of rows that are no multiple of it bitsandbytes 0.50.2 mistakes the scales on a CPU (findings/).
    shape = (len(scales), BLOCK)
    weight: Tensor = torch.ops.bitsandbytes.dequantize_4bit(codes, scales, BLOCK, KIND, shape, dtype)
    return weight.view(-1, width)


def pack(network: nn.Module, dtype: torch.dtype) -> None:
    """Keep the linear layers of a frozen network's blocks in 4 bits, one after another, in place.

    Those outside of the blocks stay, which are few and small, and so do those that are no whole number of blocks of 64.
    """
    for block in blocks(network):
        for parent, name, layer in list(_linear(block)):
            if layer.weight.numel() % BLOCK == 0 and layer.in_features % 2 == 0:
                setattr(parent, name, NF4Linear(layer, dtype))


def _linear(block: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """Parent, name and layer, of plain linear layers alone: what is made of one may read its weight in its own way."""
    for parent in block.modules():
        for name, layer in parent.named_children():
            if type(layer) is nn.Linear:
                yield parent, name, layer


def layers(network: nn.Module) -> Iterator[NF4Linear]:
    """All that are in 4 bits."""
    return (layer for layer in network.modules() if isinstance(layer, NF4Linear))


def tensors(network: nn.Module) -> dict[str, Stored]:
    """A network's tensors; a weight that is in 4 bits under its own name, unpacked as it is read."""
    packed = {name: layer for name, layer in network.named_modules() if isinstance(layer, NF4Linear)}
    found = {}
    for name, tensor in network.state_dict().items():
        owner, _, end = name.rpartition(".")
        if owner not in packed or end == "bias":
            found[name] = tensor_files.of(tensor)
        elif end == "codes":
            layer = packed[owner]
            shape = (layer.out_features, layer.in_features)
            found[f"{owner}.weight"] = Stored(shape, layer.dtype, partial(getattr, layer, "weight"))
    return found
