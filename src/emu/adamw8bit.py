"""AdamW for a small card: a byte for each moment, and weights that may be bfloat16.

    optimizer: {class_path: emu.adamw8bit.AdamW8bit, init_args: {lr: 1.0e-5}}

Dettmers et al. 2021, arXiv 2110.02861, in blocks. Notable: blocks lie within the rows of a matrix, so that the shares
of FSDP2, which parts rows, are those of the whole, and a checkpoint goes on with any number of devices; all it keeps
are plain tensors; and what is rounded, moments and weights, is rounded so that it is right on average (`rounding`).
torchao's compiles a program for each shape (64 s for four of them on a CPU), bitsandbytes' shards no moments.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset
from torch.nn import functional as F
from torch.optim import Optimizer

from emu.optim.averaging import local
from emu.optim.rounding import random_bits, to_bfloat16, uniform

BLOCK = 256  # numbers of a row that share a scale, itself in float32
ROW = 64  # numbers: matrices of shorter rows, and vectors, keep their moments in float32; there are few of them
SCALE = "_scale"
AT_ONCE = 1 << 22  # numbers whose moments are in float32 for a moment
MOMENTS = {"exp_avg": (127, 2, torch.int8), "exp_avg_sq": (255, 4, torch.uint8)}
"""Of each moment: its highest code, the power of codes that values grow with, and its type.

Adam divides by the root of the second, so that its power is twice the other's.
"""


class AdamW8bit(Optimizer):
    """AdamW as torch's, but for the last bits.

    Args:
        params: parameters or groups of them, in float32 or bfloat16; sharded ones by rows, as FSDP2 does.
        lr: the learning rate.
        betas: the decays of the two moments.
        eps: added to the root of the second moment.
        weight_decay: share of a weight that goes, times the rate.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """As of any optimizer of torch's."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        of_all = ((group, weight) for group in self.param_groups for weight in group["params"])
        for number, (group, weight) in enumerate(of_all):
            if weight.grad is not None:
                self._update(weight, group, number)
        return loss

    def _update(self, weight: nn.Parameter, group: dict[str, Any], number: int) -> None:
        state = self.state[weight] or self._begin(weight)
        state["step"] += 1
        step = int(state["step"])
        parts = {name: _rows(local(value)) for name, value in state.items() if name != "step"}
        parts |= {"weight": _rows(local(weight)), "gradient": _rows(local(weight.grad))}  # type: ignore[arg-type]
        rows, columns = parts["weight"].shape
        first, at_once = first_row(weight), max(1, AT_ONCE // max(1, columns))
        for start in range(0, rows, at_once):
            some = range(start, min(start + at_once, rows))
            share = {name: value[some.start : some.stop] for name, value in parts.items()}
            places = range(first + some.start, first + some.stop)
            bits = random_bits(places, columns, (step, number), parts["weight"].device)
            adam(share, group, step, bits)
        if not local(weight).is_contiguous():
            local(weight).copy_(parts["weight"].view(local(weight).shape))

    def _begin(self, weight: nn.Parameter) -> dict[str, Any]:
        state: dict[str, Any] = self.state[weight]
        state["step"] = torch.tensor(0.0)
        for name, (_, _, dtype) in MOMENTS.items():
            columns = weight.shape[1:].numel()
            if weight.dim() < 2 or columns < ROW:
                state[name] = _zeros(weight, weight.shape, torch.float32)
                continue
            state[name] = _zeros(weight, weight.shape, dtype)
            state[name + SCALE] = _zeros(weight, (weight.shape[0], blocks(columns)), torch.float32)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, which would bring all that it reads to the dtype of the weights."""
        super().load_state_dict({**state_dict, "state": {}})
        saved = chain.from_iterable(group["params"] for group in state_dict["param_groups"])
        own = chain.from_iterable(group["params"] for group in self.param_groups)
        for name, weight in zip(saved, own, strict=True):
            of_one = state_dict["state"].get(name, {})
            self.state[weight] = {
                key: value.clone() if key == "step" else value.to(weight.device, copy=True)
                for key, value in of_one.items()
            }


def adam(part: dict[str, Tensor], group: dict[str, Any], step: int, bits: Tensor) -> None:
    """Take a step with some rows, all in place.

    Args:
        part: "weight", "gradient" and the moments (rows, columns), of moments in 8 bits also the scales.
        group: the optimizer's settings.
        step: counted from 1.
        bits: int32 (rows, columns), random.
    """
    (decay, decay_sq), lr, gradient = group["betas"], float(group["lr"]), part["gradient"].float()
    first = unpacked(part, "exp_avg").lerp_(gradient, 1 - decay)
    second = unpacked(part, "exp_avg_sq").mul_(decay_sq).addcmul_(gradient, gradient, value=1 - decay_sq)
    pack(part, "exp_avg", first, uniform(bits, 8))
    pack(part, "exp_avg_sq", second, uniform(bits, 16))
    root = second.div(1 - decay_sq**step).sqrt_().add_(group["eps"])
    weight = part["weight"].float().mul(1 - lr * group["weight_decay"])
    weight.addcdiv_(first, root, value=-lr / (1 - decay**step))
    part["weight"].copy_(to_bfloat16(weight, bits) if part["weight"].dtype == torch.bfloat16 else weight)


def unpacked(part: dict[str, Tensor], name: str) -> Tensor:
    """A moment in float32: the one that is kept, or what its codes stand for."""
    if name + SCALE not in part:
        return part[name]
    top, power, _ = MOMENTS[name]
    codes = part[name].float()
    shares = _power(codes.abs().div_(top), power).copysign_(codes)
    return _whole(_parted(shares) * part[name + SCALE].unsqueeze(-1), shares.shape[1])


def pack(part: dict[str, Tensor], name: str, moment: Tensor, chance: Tensor) -> None:
    """Keep a moment, float32, by its codes; `chance` in (0,1) decides between the two that are next to a value."""
    if name + SCALE not in part:
        return
    top, power, dtype = MOMENTS[name]
    parted = _parted(moment).abs()
    scale = parted.amax(-1)
    shares = _whole(parted / scale.unsqueeze(-1).clamp_min(torch.finfo(scale.dtype).tiny), moment.shape[1])
    codes = _root(shares, power).mul_(top).floor_()
    below, above = _power(codes / top, power), _power((codes + 1) / top, power)
    codes.add_(chance < (shares - below) / (above - below)).clamp_(max=top)
    if dtype == torch.uint8:
        codes.clamp_(min=1)  # a first moment is divided by its root
    part[name].copy_(codes.copysign_(moment))
    part[name + SCALE].copy_(scale)


def blocks(columns: int) -> int:
    """Of a row of so many numbers."""
    return -(-columns // BLOCK)


def first_row(weight: Tensor) -> int:
    """The place in the whole of the first row that this process holds."""
    if not isinstance(weight, DTensor) or not weight.dim():
        return 0
    _, offset = compute_local_shape_and_global_offset(weight.shape, weight.device_mesh, weight.placements)
    return offset[0]


def _parted(x: Tensor) -> Tensor:
    """(rows, columns) -> (rows, blocks, columns of one), filled up with zeros."""
    number = blocks(x.shape[1])
    size = -(-x.shape[1] // number)
    return F.pad(x, (0, number * size - x.shape[1])).view(len(x), number, size)


def _whole(parted: Tensor, columns: int) -> Tensor:
    return parted.flatten(1)[:, :columns]


def _power(x: Tensor, power: int) -> Tensor:
    return x.square() if power == 2 else x.square().square_()


def _root(x: Tensor, power: int) -> Tensor:
    return x.sqrt() if power == 2 else x.sqrt().sqrt_()


def _rows(x: Tensor) -> Tensor:
    """As a matrix; a view where the numbers lie in its order."""
    return x.reshape(-1, 1) if x.dim() < 2 else x.flatten(1)


def _zeros(like: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if isinstance(like, DTensor):
        over: Any = {"device_mesh": like.device_mesh, "placements": like.placements}
        return distributed.tensor.zeros(*shape, dtype=dtype, **over)
    return torch.zeros(shape, dtype=dtype, device=like.device)
