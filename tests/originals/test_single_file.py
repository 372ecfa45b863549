"""A model as one published file: plain diffusers draws from it what it draws from the folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from architectures import make
from emu.errors import UserError
from emu.exporting.export import draw_plain
from emu.formats import find
from emu.formats.folder import PipelineFolder
from emu.formats.single_file import SingleFile
from emu.module import TextToImageModule
from single_files import ALONE, WHOLE

Folder = Callable[[str], Path]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def tuned(name: str, base: Path) -> TextToImageModule:
    """A model whose averaged weights are not the base's."""
    model = make(name, base)
    with torch.no_grad():
        for weight in model.ema.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
    return model


def assert_draws_the_same(model: TextToImageModule, written_as: SingleFile, folder: Path) -> None:
    plain = PipelineFolder()
    plain.write(model, folder / "tuned", {})
    written_as.check(model, folder / "tuned.safetensors")
    written_as.write(model, folder / "tuned.safetensors", {"emu.step": "1"})
    row = {"prompt": "a red boat at noon", "seed": 3, "sampler": model.sampler}
    loaded = [
        kind.load(model, path) for kind, path in ((plain, folder / "tuned"), (written_as, folder / "tuned.safetensors"))
    ]
    weights, same = (getattr(pipeline, model.slot).state_dict() for pipeline in loaded)
    assert weights.keys() == same.keys()
    assert all(torch.equal(weight, same[key]) for key, weight in weights.items())
    one, other = (draw_plain(pipeline, row, model, torch.device("cpu")).astype(int) for pipeline in loaded)
    assert one.max() > one.min()
    # Equal weights at other addresses in memory: a processor's kernels may round otherwise, and a pixel with them.
    assert abs(one - other).max() <= 1


@pytest.mark.parametrize("name", list(WHOLE))
def test_a_whole_model_in_one_file_draws_the_same(name: str, whole: Folder, tmp_path: Path) -> None:
    assert_draws_the_same(tuned(WHOLE[name][0], whole(name)), SingleFile(), tmp_path)


@pytest.mark.parametrize("name", ALONE)
def test_a_transformer_in_one_file_draws_the_same(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    assert_draws_the_same(tuned(name, tiny_folder(name)), SingleFile(), tmp_path)


@pytest.mark.parametrize("name", ["flux", "chroma", "lumina2"])
def test_a_size_that_diffusers_does_not_cut_is_refused_before_it_is_written(
    name: str, tiny_folder: Folder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="at its published size alone"):
        SingleFile().check(make(name, tiny_folder(name)), tmp_path / "out.safetensors")


@pytest.mark.parametrize("name", ["pixel", "muse", "prx"])
def test_what_was_never_one_file_is_refused(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give --format diffusers"):
        SingleFile().check(make(name, tiny_folder(name)), tmp_path / "out.safetensors")


def test_only_an_sdxl_that_predicts_v_is_marked_so(whole: Folder, tmp_path: Path) -> None:
    for name, marked in (("sdxl", False), ("sdxl-v", True)):
        SingleFile().write(make("latent_xl", whole(name)), tmp_path / f"{name}.safetensors", {})
        held = load_file(tmp_path / f"{name}.safetensors")
        assert ("v_pred" in held, "ztsnr" in held) == (marked, marked)
        assert held["v_pred"].shape == (0,) if marked else True


def test_a_projection_that_a_file_of_sd3_cannot_hold_is_refused(tiny_folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no place for its text_projection"):
        SingleFile().check(make("flow", tiny_folder("flow")), tmp_path / "out.safetensors")


def test_numbers_are_of_the_kind_that_is_asked_for(whole: Folder, tmp_path: Path) -> None:
    model = tuned("latent", whole("sd15"))
    written_as = find("single-file,dtype=bf16")
    written_as.write(model, tmp_path / "half.safetensors", {"emu.step": "7"})
    half = load_file(tmp_path / "half.safetensors")
    assert {tensor.dtype for tensor in half.values()} == {torch.bfloat16}
    name = "down_blocks.0.resnets.0.conv1.weight"
    published = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"
    assert torch.equal(half[published], model.ema.state_dict()[name].bfloat16())
    with safe_open(tmp_path / "half.safetensors", "pt") as file:
        assert file.metadata()["emu.step"] == "7"
    with pytest.raises(UserError, match="dtype int8: give bf16, fp16, fp32"):
        find("single-file,dtype=int8")


def test_an_adapter_is_merged_layer_by_layer(whole: Folder, tmp_path: Path) -> None:
    from emu.networks.adapters import Adapter

    model = make("latent", whole("sd15"), adapter=Adapter(rank=2, alpha=5))
    with torch.no_grad():
        for name, weight in model.ema.named_parameters():
            if "lora_B" in name:
                weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    assert_draws_the_same(model, SingleFile(), tmp_path)


def test_shards_and_half_precision_of_the_base_are_read_where_they_lie(whole: Folder, tmp_path: Path) -> None:
    from diffusers import DiffusionPipeline

    base = tmp_path / "base"
    pipeline = DiffusionPipeline.from_pretrained(whole("sd15"), dtype=torch.float16)
    pipeline.save_pretrained(base, variant="fp16", max_shard_size="40KB")
    assert len(list((base / "vae").glob("*.safetensors"))) > 1
    model = make("latent", base)
    SingleFile().write(model, tmp_path / "one.safetensors", {})
    held = load_file(tmp_path / "one.safetensors")
    kinds = {name.partition(".")[0]: tensor.dtype for name, tensor in held.items()}
    assert kinds == {"model": torch.float32, "first_stage_model": torch.float16, "cond_stage_model": torch.float16}


def test_what_a_name_is_not_of_one_file_is_refused(whole: Folder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ends in \.safetensors"):
        SingleFile().check(make("latent", whole("sd15")), tmp_path / "out")


def test_a_header_is_plain_safetensors(whole: Folder, tmp_path: Path) -> None:
    """Offsets are counted from 0 without holes, and each is a multiple of its element's size."""
    SingleFile().write(make("latent", whole("sd15")), tmp_path / "one.safetensors", {})
    content = (tmp_path / "one.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    spans = sorted(entry["data_offsets"] for name, entry in header.items() if name != "__metadata__")
    assert length % 8 == 0
    assert [span[0] for span in spans] == [0, *(span[1] for span in spans[:-1])]
    assert 8 + length + spans[-1][1] == len(content)
