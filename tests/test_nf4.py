"""A base in 4 bits beside an adapter: what is kept, what trains, what is drawn, what is written, what is refused."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

import test_layouts as layouts
from architectures import CLASSES, FLOW, OF_EMU, OF_PICTURES, OLDER, loader, make, prompt_batch, trainer, training_batch
from emu import flags
from emu.cli import main
from emu.errors import UserError
from emu.exporting.export import export
from emu.formats import find
from emu.layouts import runs
from emu.models.loading import load_checkpoint, load_model
from emu.module import TextToImageModule
from emu.networks import adapters, nf4
from emu.networks.adapters import Adapter
from emu.pipeline_folders.components import is_encoder
from emu.planning.memory import whole
from emu.planning.outline import Outline, count, held
from emu.training.fit import Settings
from test_adapters import WITHOUT_EFFECT

Folder = Callable[[str], Path]

pytest.importorskip("bitsandbytes")  # of an extra of its own

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

QUICK = ("flow", "muse")
REST = [name for name in {**OLDER, **FLOW, **OF_PICTURES, **OF_EMU} if name not in QUICK]
FOUR: dict[str, Any] = {"adapter": Adapter(rank=4, alpha=8), "base_dtype": "nf4", "encoders_dtype": "nf4"}
GIVEN = ["--model.adapter", "{rank: 4, alpha: 8}", "--model.base_dtype", "nf4", "--model.encoders_dtype", "nf4"]


# ---- a layer


def layer(*, bias: bool = True) -> tuple[nn.Linear, nf4.NF4Linear]:
    nf4.require(by="a test")
    torch.manual_seed(0)
    plain = nn.Linear(96, 40, bias=bias)
    return plain, nf4.NF4Linear(plain, torch.float32)


def test_its_operators_are_there_though_a_start_leaves_the_package_until_it_is_asked() -> None:
    code = """
        import sys, torch
        from emu.starting import waiting
        with waiting():
            import bitsandbytes, emu.networks.nf4
            print("bitsandbytes.functional" in sys.modules)
            emu.networks.nf4.require(by="a test")
            print(torch.ops.bitsandbytes.quantize_4bit.default)
    """
    said = subprocess.check_output([sys.executable, "-c", textwrap.dedent(code)], text=True)
    assert said.split() == ["False", "bitsandbytes.quantize_4bit.default"]


def test_a_layer_takes_four_and_a_half_bits_a_weight_and_is_near() -> None:
    plain, packed = layer(bias=False)
    assert 8 * held(packed) == 4.5 * plain.weight.numel()
    assert count(packed) == plain.weight.numel()
    error = (packed.weight - plain.weight).view(-1, nf4.BLOCK)
    # Of 16 values between -1 and 1 the two farthest apart are so by 0.304; bfloat16 rounds by 0.002 before.
    assert (error.abs() <= 0.155 * plain.weight.view(-1, nf4.BLOCK).abs().amax(1, keepdim=True)).all()
    assert torch.equal(nf4.NF4Linear(relayed(packed.weight), torch.float32).weight, packed.weight)


def relayed(weight: Tensor) -> nn.Linear:
    """A layer of this weight."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    made.weight = nn.Parameter(weight)
    return made


@pytest.mark.parametrize("bias", [True, False])
def test_it_computes_with_that_weight_and_keeps_none_of_it(bias: bool) -> None:
    _, packed = layer(bias=bias)
    x = torch.randn(3, 5, 96, requires_grad=True)
    kept: list[Tensor] = []
    with saved_tensors_hooks(lambda one: kept.append(one) or one, lambda one: one):  # type: ignore[func-returns-value]
        y = packed(x)
    y.square().sum().backward()
    assert {one.dtype for one in kept if one.numel() > y.numel()} <= {torch.uint8}
    again = x.detach().requires_grad_()
    wanted = nn.functional.linear(again, packed.weight, packed.bias)
    wanted.square().sum().backward()
    torch.testing.assert_close(y, wanted)
    torch.testing.assert_close(x.grad, again.grad)


def test_no_change_of_a_networks_dtype_reaches_what_is_packed() -> None:
    _, packed = layer()
    before = packed.weight
    network = nn.Sequential(packed).bfloat16().half().float()
    assert torch.equal(packed.weight, before)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.randn(2, 96)).dtype == torch.bfloat16


# ---- architectures


@pytest.fixture(params=[*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in REST)])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def packed_of(model: TextToImageModule) -> dict[str, Tensor]:
    """The bytes of the base, by name."""
    return {key: one.clone() for key, one in model.backbone.named_parameters() if one.dtype == torch.uint8}


def whole_blocks(layer: Any) -> bool:
    """Whether a layer's weights are whole blocks, which those of some tiny networks are not."""
    return bool(layer.in_features * layer.out_features % nf4.BLOCK == 0 and layer.in_features % 2 == 0)


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # torch, of diffusers' Krea 2
def test_an_adapter_trains_beside_it_and_goes_on_to_the_bit(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    """All but the linear layers in bfloat16, recomputed; no bit of the base changes, and no checkpoint holds it."""
    given = FOUR | {"weights_dtype": "bfloat16", "gradient_checkpointing": True, "warmup_steps": 0}

    def fit(steps: int, checkpoint: Path | None = None) -> TextToImageModule:
        model = make(name, tiny_folder(name), **given)
        before = packed_of(model)
        run = trainer(tmp_path, max_steps=steps, max_epochs=-1, precision="bf16-mixed", check_val_every_n_epoch=2)
        validation = [loader(training_batch(name)), loader(prompt_batch())]
        run.fit(model, loader(training_batch(name)), validation, ckpt_path=checkpoint)
        run.save_checkpoint(tmp_path / f"{steps}.ckpt")
        assert all(torch.equal(one, before[key]) for key, one in packed_of(model).items())
        return model

    unbroken, _ = fit(4), fit(2)
    again = fit(4, tmp_path / "2.ckpt")
    found, wanted = again.state_dict(), unbroken.state_dict()
    assert all(torch.equal(one, wanted[key]) for key, one in found.items())
    assert not any(one.dtype == torch.uint8 for one in found.values())
    for key, one in adapters.layers(again.backbone):
        assert isinstance(one.get_base_layer(), nf4.NF4Linear) == whole_blocks(one.get_base_layer())
        assert one.lora_B["default"].weight.any() != (key in WITHOUT_EFFECT.get(name, set()))
    shared = zip(again.backbone.parameters(), again.ema.parameters(), strict=True)
    assert all(live is mean for live, mean in shared if live.dtype == torch.uint8)
    encoders = [part for part in again.frozen_parts() if is_encoder(type(part))]
    assert all(any(nf4.layers(part)) for part in encoders)


def test_dora_too(tiny_folder: Folder) -> None:
    model = make("flow", tiny_folder("flow"), **FOUR | {"adapter": Adapter(rank=2, dora=True)})
    norms = [layer.lora_magnitude_vector["default"].weight for _, layer in adapters.layers(model.backbone)]
    bases = [layer.get_base_layer().weight.norm(dim=1) for _, layer in adapters.layers(model.backbone)]
    for norm, wanted in zip(norms, bases, strict=True):
        torch.testing.assert_close(norm.detach(), wanted)


def test_a_plan_counts_its_bytes(name: str, tiny_folder: Folder) -> None:
    model = make(name, tiny_folder(name), **FOUR)
    outline = Outline(CLASSES[name](str(tiny_folder(name)), resolution=model.resolution, **FOUR))
    assert held(outline.model.backbone) == held(model.backbone)
    assert {key: held(one) for key, one in outline.frozen().items()} == {
        key: held(one) for key, one in model.networks().items() if key != model.slot
    }
    plain = Outline(CLASSES[name](str(tiny_folder(name)), resolution=model.resolution))
    assert [count(one) for one in outline.frozen().values()] == [count(one) for one in plain.frozen().values()]


def test_a_cache_knows_of_it(tiny_folder: Folder) -> None:
    prints = {make("flow", tiny_folder("flow"), encoders_dtype=dtype).fingerprint() for dtype in ("nf4", "bfloat16")}
    assert len(prints) == 2


# ---- runs


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Folder) -> Path:
    return layouts.config(tmp_path_factory.mktemp("nf4"), "flow", tiny_folder("flow"))


@pytest.fixture(scope="module")
def run(path: Path) -> Path:
    return layouts.fit(path, "run", *GIVEN, "--quality.max_steps", "2")


@pytest.mark.slow
def test_two_processes_keep_the_same_adapter_and_go_on_to_the_bit(path: Path, run: Path) -> None:
    """By DDP: every process packs the base itself, to the same bits, so that both draw and learn alike."""
    given = [*GIVEN, *layouts.DDP, "--data.batch_size", "6"]
    whole = layouts.fit(path, "whole", *given, "--quality.max_steps", "4", world=2)
    for steps in ("2", "4"):
        broken = layouts.fit(path, "broken", *given, "--quality.max_steps", steps, world=2)
    for of in ("backbone", "ema"):
        assert torch.equal(layouts.weights(broken, of), layouts.weights(whole, of))
    alone, apart = (layouts.logged(one, "loss")[0] for one in (run, whole))
    assert apart == pytest.approx(alone, rel=1e-4)
    drawn = sorted((whole / "step-000000").glob("*.png"))
    assert len(drawn) == 3  # by both processes
    for picture in drawn:
        levels = [np.asarray(Image.open(one / "step-000000" / picture.name)).astype(int) for one in (run, whole)]
        assert abs(levels[0] - levels[1]).max() <= 1


def test_an_export_has_the_adapter_in_the_weights_as_they_were(run: Path, tmp_path: Path, tiny_folder: Folder) -> None:
    """Never in what the 4 bits stand for; a LoRA file draws the same on the base as it was."""
    assert export(run, tmp_path / "out") <= 1
    written = load_file(tmp_path / "out" / "transformer" / "diffusion_pytorch_model.safetensors")
    base = load_file(tiny_folder("flow") / "transformer" / "diffusion_pytorch_model.safetensors")
    model = load_checkpoint(runs.checkpoints(run)[-1])
    matrices = {
        key: (one.lora_B["default"].weight, one.lora_A["default"].weight) for key, one in adapters.layers(model.ema)
    }
    assert matrices
    for key, (up, down) in matrices.items():
        torch.testing.assert_close(written.pop(f"{key}.weight"), base[f"{key}.weight"] + 2 * up @ down)
    assert {key for key, one in written.items() if not torch.equal(one, base[key])} == set()
    assert export(run, tmp_path / "style.safetensors", find("lora")) <= 1


def test_pictures_of_a_run_are_drawn_on_the_base_that_it_trained_on(
    run: Path, tiny_folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before and after alike; with the very codes of the run, and it is said."""
    model = load_model(run)
    trained = make("flow", tiny_folder("flow"), **FOUR, weights_dtype="bfloat16")
    codes = packed_of(trained)
    assert codes
    assert all(torch.equal(one, codes[key]) for key, one in packed_of(model).items())
    assert packed_of(model).keys() == codes.keys()
    assert all(any(nf4.layers(part)) for part in model.frozen_parts() if is_encoder(type(part)))
    (tmp_path / "prompts.txt").write_text("a red boat\n")
    main(["sample", str(run), str(tmp_path / "prompts.txt"), str(tmp_path / "out")])
    said = capsys.readouterr()
    assert "drawn on its base in nf4, as in training; an export is not" in said.out + said.err
    with pytest.raises(UserError, match="its base is in nf4, which takes in no LoRA"):
        load_model(run, loras=["style.safetensors"])


@pytest.mark.parametrize(
    ("command", "args", "message"),
    [
        ("fit", ["--model.base_dtype", "nf4"], "base_dtype nf4: weights in 4 bits take no steps; train an adapter"),
        ("plan", ["--model.base_dtype", "nf4"], "base_dtype nf4: weights in 4 bits take no steps; train an adapter"),
        ("plan", [*GIVEN, *layouts.FLOAT32, "--trainer.devices", "2"], "base_dtype nf4: FSDP2 shards no weights in 4"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(
    command: str, args: list[str], message: str, path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main([command, "-c", str(path), *args, "--trainer.default_root_dir", str(tmp_path / "out")])
    assert refused.value.code == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("emu:")]
    assert message in line


def test_a_run_does_not_go_on_beside_another_base(path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "-c", str(path), *GIVEN, "--model.base_dtype", "null", "--trainer.default_root_dir", str(run)])
    assert "its run began with model.init_args.base_dtype nf4, not None" in capsys.readouterr().err


def test_without_its_package_one_line_says_so(tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UserError, match=r"model\.base_dtype nf4: takes bitsandbytes, which is not installed"):
        make("flow", tiny_folder("flow"), **FOUR | {"encoders_dtype": "float32"})
    with pytest.raises(UserError, match=r"model\.encoders_dtype nf4: takes bitsandbytes"):
        make("flow", tiny_folder("flow"), encoders_dtype="nf4")


def test_the_small_cards_config_is_planned_and_its_layers_are_in_4_bits(path: Path) -> None:
    settings = Settings(flags.check(["-c", str(path), "-c", "cards/16gb-lora"]), command="plan")
    settings.datamodule.setup("fit")
    outline = Outline(settings.model)
    of = whole(outline, settings)
    assert of.uncounted == {}
    assert {one.get_base_layer().codes.dtype for _, one in adapters.layers(outline.model.backbone)} == {torch.uint8}
    assert of.weights == held(outline.model.backbone)
