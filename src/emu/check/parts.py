"""A pipeline's parts: what their configs say, their weights by sha256, and the size of each tensor."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from emu.module import TextToImageModule
from emu.networks import adapters
from emu.storage.shapes import ComponentConfig

CONFIGS = ("config.json", "scheduler_config.json", "tokenizer_config.json")
# Said by libraries of themselves: not what a part computes.
OF_LIBRARIES = ("transformers_version", "torch_dtype", "dtype", "architectures", "tokenizer_class")


@dataclass(frozen=True)
class Part:
    """One component of a pipeline.

    Args:
        config: what its config file says, but for what libraries say of themselves.
        sha256: of its weights as they are loaded; "" of what has none.
        sizes: tensor -> root mean square of its values, of all that are not single numbers.
    """

    config: ComponentConfig
    sha256: str = ""
    sizes: dict[str, float] = field(default_factory=dict)


def parts_of(model: TextToImageModule) -> dict[str, Part]:
    """Every component that the pipeline holds, by name."""
    held = {name: part for name, part in model.pipeline.components.items() if part is not None}
    return {name: _part(model.folder / name, part) for name, part in held.items()}


def _part(folder: Path, part: object) -> Part:
    config = {key: value for key, value in _config(folder).items() if key[:1] != "_" and key not in OF_LIBRARIES}
    return Part(config, *(weights_of(part) if isinstance(part, nn.Module) else ()))


def _config(folder: Path) -> ComponentConfig:
    found = [folder / name for name in CONFIGS if (folder / name).is_file()]
    # Schedulers have infinite numbers in theirs, which JSON has not: here they are text.
    return dict(json.loads(found[0].read_text(encoding="utf-8"), parse_constant=str)) if found else {}


@torch.no_grad()
def weights_of(network: nn.Module) -> tuple[str, dict[str, float]]:
    """The sum of all tensors whatever their names, which libraries change, and the size of each; of an adapter's base
    as it is with it, and of what is in 4 bits unpacked."""
    sums, sizes = [], {}
    for name, stored in adapters.tensors(network).items():
        if not stored.dtype.is_floating_point:  # places and such, which only some versions of a library keep
            continue
        tensor = stored.read()
        values = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        sums.append(f"{hashlib.sha256(values.data).hexdigest()} {tuple(tensor.shape)}")
        if tensor.numel() > 1:
            sizes[name] = float(f"{tensor.float().square().mean().sqrt():.4g}")
    return hashlib.sha256("\n".join(sorted(sums)).encode()).hexdigest(), dict(sorted(sizes.items()))
