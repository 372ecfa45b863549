"""Low-rank adapters on every architecture: what trains, what stays, what is written, and what others read of it."""

import copy
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import test_layouts as layouts
from architectures import (
    FLOW,
    OLDER,
    PROMPTS,
    SEEDS,
    encoded,
    given,
    loader,
    make,
    prompt_batch,
    side,
    trainer,
    training_batch,
)
from emu import sharding
from emu.checkpoints import Durable
from emu.cli import main
from emu.drawn import on_white
from emu.errors import UserError
from emu.formats import find
from emu.formats.kohya import KohyaLoRA
from emu.formats.lora import LoRA
from emu.layouts import runs
from emu.module import TextToImageModule
from emu.networks import adapters
from emu.networks.adapters import Adapter
from emu.networks.blocks import blocks
from emu.objectives import draws
from emu.optim import averaging
from needles import make_folder
from processes import ranks

Folder = Callable[[str], Path]

# SD3's last block computes a query of the text and drops what comes of it, Qwen-Image's all that becomes of the text.
WITHOUT_EFFECT = {
    "flow": {"transformer_blocks.1.attn.add_q_proj"},
    "qwen_image": {
        f"transformer_blocks.1.{layer}"
        for layer in ("attn.add_q_proj", "attn.to_add_out", "txt_mlp.net.0.proj", "txt_mlp.net.2")
    },
}

UNPUBLISHED = {
    "muse",
    "prx",
    "prx_pixel",
    "pixart",
    "kandinsky5",
    "cogview4",
    "ovis_image",
    "longcat_image",
}  # of which diffusers reads no file but its own

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(params=[*OLDER, *(pytest.param(name, marks=pytest.mark.slow) for name in FLOW)])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["lora", "dora"])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """alpha is not the rank: a reader that overlooks it draws another picture."""
    return Adapter(rank=4, alpha=10, dora=request.param)


GIVEN = ["--model.init_args.adapter", "{rank: 4, alpha: 8}"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Folder) -> Path:
    """The config of a small run."""
    return layouts.config(tmp_path_factory.mktemp("adapters"), "latent", tiny_folder("latent"))


@pytest.fixture(scope="module")
def alone(path: Path) -> Path:
    """Its run with an adapter in one process."""
    return layouts.fit(path, "alone", *GIVEN)


def stirred(model: TextToImageModule) -> TextToImageModule:
    """As if it had trained: no B is 0."""
    torch.manual_seed(3)
    for _, layer in adapters.layers(model.ema):
        nn.init.normal_(layer.lora_B["default"].weight, std=0.2)
    return model


@torch.no_grad()
def drawn(model: TextToImageModule) -> Tensor:
    return model.sample(model.encode_prompts(PROMPTS[:1]), model.negative_prompt(), SEEDS[:1])[0].permute(1, 2, 0)


def plain(pipeline: Any, name: str, model: TextToImageModule) -> Tensor:
    """What diffusers alone draws."""
    pipeline.set_progress_bar_config(disable=True)
    model.allow_size(pipeline, side(name), side(name))
    generator = torch.Generator().manual_seed(SEEDS[0])
    size = {"height": side(name), "width": side(name)}
    arguments = model.plain_arguments(PROMPTS[0])
    found = torch.from_numpy(pipeline(**arguments, generator=generator, output_type="np", **size)[0])
    return on_white(found.permute(0, 3, 1, 2))[0].permute(1, 2, 0)


def test_at_step_0_it_changes_nothing(name: str, tiny_folder: Folder, adapter: Adapter) -> None:
    base, model = make(name, tiny_folder(name)), make(name, tiny_folder(name), adapter=adapter)
    # DoRA divides by a norm and multiplies by it again, which may cost the last bit; so may weights that lie elsewhere
    # in memory, as those of an average that is shared with the file's.
    torch.testing.assert_close(drawn(model), drawn(base), rtol=0, atol=1e-5)


def test_it_trains_and_the_base_stays(name: str, tiny_folder: Folder, adapter: Adapter, tmp_path: Path) -> None:
    """Each B moves, the average follows, no bit of the base changes, and a checkpoint holds the adapter alone."""
    model = make(name, tiny_folder(name), adapter=adapter, warmup_steps=0)
    before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    batches = [training_batch(name, seed=seed) for seed in range(4)]
    run = trainer(tmp_path, max_steps=4, num_sanity_val_steps=0)
    run.fit(model, loader(*batches), loader(prompt_batch()))
    run.save_checkpoint(tmp_path / "one.ckpt")
    after, trained = model.backbone.state_dict(), {n for n, p in model.backbone.named_parameters() if p.requires_grad}
    assert {key for key, value in after.items() if not torch.equal(value, before[key])} <= trained
    still = {key for key, layer in adapters.layers(model.backbone) if not layer.lora_B["default"].weight.any()}
    assert still == WITHOUT_EFFECT.get(name, set())
    own = [
        mean for mean, live in zip(model.ema.parameters(), model.backbone.parameters(), strict=True) if mean is not live
    ]
    assert len(own) == len(trained)
    assert not any(mean.requires_grad for mean in model.ema.parameters())
    state = torch.load(tmp_path / "one.ckpt", weights_only=True)["state_dict"]
    buffers = {f"{of}.{key}" for of in ("backbone", "ema") for key, _ in model.backbone.named_buffers()}
    assert state.keys() - buffers == {f"{of}.{key}" for of in ("backbone", "ema") for key in trained}
    again = make(name, tiny_folder(name), adapter=adapter)
    again.load_state_dict(state)
    torch.testing.assert_close(drawn(again), drawn(model), rtol=0, atol=0)


def test_merged_it_is_a_plain_pipeline_that_draws_the_same(
    name: str, tiny_folder: Folder, adapter: Adapter, tmp_path: Path
) -> None:
    model = stirred(make(name, tiny_folder(name), adapter=adapter))
    base = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    ours = drawn(model)
    model.save_pipeline(tmp_path / "out")
    theirs = DiffusionPipeline.from_pretrained(tmp_path / "out", **given(name))
    untouched = DiffusionPipeline.from_pretrained(tiny_folder(name), **given(name))
    assert getattr(theirs, model.slot).state_dict().keys() == getattr(untouched, model.slot).state_dict().keys()
    torch.testing.assert_close(plain(theirs, name, model), ours, rtol=0, atol=1e-4)
    assert (plain(untouched, name, model) - ours).abs().mean() > 0.0003
    torch.testing.assert_close(drawn(model), ours, rtol=0, atol=0)
    assert all(torch.equal(value, base[key]) for key, value in model.backbone.state_dict().items())


def test_all_linear_layers_of_the_blocks_have_one(name: str, tiny_folder: Folder) -> None:
    model = make(name, tiny_folder(name), adapter=Adapter(rank=2))
    plain_network = adapters.merged(model.ema)
    linear = {key for key, one in plain_network.named_modules() if isinstance(one, nn.Linear)}
    inside = {id(one) for block in blocks(plain_network) for one in block.modules()}
    found = {key for key, _ in adapters.layers(model.ema)}
    assert found == {key for key in linear if id(plain_network.get_submodule(key)) in inside}
    assert found


def test_targets_are_ends_of_names(tiny_folder: Folder) -> None:
    model = make("latent", tiny_folder("latent"), adapter=Adapter(rank=2, targets=["attn2.to_k", "to_v"]))
    names = [key for key, _ in adapters.layers(model.ema)]
    assert names
    assert all(key.endswith(("attn2.to_k", ".to_v")) for key in names)
    assert any("attn1.to_v" in key for key in names)
    with pytest.raises(UserError, match=r"model\.adapter\.targets to_w: no linear layer ends so; there are .*to_k"):
        make("latent", tiny_folder("latent"), adapter=Adapter(targets=["to_w", "to_v"]))
    with pytest.raises(UserError, match=r"model\.adapter\.rank 0"):
        Adapter(rank=0)


def test_a_checkpoint_of_another_adapter_is_refused(tiny_folder: Folder) -> None:
    state = make("latent", tiny_folder("latent"), adapter=Adapter(rank=4)).state_dict()
    for other in (Adapter(rank=2), Adapter(rank=4, targets=["to_q"]), None):
        with pytest.raises(UserError, match=r"does not fit LatentDiffusion .* another model\.adapter"):
            make("latent", tiny_folder("latent"), adapter=other).load_state_dict(copy.deepcopy(state))


def test_an_adapter_goes_on_beside_its_own_base_alone(tiny_folder: Folder, tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_folder("latent"), tmp_path / "base"))
    checkpoint: dict[str, Any] = {}
    make("latent", base, adapter=Adapter(rank=2)).on_save_checkpoint(checkpoint)
    moved = Path(shutil.copytree(base, tmp_path / "moved"))
    make("latent", moved, adapter=Adapter(rank=2)).on_load_checkpoint(checkpoint)
    (file,) = (moved / "unet").glob("*.safetensors")
    weights = load_file(file)
    save_file({key: one + 1e-3 if key == "conv_in.weight" else one for key, one in weights.items()}, file)
    with pytest.raises(UserError, match=r"its unet has other weights than the adapter began beside"):
        make("latent", moved, adapter=Adapter(rank=2)).on_load_checkpoint(checkpoint)
    make("latent", moved).on_load_checkpoint({})  # all weights are in a whole model's checkpoint
    make("latent", moved, adapter=Adapter(rank=2)).on_load_checkpoint({})  # of before


def test_losses_have_a_gradient_in_the_adapter_alone(name: str, tiny_folder: Folder) -> None:
    model = make(name, tiny_folder(name), adapter=Adapter(rank=2))
    model.loss(*encoded(model, name)).mean().backward()
    with_gradient = {key for key, weight in model.backbone.named_parameters() if weight.grad is not None}
    trained = {key for key, weight in model.backbone.named_parameters() if weight.requires_grad}
    still = {key for key in trained if key.partition(".lora_")[0] in WITHOUT_EFFECT.get(name, set())}
    assert trained - still <= with_gradient <= trained
    assert all(".lora_" in key for key in with_gradient)


def test_recomputing_loses_no_gradient(name: str, tiny_folder: Folder) -> None:
    """Though nothing that goes into the first block has one."""
    found = []
    for again in (False, True):
        model = stirred(make(name, tiny_folder(name), adapter=Adapter(rank=2), gradient_checkpointing=again))
        for live, mean in zip(model.backbone.parameters(), model.ema.parameters(), strict=True):
            live.data.copy_(mean)  # where B is 0, A has no gradient
        with draws.seeded([1, 2, 3], model.device):
            model.loss(*encoded(model, name)).mean().backward()
        found.append({key: weight.grad for key, weight in model.backbone.named_parameters() if weight.grad is not None})
    assert found[0].keys() == found[1].keys()
    for key, gradient in found[0].items():
        torch.testing.assert_close(found[1][key], gradient, rtol=1e-4, atol=1e-7, msg=key)
    assert sum(bool(gradient.any()) for gradient in found[1].values()) > len(found[1]) / 2


def test_the_plan_of_a_config_with_the_adapter_laid_over_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What trains is the adapter, and a checkpoint's size is the adapter's; the network is there all the same."""
    (tmp_path / "prompts.txt").write_text("a red boat\n")
    data = ["--data.root", str(make_folder(tmp_path, [(64, 64)] * 4)), "--data.prompts", str(tmp_path / "prompts.txt")]
    texts = []
    for more in ([], ["-c", "adapters/lora"]):
        main(["plan", "-c", "latent/tiny", *more, *data, "--data.held_out", "0"])
        texts.append(capsys.readouterr().out)
    whole, low = texts

    def number(pattern: str, text: str) -> float:
        found = re.search(pattern.replace("N", r"([\d.]+)"), text)
        assert found is not None, text
        return float(found[1])

    for said in ("of which N M parameters train", "disk: N MB"):
        assert number(said, low) < 0.3 * number(said, whole)
    assert number("N MB for the network", low) > number("N MB for the network", whole)


def learned(run: Path, of: str) -> Tensor:
    """What the adapters of `backbone` or `ema` learned: every B, which began at 0, as one vector."""
    state = Durable().load_checkpoint(runs.checkpoints(run)[-1])["state_dict"]
    assert all(".lora_" in key or "running" in key for key in state)
    return torch.cat([value.flatten() for key, value in state.items() if key.startswith(of) and ".lora_B." in key])


def one_base(argv: list[str]) -> None:
    """`emu ARGV`, which fails where after training the two networks hold the frozen weights twice."""
    teardown = sharding.FSDP2.teardown

    def check(self: sharding.FSDP2) -> None:
        networks = dict(self._networks())
        for mean, live in zip(networks["ema"].parameters(), networks["backbone"].parameters(), strict=True):
            parts = [averaging.local(one) for one in (mean, live)]
            assert (parts[0].data_ptr() == parts[1].data_ptr()) == (not live.requires_grad and parts[0].numel() > 0)
        teardown(self)

    sharding.FSDP2.teardown = check  # type: ignore[method-assign]
    main(argv)


def test_shards_give_the_weights_that_one_process_gives(path: Path, alone: Path) -> None:
    """Resumed in between, and recomputing; the checkpoint of shards holds the adapter alone, as one process's does."""
    shards = [*GIVEN, *layouts.FLOAT32, "--data.batch_size", "6"]
    layouts.fit(path, "shared", *shards, "--quality.max_steps", "4", world=2)
    more = ["--model.init_args.gradient_checkpointing", "true", "--trainer.devices", "2"]
    argv = ["fit", "-c", str(path), *shards, *more, "--trainer.default_root_dir", str(path.parent / "shared")]
    log = path.parent / "more.log"
    assert ranks(2, one_base, argv, log=log) == [0, 0], Path(f"{log}.0").read_text()[-3000:]
    for of in ("backbone", "ema"):
        mine, wanted = learned(path.parent / "shared", of), learned(alone, of)
        assert (mine - wanted).norm() < 1e-3 * wanted.norm()
        assert wanted.norm() > 0


@pytest.mark.parametrize("kind", [LoRA, KohyaLoRA])
def test_a_file_draws_the_same_on_the_base_in_diffusers(
    name: str, kind: type[LoRA], tiny_folder: Folder, adapter: Adapter, tmp_path: Path
) -> None:
    """With the strength of an alpha that is not the rank, whether or not the reader is given an alpha."""
    model = stirred(make(name, tiny_folder(name), adapter=adapter))
    out, written = tmp_path / "style.safetensors", kind()
    if kind is KohyaLoRA and (adapter.dora or name in UNPUBLISHED):
        refuse = written.check if adapter.dora else partial(written.write, about={})
        with pytest.raises(UserError, match="--format.*give (--format )?lora"):
            refuse(model, out)
        return
    written.check(model, out)
    written.write(model, out, {"emu.base": "x"})
    torch.testing.assert_close(plain(written.load(model, out), name, model), drawn(model), rtol=0, atol=1e-4)
    assert (
        out.stat().st_size
        < 0.7 * (tiny_folder(name) / model.slot / "diffusion_pytorch_model.safetensors").stat().st_size
    )


def test_a_file_of_another_model_is_refused(tiny_folder: Folder, tmp_path: Path) -> None:
    model = stirred(make("latent", tiny_folder("latent"), adapter=Adapter(rank=2)))
    out = tmp_path / "style.safetensors"
    LoRA().write(model, out, {})
    for other in ("flow", "muse"):
        with pytest.raises(UserError, match=f"{out}: "):
            LoRA().load(make(other, tiny_folder(other)), out)
    out.write_bytes(b"no safetensors")
    with pytest.raises(UserError, match=f"{out}: no LoRA of this model"):
        LoRA().load(model, out)
    with pytest.raises(UserError, match=r"give a name that ends in \.safetensors"):
        LoRA().check(model, tmp_path / "folder")
    with pytest.raises(UserError, match="the run trained all weights"):
        LoRA().check(make("latent", tiny_folder("latent")), out)


def test_pictures_are_drawn_with_a_file(tiny_folder: Folder, tmp_path: Path) -> None:
    """By the command, as the model that wrote it draws them; the folder knows which file it was."""
    folder = tiny_folder("latent")
    model = stirred(make("latent", folder, adapter=Adapter(rank=2, alpha=6), sampler={"num_inference_steps": 2}))
    LoRA().write(model, tmp_path / "style.safetensors", {})
    (tmp_path / "prompts.txt").write_text(f"{PROMPTS[0]}\n")
    words = ["sample", str(folder), str(tmp_path / "prompts.txt"), str(tmp_path / "out"), "--seed", str(SEEDS[0])]
    main([*words, "--sampler", "num_inference_steps=2", "--lora", str(tmp_path / "style.safetensors")])
    model.resolution = None  # as the folder has it
    wanted = (drawn(model) * 255).round()
    pixels = torch.from_numpy(np.asarray(Image.open(tmp_path / "out" / "00000.png")).astype(np.float32))
    assert (pixels - wanted).abs().max() <= 1
    assert "with " in runs.read_samples(tmp_path / "out")[0]["model"]


@pytest.mark.parametrize(
    ("kind", "out"), [("diffusers", "whole"), ("lora", "a.safetensors"), ("lora-kohya", "b.safetensors")]
)
def test_a_run_is_exported_as_what_draws_its_pictures(
    kind: str, out: str, alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["export", str(alone), str(tmp_path / out), "--format", kind])
    said = capsys.readouterr().out
    assert int(said.rpartition(" ")[2]) <= 1
    assert [path.name for path in tmp_path.iterdir()] == [out]


def test_formats_are_named_or_of_ones_own(alone: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--format ckpt: give diffusers, .*, lora-kohya, or the class path of one of"):
        find("ckpt")
    with pytest.raises(UserError, match=r"--format emu\.layouts\.runs\.Row: no Format; give a class such as"):
        find("emu.layouts.runs.Row")
    assert isinstance(find("test_adapters.Mine"), Mine)


class Mine(LoRA):
    """A format from outside the package."""
