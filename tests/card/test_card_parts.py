"""Laws of the card's parts: verdicts on shares, names of licences, scripts of captions, spans that nothing closes."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.card import looks, origin
from emu.card.blocks import Quoted, Table
from emu.card.captions import script
from emu.card.concepts import AS_BEFORE, FEW, verdict
from emu.card.licences import front, hub_name, values
from emu.card.markdown import _table, block, code
from emu.curate.folder import read_curated
from needles import make_folder


@given(before=st.integers(1, 999), stayed=st.integers(20, 2000))
def test_a_share_that_did_not_move_is_as_before(before: int, stayed: int) -> None:
    after = round(stayed * before / 1000)
    assert verdict(before, 1000, after, stayed, level=0.95)[1] in (AS_BEFORE, FEW)


def test_one_that_moved_is_said_to_which_side() -> None:
    assert verdict(100, 1000, 60, 200, level=0.99)[1] == "over-represented, 3.0 times"
    assert verdict(500, 1000, 20, 200, level=0.99)[1] == "under-represented, 0.20 times"
    assert verdict(1, 1000, 3, 200, level=0.99)[1] == FEW


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("CC0", "cc0-1.0"),
        ("CC BY-SA 4.0", "cc-by-sa-4.0"),
        ("https://creativecommons.org/licenses/by-nc/2.0/", "cc-by-nc-2.0"),
        ("http://www.creativecommons.org/licenses/by/4.0/deed.en", "cc-by-4.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("Apache-2.0", "apache-2.0"),
        ("CC BY", "other"),  # of which version, nobody says
        ("all rights reserved", "other"),
    ],
)
def test_a_licence_has_the_hub_s_name_or_is_another(said: str, name: str) -> None:
    assert hub_name(said) == name


def test_a_licence_that_is_not_told_is_not_guessed() -> None:
    rows = [{"license": "MIT"}, {"license": None}, {"license": " "}, {}]
    assert values(rows, "license") == {"MIT": 1, "not known": 3}


def test_letters_are_told_by_most_of_them() -> None:
    assert script("a red fox") == "latin"
    assert script("\u043a\u0440\u0430\u0441\u043d\u0430\u044f fox") == "cyrillic"
    assert script("123 !") == "no letters"


@given(st.text())
def test_a_code_span_is_one_line_that_nothing_in_it_closes(text: str) -> None:
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    (heading, inline, close) = parser.parse(f"# {code(text)}")
    assert [child.type for child in inline.children] == ["code_inline"]


@given(st.text(alphabet="ab|\\`"))
def test_it_says_what_the_text_says_in_a_table_too(text: str) -> None:
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    for written in (f"# {code(text)}", _table(Table([Quoted(text)], []))):
        shown = [one for token in parser.parse(written) for one in token.children or [] if one.type == "code_inline"]
        assert [one.content.strip() for one in shown] == [text.strip()]


@given(st.text(alphabet="`~\n a<>#|"))
def test_nor_does_anything_close_a_block(text: str) -> None:
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark")
    assert [token.type for token in parser.parse(block(text))] == ["fence"]


def test_one_number_for_a_set_whatever_its_files_are_called() -> None:
    assert origin.pictures_sha256(["b", "a"]) == origin.pictures_sha256(["a", "b"])
    assert origin.pictures_sha256(["a", "b"]) != origin.pictures_sha256(["a", "c"])


def test_a_sample_has_intervals_and_a_count_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(tmp_path, [(20, 20)] * 12)
    files = [f"{i}.png" for i in range(12)]

    def heads() -> list[object]:
        tables = [one for one in looks.section(root, files, seed=1).blocks if isinstance(one, Table)]
        return list(tables[-1].heads)

    assert "Interval" not in heads()
    monkeypatch.setattr(looks, "SAMPLE", 5)
    assert "Interval" in heads()
    drawn = looks.sample(files, 5, seed=1)
    assert len(set(drawn)) == 5
    assert drawn == looks.sample(files, 5, seed=1)
    assert any(looks.sample(files, 5, seed=seed) != drawn for seed in range(2, 9))


def test_a_set_of_several_sources_has_the_licences_of_each() -> None:
    """A picture's is known where one of its columns says it, whichever source came first."""
    rows = [
        {"license": "CC BY 4.0"},
        {"licence_url": "https://creativecommons.org/publicdomain/zero/1.0/", "license": None},
        {"license": "", "licence_url": "MIT"},
    ]
    assert front(rows) == ["cc-by-4.0", "cc0-1.0", "mit"]
    assert front([*rows, {"text": "of neither"}]) == ["cc-by-4.0", "cc0-1.0", "mit", "unknown"]
    assert front([{"text": "a boat"}]) == ["unknown"]


def test_each_version_of_an_upsampler_has_its_own_pictures(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, [(40, 30)] * 3)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    for row, sha256 in zip(rows, ("first", "first", "second"), strict=True):
        made = {"file_name": row["file_name"], "upsampler": "large", "upsampler_sha256": sha256}
        row |= {"upsample": 2.0, "upsampled_from": made}
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tables = [one for one in origin.making(read_curated(folder)).blocks if isinstance(one, Table)]
    (counts,) = [one.rows for one in tables if "Pictures" in one.heads]
    assert [[getattr(cell, "text", cell) for cell in row] for row in counts] == [
        ["large", "first", "2"],
        ["large", "second", "1"],
    ]
