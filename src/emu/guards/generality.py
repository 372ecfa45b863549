"""Generality: whether the model still draws what it is asked for, category by category and beyond its curated set.

Quality-tuning teaches two thousand pictures; what they do not show may be forgotten while the mean hides it. In every
category the judge of faithfulness compares the pictures before and after; many categories are many chances of a false
alarm, so the exact sign tests are corrected.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emu.guards.evidence import Evidence
from emu.guards.finding import Finding, not_measured
from emu.statistics import corrected, net_rate, outcomes, sign_test

NAME = "generality"
ALARM = 0.05  # the chance of a false alarm among all categories
SEEN = "curated set"  # the column of prompts whose words its captions have, or not


@dataclass(frozen=True)
class Generality:
    """Broken where faithfulness (win - lose) in a category is below -threshold points, and the corrected test sure."""

    threshold: float

    def __call__(self, evidence: Evidence) -> list[Finding]:
        if "faithfulness" not in evidence.before.scores or "faithfulness" not in evidence.after.scores:
            return [not_measured(NAME, "no judge of faithfulness has scored the pictures")]
        categories = categories_of(evidence)
        if not categories:
            return [not_measured(NAME, "the prompts name no group, category or challenge")]
        parts = [{"column": key[0], "category": key[1], **figures(evidence, rows)} for key, rows in categories.items()]
        for part, p in zip(parts, corrected([part["p"] for part in parts]), strict=True):
            part["p_corrected"] = p
        return [self._finding(parts)]

    def _finding(self, parts: list[dict[str, Any]]) -> Finding:
        fallen = [part for part in parts if part["net"] < -self.threshold and part["p_corrected"] < ALARM]
        worst = min(fallen or parts, key=lambda part: float(part["net"]))
        held = all(part["ci95"][0] >= -self.threshold for part in parts)
        where = ", ".join(str(part["category"]) for part in fallen)
        number = f"{len(parts)} categories" if len(parts) > 1 else "1 category"
        return Finding(
            guard=NAME,
            sentence=f"faithfulness fell in {where}" if fallen else f"faithfulness fell for sure in none of {number}",
            state="broken" if fallen else "held" if held else "unsure",
            value=worst["net"],
            ci95=worst["ci95"],
            threshold=-self.threshold,
            unit=f"points of win - lose in the worst category ({worst['category']}), at least",
            parts=parts,
        )


def figures(evidence: Evidence, rows: list[int]) -> dict[str, Any]:
    """Of the pairs in `rows`: how many, win - lose of faithfulness in points, its interval and the sign test's p."""
    before, after = ([side.scores["faithfulness"][i] for i in rows] for side in (evidence.before, evidence.after))
    prompts, tie = [evidence.prompts[i] for i in rows], evidence.ties["faithfulness"]
    net = net_rate(before, after, tie=tie, prompts=prompts)
    p = sign_test(outcomes(before, after, tie=tie), prompts).p
    return {"prompts": len(set(prompts)), "net": net.net, "ci95": net.ci95, "p": p}


def categories_of(evidence: Evidence) -> dict[tuple[str, str], list[int]]:
    """(column, category) -> its pairs; with the curated set at hand also whether its captions have a prompt's words."""
    groups: Sequence[Mapping[str, str]] = evidence.groups or [{} for _ in evidence.prompts]
    if evidence.training is not None:
        known = {word for caption in evidence.training.captions for word in words(caption)}
        told = ("words seen", "words unseen")
        groups = [
            {**group, SEEN: told[not words(prompt) <= known]}
            for group, prompt in zip(groups, evidence.prompts, strict=True)
        ]
    found: dict[tuple[str, str], list[int]] = {}
    for i, group in enumerate(groups):
        for key in group.items():
            found.setdefault(key, []).append(i)
    return found


def words(text: str) -> set[str]:
    """The words of a text that a curated set may lack: three letters and more, in lower case."""
    return set(re.findall(r"[^\W\d_]{3,}", text.lower()))
