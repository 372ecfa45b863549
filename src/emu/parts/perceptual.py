"""How far apart two pictures are to a network that knows pictures: any one that transformers loads."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel
from transformers.utils.hub import cached_file

from emu.bundled import resolve
from emu.errors import UserError, first_line
from emu.pipeline_folders import weight_files


class Perceptual(nn.Module):
    """What a frozen network sees of a picture in all its layers (the shape of LPIPS, Zhang et al. 2018, unweighted).

    Args:
        name: a folder or hub name of an image model of transformers: ResNet, ConvNeXT, DINOv2, CLIP's vision tower ...

    Raises UserError where there is none, or where it is no model of pictures.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        path = resolve(name)
        try:
            model = weight_files.load(AutoModel, path, unused="pooler.", dtype=torch.float32)
        except Exception as error:  # whatever a library makes of a damaged folder
            reason = first_line(error)
            raise UserError(f"model.perceptual {name}: no model of transformers there ({reason})") from error
        self.network: nn.Module = getattr(model, "vision_model", model)
        if getattr(self.network, "main_input_name", None) != "pixel_values":
            raise UserError(f"model.perceptual {name}: {type(model).__name__} does not look at pictures")
        self.side = getattr(self.network.config, "image_size", None)
        for key, value in _normalisation(path).items():
            self.register_buffer(key, torch.tensor(value).view(1, 3, 1, 1), persistent=False)

    def layers(self, images: Tensor) -> list[Tensor]:
        """float (b,3,h,w) in [-1,1] -> a tensor a layer, (b,...,c), of length 1 along the last axis."""
        seen = images / 2 + 0.5
        if self.side:  # of a transformer with a fixed number of patches
            seen = F.interpolate(seen, size=(self.side, self.side), mode="bilinear", antialias=True)
        hidden = self.network((seen - self.mean) / self.std, output_hidden_states=True).hidden_states
        # In float32 whatever autocast made of them: squares of small differences are nothing in half precision.
        return [F.normalize((one.movedim(1, -1) if one.ndim == 4 else one).float(), dim=-1) for one in hidden]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two batches of pictures -> their distances, float (b,)."""
        pairs = zip(self.layers(a), self.layers(b), strict=True)
        apart = [(first - second).square().sum(-1).flatten(1).mean(1) for first, second in pairs]
        return torch.stack(apart).mean(0)


def _normalisation(path: str) -> dict[str, list[float]]:
    """What the model's own preprocessing takes pixels in [0,1] by."""
    found = cached_file(path, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False)
    document = json.loads(Path(found).read_text()) if found else {}
    if not document.get("do_normalize", True):
        return {"mean": [0.0] * 3, "std": [1.0] * 3}
    return {key: list(document.get(f"image_{key}", [0.5] * 3)) for key in ("mean", "std")}
