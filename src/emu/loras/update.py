"""What a file says of one layer -> what that layer's weights become: LoRA, LoHa, LoKr, and DoRA over any of them.

Hu et al. 2021, arXiv 2106.09685; Yeh et al. 2023, arXiv 2309.14859; Liu et al. 2024, arXiv 2402.09353. Notable: the
same sums run on tensors without storage, so that a file is held against a network before any weight is read.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

Parts = Mapping[str, Tensor]
"""Of one layer, by the names on the right of `ENDINGS`; float32."""

# How files end the names of a layer's parts: those of peft and diffusers, of kohya and ComfyUI, of LyCORIS.
ENDINGS = {
    "lora_A.weight": "down",  # (rank, in) or (rank, in, h, w)
    "lora_A.default.weight": "down",
    "lora_down.weight": "down",
    "lora.down.weight": "down",
    "lora_B.weight": "up",  # (out, rank)
    "lora_B.default.weight": "up",
    "lora_up.weight": "up",
    "lora.up.weight": "up",
    "lora_linear_layer.down.weight": "down",  # of text encoders, diffusers until 0.30
    "lora_linear_layer.up.weight": "up",
    "lora_mid.weight": "mid",  # (rank, rank, h, w)
    "alpha": "alpha",
    "lora_magnitude_vector": "magnitude",  # of DoRA's rows, in whichever shape
    "lora_magnitude_vector.weight": "magnitude",
    "dora_scale": "dora_scale",  # of DoRA's rows (out, 1) or, by another fashion, of its columns (1, in)
    **{f"lokr_{part}": part for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
    **{f"hada_{part}": f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
}


def rank_of(parts: Parts) -> int | None:
    """What alpha is a multiple of; None for a LoKr of two full matrices, which has no scale."""
    for part in ("down", "hada_w1_b", "w2_b", "w1_b"):
        if part in parts:
            return parts[part].shape[0]
    return None


def change(parts: Parts) -> Tensor:
    """What is added to the layer's weights at a scale of 1: (out, in) or (out, in, h, w), or one that reshapes to it.

    KeyError, RuntimeError or ValueError where the parts do not belong together.
    """
    if "hada_w1_a" in parts:
        return _hadamard(parts, "1") * _hadamard(parts, "2")
    if "w1" in parts or "w1_a" in parts:
        return _kronecker(parts)
    down, up = parts["down"], parts["up"]
    if "mid" in parts:
        return torch.einsum("pi,ij...,jr->pr...", up.flatten(1), parts["mid"], down.flatten(1))
    return (up.flatten(1) @ down.flatten(1)).reshape(len(up), *down.shape[1:])


def _hadamard(parts: Parts, number: str) -> Tensor:
    """A factor of LoHa, low-rank or Tucker's."""
    a, b = parts[f"hada_w{number}_a"], parts[f"hada_w{number}_b"]
    if (core := parts.get(f"hada_t{number}")) is not None:
        return torch.einsum("ij...,ip,jr->pr...", core, a, b)
    return a @ b.flatten(1)


def _kronecker(parts: Parts) -> Tensor:
    """w1 (x) w2, each whole or of two factors."""
    first = parts["w1"] if "w1" in parts else parts["w1_a"] @ parts["w1_b"]
    if "w2" in parts:
        second = parts["w2"]
    elif "t2" in parts:
        second = torch.einsum("ij...,ip,jr->pr...", parts["t2"], parts["w2_a"], parts["w2_b"])
    else:
        a, b = parts["w2_a"], parts["w2_b"]
        second = (a @ b.flatten(1)).reshape(len(a), *b.shape[1:])
    return torch.kron(first.reshape(*first.shape, *[1] * (second.dim() - 2)), second.contiguous())


def updated(weight: Tensor, parts: Parts, *, scale: float, strength: float) -> Tensor:
    """A layer's weights as the file has them, float32; `strength` 0 leaves them as they are, 1 is what was trained.

    DoRA's magnitudes are of the updated weights' rows, or columns where there is one a column.
    """
    difference = (scale * change(parts)).reshape(weight.shape)
    if not parts.keys() & {"magnitude", "dora_scale"}:
        return weight + strength * difference
    towards, axis = weight + difference, 0
    if "magnitude" in parts:
        magnitude = parts["magnitude"]
    else:
        magnitude = parts["dora_scale"]
        axis = int(len(magnitude) != len(weight))
    shape = [-1 if one == axis else 1 for one in range(weight.dim())]
    norm: Tensor = torch.linalg.vector_norm(towards, dim=[i for i, n in enumerate(shape) if n == 1], keepdim=True)
    return weight + strength * (towards * (magnitude.reshape(shape) / norm) - weight)
