"""What the parser refuses is one line that says what a key takes."""

from pathlib import Path

import pytest
import yaml

import pipelines
from emu.class_paths import named
from emu.cli import main
from emu.errors import UserError
from emu.judges import Judge
from needles import make_folder


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("refused")
    pipelines.build("latent").save_pretrained(root / "base")
    return ["--model.pretrained", str(root / "base"), "--data.root", str(make_folder(root, [(32, 32)]))]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model.base_dtype", "int8", "--model.base_dtype int8: give nf4 or null"),
        ("model.weights_dtype", "nf4", "--model.weights_dtype nf4: give float32, bfloat16"),
        ("model.adapter.rank", "x", "--model.adapter.rank x: give a whole number"),
        ("data.batch_size", "x", "--data.batch_size x: give a whole number"),
        ("model.sampler", "3", "--model.sampler 3: give a mapping such as {KEY: VALUE} or null"),
        ("model.optimizer", "{class_path: torch.optim.Adam, init_args: {lr: x}}", "optimizer.lr x: give a number"),
        ("model.adapter", "{rnk: 3}", "--model.adapter: emu.networks.adapters.Adapter: Option 'rnk' is not accepted"),
        ("model.gradient_checkpointing", "maybe", "--model.gradient_checkpointing maybe: give true or false"),
    ],
)
def test_a_value_that_a_key_does_not_take(
    key: str, value: str, said: str, given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["plan", "-c", "latent/tiny", *given, "--trainer.default_root_dir", str(tmp_path), f"--{key}", value])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("emu: ")]
    assert line.endswith(said)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--model", "unfinished.Model"], "--model: unfinished.Model lacks encode_prompts, loss; write what it lacks"),
        (["--quality.appeal", "unfinished.Eye"], "--quality.appeal: unfinished.Eye lacks score; write what it lacks"),
        (["--quality.guards+", "unfinished.Watch"], "unfinished.Watch lacks __call__; write what it lacks"),
    ],
)
def test_a_class_that_is_not_whole_is_told_what_it_lacks(
    args: list[str], said: str, given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "run.yaml"
    model = {"class_path": "emu.models.LatentDiffusion", "init_args": {"pretrained": given[1]}}
    config.write_text(yaml.safe_dump({"model": model, "data": {"root": given[3]}}))
    with pytest.raises(SystemExit):
        main(["plan", "-c", str(config), "--trainer.default_root_dir", str(tmp_path), *args])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("emu: ")]
    assert said in line


def test_a_typed_class_that_is_not_whole_is_told_what_it_lacks() -> None:
    with pytest.raises(UserError, match=r"^--appeal unfinished\.Eye lacks score; write what it lacks"):
        named.make("unfinished.Eye", Judge, where="--appeal", like="emu.judges.clip.ClipScore", typed=True)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-c", "adapters/lora"], "model.adapter: Autoencoder trains whole layers alone; leave it out"),
        (["--model.critic_width", "6"], "model.critic_width 6: give a multiple of 4"),
    ],
)
def test_what_a_class_refuses_when_it_is_made_is_its_own_line(
    args: list[str], said: str, given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["plan", "-c", "latent/autoencoder", *args, *given, "--trainer.default_root_dir", str(tmp_path)])
    assert left.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("emu: ")]
    assert said in line
