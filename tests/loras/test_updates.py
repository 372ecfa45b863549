"""What files say of one layer, held against peft's own merging and against LyCORIS' formulas by hand."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import save_file
from torch import Tensor, nn

from emu.loras.file import LoRAFile
from emu.loras.known import of_network
from emu.loras.update import updated

Folder = Callable[[str], Path]
TARGETS = ["to_k", "conv1", "proj_in", "time_emb_proj"]


@pytest.fixture(scope="module")
def unet(tiny_folder: Folder) -> nn.Module:
    from diffusers import UNet2DConditionModel

    network: nn.Module = UNet2DConditionModel.from_pretrained(tiny_folder("latent_xl"), subfolder="unet")
    return network


def merged(unet: nn.Module, path: Path | str) -> nn.Module:
    """A copy with a file merged."""
    network, lora = copy.deepcopy(unet), LoRAFile(str(path))
    known = {"unet": of_network("unet", network)}
    lora.check(known, slot="unet")
    lora.merge({"unet": network}, known, slot="unet")
    return network


CONFIGS = {
    "lora": LoraConfig(r=4, lora_alpha=10, target_modules=TARGETS),
    "lora, by root of rank": LoraConfig(r=4, lora_alpha=10, use_rslora=True, target_modules=TARGETS),
    "lora, ranks and alphas apart": LoraConfig(
        r=4, lora_alpha=10, rank_pattern={"to_k": 2}, alpha_pattern={"conv1": 3}, target_modules=TARGETS
    ),
    "lora, alphas by expressions": LoraConfig(
        r=4, lora_alpha=10, alpha_pattern={r"resnets\.\d\.conv1": 3, "^down_blocks.+to_k": 5}, target_modules=TARGETS
    ),
    "dora": LoraConfig(r=4, lora_alpha=10, use_dora=True, target_modules=TARGETS),
    "loha": LoHaConfig(r=4, alpha=10, target_modules=TARGETS),
    "loha, Tucker": LoHaConfig(r=4, alpha=10, use_effective_conv2d=True, target_modules=TARGETS),
    "lokr": LoKrConfig(r=2, alpha=5, target_modules=TARGETS),
    "lokr of full matrices": LoKrConfig(r=64, alpha=5, target_modules=TARGETS),
    "lokr of two factors each, Tucker": LoKrConfig(
        r=1, alpha=5, decompose_both=True, use_effective_conv2d=True, target_modules=TARGETS
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("where", ["beside", "in the header"])
def test_a_file_of_pefts_is_merged_as_peft_merges_it(name: str, where: str, unet: nn.Module, tmp_path: Path) -> None:
    model: Any = get_peft_model(copy.deepcopy(unet), copy.deepcopy(CONFIGS[name]))
    torch.manual_seed(1)
    for key, weight in model.named_parameters():
        if "lora_" in key or "hada_" in key or "lokr_" in key:
            nn.init.normal_(weight, std=0.3)
    model.save_pretrained(tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    if where == "in the header":
        from safetensors.torch import load_file

        told = json.loads((tmp_path / "adapter_config.json").read_text())
        header = {"lora_adapter_metadata": json.dumps({f"unet.{key}": value for key, value in told.items()})}
        save_file({key.replace("base_model.model", "unet"): one for key, one in load_file(path).items()}, path, header)
        (tmp_path / "adapter_config.json").unlink()
    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
    wanted = {
        key.removeprefix("base_model.model.").replace(".base_layer.", "."): weight
        for key, weight in model.state_dict().items()
    }
    found = merged(unet, path).state_dict()
    changed = 0
    for key, weight in unet.state_dict().items():
        torch.testing.assert_close(found[key], wanted[key], rtol=0, atol=2e-5, msg=key)
        changed += not torch.equal(found[key], weight)
    assert changed > 10


def by_hand() -> dict[str, tuple[dict[str, Tensor], Tensor]]:
    """Parts of LyCORIS' kinds with an alpha of 3 and a rank of 2, and what they add, entry by entry."""
    g = torch.Generator().manual_seed(0)

    def of(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g)

    def kron(first: Tensor, second: Tensor) -> Tensor:  # out and in of the one times out and in of the other
        outer = torch.einsum("ab,cd...->acbd...", first, second)
        return outer.reshape(len(first) * len(second), first.shape[1] * second.shape[1], *second.shape[2:])

    def core(t: Tensor, left: Tensor, right: Tensor) -> Tensor:  # (out, rank), (rank, in) around each kernel element
        return torch.einsum("pi,ijxy,jr->prxy", left, t, right)

    down, up, mid, a, b, t = of(2, 8), of(6, 2), of(2, 2, 3, 3), of(3, 2), of(2, 2), of(2, 2, 3, 3)
    w1, w2, c, d, u = of(2, 4), of(3, 2), of(6, 2), of(2, 8), of(2, 2, 3, 3)
    return {
        "a middle": (
            {"lora_down.weight": down[..., None, None], "lora_up.weight": up[..., None, None], "lora_mid.weight": mid},
            1.5 * core(mid, up, down),
        ),
        "full matrices, whose alpha says nothing": ({"lokr_w1": w1, "lokr_w2": w2}, kron(w1, w2)),
        "two factors": ({"lokr_w1": w1, "lokr_w2_a": a, "lokr_w2_b": b}, 1.5 * kron(w1, a @ b)),
        "a convolution's factors": (
            {"lokr_w1": w1, "lokr_w2_a": a, "lokr_w2_b": (kernel := of(2, 2, 3, 3))},
            1.5 * kron(w1, torch.einsum("pi,irxy->prxy", a, kernel)),
        ),
        "a core": (
            {"lokr_w1": w1, "lokr_t2": t, "lokr_w2_a": a.T.contiguous(), "lokr_w2_b": b},
            1.5 * kron(w1, core(t, a, b)),
        ),
        "products": (
            {"hada_w1_a": up, "hada_w1_b": down, "hada_w2_a": c, "hada_w2_b": d},
            1.5 * (up @ down) * (c @ d),
        ),
        "products of cores": (
            {
                "hada_w1_a": up.T.contiguous(),
                "hada_w1_b": down,
                "hada_t1": t,
                "hada_w2_a": c.T.contiguous(),
                "hada_w2_b": d,
                "hada_t2": u,
            },
            1.5 * core(t, up, down) * core(u, c, d),
        ),
    }


@pytest.mark.parametrize("name", by_hand())
@pytest.mark.parametrize("strength", [1.0, -0.5])
def test_lycoris_kinds(name: str, strength: float, tmp_path: Path) -> None:
    parts, difference = by_hand()[name]
    layer: nn.Module = nn.Linear(8, 6) if difference.dim() == 2 else nn.Conv2d(8, 6, 3)
    network = nn.Sequential(layer)
    path = tmp_path / "a.safetensors"
    save_file({f"lycoris_0.{key}": one for key, one in parts.items()} | {"lycoris_0.alpha": torch.tensor(3.0)}, path)
    before = layer.weight.detach().clone()  # type: ignore[union-attr]
    found = merged(network, f"{path}:{strength}").get_parameter("0.weight")
    torch.testing.assert_close(found, before + strength * difference)


def test_doras_magnitudes_are_of_rows_or_of_columns() -> None:
    g = torch.Generator().manual_seed(0)
    weight, down, up = (torch.randn(*shape, generator=g) for shape in ((6, 8), (2, 8), (6, 2)))
    rows, columns = torch.rand(6, 1, generator=g), torch.rand(1, 8, generator=g)
    towards = weight + 0.5 * up @ down
    parts = {"down": down, "up": up}
    for magnitude, axis in ((rows, 1), (columns, 0)):
        found = updated(weight, {**parts, "dora_scale": magnitude}, scale=0.5, strength=1)
        torch.testing.assert_close(found.norm(dim=axis, keepdim=True), magnitude)
        torch.testing.assert_close(
            found / found.norm(dim=axis, keepdim=True), towards / towards.norm(dim=axis, keepdim=True)
        )
        half = updated(weight, {**parts, "dora_scale": magnitude}, scale=0.5, strength=0.5)
        torch.testing.assert_close(half, (weight + found) / 2)
