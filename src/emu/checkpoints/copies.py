"""Copies of a checkpoint in the host's memory, to be written while training goes on."""

from typing import TypeVar

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor
from torch.distributed.tensor import DTensor

from emu.optim.averaging import local

T = TypeVar("T")


class Copies:
    """Copies into the same memory time and again: to be given new pages takes longer than to copy.

    Of a GPU's tensors the memory is pinned, so that all copies are under way at once.
    """

    def __init__(self) -> None:
        self.buffers: list[Tensor] = []

    def of(self, checkpoint: T) -> T:
        """The checkpoint as it is now, of sharded tensors this process's shares; what was copied before is gone."""
        used = 0

        def copy(tensor: Tensor) -> Tensor:
            nonlocal used
            share = local(tensor).detach()
            buffer = self._buffer(used, share)
            used += 1
            buffer.copy_(share, non_blocking=True)
            if isinstance(tensor, DTensor):
                mesh, placements = tensor.device_mesh, tensor.placements
                return DTensor.from_local(buffer, mesh, placements, shape=tensor.shape, stride=tensor.stride())
            return buffer

        copied: T = apply_to_collection(checkpoint, Tensor, copy)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return copied

    def _buffer(self, i: int, like: Tensor) -> Tensor:
        if i < len(self.buffers) and (self.buffers[i].shape, self.buffers[i].dtype) == (like.shape, like.dtype):
            return self.buffers[i]
        del self.buffers[i:]
        self.buffers.append(torch.empty_like(like, device="cpu", pin_memory=like.is_cuda))
        return self.buffers[i]
