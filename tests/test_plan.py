"""`emu plan` says what `emu fit` would do, and reads no weight for it."""

import json
import logging
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

import pipelines
from architectures import make, side
from emu import flags, models
from emu.adamw8bit import AdamW8bit
from emu.batch import Cond
from emu.errors import UserError
from emu.module import TextToImageModule
from emu.networks.adapters import Adapter
from emu.networks.blocks import recompute
from emu.planning import cards
from emu.planning.footprint import Peak, Work, drawing, step
from emu.planning.moments import Cost, cost
from emu.planning.outline import Outline, count, held, size
from emu.planning.plan import plan
from emu.planning.weightless import Shapes, Weightless
from needles import make_folder

CLASSES: dict[str, type[TextToImageModule]] = {
    "latent": models.LatentDiffusion,
    "latent_xl": models.LatentDiffusionXL,
    "pixel": models.PixelDiffusion,
    "muse": models.Muse,
    "flow": models.FlowMatching,
}
# Encoders whose shapes depend on data: masks that pick rows, texts cut to the longest, lengths that a transformer asks.
VARYING = ["flux2_klein", "lumina2"]
REST = ["z_image", "qwen_image", "qwen_image_21", "ernie_image", "krea2", "flux", "chroma", "sana", "prx", "prx_pixel"]
REST += ["auraflow"]


@pytest.fixture(scope="module", params=CLASSES)
def described(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """An architecture's name and its pipeline folder, all weights taken out of it."""
    folder = tmp_path_factory.mktemp("pipeline") / request.param
    pipelines.build(request.param).save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    return request.param, folder


def test_an_outline_is_the_model_without_its_weights(described: tuple[str, Path]) -> None:
    name, folder = described
    outline = Outline(CLASSES[name](str(folder), resolution=32))
    real = pipelines.build(name)
    networks = {key: part for key, part in real.components.items() if isinstance(part, torch.nn.Module)}
    slot = CLASSES[name].slot
    assert outline.trained() == count(networks.pop(slot))
    assert {key: count(part) for key, part in outline.frozen().items()} == {k: count(p) for k, p in networks.items()}


@torch.no_grad()
def test_bytes_in_the_cache_are_those_of_the_real_encoders(described: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = described
    pipelines.build(name).save_pretrained(tmp_path / name)
    real = CLASSES[name](str(tmp_path / name), resolution=32)
    real.configure_model()
    picture = size(real.encode_images(torch.zeros(1, 3, 32, 32)))
    caption = sum(size(tensor) for tensor in real.encode_prompts(["a"]).values())
    assert Outline(CLASSES[name](str(folder), resolution=32)).cached(32, 32) == (picture, caption)


def test_a_caption_of_the_plans_own_is_cut_in_silence(
    tiny_folder: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    """SD3's T5 reads more than its CLIPs, so that the caption that fills it is cut for them."""
    outline = Outline(models.FlowMatching(str(tiny_folder("flow")), resolution=32))
    libraries = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    levels = [library.level for library in libraries]
    for library in libraries:
        library.addHandler(caplog.handler)
        library.setLevel(logging.WARNING)
    try:
        with outline.shapes(), torch.no_grad():
            outline.model.encode_prompts([outline.caption])
        assert not caplog.records
        assert all(library.isEnabledFor(logging.WARNING) for library in libraries)  # of a user's captions it is said
    finally:
        for library, level in zip(libraries, levels, strict=True):
            library.removeHandler(caplog.handler)
            library.setLevel(level)


def test_another_architecture_is_named(described: tuple[str, Path]) -> None:
    name, folder = described
    other = models.Muse if name != "muse" else models.LatentDiffusion
    with pytest.raises(UserError, match=f"{other.__name__} takes a"):
        Outline(other(str(folder), resolution=32))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over seven pictures, each of three prompts at every check."""
    root = tmp_path_factory.mktemp("run")
    folder = root / "latent"
    pipelines.build("latent").save_pretrained(folder)
    (root / "prompts.txt").write_text("a red boat\na blue bird\ntwo hills\n")
    path = root / "run.yaml"
    model = {"class_path": "emu.models.LatentDiffusion", "init_args": {"pretrained": str(folder)}}
    data = {"root": str(make_folder(root, [(40, 32)] * 7)), "resolution": 32, "bucket_step": 8, "num_workers": 0}
    data |= {"prompts": str(root / "prompts.txt"), "batch_size": 7}
    trainer = {"default_root_dir": str(root / "out"), "accelerator": "cpu"}
    path.write_text(yaml.safe_dump({"trainer": trainer, "model": model, "data": data}))
    return path


def test_shapes_ask_no_driver_for_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("asked"))
    with Shapes():
        assert (torch.zeros(2, 3) + 1).shape == (2, 3)


def planned(config: Path, *argv: str) -> str:
    return plan(flags.check(["-c", str(config), *argv]))


def test_the_plan_counts_pictures_steps_and_passes(config: Path) -> None:
    text = planned(config, "--quality.batch", "14", "--quality.max_steps", "10", "--quality.check_every", "4")
    assert "7 of 7 used" in text
    assert "at most 10 steps" not in text
    assert "at most 10, of up to 14 pictures of one shape (7 on average, 1 step an epoch)" in text
    assert "each of 7 is seen 10 times; the recipe's 480 would be --quality.max_steps 480" in text
    assert "each of 7 is seen 5 times; the recipe's 480 would be --quality.max_steps 960" in planned(
        config, "--data.batch_size", "2", "--quality.batch", "4", "--quality.max_steps", "10"
    )
    assert "at most 3 and the one before, 3 pictures each" in text


def test_the_smaller_of_two_limits_holds(config: Path) -> None:
    assert "at most 6, of" in planned(config, "--trainer.max_steps", "6", "--quality.max_steps", "10")


def test_a_batch_that_does_not_divide_stays_what_the_device_takes(config: Path) -> None:
    assert " of up to 7 pictures" in planned(config, "--quality.batch", "10")
    assert " of up to 21 pictures" in planned(config, "--quality.batch", "10", "--trainer.accumulate_grad_batches", "3")


def test_cut_captions_are_counted_and_listed(config: Path) -> None:
    text = planned(config)
    limit = pipelines.tokenizer().model_max_length
    cut = [f"number {i}" for i in range(7) if len(pipelines.tokenizer()(f"number {i}").input_ids) > limit]
    assert f"captions: {len(cut)} of 7 are cut at {limit} tokens" in text


def test_a_size_the_model_cannot_take_is_refused(config: Path) -> None:
    with pytest.raises(UserError, match=r"data\.resolution"):
        planned(config, "--data.resolution", "33", "--data.aspect_ratios", "false")


def test_prompts_that_a_model_cannot_start_from_are_refused(
    config: Path, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    stage = ["--model", "emu.models.PixelUpscaling", "--model.pretrained", str(tiny_folder("upscaling"))]
    with pytest.raises(UserError, match="prompt 1, 'a red boat': the model starts from a picture"):
        planned(config, *stage)
    Image.new("RGB", (16, 16)).save(tmp_path / "small.png")
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"prompt": "a red boat", "image": str(tmp_path / "small.png")}))
    assert "1 picture each" in planned(config, *stage, "--data.prompts", str(prompts))


def parts(text: str) -> dict[str, float]:
    """MB of the plan's paragraph on memory, by what they are for."""
    paragraph = text.partition("memory: ")[2].partition("\n\n")[0]
    found = re.findall(r"([\d.,]+) ([GM])B (?:on each device|for (the \w+|what \w+ \w+|[a-z ]+))", paragraph)
    return {
        what or "all": float(number.replace(",", "")) * (1000 if unit == "G" else 1) for number, unit, what in found
    }


PARTLY = [[(4096, 1024), (1024,)], [(4096, 1024), (1024, 1024, 3, 3), *[(1024, 1024)] * 40]]
STAYS = ("the network", "the average", "what the optimizer", "what is frozen")


def test_memory_is_what_stays_and_the_work_that_takes_most(config: Path) -> None:
    found = parts(planned(config))
    work = [found[kind] for kind in ("a step", "drawing", "encoding", "the optimizer")]
    stays = sum(found[part] for part in STAYS) + found["a checkpoint that is written in the background"]
    assert found["all"] == pytest.approx(stays + max(work), abs=0.4)  # on a CPU the copy is in the same memory


def test_memory_is_shared_where_it_is_sharded(config: Path) -> None:
    def state(*argv: str) -> float:
        return parts(planned(config, *argv))["what the optimizer"]

    assert state("--trainer.devices", "4") == state()
    shared = state("-c", "multi-gpu/fsdp2", "--trainer.devices", "4")
    assert shared == pytest.approx(state() / 4, abs=0.06)
    nodes = ["-c", "multi-gpu/fsdp2", "--trainer.devices", "4", "--trainer.num_nodes", "2"]
    assert state(*nodes) == shared  # each node holds a copy
    assert state(*nodes, "--trainer.strategy.init_args.shard", "2") == pytest.approx(state() / 2, abs=0.06)


def test_gradients_that_add_up_lie_beside_ddps_buckets(config: Path) -> None:
    """Measured: until what adds up travels, a gradient is no view of its bucket, which is there all the same."""
    two = ["-c", "multi-gpu/ddp", "--trainer.devices", "2", "--data.batch_size", "2"]
    at_once = parts(planned(config, *two, "--quality.batch", "4"))
    adding_up = parts(planned(config, *two, "--quality.batch", "8"))
    assert adding_up["a step"] - at_once["a step"] == pytest.approx(at_once["the network"], rel=0.1)
    assert adding_up["drawing"] == at_once["drawing"]


def test_memory_of_a_step_grows_with_the_batch_and_shrinks_by_recomputing(config: Path) -> None:
    one, seven = (parts(planned(config, "--data.batch_size", number))["a step"] for number in ("1", "7"))
    assert 4 < seven / one < 7
    assert parts(planned(config, "--model.init_args.gradient_checkpointing", "true"))["a step"] < 0.7 * seven


def test_recomputing_goes_into_blocks_that_are_lists_of_smaller_ones() -> None:
    """As those of a U-Net, of which one alone would keep as much as recomputing saves in all others."""
    network = pipelines.unet()
    recompute(network)
    parts = {name for name, part in network.named_modules() if isinstance(vars(part).get("forward"), partial)}
    assert {"down_blocks.1.resnets.0", "down_blocks.1.attentions.0.transformer_blocks.0"} <= parts
    assert not any(name.startswith(f"{other}.") for name in parts for other in parts)  # none is computed three times


def test_memory_of_drawing_grows_with_the_prompts_at_once(config: Path) -> None:
    one, three = (parts(planned(config, "--data.sample_batch_size", number))["drawing"] for number in ("1", "16"))
    assert 2 < three / one < 3.5


def test_prompts_with_sizes_of_their_own_are_counted_at_them(config: Path, tmp_path: Path) -> None:
    def said(*lines: str) -> str:
        prompts = tmp_path / "sizes.txt"
        prompts.write_text("\n".join(lines))
        checks = ["--quality.max_steps", "10", "--quality.check_every", "5"]
        return planned(config, "--data.prompts", str(prompts), *checks)

    plain, large = said("a boat", "a bird"), said("a boat", "a bird --w 64 --h 128", "a hill --w 64 --h 128")
    assert "for drawing: 2 pictures of 32x32 at a check" in plain
    assert "for drawing: 2 pictures of 128x64 at a check" in large
    assert parts(large)["drawing"] > 3 * parts(plain)["drawing"]
    assert f"{3 * 1.5 * (32 * 32 + 2 * 128 * 64) / 1e6:.1f} MB for the pictures of all checks" in large


def test_a_cache_leaves_no_encoding_and_a_save_that_blocks_no_copy(config: Path) -> None:
    text = planned(config)
    assert "encoding" in parts(text)
    assert "on the host" in text
    text = planned(config, "--data.cache", "some/cache", "--checkpoint.blocking", "true")
    assert "encoding" not in parts(text)
    assert "on the host" not in text


@pytest.mark.parametrize(
    ("optimizer", "numbers"), [("torch.optim.AdamW", 2), ("torch.optim.SGD", 0), ("torch.optim.RMSprop", 1)]
)
def test_an_optimizer_keeps_what_it_keeps(config: Path, optimizer: str, numbers: int) -> None:
    flags_ = [f"--model.optimizer={optimizer}", "--model.optimizer.lr=0.1"]
    found = parts(planned(config, *flags_))
    assert found.get("what the optimizer", 0) == pytest.approx(numbers * found["the average"], abs=0.2)


def test_an_optimizer_of_ones_own_is_measured() -> None:
    class Halves(torch.optim.Optimizer):
        """Keeps a number in bfloat16 for each of matrices alone."""

        def __init__(self, params: Iterable[Any]) -> None:
            super().__init__(params, {})

        def step(self, closure: Any = None) -> None:
            for weight in self.param_groups[0]["params"]:
                if weight.dim() == 2 and weight not in self.state:
                    self.state[weight]["mean"] = torch.zeros_like(weight, dtype=torch.bfloat16)

    weights = [torch.empty(shape, device="meta") for shape in ((4096, 4096), (4096,))]
    assert cost(Halves, weights, on_gpu=False) == Cost(kept=2 * 4096 * 4096, step=0)


def test_an_optimizer_that_takes_weights_in_parts_needs_no_more_for_larger_ones() -> None:
    some, more = ([torch.empty(shape, device="meta") for shape in shapes] for shapes in PARTLY)
    costs = [cost(lambda params: AdamW8bit(params), weights, on_gpu=True).step for weights in (some, more)]
    assert costs[1] < 2 * costs[0]


def test_an_optimizer_that_takes_all_weights_at_once_needs_as_much_more() -> None:
    weights = [torch.empty(256, 256, device="meta")] * 9
    at_once, apart = (cost(torch.optim.RMSprop, weights, on_gpu=on_gpu).step for on_gpu in (True, False))
    assert at_once == pytest.approx(9 * apart, rel=1e-3)


def test_a_gradient_counts_once() -> None:
    layer, x = torch.nn.Linear(512, 512, bias=False), torch.zeros(1, 512)
    with Peak() as peak:
        layer(x).mean().backward()
    assert peak.most == pytest.approx(layer.weight.nbytes, rel=0.01)


class Grown(models.LatentDiffusion):
    """Changes what it loads."""

    def load_pipeline(self) -> Any:
        pipeline = super().load_pipeline()
        pipeline.unet.more = torch.nn.Linear(100, 100, bias=False)
        return pipeline


def test_a_model_that_changes_what_it_loads_is_counted_as_it_trains(config: Path) -> None:
    folder = yaml.safe_load(config.read_text())["model"]["init_args"]["pretrained"]
    plain, grown = Outline(models.LatentDiffusion(folder)), Outline(Grown(folder))
    assert grown.trained() == plain.trained() + 10_000
    lora = Outline(models.LatentDiffusion(folder, adapter=Adapter(rank=2)))
    real = models.LatentDiffusion(folder, adapter=Adapter(rank=2))
    real.configure_model()
    assert lora.trained() == sum(weight.numel() for weight in real.trained_parameters())
    assert held(lora.model.backbone, lora.model.ema) == held(real.backbone, real.ema)


class Deciding(models.LatentDiffusion):
    """Cuts its captions by a value that no shape has."""

    def encode_prompts(self, prompts: list[str]) -> Cond:
        cond = super().encode_prompts(prompts)
        return {key: value if float(value.sum()) > 0 else value[:, :1] for key, value in cond.items()}


def test_what_cannot_be_counted_is_said_and_the_rest_is_counted(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "Deciding", Deciding, raising=False)
    text = planned(config, "--model.class_path", "emu.models.Deciding")
    found = parts(text)
    assert {*STAYS, "the optimizer"} <= found.keys()
    for kind in ("a step", "drawing", "encoding"):
        assert re.search(rf"{kind} is not counted: \S", text)
    assert "the cache of `emu encode` is not counted" in text


class Masked(models.LatentDiffusion):
    """Picks rows by a mask whose values no shape has."""

    def encode_prompts(self, prompts: list[str]) -> Cond:
        embeds = super().encode_prompts(prompts)["prompt_embeds"]
        return {"prompt_embeds": embeds[embeds.sum(-1) > -1e9].view(len(prompts), -1, embeds.shape[-1])}


def test_a_mask_of_unknown_values_keeps_all(config: Path) -> None:
    folder = yaml.safe_load(config.read_text())["model"]["init_args"]["pretrained"]
    work = Work(batch=2, size=(32, 32))
    masked, plain = (step(Outline(kind(folder)), work) for kind in (Masked, models.LatentDiffusion))
    assert masked == plain


def test_a_mask_of_pairs_is_computed_where_it_is_of_a_text_and_not_where_it_is_of_a_picture() -> None:
    def pairs(tokens: int) -> Tensor:
        with Shapes(), Weightless():  # type: ignore[no-untyped-call]
            mask = torch.ones(1, tokens, dtype=torch.bool)
            return mask[:, None, :] * mask[:, :, None]

    assert bool(pairs(512).all())
    large = pairs(1 << 20)  # 10^12 numbers, which no machine of ours would hold
    assert isinstance(large, FakeTensor)
    assert large.numel() == 1 << 40


def test_cards_that_hold_a_run_are_named(config: Path) -> None:
    assert "cards: 12 GB and more hold it" in planned(config, "--trainer.accelerator", "auto")
    assert "cards:" not in planned(config)


def helped(config: Path, monkeypatch: pytest.MonkeyPatch, *asked: str) -> str:
    """What `emu plan` says of small cards, of what was asked for alone: each is a plan of its own."""
    monkeypatch.setattr(cards, "CARDS", (0.001, 0.002, 0.004, 0.008))  # GB
    monkeypatch.setattr(cards, "SMALL", 0.001)
    monkeypatch.setattr(cards, "HELP", {words: cards.HELP[words] for words in asked})
    return planned(config, "--trainer.accelerator", "auto").partition("cards: ")[2].partition("\n\n")[0]


def test_what_would_help_is_counted(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = helped(config, monkeypatch, "--model.gradient_checkpointing true", "-c adapters/lora")
    for words in ("gradient_checkpointing true", "-c adapters/lora ", "-c multi-gpu/fsdp2, 2 devices"):
        assert words in text
    adapter = parts(planned(config, "--trainer.accelerator", "auto", "-c", "adapters/lora"))["all"]
    assert re.search(rf"-c adapters/lora +{adapter:.1f} MB", text)


def test_a_base_in_4_bits_is_among_what_would_help(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bitsandbytes")
    text = helped(config, monkeypatch, "-c cards/16gb-lora")
    packed = parts(planned(config, "--trainer.accelerator", "auto", "-c", "cards/16gb-lora"))["all"]
    assert re.search(rf"-c cards/16gb-lora +{packed:.1f} MB", text)


@pytest.mark.parametrize("recomputes", [False, True])
def test_a_step_without_storage_takes_what_a_real_one_takes(
    described: tuple[str, Path], tmp_path: Path, recomputes: bool
) -> None:
    """The same count over the real networks and real tensors."""
    name, folder = described
    pipelines.build(name).save_pretrained(tmp_path / name)
    real = CLASSES[name](str(tmp_path / name), resolution=32)
    real.configure_model()
    if recomputes:
        recompute(real.backbone)
    outline = Outline(CLASSES[name](str(folder), resolution=32, gradient_checkpointing=recomputes))
    size = (16, 16) if name == "pixel" else (32, 32)
    with torch.no_grad():
        x, cond = real.encode_images(torch.zeros(2, 3, *size)), real.encode_prompts(["", ""])
    cond["size"] = torch.zeros(2, 6, dtype=torch.int64)
    found = step(outline, Work(batch=2, size=size, accumulates=True))
    assert found == pytest.approx(of_two_batches(real, x, cond), rel=0.02)


def of_two_batches(real: TextToImageModule, x: Tensor, cond: Cond) -> int:
    """Bytes that a step takes whose gradients add up over two batches."""
    real.loss(x, cond).mean().backward()  # once before: schedules move to their device then
    real.backbone.zero_grad()
    with Peak() as peak:
        for _ in range(2):
            real.loss(x, cond).mean().backward()
    return peak.most


def test_a_plan_leaves_no_run_behind(config: Path) -> None:
    planned(config)
    assert not (config.parent / "out").exists()


@pytest.mark.parametrize("name", [*VARYING, *(pytest.param(name, marks=pytest.mark.slow) for name in REST)])
def test_a_plan_is_that_of_the_real_encoders_and_network(name: str, tiny_folder: Callable[[str], Path]) -> None:
    """Bytes in the cache, and of a step whose captions fill all the tokens."""
    real = make(name, tiny_folder(name))
    outline = Outline(type(real)(str(tiny_folder(name)), resolution=32, sampler=real.sampler))
    with torch.no_grad():
        x, cond = real.encode_images(torch.zeros(2, 3, 32, 32)), real.encode_prompts([outline.caption] * 2)
    assert outline.cached(32, 32) == (size(x) // 2, sum(size(tensor) for tensor in cond.values()) // 2)
    cond["size"] = torch.zeros(2, 6, dtype=torch.int64)
    found = step(outline, Work(batch=2, size=(32, 32), accumulates=True))
    assert found == pytest.approx(of_two_batches(real, x, cond), rel=0.05)


@pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("name", [*CLASSES, *VARYING, *(pytest.param(name, marks=pytest.mark.slow) for name in REST)])
@torch.no_grad()
def test_drawing_without_storage_takes_what_real_drawing_takes(name: str, tiny_folder: Callable[[str], Path]) -> None:
    real = make(name, tiny_folder(name))
    outline = Outline(type(real)(str(tiny_folder(name)), resolution=side(name), sampler=real.sampler))
    found = drawing(outline, Work(batch=2, size=(side(name),) * 2))
    real.sampler = {**real.sampler, "num_inference_steps": 1}
    with Peak() as peak:
        cond = real.encode_prompts([outline.caption] * 2)
        real.sample(cond, real.encode_negatives([""]), range(2))
    assert found == pytest.approx(peak.most, rel=0.05)
