"""`emu compare --reference FOLDER --embedder CLASS_PATH` as a user types it."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emu.cli import main
from emu.data.pictures import decode
from emu.layouts import runs
from verdicts import read_verdict

MakeRun = Callable[..., Path]
EYE = '''
import torch

from emu.judges import Embedder


class Eye(Embedder):
    """Sees the mean of each channel, times a thousand."""

    def __init__(self, scale="1000"):
        self.scale = float(scale)

    def images(self, images):
        assert all(image.shape[0] == 3 and image.min() >= 0 and image.max() <= 1 for image in images)
        return self.scale * torch.stack([image.mean((1, 2)) for image in images])

    def describe(self):
        return {"model": "the mean colour"}


class Blind:
    pass
'''


@pytest.fixture
def noisy(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose pictures are noise around 50 before and around 200 after; `pictures/` has noise around 200."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_features.py").write_text(EYE)
    run, rng = make_run(count=12), np.random.default_rng(0)
    for step, level in ((0, 50), (20, 200)):
        for i in range(12):
            pixels = (level + rng.integers(-20, 20, (8, 8, 3))).astype(np.uint8)
            runs.save_picture(runs.step_folder(run, step) / runs.picture_name(i), pixels)
    for i in range(16):
        pixels = (200 + rng.integers(-20, 20, (9, 7, 3))).astype(np.uint8)
        runs.save_picture(tmp_path / "pictures" / f"{i % 2}" / f"{i}.png", pixels)
    return run


def test_the_side_that_looks_like_the_pictures_is_nearer(noisy: Path) -> None:
    main(["compare", str(noisy), "--out", "a.html", "--reference", "pictures", "--embedder", "my_features.Eye"])
    (told,) = read_verdict(Path("verdict.json"))["runs"]
    sets = told["sets"]
    assert (sets["reference"], sets["features"]) == (
        {"folder": "pictures", "pictures": 16},
        {"model": "the mean colour"},
    )
    before, after = sets["before"], sets["after"]
    assert before["pictures"] == after["pictures"] == 12
    for measure in ("fid", "kid"):
        assert before[measure] > 100 * abs(after[measure]), measure
    assert before["cmmd"] > after["cmmd"]
    assert (before["precision"], before["recall"]) == (0, 0)
    assert after["precision"] > 0.5
    assert "fewer than 10,000 pictures" in sets["warning"]
    assert "fid" in Path("a.html").read_text()


def test_a_set_of_odd_files_is_like_itself(noisy: Path) -> None:
    """What is drawn is what training makes of the reference's files: clear, turned, of 16 bits, of other formats."""
    rng, clear = np.random.default_rng(1), np.zeros((9, 8), np.uint8)
    clear[:4] = 255
    for i in range(12):
        noise = rng.integers(0, 256, (9, 8, 4), dtype=np.uint8)
        turned, exif = Image.fromarray(noise[..., :3]), Image.Exif()
        exif[0x0112] = 6
        path = Path("odd") / f"{i}.{('png', 'jpg', 'tif', 'bmp')[i % 4]}"
        path.parent.mkdir(exist_ok=True)
        match i % 4:
            case 0:
                Image.fromarray(np.dstack([noise[..., :3], clear])).save(path)
            case 1:
                turned.save(path, exif=exif)
            case 2:
                Image.fromarray(noise[..., 0].astype(np.uint16) * 257).save(path)
            case _:
                turned.save(path)
        pixels = np.asarray(decode(partial(path.open, "rb"), max_pixels=1000))
        runs.save_picture(runs.step_folder(noisy, 20) / runs.picture_name(i), pixels)
    main(["compare", str(noisy), "--out", "a.html", "--reference", "odd", "--embedder", "my_features.Eye"])
    after = json.loads(Path("verdict.json").read_text())["runs"][0]["sets"]["after"]
    assert abs(after["fid"]) < 1e-2
    assert (after["precision"], after["recall"]) == (1, 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--reference", "pictures"], "--reference: give --embedder too"),
        (["--reference", "nowhere", "--embedder", "my_features.Eye"], "--reference nowhere: holds 0 pictures"),
        (
            ["--reference", "pictures", "--embedder", "my_features.Blind"],
            "my_features.Blind: no Embedder; give a class such as",
        ),
        (["--reference", "pictures", "--embedder", "my_features.Nobody"], "no attribute 'Nobody'"),
        (["--reference", "pictures", "--embedder", "my_features.Eye", "--device", "tpu9"], "--device tpu9: "),
        (["--appeal", "emu.judges.photo_rules.PhotoRules", "--device", "cuda:99"], "--device cuda:99: "),
        (["--appeal", "emu.judges.clip.ClipScore:x,sha=1"], "got an unexpected keyword argument 'sha'"),
        (["--appeal", "emu.judges.photo_rules.PhotoRules", "--cache", "a.file"], "no cache of scores"),
    ],
)
def test_bad_flags_are_answered_in_one_line(
    noisy: Path, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    Path("a.file").write_text("")
    with pytest.raises(SystemExit) as stopped:
        main(["compare", str(noisy), "--out", "a.html", *given])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
