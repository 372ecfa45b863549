"""Weights of judges: code in a file is never run, and only the asked-for hash is taken."""

import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from embedders import SIDE
from emu.errors import UserError
from emu.judges import Judge, judge_card
from emu.judges.aesthetic_v25 import AestheticV25
from emu.judges.clip import ClipScore
from emu.judges.clip_iqa import ClipIqa
from emu.judges.hps import Hps
from emu.judges.image_reward import ImageReward
from emu.judges.laion import LaionAesthetic
from emu.judges.pick import PickScore
from emu.judges.pretrained import Pretrained
from judges_pictures import pictures, tensor

MARK = "ran"
V25 = {0: (32, 1024), 2: (1024, 128), 4: (128, 64), 6: (64, 16), 8: (16, 1)}


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.place / MARK,)


def version_2_5() -> dict[str, torch.Tensor]:
    tensors = {}
    for number, (before, after) in V25.items():
        tensors[f"scoring_head.{number}.weight"] = (torch.randn(after, before) / before**0.5).bfloat16()
        tensors[f"scoring_head.{number}.bias"] = torch.randn(after).bfloat16()
    return tensors


@pytest.mark.parametrize("save", [torch.save, lambda bomb, path: path.write_bytes(pickle.dumps(bomb, protocol=2))])
@pytest.mark.parametrize("make", [Hps, ImageReward, LaionAesthetic, AestheticV25])
def test_a_poisoned_file_is_refused(
    tmp_path: Path, clip_folder: Path, make: Callable[..., Judge], save: Callable[..., object]
) -> None:
    save({"state_dict": Bomb(tmp_path), "weight": Bomb(tmp_path)}, tmp_path / "judge.pt")
    with pytest.raises(UserError, match=r"judge\.pt: not read as weights"):
        make(str(tmp_path / "judge.pt"), str(clip_folder)).score(tensor(pictures(SIDE, SIDE, count=1)), [""])
    assert not (tmp_path / MARK).exists()


def test_a_poisoned_folder_is_refused(tmp_path: Path, clip_folder: Path) -> None:
    shutil.copytree(clip_folder, tmp_path / "clip")
    (tmp_path / "clip" / "model.safetensors").unlink()
    torch.save({"logit_scale": Bomb(tmp_path)}, tmp_path / "clip" / "pytorch_model.bin")
    with pytest.raises(UserError, match="judge's model .*clip: "):
        ClipScore(str(tmp_path / "clip")).score(tensor(pictures(SIDE, SIDE, count=1)), [""])
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize(
    "make",
    [
        ClipScore,
        lambda folder, **how: PickScore(folder, folder, **how),
        lambda folder, **how: ClipIqa(model=folder, **how),
    ],
)
def test_a_models_hash_is_asked_for(clip_folder: Path, make: Callable[..., Judge]) -> None:
    found, image = str(judge_card(make(str(clip_folder)))["sha256"]), tensor(pictures(SIDE, SIDE, count=1))
    for right in (found, found[:8], found[:12].upper()):
        make(str(clip_folder), sha256=right).score(image, ["a boat"])
    for wrong in ("0" * 64, found[:7], ""):
        with pytest.raises(UserError, match=f"weights have sha256 {found}, not {wrong} as asked for"):
            make(str(clip_folder), sha256=wrong).score(image, ["a boat"])


@pytest.mark.parametrize("make", [Hps, ImageReward])
def test_a_checkpoints_hash_is_asked_for(tmp_path: Path, clip_folder: Path, make: Callable[..., Judge]) -> None:
    torch.save({"state_dict": {}}, tmp_path / "judge.pt")
    with pytest.raises(UserError, match=r"judge\.pt: weights have sha256 .*, not 00000000 as asked for"):
        make(str(tmp_path / "judge.pt"), str(clip_folder), sha256="00000000").score(torch.zeros(1, 3, 8, 8), [""])


def test_a_heads_hash_is_asked_for(tmp_path: Path, siglip_folder: Path) -> None:
    torch.save(version_2_5(), tmp_path / "head.pth")
    card = judge_card(AestheticV25(str(tmp_path / "head.pth"), str(siglip_folder)))
    hashes = {"sha256": str(card["sha256 of the head"]), "model_sha256": str(card["sha256"])}
    AestheticV25(str(tmp_path / "head.pth"), str(siglip_folder), **hashes).score(torch.zeros(1, 3, 8, 8), [""])
    with pytest.raises(UserError, match=r"head\.pth: weights have sha256 .*, not 00000000"):
        AestheticV25(str(tmp_path / "head.pth"), str(siglip_folder), sha256="00000000")


@torch.inference_mode()
def test_version_2_5_is_its_layers_on_siglip(tmp_path: Path, siglip_folder: Path) -> None:
    tensors = version_2_5()
    torch.save(tensors, tmp_path / "head.pth")
    judge, images = AestheticV25(str(tmp_path / "head.pth"), str(siglip_folder)), tensor(pictures(40, 32))
    x = judge.embedder.images(list(images))
    for number in V25:
        x = x @ tensors[f"scoring_head.{number}.weight"].float().T + tensors[f"scoring_head.{number}.bias"].float()
    scores = judge.score(images, [""] * 4)
    torch.testing.assert_close(scores, x[:, 0], rtol=1e-4, atol=1e-4)
    assert scores.std() > 1e-3
    assert judge_card(judge)["name"] == "aesthetic-v2.5"
    torch.save({"weight": torch.zeros(1, 32), "bias": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth: neither version 2\.5"):
        AestheticV25(str(tmp_path / "other.pth"), str(siglip_folder))


def changed_clip(clip_folder: Path, out: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> str:
    """A copy of the folder whose weights `change` has changed."""
    shutil.copytree(clip_folder, out)
    held = load_file(out / "model.safetensors")
    change(held)
    save_file(held, out / "model.safetensors", {"format": "pt"})
    return str(out)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda held: held.pop("visual_projection.weight"), "1 are missing, such as visual_projection.weight"),
        (lambda held: held.update({"logit_scale": torch.ones(3)}), "1 are mismatched, such as logit_scale"),
    ],
)
def test_no_judge_has_weights_that_are_not_in_its_files(
    change: Callable[[dict[str, torch.Tensor]], object], said: str, tmp_path: Path, clip_folder: Path
) -> None:
    judge = ClipScore(changed_clip(clip_folder, tmp_path / "clip", change))
    with pytest.raises(UserError, match=f"judge's model .*{re.escape(said)}"):
        judge.score(tensor(pictures(SIDE, SIDE, count=1)), [""])


@pytest.mark.parametrize("content", [b"version https://git-lfs.github.com/spec/v1", b"\x40\0\0\0\0\0\0\0{}", b""])
def test_torn_weights_of_a_folder_are_one_line(content: bytes, tmp_path: Path, clip_folder: Path) -> None:
    shutil.copytree(clip_folder, tmp_path / "clip")
    (tmp_path / "clip" / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="judge's model .*; name a folder or hub name of CLIP or SigLIP"):
        ClipScore(str(tmp_path / "clip")).score(tensor(pictures(SIDE, SIDE, count=1)), [""])


def test_a_package_that_a_model_needs_is_named() -> None:
    class Absent:
        @classmethod
        def from_pretrained(cls, *_: object, **__: object) -> None:
            raise ImportError(
                "\nSomeProcessor requires the Torchvision library but it was not found in your environment."
            )

    with pytest.raises(UserError, match="SomeProcessor requires the Torchvision library, which is not installed; pip"):
        Pretrained("one", "a model").read(Absent)
