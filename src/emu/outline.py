"""A pipeline without its weights: every network has its shapes and no storage, so that sizes are known in seconds."""

from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from huggingface_hub import snapshot_download
from torch import Tensor, nn

# Tensors that know their shape alone. Plain meta tensors do not do: transformers asks a mask of them for its values.
from torch._subclasses.fake_tensor import FakeTensorMode

from emu import folders
from emu.errors import UserError
from emu.module import TextToImageModule

# Of a hub model only what describes it is fetched: configs, tokenizers, schedulers.
DESCRIPTION = ["*.json", "*.txt", "*.model", "*/*.json", "*/*.txt", "*/*.model"]


class Outline:
    """What a model consists of and what it makes of a picture and a caption.

    Args:
        model: not configured yet; it is only good for its outline afterwards.

    Raises UserError where `pretrained` is missing or of another architecture.
    """

    def __init__(self, model: TextToImageModule) -> None:
        model.pretrained = str(describing_folder(model.pretrained))
        self.model = model
        index = folders.read_index(Path(model.pretrained))
        if index["_class_name"] != model.pipeline_class.__name__:
            raise UserError(
                f"model.pretrained {model.pretrained}: holds a {index['_class_name']}, and {type(model).__name__} "
                f"takes a {model.pipeline_class.__name__}; choose the architecture by its config (-c)"
            )
        self.shapes = FakeTensorMode(allow_non_fake_inputs=True)
        with self.shapes:
            self.parts = networks(Path(model.pretrained), index)
        # Outside: a scheduler computes with the values of its tensors.
        model.pipeline = model.pipeline_class.from_pretrained(model.pretrained, **self.parts)
        model.backbone = model.ema = getattr(model.pipeline, model.slot)

    def trained(self) -> int:
        """Parameters that train."""
        return count(self.model.backbone)

    def frozen(self) -> dict[str, int]:
        """Component -> its parameters, of those that do not train."""
        return {name: count(part) for name, part in self.parts.items() if part is not None and name != self.model.slot}

    @torch.no_grad()
    def cached(self, height: int, width: int) -> tuple[int, int]:
        """Bytes that a picture and a caption take in the cache."""
        with self.shapes:
            x = self.model.encode_images(torch.zeros(1, 3, height, width))
            cond = self.model.encode_prompts([""])
        return size(x), sum(size(tensor) for tensor in cond.values())


def describing_folder(pretrained: str) -> Path:
    """The pipeline folder; of a hub name one without weights."""
    if Path(pretrained).is_dir() or pretrained.startswith((".", "/", "emu:")) or pretrained.count("/") != 1:
        return folders.locate(pretrained)
    try:
        return Path(snapshot_download(pretrained, allow_patterns=DESCRIPTION))
    except (OSError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise UserError(f"model.pretrained {pretrained}: no such folder, nor found on the hub ({first})") from error


def networks(folder: Path, index: dict[str, Any]) -> dict[str, nn.Module | None]:
    """Every network that `model_index.json` names, from its config; None for one that is left out."""
    found: dict[str, nn.Module | None] = {}
    for name, (library, class_name) in ((key, part) for key, part in index.items() if isinstance(part, list)):
        if library is None:
            found[name] = None
            continue
        kind = getattr({"diffusers": diffusers, "transformers": transformers}.get(library), class_name, None)
        if kind is None:
            found[name] = None  # a pipeline's own checker or watermarker: nothing that tuning uses
        elif issubclass(kind, transformers.PreTrainedModel):
            found[name] = kind(kind.config_class.from_pretrained(folder / name))
        elif issubclass(kind, nn.Module):
            found[name] = kind.from_config(kind.load_config(folder / name))
    return found


def count(network: nn.Module) -> int:
    """Parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def size(tensor: Tensor) -> int:
    """Bytes of a tensor."""
    return tensor.numel() * tensor.element_size()
