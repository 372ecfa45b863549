"""Whatever befell a pipeline folder, `emu` draws from it, or says in one line what is wrong and writes nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers.utils import DummyObject

from broken_folders import BROKEN, SOUND
from emu.cli import main
from emu.errors import UserError
from emu.pipeline_folders import components

Folder = Callable[[str], Path]


def run(folder: Path, tmp_path: Path) -> int:
    """`emu sample` of one prompt, in this process: its exit code."""
    (tmp_path / "prompts.txt").write_text("a red boat\n")
    given = ["sample", str(folder), str(tmp_path / "prompts.txt"), str(tmp_path / "out")]
    try:
        main([*given, "--sampler", "num_inference_steps=1"])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.fixture
def folder(tiny_folder: Folder, tmp_path: Path) -> Path:
    """A sound one."""
    shutil.copytree(tiny_folder("latent"), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.filterwarnings("ignore")  # libraries warn of some of it before they fail
@pytest.mark.parametrize("what", list(BROKEN))
def test_a_broken_folder_is_told_in_one_line(
    what: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damage, said = BROKEN[what]
    damage(folder)
    assert run(folder, tmp_path) == 2
    *_, last = capfd.readouterr().err.strip().splitlines()
    assert last.startswith("emu: ")
    assert said in last
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", list(SOUND))
def test_what_only_looks_broken_is_drawn_from(what: str, folder: Path, tmp_path: Path) -> None:
    SOUND[what](folder)
    assert run(folder, tmp_path) == 0
    assert (tmp_path / "out" / "00000.png").is_file()


class Processor(metaclass=DummyObject):
    """As transformers has PixtralProcessor where torchvision is not installed."""

    _backends = ["detectron2"]


def test_a_package_that_a_component_needs_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match="tokenizer: Processor requires the detectron2 library, which is not installed"):
        components.check(folder / "tokenizer", Processor)


@pytest.mark.parametrize(
    ("name", "said"), [("single.safetensors", "damaged or cut off"), ("single.ckpt", "from_single_file")]
)
def test_a_single_file_that_is_none_or_pickled_is_refused(
    name: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(b"weights of another tool")
    assert run(tmp_path / name, tmp_path) == 2
    assert said in capfd.readouterr().err
