"""One card of 24 GB: weights in bfloat16, moments in 8 bits, the average on the host, encoders that are not loaded."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

import test_layouts as layouts
from architectures import loader, make, prompt_batch, trainer, training_batch
from emu import sharding
from emu.adamw8bit import MOMENTS, AdamW8bit, first_row, pack, unpacked
from emu.cli import main
from emu.errors import UserError
from emu.module import TextToImageModule
from emu.networks.adapters import Adapter
from emu.optim import averaging
from emu.optim import settings as optimizing
from emu.optim.averaging import local
from emu.optim.rounding import random_bits, to_bfloat16, uniform
from emu.pipeline_folders import components
from processes import ranks

Folder = Callable[[str], Path]
DRAWS = 10_000
CPU = torch.device("cpu")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


# ---- rounding


def test_rounding_is_right_on_average() -> None:
    """Over 10^4 draws, in each place of its own, of numbers of both signs and of all sizes."""
    torch.manual_seed(0)
    x = torch.randn(40) * 10.0 ** torch.arange(-20, 20)
    rounded = torch.stack([to_bfloat16(x, random_bits(range(40), 1, (s, 3), CPU).flatten()) for s in range(DRAWS)])
    below, above = rounded.float().amin(0), rounded.float().amax(0)
    assert torch.all((below <= x) & (x <= above))
    gap = above - below
    assert torch.all(gap <= x.abs() * 2**-7)
    # The deviation of the mean of so many coins is at most half a gap over the root of their number.
    assert torch.all((rounded.double().mean(0) - x).abs() <= 4.5 * gap / 2 / DRAWS**0.5)
    exact = x.bfloat16().float()
    assert torch.equal(to_bfloat16(exact, random_bits(range(40), 1, (1, 1), CPU).flatten()).float(), exact)


def test_random_bits_are_of_the_place_and_the_step() -> None:
    """Each bit is set in half of the draws; rows are those of the whole; no two steps or weights are alike."""
    whole = random_bits(range(64), 100, (5, 7), CPU)
    assert torch.equal(random_bits(range(10, 20), 100, (5, 7), CPU), whole[10:20])
    for bit in range(32):
        assert abs(float(((whole >> bit) & 1).double().mean()) - 0.5) < 4.5 * 0.5 / 6400**0.5
    for seed in ((6, 7), (5, 8)):
        other = random_bits(range(64), 100, seed, CPU)
        agreeing = [float((((whole ^ other) >> bit) & 1).double().mean()) for bit in range(32)]
        assert max(abs(share - 0.5) for share in agreeing) < 4.5 * 0.5 / 6400**0.5
        ours, theirs = uniform(whole, 16), uniform(other, 16)
        assert abs(float(torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1])) < 0.06


@pytest.mark.parametrize("name", MOMENTS)
def test_a_moment_in_8_bits_is_right_on_average(name: str) -> None:
    """And each draw is one of its two neighbours; the largest of a block is kept as it is."""
    torch.manual_seed(1)
    moment = torch.randn(1, 300).exp() * 1e-6 * (1 if name == "exp_avg_sq" else torch.randn(1, 300).sign())
    moment = moment.abs() if name == "exp_avg_sq" else moment
    part = {name: torch.zeros(DRAWS, 300, dtype=MOMENTS[name][2]), f"{name}_scale": torch.zeros(DRAWS, 2)}
    pack(part, name, moment.expand(DRAWS, -1), uniform(random_bits(range(DRAWS), 300, (1, 0), CPU), 8))
    drawn = unpacked(part, name)
    gap = drawn.amax(0) - drawn.amin(0)
    assert all(len(column.unique()) <= 2 for column in drawn.T)
    # To 1 part in 65,536 of a gap, the grain of the chance, the mean is the moment's.
    error = (drawn.double().mean(0) - moment[0]).abs()
    assert torch.all(error <= gap * (4.5 / 2 / DRAWS**0.5 + 2**-16) + 1e-5 * moment[0].abs())
    highest = int(moment[0, :150].abs().argmax())
    torch.testing.assert_close(drawn[:, highest], moment[0, highest].expand(DRAWS), rtol=1e-6, atol=0)


# ---- the optimizer


def learned(make: Callable[[Any], torch.optim.Optimizer], dtype: torch.dtype, steps: int = 300) -> float:
    """The error of a linear layer after so many steps of 1e-4, a hundredth of the distance that it has to go."""
    torch.manual_seed(0)
    layer, target = nn.Linear(320, 64).to(dtype), torch.randn(64, 320) * 0.05
    optimizer = make(layer.parameters())
    for step in range(steps):
        x = torch.randn(32, 320, generator=torch.Generator().manual_seed(step))
        loss = (nn.functional.linear(x, layer.weight.float(), layer.bias.float()) - x @ target.T).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def test_it_learns_in_bfloat16_as_adamw_does_in_float32() -> None:
    wanted = learned(lambda p: torch.optim.AdamW(p, lr=1e-4), torch.float32)
    for dtype in (torch.float32, torch.bfloat16):
        assert learned(lambda p: AdamW8bit(p, lr=1e-4), dtype) == pytest.approx(wanted, rel=0.02)
    assert learned(lambda p: torch.optim.AdamW(p, lr=1e-4), torch.bfloat16) > 1.15 * wanted  # what rounding is for


def test_what_is_small_is_adamw_to_the_last_bits() -> None:
    """Vectors and narrow matrices keep moments in float32."""
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.randn(shape)) for shape in ((7,), (9, 3), ())]
    others = copy.deepcopy(weights)
    settings: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.99)}
    mine, theirs = AdamW8bit(weights, **settings), torch.optim.AdamW(others, **settings)
    for _ in range(20):
        for one, other in zip(weights, others, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        mine.step()
        theirs.step()
    torch.testing.assert_close(weights, others, rtol=1e-5, atol=1e-6)


def test_a_number_that_hardly_moves_takes_no_leap() -> None:
    """Beside one whose gradient is a million times as large, its second moment is not rounded to 0."""
    weight = nn.Parameter(torch.zeros(1, 256))
    optimizer = AdamW8bit([weight], lr=1e-3, weight_decay=0.0)
    for step in range(200):
        weight.grad = torch.full_like(weight, 1e-7) * (-1) ** step
        weight.grad[0, 0] = 1.0
        before = weight.detach().clone()
        optimizer.step()
        assert (weight.detach() - before)[0, 1:].abs().max() <= 1e-2


def test_its_state_takes_two_bytes_a_weight_and_comes_back_to_the_bit(tmp_path: Path) -> None:
    """Through a file, as a channels_last weight too; also where torch would turn moments into bfloat16."""
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.randn(64, 32, 3, 3).to(memory_format=torch.channels_last).bfloat16())]
    weights.append(nn.Parameter(torch.randn(1000, 320, dtype=torch.bfloat16)))

    def steps(optimizer: AdamW8bit, some: list[nn.Parameter], numbers: range) -> None:
        for step in numbers:
            for i, weight in enumerate(some):
                weight.grad = torch.randn(
                    weight.shape, generator=torch.Generator().manual_seed(100 * step + i)
                ).bfloat16()
            optimizer.step()

    optimizer = AdamW8bit(weights)
    steps(optimizer, weights, range(3))
    torch.save({"w": weights, "o": optimizer.state_dict()}, tmp_path / "one.pt")
    bytes_ = sum(v.nbytes for of in optimizer.state.values() for v in of.values())
    assert bytes_ <= 2.06 * sum(w.numel() for w in weights)
    read = torch.load(tmp_path / "one.pt", weights_only=True)
    again = [nn.Parameter(weight) for weight in read["w"]]
    other = AdamW8bit(again)
    other.load_state_dict(read["o"])
    for one, run in ((optimizer, weights), (other, again)):
        steps(one, run, range(3, 6))
    assert all(torch.equal(one, two) for one, two in zip(weights, again, strict=True))


def test_an_optimizer_that_rounds_to_nearest_is_known() -> None:
    optimizing.require_rounding(lambda p: AdamW8bit(p, lr=1e-5))
    for other in (torch.optim.AdamW, torch.optim.SGD, torch.optim.Adafactor):
        with pytest.raises(UserError, match="rounds to the nearest"):
            optimizing.require_rounding(lambda p, kind=other: kind(p, lr=1e-5))


def test_the_average_is_lent_and_taken_back() -> None:
    """On the device it has the live weights' dtype; training goes on with what it had, in inference mode too."""
    live = nn.Linear(4, 4).bfloat16()
    average = averaging.twin(live)
    with torch.no_grad():
        live.weight.add_(1)
    before, host = live.weight.detach().clone(), average.weight.detach().clone()
    with torch.inference_mode(), averaging.on_device(average, live):
        assert average.weight.dtype == torch.bfloat16
        torch.testing.assert_close(average.weight.float(), host, rtol=2**-8, atol=0)
    assert torch.equal(average.weight, host)
    assert torch.equal(live.weight, before)
    live(torch.ones(1, 4, dtype=torch.bfloat16)).sum().backward()
    averaging.update(average, live, decay=0.5)
    torch.testing.assert_close(average.weight, (host + before.float()) / 2)


def test_an_adapter_trains_beside_a_base_in_bfloat16(tiny_folder: Folder, tmp_path: Path) -> None:
    """It is in float32 itself, its average on the device; no bit of the base changes."""
    small: dict[str, Any] = {"weights_dtype": "bfloat16", "average_on": "host", "gradient_checkpointing": True}
    model = make("latent", tiny_folder("latent"), adapter=Adapter(rank=2), warmup_steps=0, **small)
    before = {name: weight.clone() for name, weight in model.backbone.named_parameters()}
    run = trainer(tmp_path, max_steps=2, precision="bf16-mixed", num_sanity_val_steps=0)
    run.fit(model, loader(training_batch("latent"), training_batch("latent", seed=1)), loader(prompt_batch()))
    assert not model.average_on_host
    for name, weight in model.backbone.named_parameters():
        assert weight.dtype == (torch.float32 if weight.requires_grad else torch.bfloat16)
        assert weight.requires_grad or torch.equal(weight, before[name])
    assert any(not torch.equal(p, before[n]) for n, p in model.backbone.named_parameters() if "lora_B" in n)


# ---- shards


def in_steps(network: nn.Module) -> nn.Module:
    """After four steps with gradients of its own; those of a shard are its rows of the whole's."""
    optimizer = AdamW8bit(network.parameters(), lr=0.01)
    for step in range(4):
        for i, weight in enumerate(network.parameters()):
            whole = torch.randn(weight.shape, generator=torch.Generator().manual_seed(10 * step + i)).to(weight.dtype)
            if isinstance(weight, DTensor):
                mine = whole[first_row(weight) :][: len(local(weight))]
                mesh, placements = weight.device_mesh, weight.placements
                whole = DTensor.from_local(mine, mesh, placements, shape=weight.shape, stride=weight.stride())
            weight.grad = whole
        optimizer.step()
    return network


def toy() -> nn.Module:
    """Of rows that no number of devices divides."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(300, 7), nn.Linear(7, 130), nn.Conv2d(16, 5, 3)).bfloat16()


def shard_and_step(out: Path) -> None:
    torch.distributed.init_process_group("gloo")
    world = torch.distributed.get_world_size()
    network = in_steps(fully_shard(toy(), mesh=sharding.mesh("cpu", copies=1, shard=world)))
    whole = {name: weight.full_tensor() for name, weight in network.named_parameters()}  # type: ignore[operator]
    if torch.distributed.get_rank() == 0:
        torch.save(whole, out)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("world", [2, 3])
def test_shards_round_as_the_whole_does(world: int, tmp_path: Path) -> None:
    """To the bit, by the same gradients: neither moments nor weights depend on how many devices there are."""
    assert ranks(world, shard_and_step, tmp_path / "w.pt", log=tmp_path / "log") == [0] * world
    found = torch.load(tmp_path / "w.pt", weights_only=True)
    for name, weight in in_steps(toy()).named_parameters():
        assert torch.equal(found[name], weight), name


# ---- runs

CARD = ["-c", "cards/24gb", "--data.batch_size", "4", "--model.init_args.optimizer.init_args.lr", "0.01"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Folder) -> Path:
    return layouts.config(tmp_path_factory.mktemp("card"), "latent", tiny_folder("latent"))


@pytest.fixture(scope="module")
def alone(path: Path) -> Path:
    return layouts.fit(path, "alone", *CARD)


def same(run: Path, other: Path) -> bool:
    return all(torch.equal(layouts.weights(run, of), layouts.weights(other, of)) for of in ("backbone", "ema"))


def test_a_run_goes_on_to_the_bit_and_the_average_may_lie_anywhere(path: Path, alone: Path) -> None:
    layouts.fit(path, "broken", *CARD, "--quality.max_steps", "3")
    assert same(layouts.fit(path, "broken", *CARD, "--model.init_args.average_on", "device"), alone)
    assert layouts.weights(alone, "backbone").dtype == torch.bfloat16
    assert layouts.weights(alone, "ema").dtype == torch.float32


@pytest.mark.parametrize(
    "name", ["muse", *(pytest.param(n, marks=pytest.mark.slow) for n in ("latent", "pixel", "flow"))]
)
def test_shards_go_on_to_the_bit(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    """And one process goes on from them with the loss that they have."""
    path = layouts.config(tmp_path, name, tiny_folder(name))
    shards = [*CARD, *layouts.FLOAT32, "--data.batch_size", "3"]
    whole = layouts.fit(path, "whole", *shards, world=2)
    layouts.fit(path, "broken", *shards, "--quality.max_steps", "2", world=2)
    shutil.copytree(path.parent / "broken", path.parent / "moved")
    assert same(layouts.fit(path, "broken", *shards, world=2), whole)
    alone = layouts.fit(path, "moved", *CARD)
    assert layouts.logged(alone, "loss")[0] == pytest.approx(layouts.logged(whole, "loss")[2], rel=0.01)


# ---- encoders that are not loaded


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The classes of the networks that are loaded from now on."""
    names: list[str] = []
    load = components.load_network

    def noting(folder: Path, kind: type[Any], **settings: Any) -> nn.Module:
        names.append(kind.__name__)
        return load(folder, kind, **settings)

    monkeypatch.setattr(components, "load_network", noting)
    return names


def test_a_filled_cache_needs_no_text_encoder(
    path: Path, alone: Path, loaded: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a cache lacks of what is drawn is encoded before training; bit for bit it is the same run."""
    (tmp_path / "others.txt").write_text("a green hill\n")
    encoders: list[bool] = []  # whether there are any when training begins
    monkeypatch.setattr(
        TextToImageModule,
        "on_train_start",
        lambda model: encoders.append(any(components.is_encoder(type(part)) for part in model.frozen_parts())),
    )
    runs_: list[Path] = []
    for name, prompts in (("filled", []), ("lacking", ["--data.prompts", str(tmp_path / "others.txt")])):
        argv = ["-c", str(path), *CARD, "--data.cache", str(tmp_path / f"{name}-cache")]
        main(["encode", *argv, *prompts])
        assert "CLIPTextModel" in loaded
        loaded.clear()
        runs_.append(tmp_path / name)
        main(["fit", *argv, "--trainer.default_root_dir", str(runs_[-1])])
        assert ("CLIPTextModel" in loaded) == (name == "lacking")
    assert encoders == [False, False]
    assert same(*runs_)
    pictures = sorted(path.relative_to(runs_[0]) for path in runs_[0].glob("step-*/*.png"))
    assert len(pictures) == 12
    assert all((runs_[0] / one).read_bytes() == (runs_[1] / one).read_bytes() for one in pictures)
    # Without a cache encoders compute in mixed precision, as the network does. Only the first loss is by the same
    # weights: at this learning rate processors that round otherwise were 10 % apart five steps later.
    assert layouts.logged(runs_[0], "loss")[0] == pytest.approx(layouts.logged(alone, "loss")[0], rel=0.02)


# ---- what is refused


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--trainer.precision", "32-true"], "weights_dtype bfloat16: computes with --trainer.precision bf16-mixed"),
        (["--model.init_args.optimizer", "torch.optim.AdamW"], "optimizer: rounds to the nearest of the weights"),
        (["--model.init_args.optimizer", "bitsandbytes.optim.AdamW8bit"], "bitsandbytes"),
    ],
)
def test_what_cannot_train_so_is_said_in_one_line(
    args: list[str], message: str, path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["fit", "-c", str(path), *CARD, *args, "--trainer.default_root_dir", str(tmp_path / "out")])
    assert refused.value.code == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("emu:")]
    assert message in line
