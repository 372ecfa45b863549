"""In which language a caption is written, as a detector of 97 languages reads it."""

from functools import cached_property
from typing import Any

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage
from emu.errors import UserError


class Language(Stage):
    """The likeliest language of a caption, and how likely it is one of those that are wanted (py3langid).

    Three words tell little, so what is known beforehand counts: `language_wanted` is by Bayes' rule, from the share of
    captions of the source that are in a wanted language. A short caption stays near that share, a long one speaks for
    itself. A limit of 0.5 drops what is likelier in another language, one of 0.1 spares names. Capitals are not looked
    at: a title is not German for its nouns.

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

    @cached_property
    def detector(self) -> Any:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def require(self) -> None:
        super().require()
        known = set(self.detector.labels)
        if unknown := sorted(set(self.wanted) - known):
            raise UserError(f"stage {self.name}: no language {unknown[0]}; there are {', '.join(sorted(known))}")

    def measure(self, picture: Picture) -> Row:
        chances = {language: float(chance) for language, chance in self.detector.rank(picture.text.lower())}
        wanted = sum(chances[language] for language in self.wanted)
        known = len(self.wanted) / len(chances)  # what the detector supposes before it reads: all are equally likely
        weight = self.share / known * wanted
        other = (1 - self.share) / (1 - known) * max(1 - wanted, 0.0) if known < 1 else 0.0
        return {"language": max(chances, key=chances.__getitem__), "language_wanted": weight / (weight + other or 1.0)}
