"""One is not several: no line of the command says `1 pictures`."""

import re
from pathlib import Path

import pytest
from PIL import Image

from emu.cli import main
from emu.terminal.counted import an, many


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("picture",), "0 pictures"),
        (1, ("picture",), "1 picture"),
        (2000, ("picture",), "2,000 pictures"),
        (1, ("batch", "batches"), "1 batch"),
        (2, ("picture is", "pictures are"), "2 pictures are"),
    ],
)
def test_a_number_with_what_it_counts(number: int, words: tuple[str, ...], said: str) -> None:
    assert many(number, *words) == said


@pytest.mark.parametrize(
    "said",
    [
        *("an IFPipeline", "an AuraFlowPipeline", "an OvisImagePipeline", "an SD3Transformer2DModel", "a FluxPipeline"),
        *("a UNet2DConditionModel", "a StableDiffusionXLPipeline", "a PRXPipeline", "a HiDreamImagePipeline"),
    ],
)
def test_a_name_with_its_article(said: str) -> None:
    assert an(said.split()[1]) == said


def test_a_plan_of_one_of_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (48, 48), "red").save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a red\nsquare")
    (tmp_path / "prompts.txt").write_text("a red square\n")
    data = ["--data.root", str(tmp_path), "--data.prompts", str(tmp_path / "prompts.txt"), "--data.held_out", "0"]
    ones = ["--quality.batch", "1", "--quality.max_steps", "1", "--checkpoint.keep", "1", "--data.batch_size", "1"]
    main(["plan", "-c", "latent/tiny", *data, *ones])
    text = capsys.readouterr().out
    assert "1 picture " in text
    assert not re.findall(r"(?<![\d,.])1 (?!has |is )[a-z]+s\b", text)
