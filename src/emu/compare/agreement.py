"""Whether judges agree: what each says of a run, how often two say the same, and whether they come to one verdict.

One judge can be fooled, and a model tuned against it learns how. Two of different families that say the same are worth
more than either; two that do not are a result as well, and the page says so.
"""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.compare.pairs import Run
from emu.statistics import net_rate, outcomes, win_rate

Signs = NDArray[np.int8]
SIDES = {1: "after", -1: "before", 0: None}
ALONE = "no second opinion from a judge of another family"


def opinions(run: Run, criterion: str) -> list[dict[str, Any]]:
    """What every judge of a criterion says, the headline first.

    {"judge", "family", "win", "tie", "lose", "ci95", "net", "net_ci95", "prefers"}: `prefers` is "after" or "before"
    where the 95 % interval of win - lose excludes 0, else None.
    """
    found = []
    for column in run.columns(criterion):
        card, scores = run.quality["judges"][column], _columns(run, column)
        prompts = [pair.prompt for pair in run.pairs]
        rate, net = (asdict(kind(*scores, tie=card["tie"], prompts=prompts)) for kind in (win_rate, net_rate))
        low, high = net["ci95"]
        found.append(
            {
                "judge": card["name"],
                "family": card.get("family"),
                **{key: rate[key] for key in ("win", "tie", "lose", "ci95")},
                "net": net["net"],
                "net_ci95": net["ci95"],
                "prefers": SIDES[int(low > 0) - int(high < 0)],
            }
        )
    return found


def agreement(run: Run, criterion: str) -> dict[str, Any]:
    """Whether judges of different families come to one verdict.

    {"agree": true or false, or null where all are of one family, "words", "pairs": [{"judges": [a, b], "same": percent
    of prompts with the same outcome, "kappa": Cohen's or null}]}.
    """
    told = opinions(run, criterion)
    cards = [run.quality["judges"][column] for column in run.columns(criterion)]
    signs = [
        outcomes(*_columns(run, column), tie=card["tie"])
        for column, card in zip(run.columns(criterion), cards, strict=True)
    ]
    pairs = [
        {
            "judges": [told[a]["judge"], told[b]["judge"]],
            "same": 100 * float((signs[a] == signs[b]).mean()),
            "kappa": kappa(signs[a], signs[b]),
        }
        for a, b in combinations(range(len(told)), 2)
    ]
    families = {one["family"] for one in told if one["family"]}
    agree = len({one["prefers"] for one in told}) == 1 if len(families) > 1 else None
    return {"agree": agree, "words": _words(told, agree), "pairs": pairs}


def kappa(first: Signs, second: Signs) -> float | None:
    """Cohen's kappa of two judges' outcomes, int (n,): agreement beyond chance, at most 1 (Cohen 1960).

    (p_o - p_e) / (1 - p_e); None where chance alone would always agree.
    """
    kinds = np.unique(np.concatenate([first, second]))
    chance = sum(float((first == kind).mean() * (second == kind).mean()) for kind in kinds)
    return None if chance == 1 else (float((first == second).mean()) - chance) / (1 - chance)


def _words(told: Sequence[dict[str, Any]], agree: bool | None) -> str:
    if agree is None:
        return ALONE
    if agree:
        side = told[0]["prefers"]
        return f"judges of different families agree: {side} is better" if side else "no judge sees a difference"
    said = [f"{one['judge']} {'prefers ' + one['prefers'] if one['prefers'] else 'sees no difference'}" for one in told]
    return f"judges do not agree: {', '.join(said)}"


def _columns(run: Run, column: str) -> tuple[list[float], list[float]]:
    return [pair.opinions[column][0] for pair in run.pairs], [pair.opinions[column][1] for pair in run.pairs]
