"""Files of weights: what is copied inside of the system, and what is computed part by part, is what one would read."""

import json
import struct
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emu.errors import UserError
from emu.networks import adapters
from emu.networks.adapters import Adapter
from emu.pipeline_folders import tensor_files

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.int64, torch.int8, torch.bool]


def random(dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.randint(0, 2, shape, dtype=torch.uint8).to(dtype)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A tensor of each dtype, an empty one, one without a shape, and one that is written in several parts."""
    torch.manual_seed(0)
    tensors = {str(dtype): random(dtype, 12, 3) for dtype in DTYPES}
    tensors |= {"empty": torch.zeros(0), "number": torch.tensor(2.5), "long": torch.randn(3, tensor_files.PART)}
    save_file(tensors, tmp_path / "one.safetensors", {"format": "pt"})
    return tmp_path / "one.safetensors"


def written(tensors: dict[str, tensor_files.Stored], path: Path) -> dict[str, Tensor]:
    tensor_files.write(path, tensors, {"format": "pt"})
    return load_file(path)


@pytest.mark.parametrize("platform", ["linux", "elsewhere"])
def test_a_file_is_copied(platform: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", platform)
    found = written(tensor_files.of_file(file), file.with_name("two.safetensors"))
    torch.testing.assert_close(found, load_file(file), rtol=0, atol=0)


@pytest.mark.parametrize("platform", ["linux", "elsewhere"])
def test_rows_are_joined(platform: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the dtype of the first, whatever the others have."""
    monkeypatch.setattr("sys.platform", platform)
    held, whole = tensor_files.of_file(file), load_file(file)
    one, other = "torch.bfloat16", "torch.float32"
    pieces = [(one, 2, 4), (one, 0, 1), (one, 4, 4), (other, 1, 2)]
    for wanted in (pieces[:1], pieces[:3], pieces):
        joined = tensor_files.joined(
            [held[name].rows(Fraction(i, 4), Fraction(min(i + n, 4), 4)) for name, i, n in wanted]
        )
        rows = [whole[name][3 * i : 3 * min(i + n, 4)].to(torch.bfloat16) for name, i, n in wanted]
        found = written({"joined": joined}, file.with_name("two.safetensors"))["joined"]
        torch.testing.assert_close(found, torch.cat(rows), rtol=0, atol=0)
        torch.testing.assert_close(joined.read(), torch.cat(rows), rtol=0, atol=0)


def test_only_fractions_take_another_dtype(file: Path) -> None:
    held = {name: one.to(torch.float16) for name, one in tensor_files.of_file(file).items()}
    found = written(held, file.with_name("two.safetensors"))
    for name, tensor in load_file(file).items():
        wanted = tensor.to(torch.float16) if tensor.is_floating_point() else tensor
        torch.testing.assert_close(found[name], wanted, rtol=0, atol=0)


def test_a_file_that_is_cut_off_meanwhile_leaves_nothing(file: Path) -> None:
    held = tensor_files.of_file(file)
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 100)
    out = file.with_name("two.safetensors")
    with pytest.raises(UserError, match=r"one\.safetensors: was cut off while it was read"):
        tensor_files.write(out, held, {})
    assert sorted(file.parent.iterdir()) == [file]


def test_numbers_that_torch_does_not_know_are_named(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F8_E8M0", "shape": [8], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "one.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(UserError, match="a is quantised to F8_E8M0; give the file in bf16, fp16 or fp32"):
        tensor_files.of_file(tmp_path / "one.safetensors")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dora", [False, True])
def test_a_layer_is_merged_in_parts(dora: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """As peft merges it, but for the last bit."""
    monkeypatch.setattr(tensor_files, "PART", 40)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(9, 21), nn.Linear(21, 50)).to(dtype)
    adapters.attach(network, Adapter(rank=4, alpha=10, dora=dora))
    for _, layer in adapters.layers(network):
        nn.init.normal_(layer.lora_B["default"].weight, std=0.2)
    held = adapters.tensors(network)
    for name, layer in adapters.layers(network):
        stored = held[f"{name}.weight"]
        parts = torch.cat([part.clone() for part in stored.parts()]).view(stored.shape)
        torch.testing.assert_close(parts, adapters.merged_weight(layer))
        assert not torch.equal(parts, layer.get_base_layer().weight)
