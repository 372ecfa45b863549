"""Every architecture x every clause of the contract, on real pipelines made tiny.

The flow-matching family goes through all of it in the slow tests, and through what is its own in the fast ones.
"""

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from architectures import (
    CLASSES,
    FLOW,
    OF_EMU,
    OF_PICTURES,
    OLDER,
    PROMPTS,
    SEEDS,
    START,
    encoded,
    given,
    loader,
    make,
    prompt_batch,
    prompts,
    side,
    trainer,
    training_batch,
)
from emu.adamw8bit import AdamW8bit
from emu.batch import Text
from emu.drawn import on_white
from emu.errors import UserError
from emu.module import TextToImageModule
from emu.module.settings import draw
from emu.objectives import draws
from emu.optim import averaging
from emu.parts.token_upscaler import TokenUpscalingPipeline
from emu.pipeline_folders.components import is_encoder

Folder = Callable[[str], Path]

# torch tensors given to numpy by diffusers' Euler scheduler
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(
    params=[*OLDER, *(pytest.param(name, marks=pytest.mark.slow) for name in [*FLOW, *OF_PICTURES, *OF_EMU])]
)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


every = pytest.mark.parametrize("name", list(CLASSES), indirect=True)
UNREACHED = {"qwen_image": "to_add_out|txt_mlp"}  # what the last block makes of the text goes nowhere


@pytest.fixture
def model(name: str, tiny_folder: Folder) -> TextToImageModule:
    return make(name, tiny_folder(name))


@every
def test_encodings_stack_and_loss_is_one_number_a_sample(model: TextToImageModule, name: str) -> None:
    x, cond = encoded(model, name)
    loss = model.loss(x, cond)
    assert loss.shape == (3,)
    assert loss.isfinite().all()
    assert len(x) == 3
    alone = model.encode_prompts(PROMPTS[2:])
    assert {key: value.shape[1:] for key, value in model.negative_prompt().items()} == {
        key: value.shape[1:] for key, value in alone.items()
    }
    for key in alone:
        assert alone[key].shape == cond[key][2:].shape
        torch.testing.assert_close(alone[key], cond[key][2:], rtol=1e-4, atol=1e-5)


def test_a_sample_does_not_see_its_neighbours_in_the_loss(model: TextToImageModule, name: str) -> None:
    x, cond = encoded(model, name)
    torch.manual_seed(1)
    before = model.loss(x, cond)
    torch.manual_seed(1)
    changed = model.loss(torch.cat([x[:1], x[:1].flip(-1), x[2:]]), cond)
    torch.testing.assert_close(changed[[0, 2]], before[[0, 2]], rtol=1e-4, atol=1e-5)
    assert changed[1] != before[1]


def test_the_gradient_reaches_all_of_the_backbone_and_nothing_else(model: TextToImageModule, name: str) -> None:
    x, cond = encoded(model, name)
    model.loss(x, cond).mean().backward()
    unreached = [n for n, p in model.backbone.named_parameters() if p.grad is None]
    assert all(re.search(UNREACHED.get(name, "^$"), parameter) for parameter in unreached)
    rest = [p for part in [model.ema, *model.frozen_parts()] for p in part.parameters()]
    assert not any(p.requires_grad or p.grad is not None for p in rest)


def test_lightning_sees_two_children(model: TextToImageModule) -> None:
    assert [child for child, _ in model.named_children()] == ["backbone", "ema"]
    assert {key.partition(".")[0] for key in model.state_dict()} == {"backbone", "ema"}
    assert getattr(model.pipeline, model.slot) is model.ema
    backbone = model.backbone
    model.configure_model()
    assert model.backbone is backbone
    assert model.train().backbone.training
    assert not model.ema.training


def test_frozen_parts_follow_the_module(model: TextToImageModule) -> None:
    model.to(torch.float64)
    parts = [model.backbone, model.ema, *model.frozen_parts()]
    assert {p.dtype for part in parts for p in part.parameters()} == {torch.float64}


@every
def test_a_picture_depends_on_its_prompt_and_seed_and_not_on_its_batch(model: TextToImageModule, name: str) -> None:
    with torch.no_grad():
        cond = prompts(model)
        drawn = model.sample(cond, model.negative_prompt(), SEEDS)
        row = {key: value[2:] for key, value in cond.items()}
        alone = model.sample(row, model.negative_prompt(), torch.tensor(SEEDS[2:]))
        other = model.sample(row, model.negative_prompt(), [SEEDS[0]])
    assert drawn.shape == (3, 3, side(name), side(name))
    assert drawn.dtype == torch.float32
    assert 0 <= drawn.min() < drawn.max() <= 1
    torch.testing.assert_close(alone[0], drawn[2], rtol=0, atol=2e-3)
    assert (other[0] - drawn[2]).abs().mean() > 0.01


def test_half_precision_on_disk_is_float32_in_training(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(tiny_folder(name), folder)
    for file in folder.rglob("*.safetensors"):
        save_file({key: value.half() for key, value in load_file(file).items()}, file, metadata={"format": "pt"})
    model = make(name, folder)
    parts = [model.backbone, model.ema, *model.frozen_parts()]
    assert {p.dtype for part in parts for p in part.parameters()} == {torch.float32}


def test_size_can_be_asked_for(model: TextToImageModule, name: str) -> None:
    height, width = side(name), 2 * side(name)
    cond = prompts(model, PROMPTS[:1])
    if model.starts_from_picture:  # which says how large
        cond["image"] = cond["image"].repeat(1, 1, 1, 2)
    assert model.sample(cond, model.negative_prompt(), [0], height=height, width=width).shape == (1, 3, height, width)


@every
def test_saved_pipeline_draws_the_same_in_plain_diffusers(model: TextToImageModule, name: str, tmp_path: Path) -> None:
    for parameter in model.ema.parameters():
        parameter.mul_(1.01)  # so that it is the average, and neither the base nor the backbone, that must come out
    ours = model.sample(prompts(model, PROMPTS[:1]), model.negative_prompt(), SEEDS[:1])
    model.save_pipeline(tmp_path / "out")
    model.save_pipeline(tmp_path / "out")  # over an earlier one
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    kind = DiffusionPipeline if name != "muse_upscaling" else TokenUpscalingPipeline  # diffusers has no such class
    plain = kind.from_pretrained(tmp_path / "out", **given(name))
    assert type(plain).__name__ == model.pipeline_class.__name__
    plain.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEEDS[0])
    size = model.size_arguments(side(name), side(name))
    model.allow_size(plain, side(name), side(name))
    start = {"image": Image.open(START).convert("RGB")} if model.starts_from_picture else {}
    theirs = plain(**model.plain_arguments(PROMPTS[0]), **start, generator=generator, output_type="np", **size)[0][0]
    theirs = on_white(torch.from_numpy(theirs).permute(2, 0, 1)[None])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_the_average_follows_each_optimizer_step(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    model = make(name, tiny_folder(name), optimizer=lambda p: torch.optim.SGD(p, lr=0.1), warmup_steps=2)
    expected = copy.deepcopy(model.ema)
    seen: list[float] = []

    class ByHand(L.Callback):
        def on_before_zero_grad(self, run: L.Trainer, module: L.LightningModule, optimizer: Any) -> None:
            seen.append(optimizer.param_groups[0]["lr"])

        def on_train_batch_end(self, run: L.Trainer, module: Any, *args: Any) -> None:
            decay = (1 + run.global_step) / (10 + run.global_step)
            for mean, live in zip(expected.parameters(), module.backbone.parameters(), strict=True):
                mean.mul_(decay).add_(live.detach(), alpha=1 - decay)

    run = trainer(tmp_path, max_steps=3, limit_val_batches=0, callbacks=[ByHand()])
    run.fit(model, loader(*(training_batch(name, seed=i) for i in range(3))), loader(prompt_batch()))
    for mean, wanted in zip(model.ema.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mean, wanted, rtol=1e-5, atol=1e-6)
    assert run.callback_metrics["ema_distance"] > 0
    assert run.callback_metrics["loss"].isfinite()
    assert seen[-1] == 0.1
    assert min(seen) == 0.05


CARD: dict[str, Any] = {"weights_dtype": "bfloat16", "encoders_dtype": "bfloat16", "average_on": "host"}
CARD |= {"gradient_checkpointing": True, "optimizer": lambda p: AdamW8bit(p, lr=1e-3), "warmup_steps": 0}


# torch, of diffusers' Krea 2: a norm with weights in bfloat16 takes the slower way on the CPU, for it reads float32.
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_on_a_small_card_it_learns_and_goes_on_to_the_bit(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    """Weights in bfloat16, moments in 8 bits, the average on the host: a broken run is the unbroken one."""

    def fit(steps: int, checkpoint: Path | None = None) -> TextToImageModule:
        model = make(name, tiny_folder(name), **CARD)
        run = trainer(tmp_path, max_steps=steps, max_epochs=-1, precision="bf16-mixed", check_val_every_n_epoch=2)
        validation = [loader(training_batch(name)), loader(prompt_batch())]
        run.fit(model, loader(training_batch(name)), validation, ckpt_path=checkpoint)
        run.save_checkpoint(tmp_path / f"{steps}.ckpt")
        return model

    unbroken, _ = fit(4), fit(2)
    first = torch.load(tmp_path / "2.ckpt", weights_only=True)
    begun = make(name, tiny_folder(name), **CARD)
    begun.load_state_dict(first["state_dict"])
    again = fit(4, tmp_path / "2.ckpt")
    for of in ("backbone", "ema"):
        mine, wanted = getattr(again, of).state_dict(), getattr(unbroken, of).state_dict()
        assert all(torch.equal(value, wanted[key]) for key, value in mine.items())
        assert not all(torch.equal(value, mine[key]) for key, value in getattr(begun, of).state_dict().items())
    assert {p.dtype for p in again.backbone.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in again.ema.parameters()} == {torch.float32}


@every
def test_encoders_in_half_precision_leave_a_float32_network_drawing(name: str, tiny_folder: Folder) -> None:
    """Pipelines convert embeddings to their encoder's type; the picture is the same but for rounding."""
    model = make(name, tiny_folder(name), encoders_dtype="bfloat16")
    encoders = [part for part in model.frozen_parts() if is_encoder(type(part))]
    with torch.no_grad():
        drawn, wanted = (draw(one, prompt_batch()) for one in (model, make(name, tiny_folder(name))))
    assert [part for part in model.frozen_parts() if is_encoder(type(part))] == encoders
    if name != "muse":  # one token drawn otherwise is another picture
        assert (drawn - wanted).abs().mean() < 0.05


@every
def test_what_is_remembered_is_drawn_without_text_encoders(name: str, tiny_folder: Folder) -> None:
    model = make(name, tiny_folder(name))
    texts = [*map(Text, PROMPTS), Text("", negative=True)]
    with torch.no_grad():
        wanted = draw(model, prompt_batch())
        known = {text: model.encode([text.words], negative=text.negative) for text in texts}
        without = CLASSES[name](str(tiny_folder(name)), resolution=side(name), sampler=model.sampler)
        without.reads_texts = False
        without.configure_model()
        without.remember(known)
        assert torch.equal(draw(without, prompt_batch()), wanted)
    assert not any(is_encoder(type(part)) for part in without.frozen_parts())


def test_an_average_that_stands_still_is_an_error(tiny_folder: Folder, tmp_path: Path) -> None:
    model = make("muse", tiny_folder("muse"), optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    with pytest.raises(RuntimeError, match="averaged weights equal the live ones"):
        trainer(tmp_path, max_steps=1, limit_val_batches=0).fit(
            model, loader(training_batch("muse")), loader(prompt_batch())
        )


def test_without_an_average_or_logs_the_twin_is_the_backbone(tiny_folder: Folder, tmp_path: Path) -> None:
    model = make("muse", tiny_folder("muse"), ema_decay=0.0)
    run = trainer(tmp_path, max_steps=2, limit_val_batches=0)
    run.log_every_n_steps = 0  # Lightning's word for never
    run.fit(model, loader(training_batch("muse"), training_batch("muse")), loader(prompt_batch()))
    assert averaging.squares(model.ema, model.backbone)[0] == 0


def test_a_checkpoint_brings_backbone_and_average_back(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    model = make(name, tiny_folder(name), optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    run = trainer(tmp_path, max_steps=1, limit_val_batches=0)
    run.fit(model, loader(training_batch(name)), loader(prompt_batch()))
    run.save_checkpoint(tmp_path / "one.ckpt")
    again = CLASSES[name](str(tiny_folder(name)), resolution=side(name))
    saved = torch.load(tmp_path / "one.ckpt", weights_only=True)["state_dict"]
    again.configure_model()
    again.load_state_dict(saved)
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert averaging.squares(again.ema, again.backbone)[0] > 0


def test_held_out_loss_is_the_averages_and_leaves_no_trace(model: TextToImageModule, name: str, tmp_path: Path) -> None:
    outputs: list[Any] = []
    states: list[Tensor] = []

    class Keep(L.Callback):
        def on_validation_batch_start(self, *args: Any) -> None:
            states.append(torch.random.get_rng_state())

        def on_validation_batch_end(self, run: L.Trainer, module: Any, output: Any, *args: Any) -> None:
            outputs.append(output)
            assert torch.equal(torch.random.get_rng_state(), states[-1])

    def validate() -> dict[str, float]:
        run = trainer(tmp_path, callbacks=[Keep()])
        run.validate(model, [loader(training_batch(name)), loader(prompt_batch())], verbose=False)
        return {key: float(value) for key, value in run.callback_metrics.items()}

    torch.manual_seed(3)
    first = validate()
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.zero_()
    torch.manual_seed(4)
    assert validate() == first
    assert list(first) == ["held_out_loss"]
    assert not torch.equal(states[0], states[2])
    assert float(outputs[0]["losses"].mean()) == pytest.approx(first["held_out_loss"])
    assert outputs[1]["images"].shape == (3, 3, side(name), side(name))


def test_in_mixed_precision_the_loss_draws_and_adds_noise_in_float32(
    model: TextToImageModule, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 the first steps of a schedule have no noise at all, and the network is asked for it."""
    given = given_to_the_loss(model, training_batch(name), monkeypatch)
    assert {one.dtype for one in given.values()} <= {torch.float32, torch.int64, torch.bool}


@pytest.mark.parametrize("held", ["float32", "bfloat16"])
def test_in_mixed_precision_what_is_frozen_gives_what_a_cache_does(
    name: str, held: str, tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(name, tiny_folder(name), encoders_dtype=held)
    x, cond = encoded(model, name)
    given = given_to_the_loss(model, training_batch(name), monkeypatch)
    assert given.keys() == {"x", *cond}
    if held == "float32":
        assert torch.equal(given.pop("x"), x)
    else:  # an autoencoder, held in float32, then computes as the run does
        given.pop("x")
    for key, value in given.items():
        assert torch.equal(value, cond[key].float() if value.is_floating_point() else cond[key])
    with torch.autocast("cpu", torch.bfloat16):
        for key, value in model.encode(training_batch(name)["text"]).items():
            assert torch.equal(value, given[key])


def given_to_the_loss(model: TextToImageModule, batch: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """What the loss takes in mixed precision: `x` and the conditions by their names."""
    given: dict[str, Tensor] = {}

    def loss(x: Tensor, cond: Any) -> Tensor:
        given.update({"x": x, **cond})
        return torch.zeros(3, requires_grad=True)

    monkeypatch.setattr(model, "loss", loss)
    with torch.autocast("cpu", torch.bfloat16):
        model.training_step(batch, 0)
    return given


def test_encodings_in_the_batch_train_like_the_pictures(model: TextToImageModule, name: str) -> None:
    batch = training_batch(name)
    x, cond = encoded(model, name)
    cached = {**batch, "x": x, "cond": {key: value for key, value in cond.items() if key != "size"}}
    del cached["image"], cached["text"]
    model.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    assert torch.equal(model.training_step(cached, 0), model.training_step(batch, 0))
    batch["weight"] = torch.tensor([3.0, 0.0, 0.0])
    with draws.seeded(batch["noise_seed"], model.device):
        losses = model.loss(x, cond)
    torch.testing.assert_close(model.training_step(batch, 0), losses[0], rtol=1e-4, atol=1e-5)


def test_a_loss_is_of_the_picture_and_its_seed_and_not_of_its_batch(model: TextToImageModule, name: str) -> None:
    x, cond = encoded(model, name)
    with draws.seeded([1, 2, 3], model.device):
        together = model.loss(x, cond)
    for i in range(3):
        with draws.seeded([i + 1], model.device):
            alone = model.loss(x[i : i + 1], {key: value[i : i + 1] for key, value in cond.items()})
        torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-5)
    with draws.seeded([3, 2, 1], model.device):
        assert not torch.allclose(model.loss(x, cond)[[0, 2]], together[[0, 2]], rtol=1e-3)


def test_a_size_that_it_cannot_take_is_refused(model: TextToImageModule, name: str, tiny_folder: Folder) -> None:
    multiple = model.size_multiple
    model.check_size(2 * multiple, multiple)
    with pytest.raises(UserError, match=f"multiples of {multiple} pixels"):
        model.check_size(2 * multiple, multiple + 1)
    with pytest.raises(UserError, match="data.resolution"):
        make(name, tiny_folder(name), resolution=multiple + 1)


def test_captions_are_counted_without_weights(name: str, tiny_folder: Folder) -> None:
    model = CLASSES[name](str(tiny_folder(name)))
    short, long = model.token_counts(["a boat", "a red boat " * 400])
    assert short < model.max_tokens < long


def test_a_folder_of_another_architecture_is_refused(name: str, tiny_folder: Folder) -> None:
    other = "pixel" if name != "pixel" else "muse"
    held, wanted = CLASSES[other].pipeline_class.__name__, CLASSES[name].pipeline_class.__name__
    with pytest.raises(UserError, match=f"holds an? {held}, and {CLASSES[name].__name__} takes an? {wanted}"):
        make(name, tiny_folder(other))


def test_weights_of_another_architecture_are_refused(model: TextToImageModule, name: str) -> None:
    with pytest.raises(UserError, match=f"does not fit {type(model).__name__}"):
        model.load_state_dict({"backbone.foreign": torch.zeros(1)})


def test_an_unknown_sampler_setting_is_named(name: str, tiny_folder: Folder) -> None:
    with pytest.raises(UserError, match="model.sampler.gidance"):
        make(name, tiny_folder(name), sampler={"gidance": 3})
