"""The data card: what is known, what is not, and nothing that a source says is read as markup."""

import base64
import hashlib
import html
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from emu.card import MARK, write_card
from emu.cli import main
from emu.curate import Funnel, curate
from emu.curate.folder import read_curated
from emu.curate.pool import Pool
from emu.errors import UserError
from haystack import SEEN, config, folder
from needles import make_folder
from reviewed import review
from test_report_browser import CHROMIUM, browse

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> ``` `a` |b| [x](http://e.org) **c**\n# d\u202e"
SHAPE = {"class_path": "emu.curate.stages.Shape", "at_least": {"short_side": 30}}
BALANCE = {"class_path": "emu.curate.stages.Balance", "init_args": {"most": 4, "column": "kind"}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures of two concepts, one broken; four cats stay, and one dog with hostile words; people looked."""
    root = tmp_path_factory.mktemp("card")
    source = folder(root / "hay", ["good"] * 39 + ["html"], kind="cat", author=HOSTILE)
    rows = [json.loads(line) for line in (source / "metadata.jsonl").read_text().splitlines()]
    rows[3] |= {"kind": "dog", "text": HOSTILE, "license": HOSTILE}
    (source / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"columns": {"kind": "string", "license": "string"}}
    curate(Funnel(config(SHAPE, SEEN, BALANCE, data=columns)), str(source), root / "out", engine=Pool(1))
    files = [json.loads(line)["file_name"] for line in (root / "out" / "metadata.jsonl").read_text().splitlines()]
    review(root / "out", {file: i % 2 == 0 for i, file in enumerate(files)}, guideline={"sha256": "0", "text": HOSTILE})
    write_card(root / "out")
    return root / "out"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Three pictures and their captions, and nothing else."""
    return make_folder(tmp_path, [(40, 30), (64, 64), (90, 50)])


def front(text: str) -> dict[str, object]:
    loaded: dict[str, object] = yaml.safe_load(text.split("---\n")[1])
    return loaded


def test_the_front_matter_is_what_the_hub_reads(made: Path) -> None:
    told = front((made / "README.md").read_text())
    assert told["license"] == ["cc0-1.0", "other"]
    assert told["task_categories"] == ["text-to-image"]
    assert told["size_categories"] == ["n<1K"]
    assert "language" not in told
    assert "# not known: language" in (made / "README.md").read_text()


def test_datasets_loads_the_pictures_by_it_and_not_the_manifest(made: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    copy = shutil.copytree(made, tmp_path / "copy")
    loaded = datasets.load_dataset(str(copy), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == 5
    assert {"image", "text", "license"} <= set(loaded.column_names)


def test_the_funnel_s_figures_are_the_manifest_s(made: Path) -> None:
    text = (made / "README.md").read_text()
    assert "40 pictures came in, 5 stayed (12.5 %); 1 could not be used." in text
    assert "| `shape` | `short_side at least 30` | 39 | 0 | 0 | 39 |" in text
    assert "| `balance` | `none` | 39 | 34 | 0 | 5 |" in text
    assert "| `balance` | `before` | `cat 38, dog 1` |" in text


def test_what_moved_is_said_and_small_counts_too(made: Path) -> None:
    text = (made / "README.md").read_text()
    assert "| `dog` | 1 | 2.5 % | 1 | 20.0 % |" in text
    assert "| too few to tell | `cat, dog` |" in text


def test_people_are_numbers_with_their_rule_reasons_and_guideline(made: Path) -> None:
    text = (made / "README.md").read_text()
    assert "1 rater looked at 5 pictures: 3 were kept (60.0 %), 2 rejected. Raters are numbers here." in text
    assert "`A picture stays where more keep than reject.`" in text
    assert "| `generalists` | `blurred` | 2 |" in text
    assert "written or corrected by people` | 5 | 100.0 %" in text


def test_what_the_owner_ruled_where_raters_disagreed_is_no_vote(plain: Path) -> None:
    said = review(plain, {"0.png": True})
    said["pictures"][0]["votes"]["generalists"] = {"keep": 1, "reject": 1, "ruling": "keep"}
    (plain / "review.json").write_text(json.dumps(said))
    write_card(plain)
    assert "1 rater looked at 1 picture: 1 were kept (100.0 %), 0 rejected." in (plain / "README.md").read_text()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "\ud800"}, "caption is not valid Unicode"),
        ({"text": "x" * 20_001}, "caption has 20,001 characters"),
        ({"text": ["a", 1]}, "its caption is not text"),
        ({"file_name": "https://a.example/1.png"}, "is an address"),
        ({"file_name": "../1.png"}, "leads out of the folder"),
        ({"upsampled_from": {"file_name": "/etc/hostname"}}, "leads out of the folder"),
        ({"upsampled_from": {}}, "file_name"),
    ],
)
def test_a_line_that_no_fit_would_take_is_refused_and_one_without_a_caption_is_not(
    row: dict[str, object], said: str, plain: Path
) -> None:
    rows = [json.loads(line) for line in (plain / "metadata.jsonl").read_text().splitlines()]
    rows[1]["text"] = None
    (plain / "metadata.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    assert len(read_curated(plain).rows) == 3
    rows[2] |= row
    (plain / "metadata.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    with pytest.raises(UserError, match=f"metadata.jsonl line 3: .*{said}.*; mend the line, or remove it"):
        read_curated(plain)


def test_a_folder_of_two_tables_or_half_curated_is_refused(plain: Path) -> None:
    (plain / "metadata.csv").write_text("file_name,text\n0.png,x\n")
    with pytest.raises(UserError, match="holds metadata.jsonl and metadata.csv; name one of them"):
        write_card(plain)
    (plain / "metadata.csv").unlink()
    (plain / "metadata.jsonl").unlink()
    (plain / ".curate").mkdir()
    with pytest.raises(UserError, match="emu curate has not finished it"):
        write_card(plain)


def test_nothing_that_a_source_says_is_markup_in_the_readme(made: Path) -> None:
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark", {"html": True}).enable("table")
    text = (made / "README.md").read_text()
    shown = parser.render(text.split("---\n", 2)[2].rpartition("<!--")[0])
    tags = set(re.findall(r"<(\w+)", shown))
    assert tags <= {"h1", "h2", "p", "img", "code", "pre", "table", "thead", "tbody", "tr", "th", "td"}
    assert set(re.findall(r"<img [^>]*>", shown)) <= {f'<img src="images/{i:08d}.jpg" alt="" />' for i in range(40)}
    assert shown.count("<h2>") == text.count("\n## ")
    assert "\u202e" not in text
    columns = {row.count("<td") for row in re.findall(r"<tr>(.*?)</tr>", shown, re.DOTALL)}
    assert max(columns) == 11
    assert "alert(1)" in html.unescape(shown)


def test_nor_on_the_page_which_loads_nothing(made: Path) -> None:
    text = (made / "card.html").read_text()
    policy = html.unescape(str(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]))  # type: ignore[index]
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'")
    assert not re.findall(r"""<script|<img src=x|<a |\s(?:src|href)\s*=\s*["'](?!data:)""", text)
    assert "\u202e" not in text
    assert text.count("<img ") == 5
    assert html.unescape(text).count("<script>alert(1)</script>") >= 4  # caption, its picture, licence, guideline


def test_hashes_are_those_of_the_files(made: Path) -> None:
    text = (made / "README.md").read_text()
    for name in ("manifest.parquet", "metadata.jsonl", "review.json"):
        assert f"| {name} | {hashlib.sha256((made / name).read_bytes()).hexdigest()} |" in text
    pictures = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in (made / "images").iterdir())
    assert hashlib.sha256("".join(f"{one}\n" for one in pictures).encode()).hexdigest() in text


def test_of_a_plain_folder_it_says_what_is_not_known(plain: Path) -> None:
    write_card(plain)
    text = (plain / "README.md").read_text()
    for said in ("has no manifest of `emu curate`", "has no review.json", "a column of concepts",
                 "no column of the source speaks of a licence", "Languages are not known"):  # fmt: skip
        assert said in text
    assert front(text)["license"] == ["unknown"]
    assert "3 pictures with captions" in text


def test_languages_are_told_where_a_column_tells_them(plain: Path) -> None:
    rows = [json.loads(line) for line in (plain / "metadata.jsonl").read_text().splitlines()]
    lines = [json.dumps({**row, "language": code}) for row, code in zip(rows, ("en", "no", "en"), strict=True)]
    (plain / "metadata.jsonl").write_text("\n".join(lines))
    write_card(plain)
    assert front((plain / "README.md").read_text())["language"] == ["en", "no"]


def test_the_same_folder_gives_the_same_card_and_its_own_is_written_over(plain: Path) -> None:
    first = [path.read_bytes() for path in write_card(plain)]
    assert [path.read_bytes() for path in write_card(plain)] == first


@pytest.mark.parametrize("name", ["README.md", "card.html"])
def test_what_somebody_else_wrote_stays(plain: Path, name: str) -> None:
    (plain / name).write_text("mine")
    with pytest.raises(UserError, match="not written by emu card; move it away"):
        write_card(plain)
    assert (plain / name).read_text() == "mine"
    assert not (plain / ("card.html" if name == "README.md" else "README.md")).exists()


def test_what_somebody_changed_stays_too(plain: Path) -> None:
    readme = write_card(plain)[0]
    readme.write_text(readme.read_text().replace("Drawn at random", "Drawn with care"))
    with pytest.raises(UserError, match="was changed since emu card wrote it"):
        write_card(plain)
    readme.write_text("mine\n" + MARK.format("0" * 64))
    with pytest.raises(UserError, match="was changed since emu card wrote it"):
        write_card(plain)


def test_a_picture_that_is_not_there_is_named(plain: Path) -> None:
    (plain / "1.png").unlink()
    with pytest.raises(UserError, match=r"no such file .*1\.png; mend the line"):
        write_card(plain)


def test_the_command(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["card", str(plain)])
    assert "README.md: the card, as the Hub reads it" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["card", str(plain.parent)])
    assert "no metadata.jsonl there" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_shows_it_without_a_complaint(made: Path, tmp_path: Path) -> None:
    done = browse("--dump-dom", (made / "card.html").as_uri(), profile=tmp_path)
    assert done.stdout.count("<section") == 9
    assert "CONSOLE" not in done.stderr, done.stderr


def test_pictures_without_a_concept_move_no_share(tmp_path: Path) -> None:
    """Both shares are of the pictures whose concept is known: here all stay, so that none was moved."""
    source = folder(tmp_path / "hay", ["good"] * 80)
    rows = [json.loads(line) for line in (source / "metadata.jsonl").read_text().splitlines()]
    named = [row | {"concept": ["cat", "dog"][i % 2]} if i < 40 else row for i, row in enumerate(rows)]
    (source / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in named))
    columns = {"columns": {"concept": "string"}}
    curate(Funnel(config(SHAPE, data=columns)), str(source), tmp_path / "out", engine=Pool(1))
    write_card(tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    for concept in ("cat", "dog"):
        (row,) = re.findall(rf"\| `{concept}` \| 20 \| 50\.0 % \| 20 \| 50\.0 % \| .*", text)
        assert row.endswith("| as before |")
