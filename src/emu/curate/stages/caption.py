"""What a caption is like: how long it is, whether it is words, in which letters and language it is written."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage
from emu.errors import UserError

JUNK = re.compile(
    r"https?://|www\.|\S+@\S+\.\S+|\.(?:jpe?g|png|webp|gif|svg)\b|(?:img|dsc|dscn|image|untitled)[_ -]?\d+|<[a-z/!]",
    re.I,
)
OVERLAP = 4  # n-grams of up to four bytes overlap, and are no evidence of their own (docs/results/funnel.md)


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

    def reads_captions(self) -> bool:
        return True

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


class Language(Stage):
    """The likeliest language of a caption, and how likely it is one of those that are wanted (py3langid).

    Three words tell little, so what is known beforehand counts: `language_wanted` is by Bayes' rule, from the share of
    captions of the source that are in a wanted language. A short caption stays near that share, a long one speaks for
    itself: n-grams weigh OVERLAP times less than if each stood alone, however long the caption is. A limit of 0.5 drops
    what is likelier in another language, one of 0.1 spares names. Capitals are not looked at: a title is not German for
    its nouns.

    Args:
        wanted: ISO 639-1 codes.
        share: how many captions of the source are in one of them, a guess between 0 and 1.
    """

    name = "language"
    columns = {"language": "string", "language_wanted": "float64"}
    packages = {"py3langid": "language"}

    def __init__(self, wanted: list[str] | None = None, share: float = 0.8) -> None:
        if not 0 < share < 1:
            raise UserError(f"stage {self.name}: share {share:g}: between 0 and 1, such as 0.9")
        self.wanted, self.share = wanted or ["en"], share

    def reads_captions(self) -> bool:
        return True

    @cached_property
    def detector(self) -> Any:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=False)

    def require(self) -> None:
        super().require()
        known = set(self.detector.labels)
        if unknown := sorted(set(self.wanted) - known):
            raise UserError(f"stage {self.name}: no language {unknown[0]}; there are {', '.join(sorted(known))}")

    def measure(self, picture: Picture) -> Row:
        scores = dict(self.detector.rank(picture.text.lower()))
        wanted = [scores[language] for language in self.wanted]
        others = [score for language, score in scores.items() if language not in self.wanted]
        log_odds = np.log(self.share / (1 - self.share)) + _evidence(wanted, others) if others else np.inf
        return {"language": max(scores, key=scores.__getitem__), "language_wanted": float(1 / (1 + np.exp(-log_odds)))}


def _evidence(wanted: Sequence[float], others: Sequence[float]) -> float:
    """The logarithm of how many times likelier a text is in a wanted language than in another one, at most 700 either
    way, by the log-likelihoods of its n-grams in each; languages of a kind are equally likely before it is read.
    """
    first, second = (np.asarray(scores, dtype=np.float64) / OVERLAP for scores in (wanted, others))
    means = [np.logaddexp.reduce(one) - np.log(len(one)) for one in (first, second)]
    return float(np.clip(means[0] - means[1], -700, 700))
