"""Small needles: marked, or made larger beside what they were; nothing is lost, and a kill costs one picture."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from emu.cli import main
from emu.curate.upsample import upsample
from emu.curate.upsamplers import Lanczos, Upsampler
from emu.data.sources import Entry, read_source
from emu.errors import UserError
from needles import make_folder

SIZES = [(40, 30), (64, 64), (128, 90), (33, 57), (30, 40)]
LARGE = [1.6, 1.0, 1.0, 1.4545, 1.6]  # to a shorter side of 48


@pytest.fixture
def needles(tmp_path: Path) -> Path:
    return make_folder(tmp_path, SIZES)


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def short_sides(folder: Path) -> list[int]:
    return [min(size(folder / row["file_name"])) for row in rows(folder)]


def entries(folder: Path) -> list[tuple[str, str, bytes]]:
    """What `emu fit` would read."""
    found = read_source(str(folder), image_column="image", text_column="text")
    return [(one.name, one.text, (folder / one.name).read_bytes()) for one in found if isinstance(one, Entry)]


def test_a_mark_is_the_factor_that_lacks_and_nothing_else_changes(needles: Path) -> None:
    before, read = rows(needles), entries(needles)
    (told,) = upsample(needles, 48)
    after = rows(needles)
    assert [row.pop("upsample") for row in after] == LARGE
    assert after == before
    assert entries(needles) == read
    assert (told.concept, told.pictures, told.small, told.made) == ("all", 5, 3, 0)
    content = (needles / "metadata.jsonl").read_bytes()
    upsample(needles, 48)
    assert (needles / "metadata.jsonl").read_bytes() == content


def test_it_counts_by_concept(needles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.dumps({**row, "concept": "cat" if i else "dog"}) for i, row in enumerate(rows(needles))]
    (needles / "metadata.jsonl").write_text("\n".join(lines))
    main(["curate", "--upsample", "48", str(needles)])
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert told[1:] == [["cat", "4", "2", "0", "0"], ["dog", "1", "1", "0", "0"], ["all", "5", "3", "0", "0"]]


def test_originals_stay_and_a_line_says_what_was_made_of_them(needles: Path) -> None:
    before = {path.name: path.read_bytes() for path in needles.glob("*.png")}
    upsample(needles, 48, Lanczos())
    assert {path.name: path.read_bytes() for path in needles.glob("*.png")} == before
    for old, row in enumerate(rows(needles)):
        made = row.get("upsampled_from")
        assert (made is None) == (LARGE[old] == 1)
        if made is not None:
            assert made["file_name"] == f"{old}.png"
            assert made["sha256"] == hashlib.sha256(before[f"{old}.png"]).hexdigest()
            assert made["made_sha256"] == hashlib.sha256((needles / row["file_name"]).read_bytes()).hexdigest()
            assert made["upsampler"] == "lanczos"
            width, height = size(needles / row["file_name"])
            assert abs(width / height - SIZES[old][0] / SIZES[old][1]) < 0.02
    assert short_sides(needles) == [48, 64, 90, 48, 48]
    assert [text for _, text, _ in entries(needles)] == [f"number {i}" for i in range(5)]


def test_every_size_starts_from_the_originals_whatever_was_made_before(needles: Path) -> None:
    upsample(needles, 48, Lanczos())
    first = rows(needles)
    upsample(needles, 100, Lanczos())
    assert short_sides(needles) == [100] * 5
    assert [row["upsampled_from"]["file_name"] for row in rows(needles)] == [f"{i}.png" for i in range(5)]
    upsample(needles, 48, Lanczos())
    assert rows(needles) == first
    upsample(needles, 20, Lanczos())
    assert [row["file_name"] for row in rows(needles)] == [f"{i}.png" for i in range(5)]


class Doubling(Upsampler):
    """As an upscaler, without a network."""

    def enlarge(self, image: Image.Image, text: str, *, short: int, seed: int) -> Image.Image:
        return image.resize((2 * image.width, 2 * image.height))

    def describe(self) -> dict[str, Any]:
        return {"upsampler": "doubling"}


def test_where_once_is_not_enough_it_goes_again_and_then_down(needles: Path) -> None:
    upsample(needles, 100, Doubling())
    assert short_sides(needles) == [100] * 5
    for row, (width, height) in zip(rows(needles), SIZES, strict=True):
        across, down = size(needles / row["file_name"])
        assert abs(across / down - width / height) < 0.02


class Slow(Lanczos):
    """Lanczos that takes its time, and says so."""

    def __call__(self, image: Image.Image, text: str, *, short: int, seed: int) -> Image.Image:
        time.sleep(0.3)
        return super().__call__(image, text, short=short, seed=seed)


def test_a_killed_job_goes_on_picture_by_picture(tmp_path: Path) -> None:
    killed = make_folder(tmp_path, [(20 + i, 20) for i in range(6)])
    whole = shutil.copytree(killed, tmp_path / "whole")
    code = f"from pathlib import Path\nimport test_upsample as t\nt.upsample(Path({str(killed)!r}), 30, t.Slow())"
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths})
    until = time.monotonic() + 60
    while len(list(killed.glob("upsampled/*.png"))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in killed.glob("upsampled/[!.]*.png")}
    assert 2 <= len(done) < 6
    assert "upsampled_from" not in rows(killed)[0]
    upsample(killed, 30, Lanczos())
    assert {path: path.stat().st_mtime_ns for path in done} == done
    upsample(whole, 30, Lanczos())
    assert rows(killed) == rows(whole)
    made = {row["file_name"]: (whole / row["file_name"]).read_bytes() for row in rows(whole)}
    assert {file: (killed / file).read_bytes() for file in made} == made


def test_a_broken_picture_costs_its_line_a_mark(needles: Path) -> None:
    (needles / "0.png").write_bytes(b"<html>")
    whole = (needles / "3.png").read_bytes()
    (needles / "3.png").write_bytes(whole[: len(whole) // 2])
    (told,) = upsample(needles, 48, Lanczos())
    assert rows(needles)[0]["upsample"] is None
    assert "upsampled_from" not in rows(needles)[3]
    assert (told.unread, told.small, told.made) == (1, 1, 1)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--upsample", "0", "NEEDLES"], "--upsample 0: give the shorter side in pixels, from 16 to 8,192"),
        (["--upsample", "-3", "NEEDLES"], "--upsample -3: give the shorter side"),
        (["--upsample", "many", "NEEDLES"], "invalid int value"),
        (["--upsample", "64", "."], "no metadata.jsonl there; name a curated folder"),
        (["--upsample", "64", "NEEDLES", "OTHER"], "--upsample takes one folder"),
        (["--upsampler", "lanczos", "NEEDLES"], "add --upsample SIZE"),
        (["--upsample", "64", "NEEDLES", "--sampler", "a=1"], "add --upsampler MODEL"),
        (["--upsample", "64", "NEEDLES", "--upsampler", "lanczos", "--sampler", "a=1"], "lanczos has no settings"),
        (["--upsample", "64", "NEEDLES", "--upsampler", "./nothing"], "--upsampler ./nothing: "),
        (["--upsample", "64", "NEEDLES", "--upsampler", "NEEDLES"], "not a pipeline folder"),
    ],
)
def test_a_mistake_is_one_line_and_the_folder_stays(
    argv: list[str], said: str, needles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (needles / "metadata.jsonl").read_bytes()
    with pytest.raises(SystemExit):
        main(["curate", *(str(needles) if word == "NEEDLES" else word for word in argv)])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("emu: ")]
    assert said in line
    assert (needles / "metadata.jsonl").read_bytes() == before


def test_lines_that_lead_out_of_the_folder_are_refused(needles: Path) -> None:
    with (needles / "metadata.jsonl").open("a") as file:
        file.write(json.dumps({"file_name": "../0.png", "text": ""}))
    with pytest.raises(UserError, match="leads out of the folder"):
        upsample(needles, 48)
