"""Every published layout, made tiny: loads, trains, draws, and is exported with what was not trained as it was."""

from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from transformers import CLIPTokenizer

import pipelines
from architectures import CLASSES, PROMPTS, SEEDS, START, encoded, make, prompts, side
from emu.errors import UserError
from emu.models import load_model
from emu.pipeline_folders import components, folders
from emu.planning.outline import Outline, count
from layouts_as_published import LAYOUTS, REFUSED, publish

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")


@pytest.fixture(params=list(LAYOUTS))
def published(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """Its architecture, and the folder."""
    return LAYOUTS[request.param][0], publish(request.param, tmp_path / "base")


def test_a_published_layout_is_tuned_drawn_and_exported(published: tuple[str, Path], tmp_path: Path) -> None:
    name, base = published
    assert type(load_model(base)) is CLASSES[name]
    model = make(name, base)
    x, cond = encoded(model, name)
    loss = model.loss(x, cond)
    assert loss.isfinite().all()
    loss.mean().backward()
    with torch.no_grad():
        for average, live in zip(model.ema.parameters(), model.backbone.parameters(), strict=True):
            average.add_(live.grad if live.grad is not None else 0, alpha=-0.1)
        ours = model.sample(prompts(model, PROMPTS[:1]), model.encode_prompts([""]), SEEDS[:1])[0]
    model.save_pipeline(tmp_path / "out")
    for path in base.rglob("*"):
        kept = path.relative_to(base)
        if path.is_file() and kept.parts[0] not in (model.slot, "scheduler"):
            assert (tmp_path / "out" / kept).read_bytes() == path.read_bytes()
    left_out = components.left_out(model.pipeline_class, folders.read_index(base))
    plain = DiffusionPipeline.from_pretrained(tmp_path / "out", **left_out)
    plain.set_progress_bar_config(disable=True)
    size = {**model.size_arguments(side(name), side(name)), "generator": torch.Generator().manual_seed(SEEDS[0])}
    start = {"image": Image.open(START).convert("RGB")} if model.starts_from_picture else {}
    theirs = plain(PROMPTS[0], output_type="np", **size, **start, **model.sampler).images[0]
    torch.testing.assert_close(ours.permute(1, 2, 0), torch.from_numpy(theirs), rtol=0, atol=1e-5)


def test_tokenizers_cut_as_they_were_made_to(published: tuple[str, Path]) -> None:
    learned = pipelines.tokenizer()  # numbers its letters anew each time
    wanted = [learned.convert_ids_to_tokens(ids) for ids in learned(pipelines.CAPTIONS).input_ids]
    for name, tokenizer in load_model(published[1]).pipeline.components.items():
        if isinstance(tokenizer, CLIPTokenizer):
            ids = tokenizer(pipelines.CAPTIONS).input_ids
            assert [tokenizer.convert_ids_to_tokens(row) for row in ids] == wanted
            assert tokenizer.model_max_length == 12
        elif name.startswith("tokenizer"):
            ids = tokenizer(pipelines.CAPTIONS).input_ids
            assert all(row[-1] == tokenizer.eos_token_id and tokenizer.unk_token_id not in row for row in ids)


def test_a_plan_sees_the_same_networks(published: tuple[str, Path]) -> None:
    name, base = published
    model = make(name, base)
    outline = Outline(CLASSES[name](str(base), resolution=side(name)))
    assert outline.trained() == count(model.backbone)
    assert sum(map(count, outline.frozen().values())) == sum(map(count, model.frozen_parts()))


@pytest.mark.parametrize("layout", list(REFUSED))
def test_what_cannot_be_tuned_is_refused_in_a_line_by_fit_and_by_plan(layout: str, tmp_path: Path) -> None:
    name, _, said = REFUSED[layout]
    base = publish(layout, tmp_path)
    for attempt in (make, lambda name, base: Outline(CLASSES[name](str(base), resolution=side(name)))):
        with pytest.raises(UserError) as caught:
            attempt(name, base)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
