"""LaionAesthetic: both versions of the heads by hand, the published files, and files that are no heads."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoImageProcessor, AutoModel

from embedders import save_clip
from emu.errors import UserError
from emu.judges import judge_card
from emu.judges.laion import LaionAesthetic, read_head
from emu.judges.weights import WeightsFile
from emu.statistics import win_rate

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "laion_aesthetic_heads"
WIDTHS = {"sa_0_4_vit_b_16_linear.pth": 512, "sa_0_4_vit_b_32_linear.pth": 512, "sa_0_4_vit_l_14_linear.pth": 768}
INPUTS = 16
VERSION_2 = {0: (INPUTS, 1024), 2: (1024, 128), 4: (128, 64), 6: (64, 16), 7: (16, 1)}


def version_1(inputs: int = INPUTS) -> dict[str, Tensor]:
    return {"weight": torch.randn(1, inputs), "bias": torch.tensor([5.0])}


def version_2() -> dict[str, Tensor]:
    tensors = {}
    for number, (before, after) in VERSION_2.items():
        tensors[f"layers.{number}.weight"] = torch.randn(after, before) / before**0.5
        tensors[f"layers.{number}.bias"] = torch.randn(after)
    return tensors


@pytest.fixture(params=["1.pth", "1.safetensors", "2.pth", "2.safetensors"])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
    """A head of either version in either format, and what is in it."""
    tensors = version_1() if request.param.startswith("1") else version_2()
    path = tmp_path / request.param
    torch.save(tensors, path) if path.suffix == ".pth" else save_file(tensors, path)
    return path, tensors


def images(count: int = 4) -> Tensor:
    """Of the size that the tiny model takes, in 8 bits, so that nothing is rounded on the way."""
    return torch.randint(0, 256, (count, 3, 24, 24)) / 255


@torch.inference_mode()
def by_hand(folder: Path, pictures: Tensor, tensors: dict[str, Tensor]) -> Tensor:
    """Published code's own steps: embed, divide by the length, the layers one after the other."""
    processor = AutoImageProcessor.from_pretrained(folder)
    given = processor(list((pictures * 255).round().byte()), return_tensors="pt")
    embedded = AutoModel.from_pretrained(folder).eval().get_image_features(**given).pooler_output
    embedded = embedded / embedded.norm(dim=-1, keepdim=True)
    for weight, bias in zip(list(tensors.values())[::2], list(tensors.values())[1::2], strict=True):
        embedded = embedded @ weight.T + bias
    return embedded[:, 0]


def test_equals_the_head_by_hand(clip_folder: Path, saved: tuple[Path, dict[str, Tensor]]) -> None:
    pictures = images()
    scores = LaionAesthetic(str(saved[0]), str(clip_folder)).score(pictures, [""] * 4)
    torch.testing.assert_close(scores, by_hand(clip_folder, pictures, saved[1]), rtol=1e-4, atol=1e-4)
    assert scores.std() > 1e-3


def test_the_prompt_the_batch_and_a_second_look_change_nothing(
    clip_folder: Path, saved: tuple[Path, dict[str, Tensor]]
) -> None:
    judge, pictures = LaionAesthetic(str(saved[0]), str(clip_folder)), images()
    before = judge.score(pictures, ["a boat"] * 4)
    after = torch.cat([judge.score(pictures[i : i + 1], ["a bird"]) for i in range(4)])
    assert torch.equal(before, after)
    assert win_rate(before.tolist(), after.tolist(), tie=judge.tie).tie == 100


def test_making_a_judge_moves_no_seed(saved: tuple[Path, dict[str, Tensor]]) -> None:
    before = torch.get_rng_state()
    LaionAesthetic(str(saved[0]), "nowhere/at-all")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", WIDTHS)
def test_the_published_heads_are_read(name: str, tmp_path: Path) -> None:
    if not PUBLISHED.is_dir():
        pytest.skip("the published heads are not beside this checkout")
    head = read_head(WeightsFile(PUBLISHED / name, None))
    weights = torch.load(PUBLISHED / name, weights_only=True)
    embedding = torch.nn.functional.normalize(torch.randn(WIDTHS[name]), dim=0)
    torch.testing.assert_close(head(embedding), weights["weight"] @ embedding + weights["bias"])
    judge = LaionAesthetic(str(PUBLISHED / name), str(save_clip(tmp_path / "clip", width=WIDTHS[name])))
    score = judge.score(images(1), [""])
    assert score.isfinite().all()


def test_a_head_of_another_clip_is_named(clip_folder: Path, tmp_path: Path) -> None:
    torch.save(version_1(inputs=8), tmp_path / "head.pth")
    judge = LaionAesthetic(str(tmp_path / "head.pth"), str(clip_folder))
    with pytest.raises(UserError, match=r"head\.pth: reads 8 numbers a picture, .* gives 16"):
        judge.score(images(1), [""])


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"state_dict": version_1()},
        {"weight": torch.zeros(1, 4)},
        {"weight": torch.zeros(4), "bias": torch.zeros(1)},
        {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)},
        {"weight": 3, "bias": 4},
        {**version_2(), "layers.8.weight": torch.zeros(1, 1)},
        {name: tensor for name, tensor in version_2().items() if not name.startswith("layers.4")},
        [1, 2],
        3,
    ],
)
def test_weights_that_are_no_head_are_named(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "head.pth")
    with pytest.raises(UserError, match=r"head\.pth: neither version 1 .* nor version 2"):
        LaionAesthetic(str(tmp_path / "head.pth"))


@pytest.mark.parametrize("name", ["head.pth", "head.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"no weights at all"])
def test_a_file_that_holds_no_weights_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}: not read as weights"):
        LaionAesthetic(str(tmp_path / name))


def test_its_card_names_the_head(clip_folder: Path, tmp_path: Path) -> None:
    cards = []
    for name in ("a.pth", "b.pth"):
        torch.save(version_1(), tmp_path / name)
        cards.append(judge_card(LaionAesthetic(str(tmp_path / name), str(clip_folder))))
    assert [card["head"] for card in cards] == ["a.pth", "b.pth"]
    assert cards[0]["sha256"] == cards[1]["sha256"]
    assert cards[0]["sha256 of the head"] != cards[1]["sha256 of the head"]
