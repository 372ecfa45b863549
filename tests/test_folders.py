"""Pipeline folders: found, read, told apart by content, written whole or not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from architectures import CLASSES, load_example
from emu.errors import UserError
from emu.pipeline_folders import folders

Folder = Callable[[str], Path]


@pytest.mark.parametrize("missing", ["/no/such/folder", "./base", "one", "a/b/c", "emu://bases/none"])
def test_a_missing_folder_is_named(missing: str) -> None:
    with pytest.raises(UserError, match=missing):
        folders.locate(missing)


def test_a_hub_name_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="nobody/nothing: neither a folder nor found on the hub"):
        folders.locate("nobody/nothing")


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_a_folder_without_a_pipeline_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / folders.INDEX).write_text(content)
    with pytest.raises(UserError, match=folders.INDEX):
        folders.read_index(tmp_path)


def test_a_fingerprint_is_of_the_frozen_parts_wherever_they_lie(tiny_folder: Folder, tmp_path: Path) -> None:
    base, copied = tiny_folder("latent"), tmp_path / "elsewhere"
    shutil.copytree(base, copied)

    def fingerprint(folder: Path, name: str = "latent", **settings: int) -> str:
        return CLASSES[name](str(folder), **settings).fingerprint()

    first = fingerprint(base)
    assert fingerprint(copied, resolution=32) == first
    shutil.rmtree(copied / "unet")
    (copied / "scheduler" / "scheduler_config.json").write_text("{}")
    assert fingerprint(copied) == first
    assert fingerprint(base, "latent_xl") != first
    weights = copied / "text_encoder" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert fingerprint(copied) != first


def test_a_failed_save_leaves_the_earlier_folder(tmp_path: Path) -> None:
    def fill(content: str) -> None:
        with folders.replacing(tmp_path / "out") as target:
            (target / "part").write_text(content)
            if content == "half":
                raise OSError("No space left on device")

    fill("whole")
    with pytest.raises(OSError, match="No space left"):
        fill("half")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "part").read_text() == "whole"
    (tmp_path / "out").rename(tmp_path / ".out.old")  # as killed between the two renames
    with pytest.raises(OSError, match="No space left"):
        fill("half")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    fill("anew")
    assert (tmp_path / "out" / "part").read_text() == "anew"


def test_a_fingerprint_is_of_what_stands_around_a_caption(tiny_folder: Folder) -> None:
    folder = str(tiny_folder("sana"))
    about = [CLASSES["sana"](folder, sampler={"complex_human_instruction": [line]}) for line in ("qx", "qz")]
    assert about[0].max_tokens == about[1].max_tokens
    assert about[0].fingerprint() != about[1].fingerprint()


def test_a_fingerprint_is_of_a_class_by_its_code_and_its_arguments(tiny_folder: Folder, tmp_path: Path) -> None:
    """A template that changed, in the code or by an argument, is another encoder; a comment is not."""
    text = (
        "from emu.models import LatentDiffusion\n"
        "class Mine(LatentDiffusion):\n"
        "    def __init__(self, pretrained, *, before='', **kwargs):\n"
        "        super().__init__(pretrained, **kwargs)\n"
        "        self.before = before\n"
        "    def encode_prompts(self, prompts):\n"
        "        return super().encode_prompts([self.before + prompt for prompt in prompts])\n"
    )

    def fingerprint(source: str, number: int, **settings: Any) -> str:
        file = tmp_path / f"mine_{number}.py"
        file.write_text(source)
        return str(load_example(file).Mine(str(tiny_folder("latent")), **settings).fingerprint())

    first = fingerprint(text, 1)
    assert fingerprint(text + "# a comment\n", 2) == first
    assert fingerprint(text.replace("self.before + prompt", "prompt + self.before"), 3) != first
    assert fingerprint(text, 4, before="a photo of ") != first


def test_a_fingerprint_is_of_how_much_is_read(tiny_folder: Folder) -> None:
    folder = str(tiny_folder("chroma"))
    settings: list[Any] = [{}, {"sampler": {"max_sequence_length": 64}}]
    assert len({CLASSES["chroma"](folder, **given).fingerprint() for given in settings}) == 2
