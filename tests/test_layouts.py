"""One process, several with whole copies, several with shards: the same losses, the same weights, the same pictures."""

import csv
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from emu import sharding
from emu.checkpoints import Durable
from emu.cli import main
from emu.layouts import runs
from emu.optim import averaging
from needles import make_folder
from processes import ranks

Folder = Callable[[str], Path]

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # diffusers' Euler scheduler
]

FLOAT32 = ["-c", "multi-gpu/fsdp2", "--trainer.strategy.init_args.compute_dtype", "float32"]
DDP = ["-c", "multi-gpu/ddp"]
CLASSES = {"latent": "LatentDiffusion", "latent_xl": "LatentDiffusionXL", "pixel": "PixelDiffusion"}
CLASSES |= {"muse": "Muse", "flow": "FlowMatching"}


def config(root: Path, name: str, pretrained: Path) -> Path:
    """Twelve pictures a step of nineteen in two shapes, three of them held out; three prompts at each check."""
    (root / "prompts.txt").write_text("a red boat\na blue bird\ntwo hills\n")
    optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.05, "momentum": 0.9}}
    sampler = {"num_inference_steps": 2}
    model = {"pretrained": str(pretrained), "sampler": sampler, "optimizer": optimizer, "warmup_steps": 0}
    data = {"root": str(make_folder(root, [(40, 32)] * 14 + [(32, 64)] * 5)), "prompts": str(root / "prompts.txt")}
    data |= {"resolution": 16 if name == "pixel" else 32, "bucket_step": 8, "batch_size": 12, "held_out": 3}
    document = {
        "trainer": {
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "log_every_n_steps": 1,
            "gradient_clip_val": 1.0,
        },
        "model": {
            "class_path": f"emu.models.{CLASSES[name]}" if name in CLASSES else "sana.Sana",
            "init_args": model,
        },
        "data": {**data, "num_workers": 0, "sample_batch_size": 2, "aspect_ratios": name != "muse"},
        # Patience for all checks: where a run with a lower limit ended, it had one more, which would count.
        "quality": {
            "batch": 12,
            "max_steps": 6,
            "check_every": 2,
            "patience": 99,
            "appeal": {"class_path": "lamp.Brightness"},
        },
    }
    path = root / "run.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def fit(path: Path, name: str, *args: str, world: int = 1) -> Path:
    """The run folder of `emu fit` in `world` processes."""
    out = path.parent / name
    argv = ["fit", "-c", str(path), *args, "--trainer.default_root_dir", str(out)]
    if world > 1:
        argv += ["--trainer.devices", str(world)]
    log = path.parent / f"{name}.log"
    assert ranks(world, main, argv, log=log) == [0] * world, Path(f"{log}.0").read_text()[-3000:]
    return out


def weights(run: Path, of: str) -> Tensor:
    """All of `backbone` or `ema` as one vector."""
    state = Durable().load_checkpoint(runs.checkpoints(run)[-1])["state_dict"]
    return torch.cat([value.flatten() for key, value in state.items() if key.startswith(of)])


def logged(run: Path, what: str) -> list[float]:
    """A column of the newest log."""
    file = max((run / "csv").glob("version_*/metrics.csv"), key=lambda file: int(file.parent.name.partition("_")[2]))
    with file.open() as lines:
        return [float(row[what]) for row in csv.DictReader(lines) if row.get(what)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Folder) -> Path:
    return config(tmp_path_factory.mktemp("layouts"), "latent", tiny_folder("latent"))


@pytest.fixture(scope="module")
def alone(path: Path) -> Path:
    return fit(path, "alone")


def same(run: Path, alone: Path, pretrained: Path) -> None:
    """Weights and averages moved alike, to 1 part in 10,000 of the way they went."""
    from diffusers import UNet2DConditionModel

    start = torch.cat([p.flatten() for p in UNet2DConditionModel.from_pretrained(pretrained / "unet").parameters()])
    for of in ("backbone", "ema"):
        mine, wanted = weights(run, of), weights(alone, of)
        assert (mine - wanted).norm() < 1e-4 * (wanted - start.detach()).norm(), of


@pytest.mark.parametrize(
    ("world", "args"),
    [
        (1, ["--data.batch_size", "4", "--model.init_args.gradient_checkpointing", "true"]),
        (2, [*DDP, "--data.batch_size", "3"]),
        (2, [*FLOAT32, "--data.batch_size", "6"]),
        pytest.param(
            3,
            [*FLOAT32, "--data.batch_size", "2", "--model.init_args.gradient_checkpointing", "true"],
            marks=pytest.mark.slow,  # each alone is among the quick ones
        ),
    ],
    ids=["one accumulating and recomputing", "two copies, accumulating", "two shards", "three shards, all of it"],
)
def test_losses_and_weights_do_not_depend_on_the_layout(
    path: Path, alone: Path, tiny_folder: Folder, request: pytest.FixtureRequest, world: int, args: list[str]
) -> None:
    run = fit(path, request.node.callspec.id.replace(" ", "-"), *args, world=world)
    for what in ("loss", "held_out_loss"):
        assert logged(run, what) == pytest.approx(logged(alone, what), rel=1e-4), what
    same(run, alone, tiny_folder("latent"))
    for step in (0, 2, 4, 6):
        assert runs.read_samples(runs.step_folder(run, step)) == runs.read_samples(runs.step_folder(alone, step))


def test_validate_says_the_same_on_any_layout(path: Path, alone: Path) -> None:
    given = ["validate", "-c", str(path), "--ckpt_path", str(runs.checkpoint(alone, 6))]
    layouts = {1: [], 2: [*DDP, "--trainer.devices", "2"], 3: [*FLOAT32, "--trainer.devices", "3"]}
    for world, args in layouts.items():
        log = path.parent / f"validate-{world}.log"
        assert ranks(world, main, [*given, *args], log=log) == [0] * world, Path(f"{log}.0").read_text()[-3000:]
        (told,) = re.findall(r"held_out_loss\W+([\d.]+)", Path(f"{log}.0").read_text())
        assert float(told) == pytest.approx(logged(alone, "held_out_loss")[-1], rel=1e-4)


def test_a_run_goes_on_on_other_numbers_of_devices(path: Path, alone: Path, tiny_folder: Folder) -> None:
    fit(path, "moving", *FLOAT32, "--data.batch_size", "3", "--quality.max_steps", "1", world=2)
    fit(path, "moving", "--data.batch_size", "12", "--quality.max_steps", "4")
    run = fit(path, "moving", *FLOAT32, "--data.batch_size", "4", world=3)
    assert logged(run, "loss") == pytest.approx(logged(alone, "loss")[4:], rel=1e-4)
    same(run, alone, tiny_folder("latent"))


def test_a_run_goes_on_from_the_last_step_of_an_epoch(tiny_folder: Folder, tmp_path: Path) -> None:
    """To the bit: the first step of the next one sees all its batches, though Lightning counts on from the last."""
    path = config(tmp_path, "muse", tiny_folder("muse"))
    accumulating = ["--data.batch_size", "6"]
    whole = fit(path, "whole", *accumulating, "--quality.max_steps", "3")
    fit(path, "broken", *accumulating, "--quality.max_steps", "2")
    broken = fit(path, "broken", *accumulating, "--quality.max_steps", "3")
    assert logged(broken, "loss") == logged(whole, "loss")[2:]
    assert all(torch.equal(weights(broken, of), weights(whole, of)) for of in ("backbone", "ema"))


@pytest.mark.parametrize(
    "name", [*(pytest.param(n, marks=pytest.mark.slow) for n in CLASSES if n != "muse"), "muse", "sana"]
)
def test_every_architecture_is_sharded_and_computes_in_bfloat16(
    name: str, tiny_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[1] / "examples")])
    path = config(tmp_path, name, tiny_folder(name))
    args = ["--data.batch_size", "6", "--quality.max_steps", "2"]
    whole = fit(path, "whole", "--data.batch_size", "12", "--quality.max_steps", "2")
    sharded = fit(path, "sharded", "-c", "multi-gpu/fsdp2", *args, world=2)
    assert logged(sharded, "loss") == pytest.approx(logged(whole, "loss"), rel=0.05)
    assert runs.complete_steps(sharded) == [0, 2]
    main(["export", str(runs.checkpoints(sharded)[-1]), str(tmp_path / "exported")])


class Toy(nn.Module):
    """Blocks and what lies around them, of odd sizes: no number of devices divides them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 7)
        self.layers = nn.ModuleList([nn.Linear(7, 7), nn.Sequential(nn.Linear(7, 5), nn.Linear(5, 7))])
        self.last = nn.Linear(7, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        return self.last(x)


def averaged(shard: Callable[[nn.Module], Any]) -> dict[str, Tensor]:
    """The average after fifty random steps."""
    torch.manual_seed(0)
    live, mean = Toy(), Toy()
    mean.load_state_dict(live.state_dict())
    for network in (live, mean):
        shard(network)
    optimizer = torch.optim.SGD(live.parameters(), lr=0.01)
    for step in range(1, 51):
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        live(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        averaging.update(mean, live, decay=averaging.decay_at(step, 0.9))
    return {name: getattr(p, "full_tensor", lambda p=p: p)().detach() for name, p in mean.named_parameters()}


def average_shards(copies: int, out: Path) -> None:
    torch.distributed.init_process_group("gloo")
    world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    over = sharding.mesh("cpu", copies=copies, shard=world // copies)
    found = averaged(lambda network: sharding.apply(network, over, reshard=True, dtype=torch.float32))
    if rank == 0:
        torch.save(found, out)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(("world", "copies"), [(2, 1), (3, 1), (4, 2)])
def test_the_average_of_shards_is_the_average(tmp_path: Path, world: int, copies: int) -> None:
    assert ranks(world, average_shards, copies, tmp_path / "mean.pt", log=tmp_path / "log") == [0] * world
    found, wanted = torch.load(tmp_path / "mean.pt", weights_only=True), averaged(lambda network: None)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-6)


def test_devices_that_make_no_whole_groups(path: Path, tmp_path: Path) -> None:
    argv = [
        "fit",
        "-c",
        str(path),
        *FLOAT32,
        "--trainer.devices",
        "3",
        "--trainer.default_root_dir",
        str(tmp_path / "out"),
    ]
    argv += ["--trainer.strategy.init_args.shard", "2", "--data.batch_size", "4"]
    assert ranks(3, main, argv, log=tmp_path / "log") == [2, 2, 2]
    assert "trainer.strategy.init_args.shard 2: 3 devices" in (tmp_path / "log.0").read_text()
