"""The command as a user types it: quick, and every mistake answered in one line with exit code 2."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.cli import main
from emu.errors import UserError

HEAVY = ("torch", "lightning", "diffusers", "transformers", "numpy", "jsonargparse")
Answer = Callable[..., str]


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Answer:
    """The one line that a command answers a mistake with."""

    def answer(*argv: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            main([str(word) for word in argv])
        assert stopped.value.code == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("emu: ")]
        assert len(lines) == 1
        return lines[0]

    return answer


def cost(*argv: str) -> dict[str, object]:
    """CPU seconds of a fresh interpreter that runs the command, the heavy modules it met and its exit code."""
    code = (
        "import json, sys, time\nfrom emu.cli import main\n"
        f"try: main({list(argv)!r}); code = 0\nexcept SystemExit as stop: code = stop.code or 0\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.stdout.write('\\n' + json.dumps({'cpu': time.process_time(), 'heavy': heavy, 'code': code}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    report: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return report


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["fit", "--help"], 0),
        (["compare", "--help"], 0),
        (["fti"], 2),
        (["fit", "-c", "latent/tiny", "--data.resolutoin", "64"], 2),
        (["fit", "-c", "latent/tiny", "--trainer.max_stps", "3"], 2),
        (["sample", "model", "prompts.txt", "out", "--limt", "3"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_answers_in_a_blink(argv: list[str], code: int) -> None:
    runs = [cost(*argv) for _ in range(2)]
    assert {run["code"] for run in runs} == {code}
    assert runs[0]["heavy"] == []
    assert min(float(str(run["cpu"])) for run in runs) < 0.3


@pytest.mark.parametrize("key", ["data.resolution", "quality.patience", "trainer.max_steps", "checkpoint.minutes"])
def test_a_mistyped_flag_names_the_closest(refused: Answer, key: str) -> None:
    mistyped = key[:-2] + key[-1] + key[-2]
    line = refused("fit", "-c", "latent/tiny", f"--{mistyped}", "1")
    assert line == f"emu: unknown flag --{mistyped}; did you mean --{key}?"


def test_a_mistyped_flag_of_our_model_is_caught_too(refused: Answer) -> None:
    line = refused("fit", "-c", "latent/tiny", "--model.init_args.noise_ofset", "1")
    assert line.endswith("did you mean --model.init_args.noise_offset?")


def test_a_model_of_the_users_own_is_left_to_the_parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emu import flags

    monkeypatch.setenv("EMU_TRUST", "my_models")
    config = tmp_path / "mine.yaml"
    config.write_text("model: {class_path: my_models.Sana, init_args: {anything: 1}}\ndata: {root: x}\n")
    argv = ["-c", str(config), "--model.init_args.whatever", "2"]
    assert flags.check(argv) == [f"--config={config}", "--model.init_args.whatever=2"]


def test_an_unknown_key_names_the_file(refused: Answer, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("data: {root: x, resolutoin: 64}\n")
    assert refused("fit", "-c", str(config)) == (
        f"emu: {config}: unknown key data.resolutoin; did you mean data.resolution?"
    )
    config.write_text("datta: {root: x}\n")
    assert "unknown key datta" in refused("plan", "-c", str(config))


@pytest.mark.parametrize("text", ["a: [1, 2", "- 1\n- 2\n", "", "\tx: 1"])
def test_a_config_that_is_none(refused: Answer, tmp_path: Path, text: str) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(text)
    assert str(config) in refused("fit", "-c", str(config))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["fti"], "'fti'"),
        (["fit", "-c", "latent/tinny"], "did you mean latent/tiny?"),
        (["fit", "-c"], "-c needs a value"),
        (["fit", "latent/tiny"], "-c latent/tiny"),
        (["fit", "--data.root", "--data.resolution", "64"], "--data.root needs a value"),
        (["compare", "runs/a"], "--out"),
        (["sample", "model", "prompts.txt", "out", "--sed", "1"], "did you mean --seed?"),
        (["sample", "model", "prompts.txt", "out", "--limit", "many"], "--limit"),
        (["sample", "model", "prompts.txt", "out", "--sampler", "guidance"], "KEY=VALUE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_that_need_no_model(refused: Answer, argv: list[str], said: str) -> None:
    assert said in refused(*argv)


def test_the_short_help_lists_every_flag_of_our_classes(capsys: pytest.CaptureFixture[str]) -> None:
    import inspect

    from emu import TextToImageModule
    from emu.checkpoints import Checkpoints
    from emu.data import CuratedData
    from emu.data.options import Options
    from emu.networks.adapters import Adapter
    from emu.quality import QualityTuning
    from emu.quality.stopping import StopRule

    main(["fit", "--help"])
    text = capsys.readouterr().out
    for section, owner in {
        "data": CuratedData,
        "data options": Options,
        "quality": QualityTuning,
        "quality rule": StopRule,
        "model": TextToImageModule,
        "model.adapter": Adapter,
        "checkpoint": Checkpoints,
    }.items():
        for name, parameter in inspect.signature(owner).parameters.items():
            assert f"--{section.split()[0]}.{name} " in text or parameter.kind is parameter.VAR_KEYWORD


def test_a_bundled_config_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emu import flags

    monkeypatch.chdir(tmp_path)
    assert flags.find_config("latent/tiny").is_file()


def test_a_mistyped_name_of_ones_own_config_is_told_the_file_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emu import flags

    monkeypatch.chdir(tmp_path)
    Path("configs").mkdir()
    for name in ("base.yaml", "configs/mine.yml"):
        Path(name).touch()
    with pytest.raises(UserError, match="-c base.yml: no such file; did you mean base.yaml"):
        flags.find_config("base.yml")
    with pytest.raises(UserError, match="did you mean configs/mine.yml"):
        flags.find_config("configs/mine.yaml")


def test_other_exceptions_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    from emu import cli

    def broken(argv: list[str]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["--help"])
