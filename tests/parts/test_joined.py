"""CLIP and T5 joined along the sequence: each says what it says alone, in its own rows, and plain diffusers draws."""

from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel

import pipelines
from emu import originals
from emu.errors import UserError
from emu.models import LatentDiffusionXL, load_model
from emu.untrained import components

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")  # torch tensors given to numpy

WIDTH, CLIP, T5 = pipelines.WIDTH, 12, 20
CAPTION = "a red boat at noon"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("joined")
    pipelines.build("joined").save_pretrained(root)
    return root


@pytest.fixture(scope="module")
def model(folder: Path) -> LatentDiffusionXL:
    found = load_model(folder)
    assert isinstance(found, LatentDiffusionXL)
    return found


def read_alone(pipeline: StableDiffusionXLPipeline) -> tuple[Tensor, Tensor, int]:
    """What plain T5 and CLIP with the same weights say of the caption, and how many tokens T5 has of it."""
    plain_t5 = T5EncoderModel(pipeline.text_encoder.config)
    plain_t5.load_state_dict(pipeline.text_encoder.state_dict())
    plain_clip = CLIPTextModelWithProjection(pipeline.text_encoder_2.config)
    plain_clip.load_state_dict(pipeline.text_encoder_2.state_dict())
    ids = pipeline.tokenizer(CAPTION, return_tensors="pt").input_ids
    said = plain_t5.eval()(ids).last_hidden_state[0]
    settings = {"padding": "max_length", "max_length": CLIP, "truncation": True, "return_tensors": "pt"}
    padded = pipeline.tokenizer_2(CAPTION, **settings).input_ids
    return said, plain_clip.eval()(padded, output_hidden_states=True).hidden_states[-2][0], ids.shape[1]


@torch.no_grad()
def test_each_speaks_in_rows_of_its_own_and_as_it_does_alone(model: LatentDiffusionXL) -> None:
    joined = model.encode_prompts([CAPTION])["prompt_embeds"][0]
    t5, clip, length = read_alone(model.pipeline)
    assert joined.shape == (CLIP + T5, 2 * WIDTH)
    torch.testing.assert_close(joined[:CLIP, WIDTH:], clip, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(joined[CLIP : CLIP + length, :WIDTH], t5, rtol=1e-4, atol=1e-5)
    rest = joined.clone()
    rest[:CLIP, WIDTH:] = rest[CLIP : CLIP + length, :WIDTH] = 0
    assert not rest.any()


@torch.no_grad()
def test_the_network_projects_either_by_weights_of_its_own(model: LatentDiffusionXL) -> None:
    joined, layer = model.encode_prompts([CAPTION])["prompt_embeds"], model.pipeline.unet.encoder_hid_proj
    of_t5, of_clip = layer.weight.split(WIDTH, dim=1)
    projected = layer(joined)
    torch.testing.assert_close(projected[:, :CLIP], F.linear(joined[:, :CLIP, WIDTH:], of_clip, layer.bias))
    torch.testing.assert_close(projected[:, CLIP:], F.linear(joined[:, CLIP:, :WIDTH], of_t5, layer.bias))


def test_plain_diffusers_draws_what_emu_draws(folder: Path, model: LatentDiffusionXL) -> None:
    plain = DiffusionPipeline.from_pretrained(folder)
    plain.set_progress_bar_config(disable=True)
    settings = {"num_inference_steps": 2, "output_type": "pt", "height": 32, "width": 32}
    drawn = plain(CAPTION, generator=torch.Generator().manual_seed(0), guidance_scale=5.0, **settings).images
    model.sampler["num_inference_steps"] = 2
    own = model.sample(model.encode_prompts([CAPTION]), model.encode_prompts([""]), [0], height=32, width=32)
    torch.testing.assert_close(own, drawn, rtol=0, atol=1e-3)
    away = plain(CAPTION, negative_prompt="a blue bird in the snow " * 9, **settings).images  # longer than either reads
    assert away.isfinite().all()


def test_no_single_file_is_made_of_it(folder: Path) -> None:
    with pytest.raises(UserError, match="is emu's own"):
        originals.parts(folder, "unet")


def test_published_encoders_are_read_into_their_rows(tmp_path: Path) -> None:
    """As configs/new/emu-2.8b.yaml names them: weights from the hub, rows and the longest text from the config."""
    kinds = {"t5": (pipelines.t5(), "JoinedT5EncoderModel", [CLIP, T5, 0])}
    kinds["clip"] = (
        (pipelines.tokenizer(), pipelines.clip(CLIPTextModelWithProjection)),
        "JoinedCLIPTextModel",
        [0, CLIP, T5],
    )
    for name, ((tokenizer, encoder), kind, rows) in kinds.items():
        tokenizer.save_pretrained(tmp_path / name)
        encoder.save_pretrained(tmp_path / name)
        path = {"_class_name": f"emu.parts.joined.{kind}", "pretrained": str(tmp_path / name)}
        found = components.loaded("text_encoder", {**path, "rows": rows}, (CLIPTextModel,))
        assert (type(found).__name__, list(found.config.rows)) == (kind, rows)
        assert all(torch.equal(a, b) for a, b in zip(found.parameters(), encoder.parameters(), strict=True))
        with pytest.raises(UserError, match="text_encoder.row: no such setting"):
            components.loaded("text_encoder", {**path, "row": rows}, (CLIPTextModel,))
    given = {"_class_name": "T5Tokenizer", "pretrained": str(tmp_path / "t5"), "max_length": T5}
    assert components.loaded("tokenizer", given, (CLIPTokenizer,)).model_max_length == T5
