"""Basic checks of a caption: how long it is, whether it is words, in which letters it is written."""

import re
import unicodedata

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage

JUNK = re.compile(
    r"https?://|www\.|\S+@\S+\.\S+|\.(?:jpe?g|png|webp|gif|svg)\b|(?:img|dsc|dscn|image|untitled)[_ -]?\d+|<[a-z/!]",
    re.I,
)


class Caption(Stage):
    """Words, share of Latin letters, and signs of what was never a caption: addresses, file names, markup.

    A share of letters is no language: what is written in them is not read.
    """

    name = "caption"
    columns = {
        "caption_words": "int64",
        "caption_latin": "float64",
        "caption_junk": "bool",
        "caption_repeats": "float64",
    }

    def measure(self, picture: Picture) -> Row:
        words = re.findall(r"\w+", picture.text)
        letters = [c for c in picture.text if c.isalpha()]
        latin = sum("LATIN" in unicodedata.name(c, "") for c in letters)
        return {
            "caption_words": len(words),
            "caption_latin": latin / len(letters) if letters else 0.0,
            "caption_junk": bool(JUNK.search(picture.text)),
            "caption_repeats": 1 - len({word.lower() for word in words}) / len(words) if words else 0.0,
        }
