"""Nothing lost: kills at any moment, signals, damaged files, full disks and losses that are no number."""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import lightning as L
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel

from emu.checkpoints import Checkpoints, Durable, newest, sums_of
from emu.checkpoints.saving import _io as durable
from emu.checkpoints.sums import Summed, require_space
from emu.cli import main
from emu.errors import UserError
from emu.layouts import quality_json as tuned
from emu.layouts import runs
from emu.module import module
from emu.quality import tuning
from emu.storage import files
from processes import ranks, start
from test_layouts import DDP, FLOAT32, config, logged

Folder = Callable[[str], Path]


def state(step: int, value: float = 1.0) -> dict[str, Any]:
    return {"global_step": step, "state_dict": {"weight": torch.full((500,), value)}, "optimizer_states": [{"m": [1]}]}


def saved(run: Path, *steps: int) -> None:
    for step in steps:
        Durable().save_checkpoint(state(step, step), runs.checkpoint(run, step))


def test_what_is_saved_is_loaded_and_nothing_else_is_left(tmp_path: Path) -> None:
    saved(tmp_path, 5, 7)
    path = newest(tmp_path)
    assert path == runs.checkpoint(tmp_path, 7)
    torch.testing.assert_close(Durable().load_checkpoint(path), state(7, 7), rtol=0, atol=0)
    assert json.loads(sums_of(path).read_text()).keys() == {"bytes", "sha256", "step"}
    Durable().remove_checkpoint(path)
    assert sorted(one.name for one in (tmp_path / "checkpoints").iterdir()) == [
        "step-000005.ckpt",
        "step-000005.ckpt.json",
    ]


def flip(path: Path, at: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 4
    path.write_bytes(content)


def test_a_damaged_sum_is_damage(tmp_path: Path) -> None:
    for content in ("", "{", "[]", '{"bytes": 3}'):
        saved(tmp_path, 5, 7)
        sums_of(runs.checkpoint(tmp_path, 7)).write_text(content)
        with pytest.warns(UserWarning, match="set aside"):
            assert newest(tmp_path) == runs.checkpoint(tmp_path, 5)


def test_a_file_written_over_is_whole_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `best.ckpt` is: killed between the file and its sum, the new file is there and not called damaged."""
    best = tmp_path / runs.BEST
    Durable().save_checkpoint(state(5, 5), best)
    with monkeypatch.context() as killed:
        killed.setattr(files, "write", lambda *args, **how: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            Durable().save_checkpoint(state(7, 7), best)
    torch.testing.assert_close(Durable().load_checkpoint(best), state(7, 7), rtol=0, atol=0)


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda path, at=at: flip(path, at) for at in (0, 0.3, 0.5, 0.9, 1)),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
    ],
    ids=["first byte", "a byte", "another", "a late one", "last byte", "cut", "emptied"],
)
def test_a_damaged_checkpoint_is_named_and_set_aside(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    saved(tmp_path, 5, 7)
    damage(runs.checkpoint(tmp_path, 7))
    with pytest.raises(UserError, match=r"step-000007.ckpt: damaged since it was written"):
        Durable().load_checkpoint(runs.checkpoint(tmp_path, 7))
    with pytest.warns(UserWarning, match=r"step-000007.ckpt: damaged .* set aside"):
        assert newest(tmp_path) == runs.checkpoint(tmp_path, 5)
    assert (tmp_path / "checkpoints" / "step-000007.ckpt.aside").exists()
    assert newest(tmp_path) == runs.checkpoint(tmp_path, 5)


def test_the_best_one_is_what_is_left_where_the_others_are_damaged(tmp_path: Path) -> None:
    saved(tmp_path, 7)
    Durable().save_checkpoint(state(5), tmp_path / runs.BEST)
    assert newest(tmp_path) == runs.checkpoint(tmp_path, 7)
    flip(runs.checkpoint(tmp_path, 7), 0.5)
    with pytest.warns(UserWarning, match="set aside"):
        assert newest(tmp_path) == tmp_path / runs.BEST
    flip(tmp_path / runs.BEST, 0.5)
    with pytest.warns(UserWarning, match=r"best.ckpt: damaged"):
        assert newest(tmp_path) is None


def test_one_without_its_sum_was_not_written_to_its_end(tmp_path: Path) -> None:
    saved(tmp_path, 5, 7)
    sums_of(runs.checkpoint(tmp_path, 7)).unlink()
    assert newest(tmp_path) == runs.checkpoint(tmp_path, 5)
    assert newest(tmp_path / "nothing") is None


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_not_saved(tmp_path: Path, number: float) -> None:
    saved(tmp_path, 5)
    with pytest.raises(UserError, match=r"step-000007.ckpt: not saved, state_dict.weight holds a number"):
        Durable().save_checkpoint(state(7, number), runs.checkpoint(tmp_path, 7))
    assert [one.name for one in (tmp_path / "checkpoints").glob("*")] == ["step-000005.ckpt", "step-000005.ckpt.json"]


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 68_000}))
    with pytest.raises(UserError, match=r"a checkpoint takes 3\.0 MB and 0\.1 MB are free; make room"):
        require_space(tmp_path, 3_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match="are free; make room"):
        saved(tmp_path, 5)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def fill_up(run: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))  # as a disk that is full behind the first kilobyte
    with pytest.raises(UserError, match=r"step-000007.ckpt: not saved \(File too large\); the last good one stays"):
        saved(run, 7)


def test_a_disk_that_fills_up_leaves_the_last_good_one(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    assert ranks(1, fill_up, tmp_path, log=tmp_path / "log") == [0], (tmp_path / "log.0").read_text()
    assert [one.name for one in (tmp_path / "checkpoints").glob("*")] == ["step-000005.ckpt", "step-000005.ckpt.json"]
    assert newest(tmp_path) == runs.checkpoint(tmp_path, 5)


# ---- whole runs


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Folder) -> Path:
    return config(tmp_path_factory.mktemp("faults"), "latent", tiny_folder("latent"))


def argv(path: Path, name: str, *args: str) -> list[str]:
    darker = ["--quality.appeal.init_args.sign", "-1"]  # what the first steps make the pictures: a best one is kept
    return ["fit", "-c", str(path), *darker, *args, "--trainer.default_root_dir", str(path.parent / name)]


def end(run: Path) -> dict[str, Any]:
    """All that a run ended with."""
    kept: dict[str, Any] = Durable().load_checkpoint(runs.checkpoint(run, 6))
    told = {key: kept[key] for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step")}
    pictures = {str(file.relative_to(run)): file.read_bytes() for file in run.glob("step-*/*")}
    return {
        **told,
        "pictures": pictures,
        "quality": replace(tuned.read_quality(run), name=None),
        "data": kept["loops"]["fit_loop"]["state_dict"],
    }


@pytest.fixture(scope="module")
def unbroken(path: Path) -> dict[str, Any]:
    assert ranks(1, main, argv(path, "unbroken"), log=path.parent / "unbroken.log") == [0]
    return end(path.parent / "unbroken")


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key in wanted:
        if key in ("pictures", "quality", "data"):
            assert found[key] == wanted[key], key
        else:
            torch.testing.assert_close(found[key], wanted[key], rtol=0, atol=0)


def kill_when(ready: Callable[[], bool], process: BaseProcess, number: int = signal.SIGKILL) -> None:
    """Send the signal the moment that `ready` is true."""
    while process.is_alive() and not ready():
        time.sleep(0.0005)
    assert process.is_alive(), "ended before it could be killed"
    os.kill(process.pid or 0, number)


def dying(argv: list[str], moment: str) -> None:
    """`emu ARGV` that is killed at the first call for whose arguments it is that moment."""
    owner, name, when = MOMENTS[moment]
    call = getattr(owner, name)

    def killed(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)

    setattr(owner, name, killed)
    main(argv)


def ends(end: str, *given: Any) -> bool:
    """Whether one of the arguments is a path that ends so."""
    return any(str(one).endswith(end) for one in given)


def amid(summed: Summed, content: bytes) -> bool:
    return summed.bytes > 100_000


def second_verdict(run: Path, quality: tuned.Quality) -> bool:
    return len(quality.checks) == 2


MOMENTS = {
    "while step 0 is drawn": (runs, "save_picture", partial(ends, "step-000000/00001.png")),
    "before anything is saved": (Durable, "save_checkpoint", partial(ends, "step-000002.ckpt")),
    "in the middle of a save": (Summed, "write", amid),
    "between a checkpoint and its sum": (files, "write", partial(ends, "step-000002.ckpt.json")),
    "while it draws a check": (runs, "save_picture", partial(ends, "step-000002/00001.png")),
    "while the best is saved": (files, "write", partial(ends, "best.ckpt.json")),
    "before a verdict is written": (tuning, "write_quality", second_verdict),
    "before the last state is saved": (Durable, "save_checkpoint", partial(ends, "step-000006.ckpt")),
    "before the last state has its sum": (files, "write", partial(ends, "step-000006.ckpt.json")),
}


def test_a_run_killed_again_and_again_ends_as_an_unbroken_one(path: Path, unbroken: dict[str, Any]) -> None:
    run, log = path.parent / "killed", path.parent / "killed.log"
    for moment in MOMENTS:
        codes = ranks(1, dying, argv(path, "killed"), moment, log=log)
        assert codes == [-signal.SIGKILL], f"{moment}: {codes}, {Path(f'{log}.0').read_text()[-2000:]}"
    assert ranks(1, main, argv(path, "killed"), log=log) == [0]
    assert_same(end(run), unbroken)
    assert not list((run / "checkpoints").glob("*.aside"))
    assert ranks(1, main, argv(path, "killed"), log=path.parent / "again.log") == [0]
    assert "stopped already at step 6" in (path.parent / "again.log.0").read_text()


SHARDED = [*FLOAT32, "--data.batch_size", "6", "--trainer.devices", "2"]


@pytest.mark.slow
def test_a_sharded_run_killed_while_it_saves_ends_as_an_unbroken_one(path: Path) -> None:
    """One process dies, in the midst of its shares or before their sum; the other ends by itself."""
    run, log = path.parent / "shards-killed", path.parent / "shards-killed.log"
    assert ranks(2, main, argv(path, "shards", *SHARDED), log=path.parent / "shards.log") == [0, 0]
    for moment in ("in the middle of a save", "between a checkpoint and its sum", "while the best is saved"):
        codes = ranks(2, dying, argv(path, run.name, *SHARDED), moment, log=log, timeout=120)
        assert -signal.SIGKILL in codes, f"{moment}: {codes}, {Path(f'{log}.0').read_text()[-2000:]}"
        assert 0 not in codes
    assert ranks(2, main, argv(path, run.name, *SHARDED), log=log) == [0, 0], Path(f"{log}.0").read_text()[-2000:]
    assert_same(end(run), end(path.parent / "shards"))
    assert not [*run.rglob("*.aside"), *run.rglob(".*.tmp"), *run.rglob(".*.old")]


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        pytest.param(DDP, [0], id="copies, the first", marks=pytest.mark.slow),
        pytest.param(DDP, [0, 1], id="copies, both", marks=pytest.mark.slow),
        pytest.param(FLOAT32, [1], id="shards, the second"),
        pytest.param(DDP, [1], id="copies, the second", marks=pytest.mark.slow),
        pytest.param(FLOAT32, [0], id="shards, the first", marks=pytest.mark.slow),
        pytest.param(FLOAT32, [0, 1], id="shards, both", marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_any_of_two_processes_ends_both_and_loses_nothing(
    path: Path, layout: list[str], told: list[int], request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id.replace(" ", "-")
    given = [*layout, "--data.batch_size", "6", "--trainer.devices", "2", "--quality.max_steps", "12"]
    run = path.parent / name
    processes = start(2, main, argv(path, name, *given), log=path.parent / f"{name}.log")
    kill_when(lambda: runs.checkpoint(run, 2).exists(), processes[told[0]], signal.SIGTERM)
    for other in told[1:]:
        os.kill(processes[other].pid or 0, signal.SIGUSR1)
    begun = time.monotonic()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [143, 143], (path.parent / f"{name}.log.0").read_text()
    assert time.monotonic() - begun < 15
    assert "the same command goes on from there" in (path.parent / f"{name}.log.0").read_text()
    assert ranks(2, main, argv(path, name, *given), log=path.parent / f"{name}.log") == [0, 0]
    assert runs.complete_steps(run) == [0, 2, 4, 6, 8, 10, 12]


def drawing_for_long(argv: list[str], begun: Path) -> None:
    """`emu ARGV` whose first batch of pictures takes a minute."""

    def slow(*args: Any, **kwargs: Any) -> None:
        begun.touch()
        for _ in range(600):  # a signal that comes just before a sleep begins is heeded after it
            time.sleep(0.1)

    with patch.object(module, "draw", slow):
        main(argv)


def test_a_signal_is_obeyed_in_the_middle_of_a_picture(path: Path) -> None:
    begun, log = path.parent / "begun", path.parent / "drawing.log"
    [process] = start(1, drawing_for_long, argv(path, "drawing"), begun, log=log)
    kill_when(begun.exists, process, signal.SIGTERM)
    process.join(30)
    assert process.exitcode == 143, Path(f"{log}.0").read_text()
    assert "the same command goes on from there" in Path(f"{log}.0").read_text()
    assert ranks(1, main, argv(path, "drawing"), log=log) == [0]


def test_a_rank_that_dies_ends_the_others(path: Path) -> None:
    two = ["--data.batch_size", "6", "--trainer.devices", "2", "--quality.max_steps", "40"]
    given = argv(path, "dead", *FLOAT32, *two)
    processes = start(2, main, given, log=path.parent / "dead.log")
    kill_when(lambda: runs.checkpoint(path.parent / "dead", 2).exists(), processes[1])
    begun = time.monotonic()
    for process in processes:
        process.join(60)
    assert time.monotonic() - begun < 10
    assert processes[0].exitcode not in (0, None)


def torchrun(path: Path, name: str, log: Path) -> subprocess.Popen[bytes]:
    """Two processes as people start them."""
    given = argv(path, name, *SHARDED, "--quality.max_steps", "12")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "emu"]
    tests = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with log.open("wb") as file:
        environment = {**os.environ, "PYTHONPATH": tests}
        return subprocess.Popen([*command, *given], stdout=file, stderr=subprocess.STDOUT, env=environment)


def children(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def gone(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "to", "seconds"),
    [
        pytest.param(signal.SIGTERM, "torchrun", 15, id="asked to stop"),
        pytest.param(signal.SIGTERM, "second", 15, id="one process asked to stop"),
        pytest.param(signal.SIGKILL, "second", 10, id="one process killed"),
    ],
)
def test_under_torchrun_all_end_and_the_same_command_goes_on(path: Path, number: int, to: str, seconds: int) -> None:
    name = f"torchrun-{number}-{to}"
    run, log = path.parent / name, path.parent / f"{name}.log"
    started = torchrun(path, name, log)
    while started.poll() is None and not runs.checkpoints(run):
        time.sleep(0.01)
    assert started.poll() is None, log.read_text()
    ranks_of = children(started.pid)
    assert len(ranks_of) == 2
    os.kill(started.pid if to == "torchrun" else ranks_of[1], number)
    assert started.wait(seconds) != 0
    assert all(gone(process) for process in ranks_of)
    if number == signal.SIGTERM:
        assert "the same command goes on from there" in log.read_text()
    found = runs.checkpoints(run)[-1]
    again = torchrun(path, name, log)
    assert again.wait(120) == 0, log.read_text()
    assert runs.complete_steps(run) == [0, 2, 4, 6, 8, 10, 12]
    assert f"Restored all states from the checkpoint at {found}" in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("wakes", [True, False], ids=["for a while", "for good"])
def test_a_process_that_stands_still_is_waited_for_but_not_for_ever(path: Path, wakes: bool) -> None:
    """SIGSTOP, as of a machine that swaps, or that hangs while it saves in the background."""
    name = f"still-{wakes}"
    given = argv(path, name, *SHARDED, "--quality.max_steps", "12")
    given += ["--trainer.strategy.init_args.timeout_minutes", "0.5"]
    processes = start(2, main, given, log=path.parent / f"{name}.log")
    kill_when(lambda: runs.checkpoint(path.parent / name, 2).exists(), processes[1], signal.SIGSTOP)
    if wakes:
        time.sleep(10)
        os.kill(processes[1].pid or 0, signal.SIGCONT)
        assert [process.join(120) or process.exitcode for process in processes] == [0, 0]
    else:
        processes[0].join(60)
        os.kill(processes[1].pid or 0, signal.SIGKILL)
        assert processes[0].exitcode not in (0, None), "it waits still"


def test_a_folder_that_cannot_be_written_to_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / runs.CHECKPOINTS).write_text("a file where the folder was")
    with pytest.raises(UserError, match=r"step-000007.ckpt: not saved \(.*\); the last good one stays"):
        saved(tmp_path, 7)


def unmounting(argv: list[str], disk: Path) -> None:
    """`emu ARGV` with a disk of its own at `disk`, which goes away when step 4 has been trained."""
    assert ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS) == 0
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(disk)], check=True)
    save = Checkpoints.save

    def vanishing(self: Checkpoints, trainer: Any) -> None:
        if trainer.global_step == 4:
            durable(trainer).wait()
            print([str(one) for one in sorted(disk.rglob("*.ckpt.json"))], flush=True)
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
        save(self, trainer)

    setattr(Checkpoints, "save", vanishing)  # noqa: B010
    main(argv)


NEW_MOUNTS = 0x20000  # CLONE_NEWNS


def may_mount() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif("not may_mount()", reason="disks may not be mounted here")
@pytest.mark.parametrize("run", ["disk", "disk/run"], ids=["the run's folder", "the folder above"])
def test_a_disk_that_goes_away_ends_the_run_and_nothing_is_written_in_its_place(path: Path, run: str) -> None:
    disk, log = path.parent / "disk", path.parent / "disk.log"
    disk.mkdir(exist_ok=True)
    assert ranks(1, unmounting, argv(path, run), disk, log=log) == [2]
    said = Path(f"{log}.0").read_text()
    assert "step-000002.ckpt.json" in said
    assert said.splitlines()[-1].startswith(f"emu: {path.parent / run}: no longer the folder that this run began in")
    assert not [*disk.rglob("*.ckpt*"), *disk.rglob("*.png"), *disk.rglob("*.json")]


def test_a_loss_that_is_no_number_is_skipped_by_all_and_its_pictures_are_named(path: Path) -> None:
    given = [*FLOAT32, "--data.batch_size", "6", "--trainer.devices", "2", "--model", "poison.Poisoned"]
    assert ranks(2, main, argv(path, "nan", *given), log=path.parent / "nan.log") == [0, 0]
    said = "".join((path.parent / f"nan.log.{rank}").read_text() for rank in (0, 1))
    assert "skipped: the loss" in said
    assert any(f"{i}.png" in said for i in range(14, 19))  # the tall ones
    assert len(logged(path.parent / "nan", "loss")) == 6
    kept = Durable().load_checkpoint(runs.checkpoint(path.parent / "nan", 6))["state_dict"]
    assert all(value.isfinite().all() for value in kept.values())


def test_too_many_in_a_row_end_the_run_with_the_last_good_state(path: Path) -> None:
    given = ["--model", "poison.Poisoned", "--data.aspect_ratios", "false", "--model.init_args.max_skipped", "1"]
    assert ranks(1, main, argv(path, "gone", *given), log=path.parent / "gone.log") == [2]
    last = (path.parent / "gone.log.0").read_text().splitlines()[-1]
    assert last.startswith("emu: step")
    assert "not finite in 2 steps in a row" in last


def test_the_world_of_another_run_is_refused(path: Path, unbroken: dict[str, Any], capsys: Any) -> None:
    for flag, value in (
        ("--data.caption_dropout", "0.5"),
        ("--model.init_args.ema_decay", "0.9"),
        ("--quality.batch", "6"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(argv(path, "unbroken", flag, value))
        assert stopped.value.code == 2
        assert f"its run began with {flag.removeprefix('--')}" in capsys.readouterr().err


def test_a_trainer_without_a_last_step_saves_on_the_way_too(tmp_path: Path) -> None:
    trainer = L.Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        max_epochs=1,
        limit_train_batches=3,
        limit_val_batches=0,
        plugins=[Durable()],
        callbacks=[Checkpoints(every=2, keep=3)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(BoringModel())
    assert runs.checkpoints(tmp_path) == [runs.checkpoint(tmp_path, step) for step in (2, 3)]


def test_it_listens_in_a_check_that_a_run_repeats_before_it_trains() -> None:
    before, saving = signal.getsignal(signal.SIGTERM), Checkpoints()
    trainer: Any = SimpleNamespace(state=SimpleNamespace(fn="fit"), world_size=1, global_step=7)
    module: Any = None
    saving.on_validation_start(trainer, module)
    assert signal.getsignal(signal.SIGTERM) not in (before, signal.SIG_DFL)
    saving.teardown(trainer, module, "fit")
    assert signal.getsignal(signal.SIGTERM) == before
