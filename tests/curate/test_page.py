"""The funnel's page and the story of one picture: offline, escaped, true to the manifest."""

import base64
import hashlib
import html
import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emu.curate import Funnel, curate
from emu.curate.counts import table
from emu.curate.explain import explain
from emu.curate.manifest import Footer, groups
from emu.curate.pool import Pool
from emu.errors import UserError
from haystack import SEEN, config, folder
from test_report_browser import CHROMIUM, browse

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202e"
NEAR = {"class_path": "emu.curate.stages.Duplicates", "init_args": {"distance": -1}}
BEST = {"class_path": "emu.curate.stages.Best", "init_args": {"number": 3, "by": {"mean": 1.0}}}
SHAPE = {"class_path": "emu.curate.stages.Shape", "at_least": {"short_side": 30}, "at_most": {"aspect": 1.5}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Footer]:
    """Ten pictures, of which one is a copy, one broken; three stay."""
    root = tmp_path_factory.mktemp("page")
    source = folder(root / "hay", ["good"] * 8 + ["html", "good"], author=HOSTILE)
    shutil.copy(source / "good-1.jpg", source / "good-5.jpg")
    lines = (source / "metadata.jsonl").read_text().replace("a picture number 3", json.dumps(HOSTILE)[1:-1])
    (source / "metadata.jsonl").write_text(lines)
    footer = curate(Funnel(config(SHAPE, SEEN, NEAR, BEST)), str(source), root / "out", engine=Pool(1))
    return root / "out", footer


def test_markup_from_a_source_stays_text(made: tuple[Path, Footer]) -> None:
    text = (made[0] / "funnel.html").read_text()
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "\u202e" not in text
    assert HOSTILE[:-1] in html.unescape(text)


def test_nothing_loads_and_only_the_named_style_is_used(made: tuple[Path, Footer]) -> None:
    text = (made[0] / "funnel.html").read_text()
    policy = html.unescape(str(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]))  # type: ignore[index]
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", text)
    assert " style=" not in text


def test_the_figures_are_the_manifest_s(made: tuple[Path, Footer]) -> None:
    out, footer = made
    text = (out / "funnel.html").read_text()
    assert '<b class="nowrap">10</b> pictures in, <b class="nowrap">3</b> out. 1 could not be used' in text
    for one in footer.stages:
        assert f"{one.came} came, {one.dropped} dropped, {one.failed} failed, {one.stays} stay" in text
    duplicates = text.split('id="stage-4"')[1].split("</section>")[0]
    assert "the same bytes as row 1" in duplicates
    assert duplicates.count("<img") == 2 + 8  # the copy beside what stays in its place, and eight that stayed
    assert 'class="pair"' in duplicates
    assert "for good-1.jpg" in duplicates
    shape = text.split('id="stage-2"')[1].split("</section>")[0]
    assert shape.count('class="histogram"') == 2
    assert "at least 30" in shape


@pytest.mark.parametrize("name", ["good-5.jpg", "row 5", "5"])
def test_the_story_of_one_that_left(made: tuple[Path, Footer], name: str) -> None:
    lines = explain(made[0], name)
    assert lines[0] == "row 5, good-5.jpg: dropped"
    assert "  shape: short_side 40 (at least 30); aspect 1.2 (at most 1.5)" in lines
    assert lines[-1] == "    dropped here: the same bytes as row 1"
    assert explain(made[0], "html-8.jpg")[-1].startswith("    failed here: not a picture")


def test_what_could_not_be_used_is_named_with_the_reason(made: tuple[Path, Footer]) -> None:
    text = (made[0] / "funnel.html").read_text()
    (bad,) = re.findall(r'<dl class="bad">(.*?)</dl>', text, re.DOTALL)
    assert re.findall("<dt>(.*?)</dt>", bad) == ["html-8.jpg"]
    assert re.findall("<dd>(.+?)</dd>", bad)


def test_the_story_of_one_that_stayed_and_of_its_caption(made: tuple[Path, Footer]) -> None:
    kept = [json.loads(line) for line in (made[0] / "metadata.jsonl").read_text().splitlines()]
    for asked in (kept[0]["file_name"], kept[0]["file_name"].split("/")[1], kept[0]["source"]):
        assert explain(made[0], asked)[-1] == f"  kept as {kept[0]['file_name']}"
    assert "\\u202e" in "\n".join(explain(made[0], "row 3"))


def test_a_picture_that_is_not_there_or_there_twice(made: tuple[Path, Footer], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not in .*manifest.parquet"):
        explain(made[0], "nothing.jpg")
    sha256 = json.loads((made[0] / "metadata.jsonl").read_text().splitlines()[0])["sha256"]
    assert explain(made[0], sha256[:12])
    with pytest.raises(UserError, match="no manifest there"):
        explain(tmp_path, "row 1")


def test_no_column_is_read_but_those_that_are_told(made: tuple[Path, Footer], tmp_path: Path) -> None:
    path = tmp_path / "manifest.parquet"
    whole = pq.read_table(made[0] / path.name)
    more = whole.append_column("likes", pa.array(range(len(whole))))
    pq.write_table(more, path, use_dictionary=False, write_page_checksum=True)
    assert explain(tmp_path, "row 5") == explain(made[0], "row 5")
    group, content = pq.read_metadata(path).row_group(0), bytearray(path.read_bytes())
    likes = group.column(group.num_columns - 1)
    end = likes.data_page_offset + likes.total_compressed_size
    content[likes.data_page_offset : end] = bytes(likes.total_compressed_size)
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        list(groups(tmp_path))
    assert explain(tmp_path, "row 5") == explain(made[0], "row 5")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_shows_it_without_a_complaint(made: tuple[Path, Footer], tmp_path: Path) -> None:
    done = browse("--dump-dom", (made[0] / "funnel.html").as_uri(), profile=tmp_path)
    assert done.stdout.count('<section class="stage"') == 5
    assert "CONSOLE" not in done.stderr, done.stderr


def test_causes_are_counted_and_each_has_its_row_of_pictures(tmp_path: Path) -> None:
    source = folder(tmp_path / "hay", ["good"] * 4 + ["html", "truncated", "truncated"])
    dark = {**SEEN, "at_least": {"mean": 124}}
    stages = [dark, {**SHAPE, "at_least": {"short_side": 40}}]
    footer = curate(Funnel(config(*stages)), str(source), tmp_path / "out", engine=Pool(1))
    readable, seen, shape = footer.stages
    assert sum(readable.why.values()) == readable.failed == 3
    assert readable.why["cannot be read"] == 2
    assert seen.why.get("mean", 0) == seen.dropped
    assert shape.why.get("short_side", 0) == shape.dropped
    text = (tmp_path / "out" / "funnel.html").read_text()
    for one in (seen, shape):
        for why, many in one.why.items():
            assert f"<h4>Left for {why}, {many}</h4>" in text
    assert "left for cannot be read 2, not a picture, or none of" in text
    lines = table(footer.stages).splitlines()
    assert "cannot be read 2" in lines[2]
