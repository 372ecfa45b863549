"""What a pipeline consists of and what a picture of it costs, found with tensors that have no storage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from emu.errors import UserError
from emu.module import TextToImageModule
from emu.planning.outline import count
from emu.terminal.aligned import aligned
from emu.terminal.counted import many


@dataclass(frozen=True)
class Sizes:
    """Of one pipeline at one picture size; operations are multiplications and additions of its layers.

    Args:
        parameters: component -> its parameters, of those that have any.
        text: operations to encode one prompt.
        step: of the network that trains, for one picture and one time.
        decode: from what that network draws to pixels; 0 where those are pixels.
        calls: of the network for one picture.
    """

    parameters: dict[str, int]
    text: int
    step: int
    decode: int
    calls: int

    @property
    def picture(self) -> int:
        """All operations of one drawn picture; the prompt to lead away from is encoded once for all of them."""
        return self.text + self.calls * self.step + self.decode

    def table(self, trained: str, classes: dict[str, str], resolution: int) -> str:
        """A line a component, then what a picture costs."""
        rows = [("component", "class", "parameters")]
        rows += [(name, classes[name], f"{number:,}") for name, number in self.parameters.items()]
        total = f"{sum(self.parameters.values()):,} parameters, {self.parameters[trained]:,} of them train"
        lines = [*aligned(rows, left=2), "", total]
        lines += [
            f"{amount(self.picture)} a picture of {resolution} px: text {amount(self.text)}, "
            f"{many(self.calls, 'call')} of {trained} of {amount(self.step)} each, decoding {amount(self.decode)}"
        ]
        return "\n".join(lines)


def measure(model: TextToImageModule, networks: dict[str, nn.Module], resolution: int) -> Sizes:
    """Of a model whose pipeline is made of `networks` without storage. UserError where they do not fit each other."""
    model.check_size(resolution, resolution)
    try:
        cond, text = _counted(lambda: model.encode_prompts([""]))
        x, _ = _counted(lambda: model.encode_images(torch.zeros(1, 3, resolution, resolution)))
        cond["size"] = torch.zeros(1, 6, dtype=torch.int64)
        _, step = _counted(lambda: model.loss(x, cond))
        _, decode = _counted(lambda: _decoded(model.pipeline, x))
    except Exception as error:  # wherever in a library two shapes meet that do not fit
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"components: do not fit each other: {said}") from error
    guided = float(model.sampler.get("guidance_scale", 0)) > 1
    return Sizes(
        parameters={name: count(network) for name, network in networks.items()},
        text=text,
        step=step,
        decode=decode,
        calls=int(model.sampler["num_inference_steps"]) * (1 + guided),
    )


@torch.no_grad()
def _counted(make: Callable[[], Any]) -> tuple[Any, int]:
    """What `make` gives, and its operations. Attention by plain products: the counter knows no fused one of a CPU."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        return make(), counter.get_total_flops()


def _decoded(pipeline: Any, x: Tensor) -> Any:
    """Pixels from what `x` of `encode_images` stands for."""
    if (vae := getattr(pipeline, "vae", None)) is not None:
        return vae.decode(torch.zeros(1, vae.config.latent_channels, *x.shape[2:]))
    if (vq := getattr(pipeline, "vqvae", None)) is not None:
        tokens = x[:, 0] if x.dim() > 3 else x  # the small picture's stand behind
        return vq.decode(tokens, force_not_quantize=True, shape=(*tokens.shape, vq.config.latent_channels))
    return x


def amount(operations: int) -> str:
    """Operations as a person reads them."""
    for size, unit in ((1e12, "TFLOPs"), (1e9, "GFLOPs"), (1e6, "MFLOPs")):
        if operations >= size:
            return f"{operations / size:,.1f} {unit}"
    return f"{operations:,} FLOPs"
