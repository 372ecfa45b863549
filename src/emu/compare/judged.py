"""What judges say of a run: rates for all prompts and by group, every judge's opinion, and whether they agree.

One judge can be fooled, and a model tuned against it learns how. Two of different families that say the same are worth
more than either; two that do not are a result as well, and the page says so.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emu.compare.columns import BY
from emu.compare.pairing import Pair, Pairing
from emu.compare.verdict import Agreement, CriterionVerdict, Group, JudgedRates, JudgePair, Opinion
from emu.errors import UserError
from emu.statistics import Rates, outcomes, rates, sign_test
from emu.statistics.agreement import cohen_kappa
from emu.storage.shapes import Card

WORDS = {1: "win", 0: "tie", -1: "lose"}
SIDES: dict[int, Literal["after", "before"] | None] = {1: "after", 0: None, -1: "before"}
ALONE = "no second opinion from a judge of another family"
NOT_JUDGED = (
    "not judged: no judge has scored the pictures; emu compare lets one do so with --appeal CLASS_PATH and "
    "--faithfulness CLASS_PATH, such as emu.judges.clip.ClipScore"
)


def judged(pairing: Pairing, criterion: str) -> CriterionVerdict:
    """The word of all judges of a criterion that every picture was judged by that can be."""
    tie = judge_of(pairing, criterion)["tie"]
    before, after, prompts = pairing.opinions(pairing.columns(criterion)[0])
    opinions = [_opinion(pairing, column) for column in pairing.columns(criterion)]
    return CriterionVerdict(
        **{one.name: getattr(opinions[0], one.name) for one in fields(Rates)},
        judge=opinions[0].judge,
        p=sign_test(outcomes(before, after, tie=tie), prompts).p,
        opinions=opinions,
        agreement=_agreement(pairing, criterion, opinions),
    )


def groups(pairing: Pairing) -> dict[str, Group]:
    """The rates of every category, column by column; a name that two columns have is shown with its column."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairing.pairs:
        for key in pair.groups.items():
            found.setdefault(key, []).append(pair)
    columns = list(dict.fromkeys(column for column, _ in found))
    twice = Counter(value for _, value in found)
    return {
        f"{column}: {value}" if twice[value] > 1 else value: Group(
            column,
            prompts=len({pair.prompt for pair in found[column, value]}),
            pairs=len(found[column, value]),
            **{
                name: _rates_of_group(judged, name, judge_of(pairing, name))
                for name in pairing.criteria
                if (judged := [pair for pair in found[column, value] if pair.judged_by(name)])
            },
        )
        for column, value in sorted(found, key=lambda key: (columns.index(key[0]), key[1]))
    }


def pair_outcomes(pairing: Pairing) -> list[dict[str, str]]:
    """For every pair: criterion -> "win", "tie" or "lose", of those that it can be judged by."""
    signs = {name: iter(_signs(pairing, pairing.columns(name)[0])) for name in pairing.criteria}
    return [
        {name: WORDS[int(next(each))] for name, each in signs.items() if pair.judged_by(name)} for pair in pairing.pairs
    ]


def judge_of(pairing: Pairing, criterion: str) -> Card:
    """The headline judge's own description (`name`, `tie` and more), as kept in `quality.json`."""
    try:
        return pairing.quality.judges[pairing.columns(criterion)[0]]
    except (KeyError, IndexError):
        raise UserError(f"{pairing.name}: quality.json names no judge of {criterion}; remove scores.jsonl") from None


def judges_of(pairing: Pairing) -> dict[str, Card]:
    """The headline judges by criterion, then every further one by its column."""
    found = {name: judge_of(pairing, name) for name in pairing.criteria}
    for name in pairing.criteria:
        for column in pairing.columns(name)[1:]:
            card = pairing.quality.judges[column]
            found[column if BY in column else f"{name}{BY}{card['name']}"] = card
    return found


def _opinion(pairing: Pairing, column: str) -> Opinion:
    card = pairing.quality.judges[column]
    before, after, prompts = pairing.opinions(column)
    said = rates(before, after, tie=card["tie"], prompts=prompts)
    return Opinion(**vars(said), judge=card["name"], family=card.get("family"), prefers=SIDES[said.direction])


def _agreement(pairing: Pairing, criterion: str, found: Sequence[Opinion]) -> Agreement:
    signs = [_signs(pairing, column) for column in pairing.columns(criterion)]
    pairs = [
        JudgePair(
            judges=(found[a].judge, found[b].judge),
            same=100 * float((signs[a] == signs[b]).mean()),
            kappa=cohen_kappa(signs[a], signs[b]),
        )
        for a, b in combinations(range(len(found)), 2)
    ]
    families = {one.family for one in found if one.family}
    agree = len({one.prefers for one in found}) == 1 if len(families) > 1 else None
    return Agreement(agree, _words(found, agree), pairs)


def _words(found: Sequence[Opinion], agree: bool | None) -> str:
    if agree is None:
        return ALONE
    if agree:
        side = found[0].prefers
        return f"judges of different families agree: {side} is better" if side else "no judge sees a difference"
    said = [f"{one.judge} {'prefers ' + one.prefers if one.prefers else 'sees no difference'}" for one in found]
    return f"judges do not agree: {', '.join(said)}"


def _rates_of_group(pairs: Sequence[Pair], criterion: str, card: Card) -> JudgedRates:
    before, after = zip(*(pair.scores[criterion] for pair in pairs), strict=True)
    prompts = [pair.prompt for pair in pairs]
    p = sign_test(outcomes(before, after, tie=card["tie"]), prompts).p
    return JudgedRates(**vars(rates(before, after, tie=card["tie"], prompts=prompts)), judge=card["name"], p=p)


def _signs(pairing: Pairing, column: str) -> NDArray[np.int8]:
    before, after, _ = pairing.opinions(column)
    return outcomes(before, after, tie=pairing.quality.judges[column]["tie"])
