"""What runs on a graphics card, followed without one: tensors of shapes alone that say they lie on `cuda`.

Two tensors of different devices in one operation end in an error here as they do on a card, and each number that the
host would wait for is counted. Backward passes and drawing are not followed: torch's engine asks for the driver, and
schedulers of diffusers for numbers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorDeviceMismatchError, FakeTensorMode

from architectures import CLASSES, FLOW, OF_EMU, OF_PICTURES, OLDER, PROMPTS, encoded, images, make
from emu.adamw8bit import AdamW8bit
from emu.module import TextToImageModule
from emu.objectives import draws, losses
from emu.optim import averaging

Folder = Callable[[str], Path]
ANSWERS = {torch.ops.aten._local_scalar_dense.default: 1, torch.ops.aten.equal.default: True}
# Not to be followed without values: hidream's network sorts tokens by expert, qwen_image_21's repeats its text's as
# their lengths say. The pipelines of PROMPTS_BY_VALUE cut texts by their masks, the losses of ASKS to the longest.
SHAPES_BY_VALUE = {"hidream", "qwen_image_21"}
PROMPTS_BY_VALUE = {"z_image", "qwen_image", "qwen_image_21"}
ASKS = {"z_image", "qwen_image", "ernie_image", "kandinsky5", "cogview4", "lumina2"}


class Card(FakeTensorMode):
    """Inside, tensors have no values; what asks for one is told 1, and counted: a card would be waited for."""

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)
        self.reads = 0

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in ANSWERS:
            self.reads += args[0].device.type == "cuda"
            return ANSWERS[func]
        return super().dispatch(func, types, args, kwargs)


def on_card(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")


def move(module: nn.Module, moved: dict[int, tuple[Tensor, Tensor]]) -> None:
    """As `module.to("cuda")`, which needs a driver; what two share stays shared."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None and not isinstance(weight, FakeTensor):
                new = moved.setdefault(id(weight), (nn.Parameter(on_card(weight), weight.requires_grad), weight))
                part._parameters[name] = new[0]  # type: ignore[assignment]
        for name, buffer in part._buffers.items():
            if buffer is not None and not isinstance(buffer, FakeTensor):
                part._buffers[name] = moved.setdefault(id(buffer), (on_card(buffer), buffer))[0]


@contextmanager
def card(model: TextToImageModule) -> Iterator[Card]:
    """Inside, the model and its frozen parts lie on a card."""
    with Card() as card:
        moved: dict[int, tuple[Tensor, Tensor]] = {}
        for part in (model, *model.frozen_parts()):
            move(part, moved)
        model._device = torch.device("cuda", 0)
        yield card


@pytest.fixture(
    params=[*OLDER, *(pytest.param(name, marks=pytest.mark.slow) for name in [*FLOW, *OF_PICTURES, *OF_EMU])]
)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - SHAPES_BY_VALUE), indirect=True)
def test_the_loss_stays_on_the_card(name: str, tiny_folder: Folder) -> None:
    model = make(name, tiny_folder(name))
    x, cond = encoded(model, name)
    with card(model) as asked, draws.seeded([1, 2, 3], torch.device("cpu")):  # generators of a card need its driver
        loss = model.loss(on_card(x), {key: on_card(value) for key, value in cond.items()})
    assert (loss.device.type, loss.shape) == ("cuda", (3,))
    assert asked.reads == 0 or name in ASKS


def test_encoders_take_what_comes_from_the_host(name: str, tiny_folder: Folder) -> None:
    model = make(name, tiny_folder(name))
    with card(model), torch.no_grad():
        assert model.encode_images(on_card(images(name))).device.type == "cuda"
        if name not in PROMPTS_BY_VALUE:
            assert {one.device.type for one in model.encode_prompts(PROMPTS).values()} == {"cuda"}


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, AdamW8bit])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_and_the_average_stay_on_the_card(optimizer: type[torch.optim.Optimizer], dtype: torch.dtype) -> None:
    with Card() as asked:
        network, twin = (nn.Linear(512, 64, device="cuda", dtype=one) for one in (dtype, torch.float32))
        twin.requires_grad_(False)
        steps = optimizer(network.parameters(), lr=1e-3)
        for _ in range(2):  # the first makes the moments
            for weight in network.parameters():
                weight.grad = torch.empty_like(weight)
            steps.step()
            averaging.update(twin, network, decay=0.9)
    assert asked.reads == 0
    assert {weight.device.type for weight in twin.parameters()} == {"cuda"}


def test_a_tensor_left_on_the_host_is_seen(tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("latent", tiny_folder("latent"))
    x, cond = encoded(model, "latent")
    monkeypatch.setattr(losses, "draw_normal", lambda shape, device, dtype: torch.randn(*shape, dtype=dtype))
    with card(model), draws.seeded([1, 2, 3], torch.device("cpu")), pytest.raises(FakeTensorDeviceMismatchError):
        model.loss(on_card(x), {key: on_card(value) for key, value in cond.items()})
