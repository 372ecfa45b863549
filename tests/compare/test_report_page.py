"""The page as text: offline, escaped, light, every picture paired by prompt and seed."""

import base64
import hashlib
import html
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emu.compare import compare
from emu.compare.cells import spread
from emu.compare.pictures import embed
from emu.errors import UserError
from emu.layouts import runs
from emu.layouts.quality_json import Quality, write_quality

MakeRun = Callable[..., Path]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


def page(folders: list[Path], out: Path) -> str:
    compare(folders, out=out)
    return out.read_text()


def test_markup_from_a_run_folder_stays_text(make_run: MakeRun, tmp_path: Path) -> None:
    hostile = {"prompt": HOSTILE, "group": HOSTILE, "sampler": {HOSTILE: HOSTILE}}
    run = make_run(before=hostile, after=hostile)
    judge = {"name": HOSTILE, "tie": 0.1, HOSTILE: HOSTILE}
    judges = {"appeal": judge, "faithfulness": judge}
    write_quality(run, Quality(name=HOSTILE, model=HOSTILE, stop_reason=HOSTILE, judges=judges))
    text = page([run], tmp_path / "report.html")
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert text.count("<script>") == 1
    assert HOSTILE in html.unescape(text)


def test_nothing_loads_and_only_the_named_script_and_style_run(make_run: MakeRun, tmp_path: Path) -> None:
    text = page([make_run()], tmp_path / "report.html")
    policy = html.unescape(str(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]))  # type: ignore[index]
    assert policy.startswith("default-src 'none'; img-src data:;")
    for tag in ("style", "script"):
        (source,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", text)
    assert " style=" not in text


def test_runs_share_a_line_where_they_share_prompt_and_seed(make_run: MakeRun, tmp_path: Path) -> None:
    text = page([make_run("latent", 3), make_run("muse", 5)], tmp_path / "report.html")
    lines = text.split("<article")[1:]
    assert [line.count('<figure class="cell"') for line in lines] == [2, 2, 2, 1, 1]
    assert [line.count("not drawn") for line in lines] == [0, 0, 0, 1, 1]
    assert all('data-appeal="win"' in line and 'data-faithfulness="tie"' in line for line in lines)


def test_a_run_never_judged_has_its_pictures_and_no_bars(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    (runs.step_folder(run, 20) / runs.SCORES).unlink()
    text = page([run], tmp_path / "report.html")
    assert text.count('<figure class="cell"') == 4
    assert text.count("latent: not judged: ") == 1
    for absent in ('class="bar"', 'class="legend"', 'name="outcome"', 'name="criterion"', "percent of prompts"):
        assert absent not in text
    assert 'name="search"' in text


def test_shown_pairs_are_limited_and_said_to_be(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emu.compare.report.PAIRS_SHOWN", 3)
    text = page([make_run(count=9)], tmp_path / "report.html")
    assert [int(seed) for seed in re.findall(r"seed (\d+)", text)] == [0, 3, 6]
    assert "3 of 9 prompts are shown" in text
    assert spread([("a", 1)], 5) == [("a", 1)]


def test_240_pairs_of_three_runs_are_light(make_run: MakeRun, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folders = [make_run(name, 240) for name in ("latent", "pixel", "muse")]
    for picture in (path for run in folders for path in run.rglob("*.png")):
        # Smooth colour with a little grain: heavier than flat drawings, lighter than noise.
        small = Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)).resize(
            (64, 64), Image.Resampling.BICUBIC
        )
        small.save(picture, compress_level=1)
    assert len(page(folders, tmp_path / "report.html")) < 2_500_000


def test_big_pictures_are_scaled_down_and_tiny_ones_keep_their_pixels(tmp_path: Path) -> None:
    for size, shown in (((1024, 512), (320, 160)), ((32, 32), (32, 32))):
        Image.new("RGB", size, "teal").save(tmp_path / "a.png")
        url, told = embed(tmp_path / "a.png")
        assert told == shown
        assert url.startswith("data:image/webp;base64,")


def test_a_picture_that_is_none_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    (runs.step_folder(run, 20) / "00002.png").write_text("no picture")
    with pytest.raises(UserError, match=r"00002\.png: absent or not a picture"):
        compare([run], out=tmp_path / "report.html")
