"""`emu plan` says what `emu fit` would do, and reads no weight for it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

import pipelines
from architectures import make
from emu import flags, models
from emu.blocks import recompute
from emu.errors import UserError
from emu.footprint import Peak, footprint
from emu.module import TextToImageModule
from emu.outline import Outline, count, size
from emu.plan import plan
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
REST = ["z_image", "qwen_image", "ernie_image", "krea2", "flux", "chroma", "sana", "prx", "prx_pixel", "auraflow"]


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
    assert outline.frozen() == {key: count(part) for key, part in networks.items()}


@torch.no_grad()
def test_bytes_in_the_cache_are_those_of_the_real_encoders(described: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = described
    pipelines.build(name).save_pretrained(tmp_path / name)
    real = CLASSES[name](str(tmp_path / name), resolution=32)
    real.configure_model()
    picture = size(real.encode_images(torch.zeros(1, 3, 32, 32)))
    caption = sum(size(tensor) for tensor in real.encode_prompts(["a"]).values())
    assert Outline(CLASSES[name](str(folder), resolution=32)).cached(32, 32) == (picture, caption)


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


def planned(config: Path, *argv: str) -> str:
    return plan(flags.check(["-c", str(config), *argv]))


def test_the_plan_counts_pictures_steps_and_passes(config: Path) -> None:
    text = planned(config, "--quality.batch", "14", "--quality.max_steps", "10", "--quality.check_every", "4")
    assert "7 of 7 used" in text
    assert "at most 10 steps" not in text
    assert "at most 10 of up to 14 pictures; each of 7 is seen 10 times (the recipe: 480), 1 steps an epoch" in text
    assert "each of 7 is seen 5 times (the recipe: 480), 2 steps an epoch" in planned(
        config, "--data.batch_size", "2", "--quality.batch", "4", "--quality.max_steps", "10"
    )
    assert "at most 3 and the one before, 3 pictures each" in text


def test_the_smaller_of_two_limits_holds(config: Path) -> None:
    assert "at most 6 of" in planned(config, "--trainer.max_steps", "6", "--quality.max_steps", "10")


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


def memory(config: Path, *argv: str) -> tuple[float, float, float, float]:
    """MB of the plan's paragraph: all, state, frozen, step."""
    text = planned(config, *argv).partition("memory: ")[2].partition("beside")[0]
    whole, state, frozen, step = (float(number) for number in re.findall(r"([\d.]+) MB (?:on|for)", text))
    return whole, state, frozen, step


def test_memory_is_shared_where_it_is_sharded(config: Path) -> None:
    def state(*argv: str) -> float:
        return memory(config, *argv)[1]

    assert state("--trainer.devices", "4") == state()
    shared = state("-c", "multi-gpu/fsdp2", "--trainer.devices", "4")
    assert shared == pytest.approx(state() / 4, abs=0.06)
    nodes = ["-c", "multi-gpu/fsdp2", "--trainer.devices", "4", "--trainer.num_nodes", "2"]
    assert state(*nodes) == shared  # each node holds a copy
    assert state(*nodes, "--trainer.strategy.init_args.shard", "2") == pytest.approx(state() / 2, abs=0.06)


def test_memory_of_a_step_grows_with_the_batch_and_shrinks_by_recomputing(config: Path) -> None:
    one, seven = (memory(config, "--data.batch_size", number)[3] for number in ("1", "7"))
    assert 4 < seven / one < 7
    assert memory(config, "--model.init_args.gradient_checkpointing", "true")[3] < 0.7 * seven
    whole, state, frozen, step = memory(config)
    assert whole == pytest.approx(state + frozen + step, abs=0.2)


@pytest.mark.parametrize("recomputes", [False, True])
def test_a_step_without_storage_takes_what_a_real_one_takes(
    described: tuple[str, Path], tmp_path: Path, recomputes: bool
) -> None:
    """The same count over the real networks and real tensors."""
    name, folder = described
    pipelines.build(name).save_pretrained(tmp_path / name)
    real = CLASSES[name](str(tmp_path / name), resolution=32)
    real.configure_model()
    outline = Outline(CLASSES[name](str(folder), resolution=32))
    for network in (real.backbone, outline.model.backbone) if recomputes else ():
        recompute(network)
    size = (16, 16) if name == "pixel" else (32, 32)
    with torch.no_grad():
        x, cond = real.encode_images(torch.zeros(2, 3, *size)), real.encode_prompts(["", ""])
    cond["size"] = torch.zeros(2, 6, dtype=torch.int64)
    real.loss(x, cond).mean().backward()  # once before: schedules move to their device then
    real.backbone.zero_grad()
    with Peak() as peak:
        for _ in range(2):
            real.loss(x, cond).mean().backward()
    found = footprint(outline, batch=2, size=size, autocast=False)
    assert found.step == pytest.approx(peak.most, rel=0.02)


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
    real.loss(x, cond).mean().backward()
    real.backbone.zero_grad()
    with Peak() as peak:
        for _ in range(2):
            real.loss(x, cond).mean().backward()
    assert footprint(outline, batch=2, size=(32, 32), autocast=False).step == pytest.approx(peak.most, rel=0.05)
