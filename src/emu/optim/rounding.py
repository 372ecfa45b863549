"""Rounding that is right on average: a number goes up or down by how near it is to either.

A weight in bfloat16 has 8 bits: a step of 1e-5 is less than half of the distance to its neighbour and is lost when
rounded to nearest, every time. Notable: the random bits are computed from the place of a weight and the number of the
step, so that there is no generator to save, and shards round as the whole does.
"""

import numpy as np
import torch
from torch import Tensor

MIX = ((16, 0x7FEB352D), (15, -0x7B935975))  # Wellons' lowbias32: shifts, and factors of 32 bits with their sign


def random_bits(rows: range, columns: int, seed: tuple[int, int], device: torch.device) -> Tensor:
    """int32 (rows, columns), 32 random bits for each place of a matrix of so many columns.

    seed: two numbers; others give bits that have nothing to do with these.
    """
    factor, first = (int(word) for word in np.random.SeedSequence(seed).generate_state(2))
    places = torch.arange(rows.start * columns, rows.stop * columns, dtype=torch.int64, device=device)
    x = places.mul_(factor | 1).add_(first).to(torch.int32)
    for shift, factor in MIX:
        x = x.bitwise_xor_((x >> shift).bitwise_and_((1 << (32 - shift)) - 1)).mul_(factor)
    return x.bitwise_xor_((x >> 16).bitwise_and_(0xFFFF)).view(len(rows), columns)


def to_bfloat16(x: Tensor, bits: Tensor) -> Tensor:
    """float32 -> bfloat16, up or down with the probabilities that make it right on average.

    bits: int32 of the shape of `x`, of which the lower 16 decide.
    """
    kept = x.view(torch.int32).add(bits.bitwise_and(0xFFFF)).bitwise_and_(-0x10000)
    return kept.view(torch.float32).to(torch.bfloat16)  # exact by now


def uniform(bits: Tensor, shift: int) -> Tensor:
    """float32 in (0,1) from 16 of 32 bits, those from `shift` on."""
    return (bits >> shift).bitwise_and_(0xFFFF).add(0.5).mul_(2.0**-16)
