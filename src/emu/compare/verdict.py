"""The verdict on a run: win, tie and lose in percent of prompts, with intervals, for all prompts and by group."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from emu.compare.agreement import agreement, opinions
from emu.compare.columns import BY
from emu.compare.pairs import Pair, Run
from emu.errors import UserError
from emu.statistics import net_rate, outcomes, sign_test, win_rate

WORDS = {1: "win", 0: "tie", -1: "lose"}
NOT_JUDGED = (
    "not judged: no judge has scored the pictures; emu compare lets one do so with --appeal CLASS_PATH and "
    "--faithfulness CLASS_PATH, such as emu.judges.clip.ClipScore"
)


def verdict(run: Run) -> dict[str, Any]:
    """What `verdict.json` says of one run.

    {"name", "model", "before", "after", "before_step", "after_step", "prompts", "pairs", "unpaired", "alone", "notes",
    "black", "stop_reason",
    "appeal": {"judge", "win", "tie", "lose", "ci95": [lo, hi] of win, "net": win - lose, "net_ci95", "p": of the exact
    sign test, "opinions": of `opinions`, "agreement": of `agreement`}, "faithfulness": {the same},
    "judges": {criterion: the headline judge's own description, and every further judge's},
    "groups": {value of the prompts' `group`, `category` or `challenge` column: {"column", and rates as above}}}.
    `compare` adds "people" and "unheard", of `people.People`, and "sets", of `reference.Reference.measure`, where there
    is a reference.
    A criterion that the run was not judged by is absent; where there is none at all, so is every figure.
    """
    return {
        "name": run.name,
        "model": run.quality.get("model"),
        "before": run.names[0],
        "after": run.names[1],
        "before_step": run.before_step,
        "after_step": run.after_step,
        **_with_opinions(run, _rates(run, run.pairs)),
        "unpaired": len(run.alone),
        "alone": run.alone,
        "notes": list(run.notes),
        "black": run.black,
        "stop_reason": run.quality.get("stop_reason"),
        "judges": _judges(run),
        "groups": {name: {"column": column, **_rates(run, pairs)} for name, column, pairs in categories(run)},
    }


def categories(run: Run) -> list[tuple[str, str, list[Pair]]]:
    """(name, column, pairs) of every category, column by column; one that two columns have is named with its column."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in run.pairs:
        for column, value in pair.groups.items():
            found.setdefault((column, value), []).append(pair)
    columns = list(dict.fromkeys(column for column, _ in found))
    keys = sorted(found, key=lambda key: (columns.index(key[0]), key[1]))
    twice = Counter(value for _, value in keys)
    return [
        (f"{column}: {value}" if twice[value] > 1 else value, column, found[column, value]) for column, value in keys
    ]


def pair_outcomes(run: Run) -> list[dict[str, str]]:
    """For every pair of the run: criterion -> "win", "tie" or "lose"."""
    signs = {
        name: outcomes(*_columns(run.pairs, name), tie=judge_of(run, name)["tie"]).tolist() for name in run.criteria
    }
    return [{name: WORDS[signs[name][i]] for name in signs} for i in range(len(run.pairs))]


def judge_of(run: Run, criterion: str) -> dict[str, Any]:
    """The judge's own description (`name`, `tie` and more), as kept in `quality.json`."""
    try:
        described: dict[str, Any] = run.quality["judges"][run.columns(criterion)[0]]
    except (KeyError, IndexError) as error:
        raise UserError(f"{run.name}: quality.json names no judge of {criterion}; remove scores.jsonl") from error
    return described


def _with_opinions(run: Run, rates: dict[str, Any]) -> dict[str, Any]:
    for name in run.criteria:
        rates[name] |= {"opinions": opinions(run, name), "agreement": agreement(run, name)}
    return rates


def _judges(run: Run) -> dict[str, Any]:
    found = {name: judge_of(run, name) for name in run.criteria}
    for name in run.criteria:
        cards = {column: run.quality["judges"][column] for column in run.columns(name)[1:]}
        found |= {column if BY in column else f"{name}{BY}{card['name']}": card for column, card in cards.items()}
    return found


def _rates(run: Run, pairs: list[Pair]) -> dict[str, Any]:
    prompts = [pair.prompt for pair in pairs]
    rates: dict[str, Any] = {"prompts": len(set(prompts)), "pairs": len(pairs)}
    for name in run.criteria:
        judge = judge_of(run, name)
        asked: dict[str, Any] = {"tie": judge["tie"], "prompts": prompts}
        rate, net = (asdict(kind(*_columns(pairs, name), **asked)) for kind in (win_rate, net_rate))
        p = sign_test(outcomes(*_columns(pairs, name), tie=judge["tie"]), prompts).p
        own = {key: rate[key] for key in ("win", "tie", "lose", "ci95")}
        rates[name] = {"judge": judge["name"], **own, "net": net["net"], "net_ci95": net["ci95"], "p": p}
    return rates


def _columns(pairs: list[Pair], criterion: str) -> tuple[list[float], list[float]]:
    return [pair.scores[criterion][0] for pair in pairs], [pair.scores[criterion][1] for pair in pairs]
