"""Checkpoints of shards: whole or not there, put together as one file would be, and no code in them is run."""

import os
import pickle
import resource
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint import state_dict as shards

from emu import sharding
from emu.checkpoints import Durable, gathered, is_sharded, newest, sharded, sums_of, verify
from emu.checkpoints.sums import clear
from emu.errors import UserError
from emu.layouts import runs
from processes import ranks


def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network and its optimizer after one step; of odd sizes."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 7), nn.Linear(7, 5))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    return network, optimizer


def state(network: nn.Module, optimizer: torch.optim.Optimizer, *, step: int) -> dict[str, Any]:
    told = {"global_step": step, "loops": {"batches": [1, 2]}, "callbacks": {"one": torch.ones(2)}}
    given = shards.get_model_state_dict(network), shards.get_optimizer_state_dict(network, optimizer)
    return {**told, "state_dict": given[0], "optimizer_states": [given[1]]}


def saved(run: Path, *steps: int) -> None:
    for step in steps:
        sharded.write(state(*trained(), step=step), runs.checkpoint(run, step), group=None)


def assert_whole(path: Path, step: int) -> None:
    """It is what one file would hold, numbered optimizer state and all."""
    found, (network, optimizer) = Durable().load_checkpoint(path), trained()
    assert found["global_step"] == step
    assert found["loops"] == {"batches": [1, 2]}
    torch.testing.assert_close(found["state_dict"], dict(network.state_dict()), rtol=0, atol=0)
    (kept,) = found["optimizer_states"]
    for i, of in optimizer.state_dict()["state"].items():
        torch.testing.assert_close(kept["state"][i], of, rtol=0, atol=0)
    again = torch.optim.AdamW(network.parameters(), lr=0.5)
    again.load_state_dict(kept)
    assert again.param_groups[0]["lr"] == 0.1


def test_what_is_saved_is_loaded_and_nothing_else_is_left(tmp_path: Path) -> None:
    saved(tmp_path, 5, 7)
    path = newest(tmp_path)
    assert path == runs.checkpoint(tmp_path, 7)
    assert is_sharded(path)
    assert_whole(path, 7)
    assert gathered.read(path, parts={"state_dict"}).keys() == {"state_dict", "global_step", "loops", "callbacks"}
    Durable().remove_checkpoint(path)
    assert sorted(one.name for one in (tmp_path / "checkpoints").iterdir()) == [
        "step-000005.ckpt",
        "step-000005.ckpt.json",
    ]


def files(path: Path) -> list[Path]:
    return sorted(path.iterdir())


@pytest.mark.parametrize("of", [".metadata", "rest.pt", "__0_0.distcp"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_part_is_named_and_the_whole_set_aside(tmp_path: Path, of: str, damage: str) -> None:
    saved(tmp_path, 5, 7)
    part = runs.checkpoint(tmp_path, 7) / of
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 4
    match damage:
        case "flip":
            part.write_bytes(content)
        case "cut":
            part.write_bytes(content[:-1])
        case "remove":
            part.unlink()
    with pytest.warns(UserWarning, match=rf"step-000007.ckpt: damaged .*{of} is another.*set aside"):
        assert newest(tmp_path) == runs.checkpoint(tmp_path, 5)


def test_each_process_reads_its_share_of_the_sums(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    path = runs.checkpoint(tmp_path, 5)
    (path / "rest.pt").write_bytes(b"")
    refused = []
    for rank in range(3):
        try:
            verify(path, share=(rank, 3))
        except UserError:
            refused.append(rank)
    assert len(refused) == 1


def test_a_folder_takes_the_place_of_a_folder_and_of_a_file(tmp_path: Path) -> None:
    best, told = tmp_path / runs.BEST, state(*trained(), step=5)
    for write in (sharded.write, sharded.write, None, sharded.write):
        if write:
            write(told, best, group=None)
            assert_whole(best, 5)
        else:
            Durable().save_checkpoint(told, best)
        assert sorted(one.name for one in tmp_path.iterdir()) == ["best.ckpt", "best.ckpt.json"]
        assert newest(tmp_path) == best


def replaced_and_killed(best: Path, at: int) -> None:
    """Save over `best`, killed before the `at`-th rename of it or to it."""
    rename, done = Path.rename, []

    def dying(path: Path, target: Path) -> Path:
        if best in (path, target):
            done.append(path)
            if len(done) == at:
                os.kill(os.getpid(), signal.SIGKILL)
        return rename(path, target)

    Path.rename = dying  # type: ignore[method-assign]
    sharded.write(state(*trained(), step=7), best, group=None)


@pytest.mark.parametrize("at", [1, 2])
def test_what_was_put_aside_by_one_who_was_killed_comes_back(tmp_path: Path, at: int) -> None:
    best = tmp_path / "run" / runs.BEST
    sharded.write(state(*trained(), step=5), best, group=None)
    assert ranks(1, replaced_and_killed, best, at, log=tmp_path / "log") == [-signal.SIGKILL]
    clear(best.parent)
    assert_whole(best, 5)
    assert not list(best.parent.glob(".*"))


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_a_number_that_is_not_finite_is_not_saved(tmp_path: Path, number: float) -> None:
    saved(tmp_path, 5)
    network, optimizer = trained()
    with torch.no_grad():
        network[1].weight[2, 3] = number
    with pytest.raises(UserError, match=r"step-000007.ckpt: not saved, state_dict.1.weight holds a number"):
        sharded.write(state(network, optimizer, step=7), runs.checkpoint(tmp_path, 7), group=None)
    assert [one.name for one in files(tmp_path / "checkpoints")] == ["step-000005.ckpt", "step-000005.ckpt.json"]


# ---- poison


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def summed_anew(path: Path) -> None:
    """As one who writes a checkpoint to harm would."""
    sums_of(path).unlink()


def test_no_code_is_run(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", runs.checkpoint(tmp_path, 5)
    for poisoned in (".metadata", "rest.pt", "__0_0.distcp"):
        saved(tmp_path, 5)
        summed_anew(path)
        (path / poisoned).write_bytes(pickle.dumps(Evil(mark), protocol=2))  # which torch.load knows
        with pytest.raises(UserError):
            Durable().load_checkpoint(path)
        assert not mark.exists()


def test_no_file_outside_of_the_folder_is_read(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    path = runs.checkpoint(tmp_path, 5)
    summed_anew(path)
    metadata = pickle.loads((path / ".metadata").read_bytes())
    for info in metadata.storage_data.values():
        info.relative_path = "../../secret"
    (path / ".metadata").write_bytes(pickle.dumps(metadata))
    with pytest.raises(UserError, match=r"names '../../secret', which is not a file of its folder"):
        Durable().load_checkpoint(path)


# ---- several processes


def save_shards(run: Path, *, small: int | None = None, back: bool = False) -> None:
    """A checkpoint by all processes; the disk of process `small` is full behind its first bytes."""
    torch.distributed.init_process_group("gloo")
    world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    network, _ = trained()
    sharding.apply(network, sharding.mesh("cpu", copies=1, shard=world), reshard=True, dtype=torch.float32)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    if rank == small:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
    given = state(network, optimizer, step=7)
    try:
        sharded.write(given, runs.checkpoint(run, 7), group=torch.distributed.new_group(backend="gloo"))
    except UserError as error:
        (run / f"said.{rank}").write_text(str(error)[:190])
    torch.distributed.destroy_process_group()


def test_a_disk_that_is_full_for_one_is_said_by_all_and_leaves_the_last_good_one(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    codes = ranks(2, partial(save_shards, small=1), tmp_path, log=tmp_path / "log")
    assert codes == [0, 0], (tmp_path / "log.0").read_text()
    for rank in (0, 1):
        assert "not saved (File too large)" in (tmp_path / f"said.{rank}").read_text()
    assert [one.name for one in files(tmp_path / "checkpoints")] == ["step-000005.ckpt", "step-000005.ckpt.json"]


def test_three_processes_write_what_one_reads(tmp_path: Path) -> None:
    codes = ranks(3, save_shards, tmp_path, log=tmp_path / "log")
    assert codes == [0, 0, 0], (tmp_path / "log.0").read_text()
    path = runs.checkpoint(tmp_path, 7)
    assert [one.name for one in files(path)] == [
        ".metadata", "__0_0.distcp", "__1_0.distcp", "__2_0.distcp", "rest.pt",
    ]  # fmt: skip
    found = Durable().load_checkpoint(path)
    assert {name: tuple(value.shape) for name, value in found["state_dict"].items()} == {
        name: tuple(value.shape) for name, value in trained()[0].state_dict().items()
    }
    assert found["optimizer_states"][0]["state"].keys() == {0, 1, 2, 3}


# ---- in the background


def test_training_goes_on_while_a_checkpoint_is_written_and_it_holds_what_was(tmp_path: Path) -> None:
    io, weight = Durable(), torch.ones(4_000_000)
    given = {"global_step": 5, "state_dict": {"weight": weight}}
    io.save_checkpoint(given, runs.checkpoint(tmp_path, 5), {"blocking": False})
    weight.zero_()
    given["global_step"] = 6
    io.wait()
    assert Durable().load_checkpoint(runs.checkpoint(tmp_path, 5))["state_dict"]["weight"].eq(1).all()
    assert newest(tmp_path) == runs.checkpoint(tmp_path, 5)


def test_a_save_that_failed_is_said_by_the_next_question_and_once(tmp_path: Path) -> None:
    io = Durable()
    bad = {"global_step": 5, "state_dict": {"weight": torch.tensor([float("nan")])}}
    for ask in (io.wait, partial(io.save_checkpoint, bad, tmp_path / "next.ckpt"), io.teardown):
        io.save_checkpoint(bad, runs.checkpoint(tmp_path, 5), {"blocking": False})
        with pytest.raises(UserError, match="state_dict.weight holds a number that is not finite"):
            ask()
        assert not io.ended()


def test_saves_end_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    io = Durable()
    for step in (1, 2, 3):
        given = {"global_step": step, "state_dict": {"weight": torch.ones(1_000_000 // step)}}
        io.save_checkpoint(given, runs.checkpoint(tmp_path, step), {"blocking": False})
        assert len(runs.checkpoints(tmp_path)) >= step - 1
    until = time.monotonic() + 30
    while not io.ended() and time.monotonic() < until:
        time.sleep(0.01)
    assert len(runs.checkpoints(tmp_path)) == 3
