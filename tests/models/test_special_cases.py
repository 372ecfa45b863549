"""What only one architecture has: IF's variance, aMUSEd's decoder and tokens, SD3 without T5, foreign schedulers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers import AmusedPipeline, FlowMatchEulerDiscreteScheduler, PNDMScheduler

from architectures import CLASSES, FLOW, PROMPTS, SEEDS, images, make
from emu.errors import UserError
from emu.formats import plain
from emu.models import FlowMatching, LatentDiffusion, Muse
from pipelines import flow, latent, pixel

Folder = Callable[[str], Path]


def test_if_draws_with_a_fixed_variance_once_it_learned_the_noise_alone(tiny_folder: Folder, tmp_path: Path) -> None:
    assert pixel().scheduler.config.variance_type == "learned_range"
    model = make("pixel", tiny_folder("pixel"))
    model.save_pipeline(tmp_path / "out")
    again = make("pixel", tmp_path / "out")
    assert again.pipeline.scheduler.config.variance_type == "fixed_small"
    assert type(again.pipeline.scheduler) is type(pixel().scheduler)
    assert again.pipeline.scheduler.config.thresholding


def test_tokens_are_those_that_the_decoder_turns_back(tiny_folder: Folder) -> None:
    model: Any = make("muse", tiny_folder("muse"))
    vqvae = model.pipeline.vqvae
    tokens = model.encode_images(images("muse"))
    assert tokens.dtype == torch.int64
    assert tokens.shape == (3, 16, 16)
    latents = vqvae.encode(images("muse") / 2 + 0.5).latents
    nearest = torch.cdist(latents.permute(0, 2, 3, 1).reshape(-1, 8), vqvae.quantize.embedding.weight).argmin(1)
    assert torch.equal(tokens.flatten(), nearest)


@pytest.mark.parametrize("settings", [{"guidance_scale": 1.0}, {"guidance_scale": 3.0, "temperature": 4}])
def test_our_decoder_draws_what_theirs_draws(tiny_folder: Folder, settings: dict[str, Any]) -> None:
    model: Any = make("muse", tiny_folder("muse"), sampler={"num_inference_steps": 5, **settings})
    theirs = AmusedPipeline.from_pretrained(tiny_folder("muse"))
    theirs.set_progress_bar_config(disable=True)
    for prompt, seed in zip(PROMPTS, SEEDS, strict=True):
        ours = model.sample(model.encode_prompts([prompt]), model.encode_prompts([""]), [seed])
        drawn = theirs(
            prompt, height=32, width=32, generator=torch.manual_seed(seed), output_type="pt", **model.sampler
        )
        torch.testing.assert_close(ours, drawn.images, rtol=0, atol=1e-5)


def test_guidance_rises_from_where_it_starts(tiny_folder: Folder) -> None:
    steps = {"num_inference_steps": 5, "guidance_scale": 4.0}
    model: Any = make("muse", tiny_folder("muse"), sampler={**steps, "guidance_scale_start": 0})
    seen: list[int] = []
    model.pipeline.transformer.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))

    def drawn(**settings: float) -> torch.Tensor:
        model.sampler = {**steps, **settings}
        return cast(torch.Tensor, model.sample(model.encode_prompts(PROMPTS), model.encode_prompts([""]), SEEDS))

    rising = drawn(guidance_scale_start=0)
    n = len(PROMPTS)
    assert seen == [n, n, 2 * n, 2 * n, 2 * n]  # 0, 1, 2, 3, 4: up to 1 the prompt alone
    steady = drawn()
    assert not torch.equal(rising, steady)
    assert torch.equal(drawn(guidance_scale_start=4.0), steady)
    assert torch.equal(drawn(guidance_scale_start=9.0), steady)  # never above the scale itself, a line's own may be low


def test_noise_offset_is_no_argument_of_the_masked_one(tiny_folder: Folder) -> None:
    settings: dict[str, Any] = {"noise_offset": 0.1}
    with pytest.raises(TypeError, match="noise_offset"):
        Muse(str(tiny_folder("muse")), **settings)
    assert make("latent", tiny_folder("latent")).noise_offset == 0.1
    assert make("flow", tiny_folder("flow")).noise_offset == 0


def test_sd3_without_t5(tmp_path: Path) -> None:
    flow(with_t5=False).save_pretrained(tmp_path)
    model = make("flow", tmp_path)
    cond = model.encode_prompts(PROMPTS)
    assert cond["prompt_embeds"].shape[1] > model.max_tokens
    assert model.sample(cond, model.encode_prompts([""]), SEEDS).shape == (3, 3, 32, 32)


@pytest.mark.slow
def test_kandinskys_tokenizer_is_taken_out_of_its_processor(tiny_folder: Folder, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder("kandinsky5"), tmp_path / "base")
    index = tmp_path / "base" / "model_index.json"
    published = json.loads(index.read_text()) | {"tokenizer": ["transformers", "Qwen2VLProcessor"]}
    index.write_text(json.dumps(published))
    (tmp_path / "base" / "tokenizer" / "preprocessor_config.json").write_text('{"processor_class": "Qwen2VLProcessor"}')
    model = make("kandinsky5", tmp_path / "base")
    with torch.no_grad():
        ours = model.sample(model.encode_prompts(PROMPTS[:1]), model.negative_prompt(), SEEDS[:1])
    model.save_pipeline(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "model_index.json").read_text()) == published
    pipeline = plain(model, tmp_path / "out")
    model.allow_size(pipeline, 32, 32)
    generator = torch.Generator().manual_seed(SEEDS[0])
    theirs = pipeline(**model.plain_arguments(PROMPTS[0]), height=32, width=32, generator=generator, output_type="pt")
    torch.testing.assert_close(ours, theirs[0], rtol=0, atol=1e-5)


def test_longcats_rewriter_of_prompts_is_left_out(tiny_folder: Folder, tmp_path: Path) -> None:
    """The published folder has its processor, which cannot be loaded without torchvision; what it counts it cuts."""
    folder = tmp_path / "published"
    shutil.copytree(tiny_folder("longcat_image"), folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["text_processor"] = ["transformers", "Qwen2_5_VLProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "text_processor").mkdir()
    (folder / "text_processor" / "preprocessor_config.json").write_text("{}")
    model: Any = make("longcat_image", folder)
    assert model.pipeline.text_processor is None
    prompts = ["a red boat", "a sign that says 'open'", ""]
    counts = model.token_counts(prompts)
    assert counts[2] == 0
    assert counts[1] >= len("'open'")  # letter by letter, marks too
    model.pipeline.tokenizer_max_length = counts[1]
    whole, other = (
        model.encode_prompts(prompts[1:2])["prompt_embeds"],
        model.encode_prompts(prompts[:1])["prompt_embeds"],
    )
    assert whole.shape == other.shape == (1, counts[1], whole.shape[-1])
    model.pipeline.tokenizer_max_length = counts[1] - 1
    assert model.encode_prompts(prompts[1:2])["prompt_embeds"].shape[1] == counts[1] - 1


def test_hidream_without_llama_is_told_how_to_be_made_whole(tiny_folder: Folder, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder("hidream"), tmp_path / "base")
    index = tmp_path / "base" / "model_index.json"
    as_published = {k: part for k, part in json.loads(index.read_text()).items() if not k.endswith("_4")}
    index.write_text(json.dumps(as_published))
    with pytest.raises(UserError, match="published without Llama; make it whole once"):
        make("hidream", tmp_path / "base")


def test_a_scheduler_of_another_kind_is_refused(tmp_path: Path) -> None:
    foreign = latent()
    foreign.scheduler = FlowMatchEulerDiscreteScheduler()
    foreign.save_pretrained(tmp_path / "latent")
    with pytest.raises(UserError, match="prediction_type None"):
        LatentDiffusion(str(tmp_path / "latent")).configure_model()
    other = flow()
    other.scheduler = PNDMScheduler()
    other.save_pretrained(tmp_path / "flow")
    with pytest.raises(UserError, match="no flow matching"):
        FlowMatching(str(tmp_path / "flow")).configure_model()


def test_defaults_are_the_pipelines_own() -> None:
    steps = {name: kind.sampler_defaults["num_inference_steps"] for name, kind in CLASSES.items()}
    own = {"num_inference_steps", "guidance_scale", "true_cfg_scale", "max_sequence_length"}
    assert steps == {
        "latent": 50,
        "latent_xl": 50,
        "pixel": 100,
        "upscaling": 50,
        "latent_upscaling": 75,
        "muse": 12,
        "muse_upscaling": 8,
        "flow": 28,
        "pixart": 20,
        "own_sana": 20,
        "joined": 50,
    } | {name: kind.call_parameters()["num_inference_steps"].default for name, kind in FLOW.items()}
    for kind in FLOW.values():
        called = kind.call_parameters()
        for key in own & kind.sampler_defaults.keys():
            assert kind.sampler_defaults[key] == called[key].default
