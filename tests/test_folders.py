"""Pipeline folders: found, read, told apart by content, written whole or not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from architectures import CLASSES
from emu import folders
from emu.errors import UserError

Folder = Callable[[str], Path]


@pytest.mark.parametrize("missing", ["/no/such/folder", "./base", "one", "a/b/c", "emu://bases/none"])
def test_a_missing_folder_is_named(missing: str) -> None:
    with pytest.raises(UserError, match=missing):
        folders.locate(missing)


def test_a_hub_name_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="nobody/nothing: no such folder, nor found on the hub"):
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
