"""Tokens of a caption by the tokenizers of this machine; of a hub nobody waits for."""

from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

from embedders import save_tokenizer
from emu.desk.review.tokens import Tokens


def test_tokens_are_counted_and_what_is_absent_is_left_out(tmp_path: Path) -> None:
    save_tokenizer(tmp_path / "small")
    tokens = Tokens((str(tmp_path / "small"), "nobody/has-this-one", str(tmp_path / "nothing")))
    (short,), (longer,) = (tokens.count(text) for text in ("a red boat", "a red boat at noon in the snow"))
    assert short.name == "small"
    assert short.tokens < longer.tokens
    assert short.most == longer.most > 0


def test_without_tokenizers_nothing_is_counted() -> None:
    assert Tokens(()).count("a red boat") == []
