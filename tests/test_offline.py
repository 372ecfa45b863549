"""Offline pages load nothing and run nothing but their own style and script; what they are given stays text."""

import base64
import hashlib
import html
import io
import re
from pathlib import Path

import jinja2
import pytest
from PIL import Image

from emu.offline import data_url, render, webp
from emu.terminal.aligned import aligned

TEMPLATE = """{% extends "offline.html" %}
{% macro bold(text) %}<b>{{ text }}</b>{% endmacro %}
{% block title %}{{ name }}{% endblock %}
{% block content %}{{ bold(name) }}{{ name | loud }}{% if name is wanted %}wanted{% endif %}{% endblock %}
"""


def page(folder: Path, name: str, *, script: str = "") -> str:
    (folder / "page.html").write_text(TEMPLATE)
    (folder / "own.css").write_text("b { color: red }")
    (folder / "own.js").write_text(script)
    return render(
        folder / "page.html",
        {"name": name} if name else {},
        styles=(folder / "own.css",),
        script=folder / "own.js" if script else None,
        filters={"loud": str.upper},
        tests={"wanted": lambda value: value == "a"},
    )


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def policy(text: str) -> str:
    return html.unescape(str(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]))  # type: ignore[index]


@pytest.mark.parametrize("script", ["", "let a = '</b>' < 1 && 2;"])
def test_the_policy_names_what_the_page_holds_and_nothing_else(tmp_path: Path, script: str) -> None:
    text = page(tmp_path, "a", script=script)
    for tag in ("style", "script"):
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        sums = [
            f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in found
        ]
        assert sums == re.findall(rf"{tag}-src '[^']*'", policy(text))
    assert policy(text).startswith("default-src 'none'; img-src data:;")
    assert "color: red" in text
    assert "wanted" in text


def test_what_a_page_is_given_stays_text(tmp_path: Path) -> None:
    text = page(tmp_path, "</title><script>alert(1)</script>")
    assert "<script" not in text
    assert "&lt;/TITLE&gt;" in text


def test_what_a_page_is_not_given_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(jinja2.UndefinedError, match="name"):
        page(tmp_path, "")


def test_a_picture_in_a_page_is_as_large_as_asked_and_the_given_one_stays() -> None:
    picture = Image.new("RGB", (400, 100), "red")
    with Image.open(io.BytesIO(webp(picture, 80))) as small:
        assert (small.format, small.size) == ("WEBP", (80, 20))
    with Image.open(io.BytesIO(webp(picture, 1000))) as whole:
        assert whole.size == picture.size == (400, 100)
    assert base64.b64decode(data_url(b"abc").removeprefix("data:image/webp;base64,")) == b"abc"


def test_columns_of_a_table_begin_or_end_together() -> None:
    assert aligned([["", "a"], ["long", "1,000"], ["b", "2"]]) == ["          a", "long  1,000", "b         2"]
    assert aligned([["a", "x", "1"], ["b", "long", "22"]], left=2) == ["a  x      1", "b  long  22"]
    assert aligned([["a", ""], ["b", ""]]) == ["a", "b"]
