"""A pipeline without its weights: every network has its shapes and no storage, so that sizes are known in seconds."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import logging as of_diffusers
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from transformers.utils import logging as of_transformers

from emu import loras, single_files
from emu.errors import UserError, first_line
from emu.loras.file import LoRAFile
from emu.module import TextToImageModule, asked
from emu.networks import nf4
from emu.pipeline_folders import components, folders, weight_files
from emu.planning.weightless import Shapes, Weightless


class Outline:
    """What a model consists of and what it makes of a picture and a caption.

    It is configured as it is for training, with what its `load_pipeline` and its adapter change; its networks alone are
    made of their configs, where training reads weights.

    Args:
        model: not configured yet; it is only good for its outline afterwards.

    Raises UserError where `pretrained` is missing or of another architecture.
    """

    def __init__(self, model: TextToImageModule) -> None:
        self.model = model
        model.folder = single_files.describing(model.pretrained, model.config, model.vae)
        loras.check([LoRAFile(given) for given in model.loras], model.folder, slot=model.slot)
        model.loras = []  # no shape changes by what is merged
        self.fakes = Shapes()
        model.load_networks = self._networks
        # Outside of `shapes`: a scheduler computes with the values of its tensors, and peft moves an adapter to its
        # layer's device, which shapes cannot.
        with quiet():
            model.configure_model()
        self._forget_values(model.backbone, model.ema, *model.frozen_parts())

    @contextmanager
    def shapes(self) -> Iterator[None]:
        """Within it new tensors have no storage, except what `emu.planning.weightless` computes."""
        with quiet(), self.fakes, Weightless():  # type: ignore[no-untyped-call]
            yield

    def _networks(self, folder: Path, index: Any, dtypes: Mapping[str, torch.dtype | None]) -> dict[str, nn.Module]:
        with self.fakes:
            return networks(folder)

    def _forget_values(self, *parts: nn.Module) -> None:
        """Make shapes of the parameters that have storage; what two networks share stays shared."""
        made: dict[int, nn.Parameter] = {}
        for module in (module for part in parts for module in part.modules()):
            for name, weight in list(module.named_parameters(recurse=False)):
                if not isinstance(weight, FakeTensor):
                    shape = nn.Parameter(self.fakes.from_tensor(weight.detach()), requires_grad=weight.requires_grad)
                    module.register_parameter(name, made.setdefault(id(weight), shape))

    @property
    def caption(self) -> str:
        """One that fills all the tokens that the model reads: a step that hides padding takes most with it."""
        return " ".join(["a"] * self.model.max_tokens)

    def trained(self) -> int:
        """Parameters that train."""
        return sum(weight.numel() for weight in self.model.trained_parameters())

    def frozen(self) -> dict[str, nn.Module]:
        """Component -> network that does not train."""
        return {name: part for name, part in self.model.networks().items() if name != self.model.slot}

    @torch.no_grad()
    def cached(self, height: int, width: int) -> tuple[int, int]:
        """Bytes that a picture and a caption take in the cache."""
        with self.shapes():
            x = asked.pictures(self.model, torch.zeros(1, 3, height, width))
            cond = asked.prompts(self.model, [""])
        return size(x), sum(size(tensor) for tensor in cond.values())


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of how torch copies a tensor without storage and of its slower ways, of a schedule of a
    single step, and of our own caption that a shorter tokenizer cuts."""
    said = ("Accessing the data pointer of FakeTensor", "The .grad attribute of a Tensor that is not a leaf")
    levels = [(library, library.get_verbosity()) for library in (of_diffusers, of_transformers)]
    with warnings.catch_warnings():
        for each in (*said, "invalid value encountered", "Mismatch dtype between input and weight"):
            warnings.filterwarnings("ignore", each)
        for library, _ in levels:
            library.set_verbosity_error()
        try:
            yield
        finally:
            for library, level in levels:
                library.set_verbosity(level)


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
                f"({first_line(error)}); {weight_files.AGAIN}"
            ) from error
    return found


def count(network: nn.Module) -> int:
    """Parameters of a network; of those in 4 bits a byte has two, and their scales are none."""
    packed = sum(layer.codes.numel() - layer.scales.numel() for layer in nf4.layers(network))
    return packed + sum(parameter.numel() for parameter in network.parameters())


def held(*networks: nn.Module) -> int:
    """Bytes of the parameters and buffers of some networks, what they share counted once."""
    tensors = {id(one): one for network in networks for one in (*network.parameters(), *network.buffers())}
    return sum(size(one) for one in tensors.values())


def size(tensor: Tensor) -> int:
    """Bytes of a tensor."""
    return tensor.numel() * tensor.element_size()
