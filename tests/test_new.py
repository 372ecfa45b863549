"""`emu new`: what it makes, its architecture takes; what does not fit is refused with both numbers."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from diffusers import DiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, T5Config

import pipelines
from emu.cli import main
from emu.errors import UserError
from emu.models import load_model
from emu.parts.tokenizer import clip_tokenizer, t5_tokenizer
from emu.planning.outline import count
from emu.untrained import components, new
from emu.untrained.build import component
from emu.untrained.joints import check
from emu.untrained.plan import read

Config = Callable[..., Path]
BUNDLED = Path(__file__).parents[1] / "configs" / "new"
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "projection_dim": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
VAE = {
    "latent_channels": 4,
    "block_out_channels": [8, 16],
    "norm_num_groups": 8,
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
}
UNET = {
    "sample_size": 16,
    "block_out_channels": [16, 32],
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "cross_attention_dim": 32,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
}
LATENT = {
    "tokenizer": {"vocab_size": 300, "max_length": 12},
    "text_encoder": TEXT,
    "vae": VAE,
    "unet": UNET,
    "scheduler": {"_class_name": "DDIMScheduler", "clip_sample": False, "steps_offset": 1},
    "requires_safety_checker": False,
}


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A config of a latent model, or of `model`, with some settings changed: `config(unet={"in_channels": 8})`."""

    def write(model: str = "LatentDiffusion", of: dict[str, Any] = LATENT, **changes: Any) -> Path:
        given = {n: {**old, **changes[n]} if isinstance(changes.get(n), dict) else old for n, old in of.items()}
        given |= {name: value for name, value in changes.items() if not isinstance(value, dict)}
        path = tmp_path / "new.yaml"
        document = {"model": f"emu.models.{model}", "resolution": 32, "components": given}
        path.write_text(yaml.safe_dump({**document, **{k: given.pop(k) for k in ("resolution",) if k in given}}))
        return path

    return write


@pytest.fixture
def refused(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line that a config of these changes is answered with; nothing is written."""

    def answer(**changes: Any) -> str:
        (tmp_path / "captions.txt").write_text("\n".join(filter(None, pipelines.CAPTIONS)))
        out = tmp_path / "out"
        with pytest.raises(SystemExit) as stopped:
            main(["new", "-c", str(config(**changes)), str(out), "--captions", str(tmp_path / "captions.txt")])
        assert stopped.value.code == 2
        assert not out.exists()
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("emu: ")]
        return line

    return answer


def test_it_makes_a_pipeline_that_loads_draws_and_has_the_parameters_it_says(config: Config, tmp_path: Path) -> None:
    report = new(config(), tmp_path / "out", captions=pipelines.CAPTIONS, learn_steps=30)
    model = load_model(tmp_path / "out")
    plain = DiffusionPipeline.from_pretrained(tmp_path / "out")
    for name in ("unet", "vae", "text_encoder"):
        number = sum(parameter.numel() for parameter in getattr(plain, name).parameters())
        assert any(line.split()[0] == name and line.endswith(f"{number:,}") for line in report.splitlines() if line)
    model.sampler["num_inference_steps"] = 1
    drawn = model.sample(model.encode_prompts(["a red boat"]), model.encode_prompts([""]), [0], height=32, width=32)
    assert drawn.shape == (1, 3, 32, 32)


def test_the_seed_decides_the_weights(config: Config, tmp_path: Path) -> None:
    made = [(0, "a"), (0, "b"), (1, "c")]
    weights = []
    for seed, name in made:
        new(config(), tmp_path / name, captions=pipelines.CAPTIONS, seed=seed, learn_steps=2)
        weights.append((tmp_path / name / "unet" / "diffusion_pytorch_model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_operations_are_those_that_layers_are_made_of() -> None:
    """A convolution, a linear layer and attention, counted by hand."""
    from emu.untrained.sizes import _counted

    convolution, linear = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Linear(8, 5)
    assert _counted(lambda: convolution(torch.zeros(1, 3, 16, 16)))[1] == 2 * 16 * 16 * 8 * 3 * 9
    assert _counted(lambda: linear(torch.zeros(7, 8)))[1] == 2 * 7 * 8 * 5
    query = torch.zeros(1, 2, 10, 4)  # two heads, ten tokens: their products, and what they weigh
    attention = torch.nn.functional.scaled_dot_product_attention
    assert _counted(lambda: attention(query, query, query))[1] == 2 * (2 * 2 * 10 * 10 * 4)


def test_components_are_taken_from_a_pipeline(config: Config, tmp_path: Path) -> None:
    donor = tmp_path / "donor"
    pipelines.build("latent").save_pretrained(donor)
    path = config(vae=str(donor), text_encoder=str(donor / "text_encoder"), tokenizer=str(donor))
    new(path, tmp_path / "out", captions=[])
    made, given = (DiffusionPipeline.from_pretrained(folder) for folder in (tmp_path / "out", donor))
    for name in ("vae", "text_encoder"):
        pairs = zip(getattr(made, name).parameters(), getattr(given, name).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unet": {"in_channels": 8}}, "vae.latent_channels is 4, not unet.in_channels, which is 8"),
        ({"unet": {"out_channels": 6}}, "unet.out_channels is 6, not unet.in_channels, which is 4"),
        ({"unet": {"cross_attention_dim": 48}}, "hidden_size is 32, not unet.cross_attention_dim, which is 48"),
        ({"text_encoder": {"vocab_size": 9}}, "text_encoder.vocab_size, which is 9"),
        ({"text_encoder": {"max_position_embeddings": 7}}, "is 12, more than text_encoder.max_position_embeddings"),
        ({"unet": {"layers": 2}}, "components.unet.layers: no such setting"),
        ({"text_encoder": {"layers": 2}}, "components.text_encoder.layers: no such setting"),
        ({"tokenizer": {"words": 2}}, "components.tokenizer.words: no such setting; there are max_length, vocab_size"),
        ({"unet": {"norm_num_groups": 7}}, "components.unet: UNet2DConditionModel"),
        ({"text_encoder": {"num_attention_heads": 7}}, "components.text_encoder: CLIPTextModel: "),
        ({"unet": {"_class_name": 3}}, "components.unet._class_name 3: no component of diffusers or transformers"),
        ({"unet": {"attention_head_dim": 0}}, "components.unet: UNet2DConditionModel: ZeroDivisionError"),
        ({"unet": {"sample_size": "16"}, "resolution": 0}, "resolution 0: give the side of a picture in pixels"),
        ({"tokenizer": {"max_length": 1}}, "components.tokenizer.max_length 1: give 3 or more tokens"),
        ({"unet": 3}, "components.unet 3: give its config, a folder or a hub name"),
        ({"vae": False}, "components.vae False: give its config, a folder or a hub name"),
        ({"scheduler": {"_class_name": "NoScheduler"}}, "components.scheduler._class_name NoScheduler"),
        ({"vae": "no/such/vae"}, "components.vae no/such/vae"),
        ({"vae": None}, "components.vae"),
        ({"vaes": "x"}, "components.vaes: StableDiffusionPipeline has"),
        ({"resolution": 33}, "33"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_refused(refused: Callable[..., str], changes: dict[str, Any], said: str) -> None:
    assert said in refused(**changes)


def test_a_folder_that_is_there_is_not_written_over(config: Config, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="exists already"):
        new(config(), tmp_path, captions=pipelines.CAPTIONS)


def test_a_place_that_cannot_be_written_to_is_said_before_anything_learns(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emu.untrained.build.teach", lambda *args, **kwargs: pytest.fail("too late"))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        new(config(), tmp_path / "file" / "out", captions=pipelines.CAPTIONS)
    assert (tmp_path / "file").read_text() == "mine"


def test_without_captions_nothing_learns_to_read(config: Config) -> None:
    with pytest.raises(Exception, match="--captions"):
        new(config(), None, captions=[])


def test_captions_without_a_word_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "captions.txt").write_text("...\n!\n")
    with pytest.raises(SystemExit):
        main(["new", "-c", "new/pixel-tiny", "--captions", str(tmp_path / "captions.txt")])
    assert "holds no caption with a word" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text_encoder": "t5"}, "components.text_encoder .*t5: holds no CLIPTextModel .* are missing, such as"),
        ({"unet": "donor/vae"}, "components.unet .*vae: holds no UNet2DConditionModel .* are missing, such as"),
        ({"text_encoder": {"pretrained": "donor", "num_hidden_layers": 3}}, "CLIPTextModel .* are missing, such as"),
        ({"text_encoder": {"pretrained": "donor", "intermediate_size": 64}}, "CLIPTextModel .* are mismatched, such"),
        ({"text_encoder": "torn"}, "components.text_encoder .*torn: holds no CLIPTextModel"),
    ],
)
def test_no_weight_of_what_is_loaded_is_drawn_at_random(
    given: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipelines.build("latent").save_pretrained("donor")
    pipelines.t5()[1].save_pretrained("t5")
    shutil.copytree("donor/text_encoder", "torn")
    Path("torn/model.safetensors").write_bytes(Path("donor/text_encoder/model.safetensors").read_bytes()[:99])
    ((name, one),) = given.items()
    kinds = {"unet": UNet2DConditionModel, "text_encoder": CLIPTextModel}
    with pytest.raises(UserError, match=said):
        components.loaded(name, one, (kinds[name],))


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Hub name -> a folder with that text encoder's published sizes, no weights, and a tiny tokenizer."""
    root = tmp_path_factory.mktemp("described")
    gated: dict[str, Any] = {"vocab_size": 32128, "d_kv": 64, "feed_forward_proj": "gated-gelu"}
    clip_l = {"hidden_size": 768, "intermediate_size": 3072, "projection_dim": 768, "num_attention_heads": 12}
    published = {
        "google/t5-v1_1-xxl": T5Config(d_model=4096, d_ff=10240, num_layers=24, num_heads=64, **gated),
        "google/t5-v1_1-base": T5Config(d_model=768, d_ff=2048, num_layers=12, num_heads=12, **gated),
        "openai/clip-vit-large-patch14": CLIPTextConfig(**clip_l),
    }
    for name, config in published.items():
        config.save_pretrained(root / name)
        is_clip = isinstance(config, CLIPTextConfig)
        learned = clip_tokenizer(pipelines.CAPTIONS) if is_clip else t5_tokenizer(pipelines.CAPTIONS)
        learned.save_pretrained(root / name)
    return {name: str(root / name) for name in published}


def bundled(name: str, described: dict[str, str], folder: Path) -> Path:
    """A bundled config that finds its hub names in folders."""
    text = (BUNDLED / f"{name}.yaml").read_text()
    for hub, path in described.items():
        text = text.replace(hub, path)
    (folder / "bundled.yaml").write_text(text)
    return folder / "bundled.yaml"


SIZES = {"emu-2.8b": 2.8e9, "emu-small": 1e8}
"""Parameters that train, within 2 %."""
LARGE = pytest.mark.slow


@pytest.mark.parametrize(
    "name", [pytest.param(file.stem, marks=[LARGE] * (file.stem in SIZES)) for file in sorted(BUNDLED.glob("*.yaml"))]
)
def test_bundled_configs_fit(name: str, described: dict[str, str], tmp_path: Path) -> None:
    said = new(bundled(name, described, tmp_path), None, captions=pipelines.CAPTIONS * 9)
    assert "they train" not in said
    assert f"emu new -c new/{name}" in (BUNDLED / f"{name}.yaml").read_text()
    if name in SIZES:
        (number,) = re.findall(r"parameters, ([\d,]+) of them train", said)
        assert int(number.replace(",", "")) == pytest.approx(SIZES[name], rel=0.02)


@pytest.mark.parametrize("name", SIZES)
def test_the_paper_s_latent_model_has_its_size(name: str, described: dict[str, str], tmp_path: Path) -> None:
    """The networks alone, on the meta device: no weight, no picture through them."""
    plan = read(bundled(name, described, tmp_path))
    with torch.device("meta"):
        parts = {n: component(plan, n, {}, weights=False) for n in ("unet", "vae", "text_encoder", "text_encoder_2")}
    check(parts, "unet")
    assert count(parts["unet"]) == pytest.approx(SIZES[name], rel=0.02)
    assert (parts["vae"].config.latent_channels, len(parts["vae"].config.block_out_channels)) == (16, 4)
    if name == "emu-2.8b":
        assert count(parts["text_encoder"]) == pytest.approx(4.76e9, rel=0.01)  # T5-XXL's encoder
