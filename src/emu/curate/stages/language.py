"""In which language a caption is written, as a detector of 97 languages reads it."""

from functools import cached_property
from typing import Any

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage
from emu.errors import UserError


class Language(Stage):
    """The likeliest language of a caption, and how likely it is one of those that are wanted (py3langid).

    Captions are short, so the second is what to set a limit on: a low one, such as 0.1. Names and single words are
    anybody's guess.

    Args:
        wanted: ISO 639-1 codes.
    """

    name = "language"
    columns = {"language": "string", "language_wanted": "float64"}
    packages = {"py3langid": "language"}

    def __init__(self, wanted: list[str] | None = None) -> None:
        self.wanted = wanted or ["en"]

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
        chances = dict(self.detector.rank(picture.text))
        wanted = sum(float(chances[language]) for language in self.wanted)
        return {"language": max(chances, key=chances.__getitem__), "language_wanted": min(wanted, 1.0)}
