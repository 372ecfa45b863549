"""The words of prompts that a curated set's captions have, or not: in any script."""

import unicodedata

import pytest

from emu.guards.generality import words

TEXTS = [  # a caption, a prompt of its words, a prompt of others
    # English
    (
        "A red cat sits on the grass.",
        "red cat, grass",
        "a blue boat",
    ),
    # French
    (
        "Un chat devant le caf\xe9",
        "caf\xe9",
        "bateau bleu",
    ),
    # Chinese
    (
        "\u7ea2\u8272\u7684\u732b\u5728\u8349\u5730\u4e0a",
        "\u7ea2\u8272\u7684\u732b",
        "\u84dd\u8272\u7684\u8239",
    ),
    # Chinese, of one sign
    (
        "\u7ea2\u8272\u7684\u732b\u5728\u8349\u5730\u4e0a",
        "\u732b",
        "\u8239",
    ),
    # Japanese
    (
        "\u8d64\u3044\u732b\u304c\u8349\u306e\u4e0a\u306b",
        "\u8d64\u3044\u732b",
        "\u9752\u3044\u8239",
    ),
    # Thai
    (
        "\u0e41\u0e21\u0e27\u0e41\u0e14\u0e07\u0e1a\u0e19\u0e2b\u0e0d\u0e49\u0e32",
        "\u0e41\u0e21\u0e27\u0e41\u0e14\u0e07",
        "\u0e40\u0e23\u0e37\u0e2d\u0e1f\u0e49\u0e32",
    ),
    # Hindi
    (
        "\u0932\u093e\u0932 \u092c\u093f\u0932\u094d\u0932\u0940 \u0918\u093e\u0938 \u092a\u0930",
        "\u0932\u093e\u0932 \u092c\u093f\u0932\u094d\u0932\u0940",
        "\u0928\u0940\u0932\u0940 \u0928\u093e\u0935",
    ),
    # Korean
    (
        "\ube68\uac04 \uace0\uc591\uc774\uac00 \uc794\ub514\uc5d0",
        "\uace0\uc591\uc774\uac00",
        "\ud30c\ub780\uc0c9 \ubc30",
    ),
]


@pytest.mark.parametrize(("caption", "seen", "unseen"), TEXTS)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_prompt_is_seen_where_its_words_stand_in_a_caption(caption: str, seen: str, unseen: str, form: str) -> None:
    known = words(caption)
    assert words(unicodedata.normalize(form, seen))
    assert words(unicodedata.normalize(form, seen)) <= known
    assert not words(unicodedata.normalize(form, unseen)) <= known


def test_short_words_and_numbers_tell_nothing() -> None:
    assert words("an ox at 12:30, no. 2024") == set()
