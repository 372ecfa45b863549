"""A pipeline without its weights: every network has its shapes and no storage, so that sizes are known in seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from emu import adapters, components, folders, single_files
from emu.errors import UserError, first_line
from emu.module import TextToImageModule
from emu.weightless import WholeNumbers


class Outline:
    """What a model consists of and what it makes of a picture and a caption.

    Args:
        model: not configured yet; it is only good for its outline afterwards.

    Raises UserError where `pretrained` is missing or of another architecture.
    """

    def __init__(self, model: TextToImageModule) -> None:
        self.model = model
        folder = model.folder = single_files.describing(model.pretrained, model.config)
        model.check_class(folder)
        self.fakes = FakeTensorMode(allow_non_fake_inputs=True)
        with self.shapes():
            self.parts = networks(folder)
        # Outside: a scheduler computes with the values of its tensors.
        model.pipeline = model.build_pipeline(self.parts)
        model.backbone = model.ema = getattr(model.pipeline, model.slot)
        if model.adapter is not None:  # outside too: peft moves an adapter to its layer's device, which shapes cannot
            adapters.attach(model.backbone, model.adapter)
            self._forget_values(model.backbone)

    @contextmanager
    def shapes(self) -> Iterator[None]:
        """Within it new tensors have no storage, except those of whole numbers."""
        with self.fakes, WholeNumbers():  # type: ignore[no-untyped-call]
            yield

    def _forget_values(self, network: nn.Module) -> None:
        """Make shapes of the parameters that have storage."""
        for module in network.modules():
            for name, weight in list(module.named_parameters(recurse=False)):
                if not isinstance(weight, FakeTensor):
                    shape = nn.Parameter(self.fakes.from_tensor(weight.detach()), requires_grad=weight.requires_grad)
                    module.register_parameter(name, shape)

    @property
    def caption(self) -> str:
        """One that fills all the tokens that the model reads: a step that hides padding takes most with it."""
        return " ".join(["a"] * self.model.max_tokens)

    def trained(self) -> int:
        """Parameters that train."""
        return sum(weight.numel() for weight in self.model.backbone.parameters() if weight.requires_grad)

    def frozen(self) -> dict[str, int]:
        """Component -> its parameters that do not train: beside an adapter those of the network itself too."""
        sizes = {name: count(part) for name, part in self.parts.items() if name != self.model.slot}
        base = count(self.model.backbone) - self.trained()
        return {self.model.slot: base, **sizes} if base else sizes

    @torch.no_grad()
    def cached(self, height: int, width: int) -> tuple[int, int]:
        """Bytes that a picture and a caption take in the cache."""
        with self.shapes():
            x = self.model.encode_images(torch.zeros(1, 3, height, width))
            cond = self.model.encode_prompts([""])
        return size(x), sum(size(tensor) for tensor in cond.values())


def networks(folder: Path) -> dict[str, nn.Module]:
    """Every network that is used, from its config; UserError where a component is not there or not described."""
    found: dict[str, nn.Module] = {}
    for name, kind in components.used(folders.read_index(folder)).items():
        components.check(folder / name, kind)
        if kind is None or not components.is_network(kind):
            continue
        try:
            found[name] = components.from_config(folder / name, kind)
        except Exception as error:  # whatever a library makes of a damaged config
            raise UserError(
                f"{folder / name}: no {kind.__name__} can be made of its config.json "
                f"({first_line(error)}); {components.AGAIN}"
            ) from error
    return found


def count(network: nn.Module) -> int:
    """Parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def size(tensor: Tensor) -> int:
    """Bytes of a tensor."""
    return tensor.numel() * tensor.element_size()
