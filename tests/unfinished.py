"""Classes of a user's that are not whole yet."""

from diffusers import StableDiffusionPipeline
from torch import Tensor

from emu import TextToImageModule
from emu.guards import Guard
from emu.judges import Judge


class Model(TextToImageModule):
    """It cannot read."""

    pipeline_class, slot = StableDiffusionPipeline, "unet"

    def encode_images(self, images: Tensor) -> Tensor:
        return images


class Eye(Judge):
    """It says who it is alone."""

    name, tie = "eye", 0.1

    def describe(self) -> dict[str, str | float]:
        return {}


class Watch(Guard):
    """It does not look."""

    kind, unit, unchanged = "at_least", "times before", 1.0
