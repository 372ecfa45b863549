"""What people said: `votes.json` of a run in the same figures as a judge's word, and whether the judge says the same.

A pair's outcome is the majority of its votes. Votes count for the pictures that were voted on and no others: each is
known by what it shows, so that votes on another run, or on pictures that were drawn again since, are refused.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from emu import files, runs
from emu.compare.agreement import kappa
from emu.compare.pairs import CRITERIA, Pair, Run
from emu.errors import UserError
from emu.statistics import net_rate, outcomes, sign_test, win_rate

Key = tuple[str, int]
Votes = dict[str, int]  # "after", "tie", "before" -> how many


def match_key(prompt: str, seed: int, sums: Sequence[str | None]) -> str:
    """What a pair is known by: prompt, seed and the sha256 of both files."""
    return hashlib.sha256(repr((prompt, seed, *sums)).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class People:
    """What people said of one run; nothing where nobody has voted.

    Args:
        told: criterion -> {"pairs", "prompts", "votes", "raters", "win", "tie", "lose", "ci95" of win, "net",
            "net_ci95", "p": all by majority, over raters above the attention bar, "alpha": Krippendorff's, "pooled":
            {"win", "tie", "lose", "ci95"} in percent of votes or null, "all": {"raters", "win", "tie", "lose", "ci95"}
            of all raters, "judge": {"name", "same": percent of pairs with the same outcome, "kappa"} or null}.
        votes: (prompt, seed) -> criterion -> the votes that count.
        unheard: criterion -> raters, where none of them is above the bar.
    """

    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    votes: dict[Key, dict[str, Votes]] = field(default_factory=dict)
    unheard: dict[str, int] = field(default_factory=dict)


def read_people(folder: Path, run: Run) -> People:
    """What `votes.json` says. UserError: the votes are not on the pictures that are compared."""
    document = runs.read_votes(folder)
    if not document:
        return People()
    voted = _matched(folder, run, document["pairs"])
    told: dict[str, dict[str, Any]] = {}
    votes: dict[Key, dict[str, Votes]] = {_key(pair): {} for pair, _ in voted}
    unheard: dict[str, int] = {}
    for name in CRITERIA:
        counted = [(pair, row[name]) for pair, row in voted if sum(row.get(name, {}).values())]
        votes |= {_key(pair): votes[_key(pair)] | {name: cast} for pair, cast in counted}
        if counted:
            told[name] = _said(run, name, document, counted)
        elif raters := _raters(document, name, kept=False):
            unheard[name] = raters
    return People(told, votes, unheard)


def majority(votes: Votes) -> int:
    """1 where most votes are for the picture after tuning, -1 where before; 0 for a tie, or two equally common."""
    ranked = sorted(votes, key=lambda word: votes[word], reverse=True)
    if votes[ranked[0]] == votes[ranked[1]]:
        return 0
    return {"after": 1, "tie": 0, "before": -1}[ranked[0]]


def _matched(folder: Path, run: Run, rows: list[dict[str, Any]]) -> list[tuple[Pair, dict[str, Any]]]:
    pairs = {(pair.prompt, pair.seed): pair for pair in run.pairs}
    found = []
    for row in rows:
        pair = pairs.get((row["prompt"], row["seed"]))
        sums = [_sum(path) for path in (pair.before, pair.after)] if pair else []
        if pair is None or match_key(pair.prompt, pair.seed, sums) != row.get("key"):
            raise UserError(
                f"{folder / runs.VOTES}: votes on other pictures than steps {run.before_step} and {run.after_step}, "
                "which are compared; put the file elsewhere, or vote on these with emu vote"
            )
        found.append((pair, row))
    return found


def _key(pair: Pair) -> Key:
    return pair.prompt, pair.seed


def _sum(path: Path) -> str | None:
    return files.sha256(path) if path.is_file() else None


def _said(run: Run, name: str, document: dict[str, Any], counted: list[tuple[Pair, Votes]]) -> dict[str, Any]:
    signs = [float(majority(votes)) for _, votes in counted]
    prompts = [pair.prompt for pair, _ in counted]
    none = [0.0] * len(signs)
    rate, net = (asdict(kind(none, signs, tie=0, prompts=prompts)) for kind in (win_rate, net_rate))
    kept, everybody = (document["questions"][name][of] for of in ("kept", "all"))
    return {
        "pairs": len(signs),
        "prompts": len(set(prompts)),
        "votes": sum(sum(votes.values()) for _, votes in counted),
        "raters": _raters(document, name, kept=True),
        **_rate(rate),
        "net": net["net"],
        "net_ci95": net["ci95"],
        "p": sign_test(outcomes(none, signs, tie=0), prompts).p,
        "alpha": kept["alpha"],
        "pooled": _rate(kept["pooled"]) if kept["pooled"] else None,
        "all": {"raters": _raters(document, name, kept=False), **_rate(everybody["majority"])},
        "judge": _judge(run, name, [pair for pair, _ in counted], signs),
    }


def _rate(told: dict[str, Any]) -> dict[str, Any]:
    return {key: told[key] for key in ("win", "tie", "lose", "ci95")}


def _judge(run: Run, name: str, pairs: list[Pair], signs: list[float]) -> dict[str, Any] | None:
    """How often the headline judge and most people say the same of a pair."""
    columns = run.columns(name)
    if not columns:
        return None
    card = run.quality["judges"][columns[0]]
    before, after = zip(*(pair.opinions[columns[0]] for pair in pairs), strict=True)
    theirs, ours = outcomes(before, after, tie=card["tie"]), outcomes([0.0] * len(signs), signs, tie=0)
    return {"name": card["name"], "same": 100 * float((theirs == ours).mean()), "kappa": kappa(theirs, ours)}


def _raters(told: dict[str, Any], name: str, *, kept: bool) -> int:
    rows = [row for row in told["raters"] if row["question"] == name and row["votes"]]
    return sum(1 for row in rows if row["kept"] or not kept)
