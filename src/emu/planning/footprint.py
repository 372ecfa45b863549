"""What a network's work holds in memory at most, found by going through it with tensors that have no storage.

Notable: it counts what every operation makes and what is let go, so that what a network keeps for its way back, what
recomputing saves, and what encoders and a drawn picture need for a moment are in it; a step of SDXL takes seconds on
any machine.
"""

import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from emu.batch import Cond
from emu.module import asked
from emu.networks.blocks import blocks
from emu.optim import averaging
from emu.planning.outline import Outline, count

STEPS = "num_inference_steps"
DEVICE = torch.ops.prim.device.default


class Peak(TorchDispatchMode):
    """Counts the bytes of all tensors that are made inside and live, as operations make them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.seen = WeakIdKeyDictionary()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is DEVICE:  # two of three calls, which make nothing
            return args[0].fake_device
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor):  # what was there before, of which an operation may make a view
                self.seen.setdefault(tensor.untyped_storage(), True)
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self.seen:
            return
        self.seen[storage] = True
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._let_go, storage.nbytes())

    def _let_go(self, size: int) -> None:
        self.now -= size


@dataclass(frozen=True)
class Work:
    """What a device does at once.

    Args:
        batch: pictures.
        size: their height and width.
        autocast: all networks compute in bfloat16 on the weights that they have, but for encoders `as_held`.
        half: the network that trains does, whatever the others do.
        accumulates: gradients of several batches add up to a step's.
        apart: encoders take one picture or caption after the other, as on a CPU.
    """

    batch: int
    size: tuple[int, int]
    autocast: bool = False
    half: bool = False
    accumulates: bool = False
    apart: bool = False


def encoding(outline: Outline, work: Work) -> int:
    """Bytes to encode a batch's pictures and captions."""
    with _counted(outline, autocast=work.autocast) as peak, torch.no_grad():
        _encode(outline, work)
    return peak.most


def step(outline: Outline, work: Work) -> int:
    """Bytes of gradients and of what is kept for the way back, at most at once."""
    model = outline.model
    with outline.shapes(), torch.no_grad():
        x, cond = _encode(outline, work)
        cond["size"] = torch.zeros(work.batch, 6, dtype=torch.int64)
    weights = list(model.trained_parameters())
    with _counted(outline, autocast=False) as peak:
        for weight in weights:  # of the batch before: they are there until all of the way forward is gone
            weight.grad = torch.empty_like(weight)
        with _autocast(work.half):
            loss = asked.losses(model, x, cond).mean()
        if not work.accumulates:
            model.backbone.zero_grad()
        loss.backward()
        del loss
    model.backbone.zero_grad()
    return peak.most


def averaged(outline: Outline) -> int:
    """Bytes to take the average after a step, and to see how far it is from the weights; none where the host does."""
    if outline.model.average_on_host:
        return 0
    with _counted(outline, autocast=False) as peak:
        averaging.update(outline.model.ema, outline.model.backbone, decay=0.9)
        averaging.squares(outline.model.ema, outline.model.backbone)
    return peak.most


def drawing(outline: Outline, work: Work) -> int:
    """Bytes to draw a batch, by the model's own sampler, in one step and not many; decoded pictures are in it."""
    model, own, (height, width) = outline.model, outline.model.sampler, work.size
    if STEPS in own:
        model.sampler = {**own, STEPS: 1}
    average = averaging.on_device(model.ema, model.backbone) if model.average_on_host else nullcontext()
    try:
        with average, _counted(outline, autocast=work.half) as peak, torch.no_grad():
            with model.as_held():
                cond, negative = _texts(outline, work), asked.prompts(model, [""], negative=True)
            if model.starts_from_picture:
                cond["image"] = torch.zeros(work.batch, 3, height // model.factor, width // model.factor)
            with model.encoders_aside():
                model.sample(cond, negative, range(work.batch), height=height, width=width)
    finally:
        model.sampler = own
    return peak.most


def gathered(network: nn.Module, *, reshards: bool, half: bool, gradients: bool = True) -> int:
    """Bytes of what FSDP2 puts together for a moment: weights of blocks, and gradients before they are parted.

    Args:
        reshards: weights are dropped between a block's forward and backward pass, and two blocks are there at a time.
        half: they are put together in bfloat16.
        gradients: there is a way back.
    """
    sizes = [count(block) for block in blocks(network)]
    rest, largest = count(network) - sum(sizes), max(sizes, default=0)
    weights = rest + (2 * largest if reshards else sum(sizes))
    return weights * (2 if half else 4) + gradients * 2 * 4 * max(rest, largest)


@contextmanager
def _counted(outline: Outline, *, autocast: bool) -> Iterator[Peak]:
    with outline.shapes(), Peak() as peak, _autocast(autocast):
        yield peak


def _autocast(wanted: bool) -> AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16) if wanted else nullcontext()


def _encode(outline: Outline, work: Work) -> tuple[Tensor, Cond]:
    with _autocast(work.autocast):
        images = torch.zeros(1 if work.apart else work.batch, 3, *work.size)
        with outline.model.pictures_as_held():
            x = asked.pictures(outline.model, images)
        return torch.cat([x] * (work.batch // len(images))), _texts(outline, work)


def _texts(outline: Outline, work: Work) -> Cond:
    """Of captions that fill all tokens; one by one they take what one takes, so that one is gone through."""
    at_once = 1 if work.apart else work.batch
    with outline.model.as_held():
        cond = asked.prompts(outline.model, [outline.caption] * at_once)
    return {key: torch.cat([value] * (work.batch // at_once)) for key, value in cond.items()}
