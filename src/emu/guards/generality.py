"""Generality: whether the model still draws what it is asked for, category by category and beyond its curated set.

Quality-tuning teaches two thousand pictures; what they do not show may be forgotten while the mean hides it. In every
category the judge of faithfulness compares the pictures before and after; many categories are many chances of a false
alarm, so the exact sign tests are corrected.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import numpy as np

from emu.guards.evidence import Evidence
from emu.guards.finding import Finding, not_measured
from emu.guards.guard import Guard
from emu.statistics import corrected, net_rate, outcomes, sign_test
from emu.statistics.intervals import Interval
from emu.terminal.counted import many

NAME = "generality"
ALARM = 0.05  # the chance of a false alarm among all categories
SHORTEST = 3  # letters of a word
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai and Lao, Burmese, Khmer
    "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"  # Kana, and Chinese signs
)
SEEN = "curated set"  # the column of prompts whose words its captions have, or not


@dataclass(frozen=True)
class Generality(Guard):
    """Broken where faithfulness (win - lose) in a category is below -threshold points, and the corrected test sure.

    The default is that of `quality.margin`, which holds for all prompts together.
    """

    threshold: float = 2.0
    kind, unit = "at_least", "points of win - lose in the worst category"

    def __call__(self, evidence: Evidence) -> list[Finding]:
        if "faithfulness" not in evidence.before.scores or "faithfulness" not in evidence.after.scores:
            return [not_measured(NAME, "no judge of faithfulness has scored the pictures")]
        found = categories_of(evidence)
        if not found:
            return [not_measured(NAME, "the prompts name no group, category or challenge")]
        alone = [category_of(evidence, key, rows) for key, rows in found.items()]
        p_values = corrected([category.p for category in alone])
        return [self._finding([replace(one, p_corrected=p) for one, p in zip(alone, p_values, strict=True)])]

    def _finding(self, categories: list["Category"]) -> Finding:
        fallen = [one for one in categories if one.net < -self.threshold and one.p_corrected < ALARM]
        worst = min(fallen or categories, key=lambda one: one.net)
        held = all(one.ci95[0] >= -self.threshold for one in categories)
        number = many(len(categories), "category", "categories")
        sentence = f"faithfulness fell for sure in none of {number}"
        if fallen:
            sentence = f"faithfulness fell in {', '.join(one.category for one in fallen)}"
        return replace(
            self.found(NAME, sentence, worst.net, worst.ci95, parts=[asdict(one) for one in categories]),
            state="broken" if fallen else "held" if held else "unsure",
            threshold=-self.threshold,
            unit=f"{self.unit} ({worst.category})",
        )


@dataclass(frozen=True)
class Category:
    """Faithfulness in a category of a column: win - lose in points, its interval, and the sign test's p."""

    column: str
    category: str
    prompts: int
    net: float
    ci95: Interval
    p: float
    p_corrected: float = 1.0


def category_of(evidence: Evidence, key: tuple[str, str], rows: list[int]) -> Category:
    """What the pairs in `rows` say of the category `key`, alone."""
    before, after = ([side.scores["faithfulness"][i] for i in rows] for side in (evidence.before, evidence.after))
    prompts, tie = [evidence.prompts[i] for i in rows], evidence.ties["faithfulness"]
    net = net_rate(before, after, tie=tie, prompts=prompts)
    p = sign_test(outcomes(before, after, tie=tie), prompts).p
    return Category(*key, prompts=len(set(prompts)), net=net.net, ci95=net.ci95, p=p)


def categories_of(evidence: Evidence) -> dict[tuple[str, str], list[int]]:
    """(column, category) -> its pairs that a judge of faithfulness has scored; with the curated set at hand a category
    is also whether its captions have a prompt's words.
    """
    groups: Sequence[Mapping[str, str]] = evidence.groups or [{} for _ in evidence.prompts]
    if evidence.training is not None:
        known = {word for caption in evidence.training.captions for word in words(caption)}
        groups = [
            {**group, SEEN: "words seen" if words(prompt) <= known else "words unseen"}
            for group, prompt in zip(groups, evidence.prompts, strict=True)
        ]
    judged = ~np.isnan([evidence.before.scores["faithfulness"], evidence.after.scores["faithfulness"]]).any(axis=0)
    found: dict[tuple[str, str], list[int]] = {}
    for i in np.flatnonzero(judged).tolist():
        for key in groups[i].items():
            found.setdefault(key, []).append(i)
    return found


def words(text: str) -> set[str]:
    """The words of a text that a curated set may lack: three letters and more, in lower case.

    Of a script that is written without spaces the signs, and every two that follow each other: so a text that stands in
    another has no other words, as of any script.
    """
    signs = unicodedata.normalize("NFC", text.lower())
    apart = "".join(sign if sign.isalpha() or unicodedata.category(sign).startswith("M") else " " for sign in signs)
    found = {word for word in UNSPACED.sub(" ", apart).split() if len(word) >= SHORTEST}
    return found.union(*({*run, *map("".join, pairwise(run))} for run in UNSPACED.findall(apart)))
