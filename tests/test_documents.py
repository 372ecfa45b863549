"""YAML: numbers as people write them, and no document that is half read."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser

from emu.desk.review.plan import read_plan
from emu.errors import UserError
from emu.storage import documents


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("2e-2", 0.02), ("8e-2", 0.08), ("1e8", 1e8), ("1E8", 1e8), ("-1e-3", -0.001), ("+1.e3", 1000.0)],
        *[("1.0e-5", 1e-5), (".5", 0.5), (".inf", float("inf")), ("-.inf", float("-inf")), ("1_000", 1000)],
        *[("1e", "1e"), ("e5", "e5"), ("-", [None]), (".", "."), ("inf", "inf"), ("2024-01-01", "2024-01-01")],
        *[
            ("true", True),
            ("null", None),
            ("~", None),
            ("0x1F", 31),
            ("1,000", "1,000"),
        ],
    ],
)
def test_a_scalar_is_read_as_the_parser_of_fit_reads_it(text: str, value: object, tmp_path: Path) -> None:
    parser = ArgumentParser(exit_on_error=False, parser_mode="omegaconf+")
    parser.add_argument("--key", type=Any)
    (tmp_path / "c.yaml").write_text(f"key: {text}\n")
    parser.add_argument("--config", action="config")
    assert documents.parse(text, where="here") == value
    if not text.startswith("-"):
        assert parser.parse_args([f"--config={tmp_path / 'c.yaml'}"]).key == value


@pytest.mark.parametrize("text", ["1e-3", ".5e3", "7", "0.1", "1e+20", "-2E5"])
def test_a_number_of_python_s_is_a_number(text: str) -> None:
    assert documents.parse(text, where="here") == float(text)


def test_what_is_quoted_is_text() -> None:
    assert documents.parse("'2e-2'", where="here") == "2e-2"


def test_keys_are_text_as_written() -> None:
    text = "{yes: 1, 30: 2, 1e3: 3, null: 4, a: {<<: {x: 1, y: 2}, y: 3}}"
    assert documents.parse(text, where="here") == {"yes": 1, "30": 2, "1e3": 3, "null": 4, "a": {"x": 1, "y": 3}}


def test_what_is_merged_twice_is_no_duplicate() -> None:
    text = "a: &a {<<: {x: 1}, y: 2}\nb: {<<: *a, x: 9}\nc: {<<: *a}"
    assert documents.parse(text, where="here")["c"] == {"x": 1, "y": 2}


NINE = ", ".join(["*{0}"] * 9)
BOMB = "".join([f"{b}: &{b} [{NINE.format(a)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)])
REFUSED = {
    "a: 1\nb: 2\na: 3": "line 3: the key a stands there twice",
    "{1: 1, '1': 2}": "the key 1 stands there twice",
    "x: [{a: 1, a: 1}]": "the key a stands there twice",
    "a: &a [*a]": "holds that alias",
    "a: &a {b: [{c: *a}]}": "holds that alias",
    "a: &a [x]\n" + BOMB: "more than 100,000 values",
    "? [a]\n: b": "a key has to be text",
    "a: !!python/object/apply:os.system [true]": "no kind of value",
    "a: !!set {x, y}": "no kind of value",
    "a: !!int x": "invalid literal",
    "a: [1": "not YAML",
    "a: 1\n---\nb: 2": "single document",
    "a: \x00": "not YAML",
    "a: " + "[" * 5000: "too deep",
    "- a": "a mapping with the keys",
    "text": "a mapping with the keys",
    "": "a mapping with the keys",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=range(len(REFUSED)))
@pytest.mark.parametrize("reader", [partial(documents.read_mapping, keys=("a", "b")), read_plan])
def test_what_says_nothing_clear_is_refused_in_a_line(text: str, message: str, reader: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as refused:
        reader(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: caf\xe9")
    for path in (tmp_path, tmp_path / "latin.yaml", tmp_path / "gone.yaml"):
        with pytest.raises(UserError, match=f"{path}: cannot be read"):
            documents.read_mapping(path, keys="a")


def test_a_mark_at_the_beginning_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert documents.read_mapping(tmp_path / "bom.yaml", keys="a") == {"a": 1}
