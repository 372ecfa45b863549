"""A single file as a model: it becomes the pipeline folder that it was made of, and what is wrong is one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from torch import nn

from architectures import CLASSES, make
from emu import single_files
from emu.errors import UserError
from emu.formats.single_file import SingleFile
from emu.models import load_model
from emu.planning.outline import Outline, count
from pipelines import autoencoder
from single_files import ALONE, WHOLE

Folder = Callable[[str], Path]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))


def one_file(name: str, base: Path, out: Path) -> Path:
    SingleFile().write(make(name, base), out, {})
    return out


def without_weights(base: Path, out: Path) -> Path:
    """A folder that describes a pipeline, as it is fetched from the hub for a single file."""
    shutil.copytree(base, out, ignore=shutil.ignore_patterns("*.safetensors"))
    return out


def assert_same_networks(one: Any, other: Any) -> None:
    for name, part in other.components.items():
        if isinstance(part, nn.Module):
            torch.testing.assert_close(getattr(one, name).state_dict(), part.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("name", list(WHOLE))
def test_a_whole_file_is_the_folder_that_it_was_made_of(name: str, whole: Folder, tmp_path: Path) -> None:
    kind, base = WHOLE[name][0], whole(name)
    file = one_file(kind, base, tmp_path / "one.safetensors")
    model = make(kind, file, config=str(without_weights(base, tmp_path / "described")))
    known = make(kind, base)
    assert_same_networks(model.pipeline, known.pipeline)
    for key, value in known.pipeline.scheduler.config.items():
        if key != "timestep_spacing":  # a file whose noise ends without signal is drawn to that end
            assert model.pipeline.scheduler.config[key] == value


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("name", ALONE)
def test_a_transformer_alone_takes_the_rest_from_its_config(
    name: str, prefix: str, tiny_folder: Folder, tmp_path: Path
) -> None:
    file = one_file(name, tiny_folder(name), tmp_path / "bare.safetensors")
    save_file({prefix + key: value for key, value in load_file(file).items()}, tmp_path / "one.safetensors")
    model = make(name, tmp_path / "one.safetensors", config=str(tiny_folder(name)))
    assert_same_networks(model.pipeline, make(name, tiny_folder(name)).pipeline)


def test_it_is_made_once_and_again_where_the_file_is_another(whole: Folder, tmp_path: Path) -> None:
    file = one_file("latent", whole("sd15"), tmp_path / "one.safetensors")
    folder = single_files.folder_of(str(file), config=str(whole("sd15")))
    written = (folder / "unet" / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns
    assert single_files.folder_of(str(file), config=str(whole("sd15"))) == folder
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns == written
    changed = {name: tensor * 2 if "out.2" in name else tensor for name, tensor in load_file(file).items()}
    save_file(changed, file)
    again = single_files.folder_of(str(file), config=str(whole("sd15")))
    assert again != folder
    assert json.loads((again / "model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"


@pytest.mark.parametrize(
    "edited", ["scheduler/scheduler_config.json", "vae/config.json", "tokenizer/tokenizer_config.json"]
)
def test_it_is_made_again_where_what_describes_it_is_another(edited: str, whole: Folder, tmp_path: Path) -> None:
    file, described = one_file("latent", whole("sd15"), tmp_path / "one.safetensors"), tmp_path / "described"
    without_weights(whole("sd15"), described)
    first = single_files.folder_of(str(file), config=str(described))
    document = json.loads((described / edited).read_text()) | {"said_by_the_user": 1}
    (described / edited).write_text(json.dumps(document))
    folder = single_files.folder_of(str(file), config=str(described))
    assert json.loads((folder / edited).read_text())["said_by_the_user"] == 1
    assert folder == single_files.folder_of(str(file), config=str(described)) != first


def test_another_revision_of_the_hubs_is_another_model(whole: Folder, tmp_path: Path) -> None:
    """Its index is a link to the same blob, and what lies beside it is not the same."""
    other = make("latent", whole("sd15")).pipeline.vae
    other.save_pretrained(tmp_path / "vae")
    (tmp_path / "blob").write_bytes((whole("sd15") / "model_index.json").read_bytes())
    found = set()
    for revision in ("one", "two"):
        base = Path(shutil.copytree(whole("sd15"), tmp_path / "snapshots" / revision))
        (base / "model_index.json").unlink()
        (base / "model_index.json").symlink_to(tmp_path / "blob")
        folder = single_files.folder_of(str(base), vae=str(tmp_path / "vae"))
        assert (folder / "unet").resolve() == base / "unet"
        found.add(folder)
    assert len(found) == 2


def test_load_model_plans_and_draws_it(whole: Folder, tmp_path: Path) -> None:
    file = one_file("latent", whole("sd15"), tmp_path / "one.safetensors")
    model = load_model(file, config=str(whole("sd15")))
    assert type(model) is CLASSES["latent"]
    outline = Outline(CLASSES["latent"](str(file), config=str(without_weights(whole("sd15"), tmp_path / "described"))))
    assert outline.trained() == sum(weight.numel() for weight in model.backbone.parameters())


def test_an_sdxl_that_is_marked_predicts_v(whole: Folder, tmp_path: Path) -> None:
    file = one_file("latent_xl", whole("sdxl-v"), tmp_path / "one.safetensors")
    model = make("latent_xl", file, config=str(whole("sdxl")))
    assert model.pipeline.scheduler.config.prediction_type == "v_prediction"
    assert model.pipeline.scheduler.config.rescale_betas_zero_snr


def test_a_safety_checker_is_left_out(whole: Folder, tmp_path: Path) -> None:
    described = without_weights(whole("sd15"), tmp_path / "described")
    index = json.loads((described / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (described / "model_index.json").write_text(json.dumps(index))
    file = one_file("latent", whole("sd15"), tmp_path / "one.safetensors")
    folder = single_files.folder_of(str(file), config=str(described))
    assert json.loads((folder / "model_index.json").read_text())["safety_checker"] == [None, None]


@pytest.mark.parametrize("given", ["component", "pipeline", "file", "whole file"])
def test_an_autoencoder_is_swapped(given: str, whole: Folder, tmp_path: Path) -> None:
    other = make("latent", whole("sd15"))
    with torch.no_grad():
        other.pipeline.vae.decoder.conv_out.bias += 1
    other.pipeline.vae.save_pretrained(tmp_path / "other" / "vae")
    shutil.copytree(whole("sd15"), tmp_path / "pipeline")
    shutil.copytree(tmp_path / "other" / "vae", tmp_path / "pipeline" / "vae", dirs_exist_ok=True)
    file = one_file("latent", tmp_path / "pipeline", tmp_path / "whole.safetensors")
    inside = "first_stage_model."
    alone = {k.removeprefix(inside): v for k, v in load_file(file).items() if k.startswith(inside)}
    save_file(alone, tmp_path / "vae.safetensors")
    places = {"component": "other/vae", "pipeline": "pipeline", "file": "vae.safetensors", "whole file": file.name}
    model = make("latent", whole("sd15"), vae=str(tmp_path / places[given]))
    wanted = other.pipeline.vae.state_dict()
    torch.testing.assert_close(model.pipeline.vae.state_dict(), wanted, rtol=0, atol=0)
    untouched = make("latent", whole("sd15"))
    torch.testing.assert_close(model.ema.state_dict(), untouched.ema.state_dict(), rtol=0, atol=0)
    assert model.fingerprint() != untouched.fingerprint()
    model.save_pipeline(tmp_path / "out")
    assert load_file(tmp_path / "out" / "vae" / "diffusion_pytorch_model.safetensors").keys() == wanted.keys()


def test_a_plan_counts_the_autoencoder_that_is_swapped_in(whole: Folder, tmp_path: Path) -> None:
    larger = autoencoder(layers_per_block=3)
    larger.save_pretrained(tmp_path / "vae")
    described = without_weights(whole("sd15"), tmp_path / "described")
    shutil.rmtree(tmp_path / "assets", ignore_errors=True)
    outline = Outline(CLASSES["latent"](str(described), vae=str(tmp_path / "vae")))
    assert count(outline.frozen()["vae"]) == count(larger)
    assert not [file for file in (tmp_path / "assets").rglob("*.safetensors") if not file.is_symlink()]
    plain = count(Outline(CLASSES["latent"](str(described))).frozen()["vae"])
    assert plain < count(larger)
    save_file(make("latent", whole("sd15")).pipeline.vae.state_dict(), tmp_path / "vae.safetensors")
    outline = Outline(CLASSES["latent"](str(described), vae=str(tmp_path / "vae.safetensors")))
    assert count(outline.frozen()["vae"]) == plain
    with pytest.raises(UserError, match="model.vae .*: it is no AutoencoderKL as .* describes it"):
        Outline(CLASSES["latent"](str(described), vae=str(tmp_path / "vae" / "diffusion_pytorch_model.safetensors")))


def lora(file: Path) -> None:
    save_file({"unet.to_q.lora_A.weight": torch.zeros(2, 4), "unet.to_q.lora_B.weight": torch.zeros(4, 2)}, file)


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def without_encoder(file: Path) -> None:
    save_file({k: v for k, v in load_file(file).items() if not k.startswith("cond_stage_model.")}, file)


def another_family(file: Path) -> None:
    save_file({"double_blocks.0.img_attn.qkv.weight": torch.zeros(6, 2)}, file)


def wider(file: Path) -> None:
    name = "model.diffusion_model.input_blocks.0.0.weight"
    save_file({k: torch.zeros(16, 9, 3, 3) if k == name else v for k, v in load_file(file).items()}, file)


def quantised(file: Path) -> None:
    save_file(load_file(file) | {"model.diffusion_model.out.2.scale_weight": torch.ones(1)}, file)


def in_8_bits(file: Path) -> None:
    """As programs that only draw keep a network: rounded, and without scales."""
    name = "model.diffusion_model.out.2.weight"
    save_file({k: v.to(torch.float8_e4m3fn) if k == name else v for k, v in load_file(file).items()}, file)


def of_edm(file: Path) -> None:
    save_file(load_file(file) | {"edm_mean": torch.zeros(4), "edm_std": torch.ones(4)}, file)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (of_edm, "marked as learned by EDM"),
        (in_8_bits, "quantised weights"),
        (lora, "a LoRA, not a model"),
        (truncated, "damaged or cut off"),
        (without_encoder, "has no text_encoder, nor has"),
        (another_family, "its unet is no UNet2DConditionModel as .* describes it"),
        (wider, "1 of 208 weights are missing or of another shape, conv_in.weight first"),
        (quantised, "quantised weights"),
    ],
)
def test_a_file_that_is_no_such_model_is_one_line_before_weights_load(
    spoil: Callable[[Path], None], said: str, whole: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = one_file("latent", whole("sd15"), tmp_path / "one.safetensors")
    spoil(file)
    monkeypatch.setattr("emu.pipeline_folders.tensor_files.write", None)  # would fail otherwise
    with pytest.raises(UserError, match=said) as error:
        make("latent", file, config=str(without_weights(whole("sd15"), tmp_path / "described")))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "assets").exists()


def test_a_network_in_8_bits_is_refused_and_an_encoder_in_8_bits_is_read(whole: Folder, tmp_path: Path) -> None:
    """SD3 is published with T5 in 8 bits; what trains would begin from rounded weights, in a folder as in a file."""
    file = one_file("flow", whole("sd3"), tmp_path / "one.safetensors")
    rounded = load_file(file)
    for name in rounded:
        if name.startswith("text_encoders.t5xxl.") and rounded[name].dim() > 1:
            rounded[name] = rounded[name].to(torch.float8_e4m3fn)
    save_file(rounded, file)
    make("flow", file, config=str(whole("sd3")))
    base = Path(shutil.copytree(whole("sd15"), tmp_path / "folder"))
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({k: v.to(torch.float8_e5m2) for k, v in load_file(weights).items()}, weights)
    with pytest.raises(UserError, match="quantised to F8_E5M2; give the folder with weights in bf16, fp16 or fp32"):
        make("latent", base)


def test_the_home_and_capitals_in_names(whole: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell expands `~` in a config or behind the `=` of a flag."""
    monkeypatch.setenv("HOME", str(tmp_path))
    one_file("latent", whole("sd15"), tmp_path / "one.safetensors").rename(tmp_path / "ONE.SAFETENSORS")
    base = Path(shutil.copytree(whole("sd15"), tmp_path / "base"))
    known = make("latent", base).pipeline
    assert_same_networks(make("latent", Path("~/ONE.SAFETENSORS"), config="~/base").pipeline, known)
    assert_same_networks(make("latent", Path("~/base"), vae="~/base/vae").pipeline, known)
    with pytest.raises(UserError, match="model.pretrained ~/nowhere/at/all: no such folder"):
        make("latent", Path("~/nowhere/at/all"))


def test_what_describes_a_file_is_named_where_it_is_not_at_hand(
    whole: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(name: str, **_: Any) -> None:
        raise OSError(f"cannot reach {name}")

    monkeypatch.setattr("emu.pipeline_folders.folders.snapshot_download", unreachable)
    file = one_file("latent", whole("sd15"), tmp_path / "one.safetensors")
    with pytest.raises(UserError, match="one.safetensors: .*stable-diffusion-v1-5 describes it, and is not at hand"):
        make("latent", file)


def test_what_does_not_go_together_is_said(whole: Folder, tiny_folder: Folder, tmp_path: Path) -> None:
    file = one_file("latent", whole("sd15"), tmp_path / "one.safetensors")
    with pytest.raises(UserError, match="holds a StableDiffusionPipeline, and LatentDiffusionXL takes"):
        make("latent_xl", file, config=str(whole("sd15")))
    with pytest.raises(UserError, match="says what a single file is, and .* is none"):
        make("latent", whole("sd15"), config=str(whole("sd15")))
    with pytest.raises(UserError, match="its latent_channels is 8, and the model's has 4"):
        make("latent", whole("sd15"), vae=str(whole("sd3")))
    with pytest.raises(UserError, match="holds no config.json"):
        make("latent", whole("sd15"), vae=str(tmp_path))
    for end, why in {"ckpt": "a pickle", "gguf": "GGUF, quantised weights", "zip": "no pipeline folder"}.items():
        other = tmp_path / f"model.{end}"
        torch.save({"state_dict": {}}, other)
        with pytest.raises(UserError, match=f"^model.pretrained .*{end}: {why}.*; give one in .safetensors"):
            make("latent", other)
        with pytest.raises(UserError, match=f"^model.vae .*{end}: {why}"):
            make("latent", whole("sd15"), vae=str(other))
    with pytest.raises(UserError, match="has no autoencoder of that name"):
        make("pixel", tiny_folder("pixel"), vae=str(whole("sd15")))
