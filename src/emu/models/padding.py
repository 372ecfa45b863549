"""Prompts of different lengths: padded to one shape with a mask beside it, as a cache wants them, and cut again."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def pad(rows: Sequence[Tensor], length: int) -> tuple[Tensor, Tensor]:
    """Encodings (n_i,...) of b prompts -> (b,length,...) with zeros at the end, and a mask, bool (b,length)."""
    kept = [row[:length] for row in rows]
    ends = [(0, 0) * (row.ndim - 1) + (0, length - len(row)) for row in kept]
    padded = torch.stack([F.pad(row, end) for row, end in zip(kept, ends, strict=True)])
    lengths = torch.tensor([len(row) for row in kept], device=padded.device)
    return padded, torch.arange(length, device=padded.device, dtype=torch.int64) < lengths[:, None]


def lengths(mask: Tensor) -> list[int]:
    """How many of each row count, bool (b,n), on the host, which waits for it: what takes lists or cuts asks once."""
    return [sum(row) for row in mask.tolist()]


def cut(padded: Tensor, mask: Tensor) -> list[Tensor]:
    """(b,n,...) and its mask -> b encodings (n_i,...)."""
    return [row[:length] for row, length in zip(padded, lengths(mask), strict=True)]


def trim(padded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
    """(b,n,...) and its mask -> both as long as the longest of the batch; no mask where nothing is hidden."""
    counts = lengths(mask)
    longest = max(counts)
    return padded[:, :longest], None if min(counts) == longest else mask[:, :longest]
