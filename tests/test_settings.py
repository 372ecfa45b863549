"""A prompt's own seed, size, steps, guidance and negative prompt: drawn as its line says, in every architecture."""

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from diffusers import DiffusionPipeline
from PIL import Image

from architectures import OLDER, PROMPTS, make, side
from emu.cli import main
from emu.data import load_prompts
from emu.data.prompts import prompt_batches
from emu.errors import UserError
from emu.layouts import runs
from emu.models import LatentDiffusion
from emu.module import TextToImageModule
from emu.module.settings import draw, drawn_with, require_drawable
from emu.sampling import cascade
from emu.sampling.sample import Plan, Stage
from needles import make_folder

Folder = Callable[[str], Path]

# torch tensors given to numpy by diffusers' Euler scheduler
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROWS = [
    {"prompt": "a red boat"},
    {"prompt": "a blue bird", "seed": 42, "steps": 3, "cfg_scale": 2.5, "negative_prompt": "dull, grey"},
    {"prompt": "two hills", "negative_prompt": "fog"},
    {"prompt": "a cup", "steps": 3, "cfg_scale": 2.5},
]


@pytest.fixture(params=list(OLDER))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(name: str, tiny_folder: Folder) -> Iterator[TextToImageModule]:
    with torch.no_grad():
        yield make(name, tiny_folder(name), sampler={"num_inference_steps": 2, "guidance_scale": 3.0})


def write(tmp_path: Path, rows: list[dict[str, Any]]) -> Path:
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def batches(rows: list[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    return prompt_batches(rows, batch_size=size, rank=0, world=1)


def test_pictures_are_drawn_as_their_lines_say_whatever_the_batch(
    model: TextToImageModule, name: str, tmp_path: Path
) -> None:
    wide = {"width": 2 * side(name), "height": side(name)}
    rows = load_prompts(write(tmp_path, [*ROWS, {"prompt": "a wide sea", **wide}]))
    require_drawable(model, rows, where="here")
    drawn = {}
    for size in (1, 3):
        for batch in batches(rows, size):
            for index, picture in zip(batch["index"].tolist(), draw(model, batch), strict=True):
                drawn[index, size] = picture
    assert drawn[4, 1].shape == (3, side(name), 2 * side(name))
    for index, row in enumerate(rows):
        torch.testing.assert_close(drawn[index, 1], drawn[index, 3], rtol=0, atol=2e-3)
        by_hand = {"num_inference_steps": 3, "guidance_scale": 2.5} if index in (1, 3) else {}
        usual, model.sampler = model.sampler, {**model.sampler, **by_hand}
        negative = model.encode_prompts([["", "dull, grey", "fog", "", ""][index]])
        sides = wide if index == 4 else {}
        expected = model.sample(model.encode_prompts([row["prompt"]]), negative, [42 if index == 1 else index], **sides)
        torch.testing.assert_close(drawn[index, 1], expected[0], rtol=0, atol=1e-5)
        model.sampler = usual


def test_a_negative_prompt_leads_away_as_in_plain_diffusers(
    model: TextToImageModule, name: str, tmp_path: Path
) -> None:
    batch = {"prompt": PROMPTS[:1], "negative": ["grey"], "seed": torch.tensor([7]), "settings": {"cfg_scale": 4.0}}
    ours = draw(model, batch)
    model.save_pipeline(tmp_path)
    plain = DiffusionPipeline.from_pretrained(tmp_path)
    plain.set_progress_bar_config(disable=True)
    call = {**model.sampler, "height": side(name), "width": side(name), "guidance_scale": 4.0}
    theirs = plain(PROMPTS[0], negative_prompt="grey", generator=torch.manual_seed(7), output_type="np", **call).images
    torch.testing.assert_close(ours[0].permute(1, 2, 0), torch.from_numpy(theirs[0]), rtol=0, atol=1e-5)
    assert not torch.equal(ours, draw(model, {**batch, "negative": [""]}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 33, "height": 32}, "multiples of"),
        ({"gidance": 3}, "LatentDiffusion has no gidance"),
        ({"output_type": "pil"}, "has no output_type"),
        ({"cfg_scale": 7.0, "guidance_scale": 3.5}, "cfg_scale 7 is this pipeline's guidance_scale, given as 3.5"),
        ({"cfg_scale": 1.0, "negative_prompt": "dull"}, "a negative prompt does nothing at guidance_scale 1"),
    ],
)
def test_what_a_model_cannot_draw_names_the_prompt(settings: dict[str, Any], message: str, tiny_folder: Folder) -> None:
    model = make("latent", tiny_folder("latent"))
    rows = [
        {"prompt": "a cat", "index": 0, "seed": 0},
        {"prompt": "a dog", "index": 1, "seed": 1, "settings": settings},
    ]
    with pytest.raises(UserError, match=rf"^p\.txt: prompt 2, 'a dog': .*{message}"):
        require_drawable(model, rows, where="p.txt")


def test_a_sampler_takes_nothing_that_is_not_its_own(tiny_folder: Folder) -> None:
    with pytest.raises(UserError, match=r"model\.sampler\.output_type: LatentDiffusion has no such setting"):
        make("latent", tiny_folder("latent"), sampler={"output_type": "pil"})


@pytest.mark.parametrize("name", ["latent", "muse", "flow", "muse_upscaling"])
@pytest.mark.parametrize(
    ("setting", "said"),
    [({"guidance_scale": "high"}, "guidance_scale high: give a number"),
     ({"num_inference_steps": 0}, "num_inference_steps 0: give 1 or more"),
     ({"num_inference_steps": "many"}, "num_inference_steps many: give a number")],
)  # fmt: skip
def test_settings_that_are_numbers_are_given_as_such(
    name: str, setting: dict[str, Any], said: str, tiny_folder: Folder
) -> None:
    with pytest.raises(UserError, match=rf"model\.sampler\.{said}"):
        make(name, tiny_folder(name), sampler=setting)


def test_where_guidance_rises_from_is_a_number(tiny_folder: Folder) -> None:
    with pytest.raises(UserError, match=r"model\.sampler\.guidance_scale_start low: give a number"):
        make("muse", tiny_folder("muse"), sampler={"guidance_scale_start": "low"})


def test_guidance_goes_by_the_name_that_the_pipeline_has(tiny_folder: Folder) -> None:
    class Distilled(LatentDiffusion):
        def sampler_names(self) -> set[str]:
            return {*super().sampler_names(), "true_cfg_scale"}

    model = Distilled(str(tiny_folder("latent")))
    model.configure_model()
    drawn = drawn_with(model, {"cfg_scale": 4.0, "guidance_scale": 3.5})
    assert (drawn["true_cfg_scale"], drawn["guidance_scale"]) == (4.0, 3.5)
    row = {"prompt": "a cat", "index": 0, "settings": {"negative_prompt": "dull"}}
    with pytest.raises(UserError, match="does nothing at true_cfg_scale 1"):
        require_drawable(model, [row], where="p.txt")


@pytest.mark.parametrize("name", ["latent", "z_image", "krea2"])
@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 1.5])
def test_a_negative_prompt_is_taken_where_it_leads_a_picture_away(name: str, scale: float, tiny_folder: Folder) -> None:
    model = make(name, tiny_folder(name))
    one: Any = {"prompt": PROMPTS[:1], "seed": torch.tensor([7]), "settings": {"guidance_scale": scale}}
    acts = not torch.equal(draw(model, {**one, "negative": ["grey"]}), draw(model, {**one, "negative": [""]}))
    row = {"prompt": "a cat", "index": 0, "settings": {"guidance_scale": scale, "negative_prompt": "grey"}}
    with nullcontext() if acts else pytest.raises(UserError, match="a negative prompt does nothing"):
        require_drawable(model, [row], where="p.txt")
    assert acts == (scale > model.guides_above)


def test_a_distilled_model_takes_no_negative_prompt(tiny_folder: Folder) -> None:
    model = make("flux2_klein", tiny_folder("flux2_klein"))
    row = {"prompt": "a cat", "index": 0, "settings": {"negative_prompt": "grey"}}
    require_drawable(model, [row], where="p.txt")
    model.pipeline.register_to_config(is_distilled=True)
    with pytest.raises(UserError, match="Flux2Klein draws without a negative prompt; take it out"):
        require_drawable(model, [row], where="p.txt")


def test_sample_and_fit_draw_the_same_and_say_how(tiny_folder: Folder, tmp_path: Path) -> None:
    """The folder of `emu sample` and step 0 of `emu fit`: the same pictures, and what they were drawn with."""
    base = tiny_folder("latent")
    rows = [*ROWS, {"prompt": "a wide sea", "width": 48, "height": 32, "file": "../../x.png", "cond": 1}]
    prompts = write(tmp_path, rows)
    root = make_folder(tmp_path, [(40, 32)] * 4)
    given = {"num_inference_steps": 2, "guidance_scale": 3.0}
    config = {
        "trainer": {"default_root_dir": str(tmp_path / "run"), "accelerator": "cpu", "enable_progress_bar": False},
        "model": {
            "class_path": "emu.models.LatentDiffusion",
            "init_args": {"pretrained": str(base), "sampler": given, "warmup_steps": 0},
        },
        "data": {"root": str(root), "prompts": str(prompts), "resolution": 32, "batch_size": 4, "bucket_step": 8}
        | {"num_workers": 0, "sample_batch_size": 2},
        "quality": {"batch": 4, "max_steps": 1, "check_every": 1, "appeal": {"class_path": "lamp.Brightness"}},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    main(["fit", "-c", str(tmp_path / "run.yaml")])
    cascade.draw([Stage(str(base), given)], Plan.read(prompts), tmp_path / "out")
    before, after = (runs.read_samples(tmp_path / "run" / f"step-00000{step}") for step in (0, 1))
    own = runs.read_samples(tmp_path / "out")
    assert before == after == [{key: value for key, value in row.items() if key != "model"} for row in own]
    assert [row["file"] for row in own] == [f"0000{i}.png" for i in range(5)]
    assert [row["seed"] for row in own] == [0, 42, 2, 3, 4]
    assert own[1]["sampler"] == {"num_inference_steps": 3, "guidance_scale": 2.5, "negative_prompt": "dull, grey"}
    assert own[4]["sampler"] == {**given, "width": 48, "height": 32}
    assert (own[4]["prompt_file"], own[4]["cond"]) == ("../../x.png", 1)
    for row in own:
        one, other = (
            np.asarray(Image.open(tmp_path / path / row["file"])).astype(int) for path in ("out", "run/step-000000")
        )
        assert one.shape == ((32, 48, 3) if row["index"] == 4 else (32, 32, 3))
        assert np.abs(one - other).max() <= 1  # the batches were others
    main(["compare", str(tmp_path / "run"), "--out", str(tmp_path / "report.html")])
    assert json.loads((tmp_path / "verdict.json").read_text())["runs"][0]["pairs"] == 5


def test_fit_refuses_what_it_cannot_draw_before_it_draws(tiny_folder: Folder, tmp_path: Path, capsys: Any) -> None:
    prompts = write(tmp_path, [{"prompt": "a cat"}, {"prompt": "a dog", "width": 33, "height": 32}])
    root = make_folder(tmp_path, [(40, 32)] * 4)
    with pytest.raises(SystemExit):
        main([
            *("fit", "-c", "latent/tiny", f"--model.pretrained={tiny_folder('latent')}", f"--data.root={root}"),
            *(f"--data.prompts={prompts}", f"--trainer.default_root_dir={tmp_path / 'run'}", "--data.resolution=32"),
            *("--data.bucket_step=8", "--data.num_workers=0", "--data.held_out=0", "--trainer.accelerator=cpu"),
        ])  # fmt: skip
    assert "data.prompts: prompt 2, 'a dog'" in capsys.readouterr().err
    assert not list((tmp_path / "run").glob("step-*/*.png"))
