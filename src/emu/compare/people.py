"""What people said: `votes.json` of a run in the same figures as a judge's word, and whether the judge says the same.

A pair's outcome is the majority of its votes. Votes count for the pictures that were voted on and no others: each is
known by what it shows, so that votes on another run, or on pictures that were drawn again since, are refused.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emu.compare.pairing import Pair, Pairing
from emu.compare.verdict import CRITERIA, AllRaters, JudgeOfPeople, People
from emu.errors import UserError
from emu.layouts import runs
from emu.layouts.votes_json import Cast, Question, Voted, VoteOutcome, read_voted
from emu.statistics import Shares, WinRate, outcomes, rates, sign_test
from emu.statistics.agreement import cohen_kappa
from emu.storage import files

Counted = Sequence[tuple[Pair, Cast]]


def match_key(prompt: str, seed: int, sums: Sequence[str | None]) -> str:
    """What a pair is known by: prompt, seed and the sha256 of both files."""
    return hashlib.sha256(repr((prompt, seed, *sums)).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Heard:
    """What people said of one run; nothing where nobody has voted.

    Args:
        people: criterion -> their verdict.
        votes: (prompt, seed) -> criterion -> the votes that count.
        unheard: criterion -> raters, where none of them is above the bar.
    """

    people: dict[str, People] = field(default_factory=dict)
    votes: dict[tuple[str, int], dict[str, Cast]] = field(default_factory=dict)
    unheard: dict[str, int] = field(default_factory=dict)


def read_people(pairing: Pairing) -> Heard:
    """What `votes.json` says. UserError: the votes are not on the pictures that are compared."""
    outcome = read_voted(pairing.folder)
    if outcome is None:
        return Heard()
    voted = _matched(pairing, outcome.pairs)
    heard = Heard(votes={pair.key: {} for pair, _ in voted})
    for name in CRITERIA:
        counted = [(pair, cast) for pair, row in voted if (cast := row.cast(name)) and _total(cast)]
        for pair, cast in counted:
            heard.votes[pair.key][name] = cast
        if counted:
            heard.people[name] = _people(pairing, name, outcome, counted)
        elif raters := _raters(outcome, name, kept=False):
            heard.unheard[name] = raters
    return heard


def majority(votes: Cast) -> int:
    """1 where most votes are for the picture after tuning, -1 where before; 0 for a tie, or two equally common."""
    after, before = votes.after > max(votes.before, votes.tie), votes.before > max(votes.after, votes.tie)
    return int(after) - int(before)


def _matched(pairing: Pairing, rows: Sequence[Voted]) -> list[tuple[Pair, Voted]]:
    pairs = {pair.key: pair for pair in pairing.pairs}
    found = []
    for row in rows:
        pair = pairs.get((row.prompt, row.seed))
        sums = [_sum(path) for path in (pair.before, pair.after)] if pair else []
        if pair is None or match_key(pair.prompt, pair.seed, sums) != row.key:
            raise UserError(
                f"{pairing.folder / runs.VOTES}: votes on other pictures than steps {pairing.before_step} and "
                f"{pairing.after_step}, which are compared; put the file elsewhere, or vote on these with emu vote"
            )
        found.append((pair, row))
    return found


def _shares(rate: WinRate) -> Shares:
    return Shares(rate.win, rate.tie, rate.lose, rate.ci95)


def _total(cast: Cast) -> int:
    return cast.after + cast.tie + cast.before


def _sum(path: Path) -> str | None:
    return files.sha256(path) if path.is_file() else None


def _people(pairing: Pairing, name: str, outcome: VoteOutcome, counted: Counted) -> People:
    signs = [float(majority(cast)) for _, cast in counted]
    prompts, none = [pair.prompt for pair, _ in counted], [0.0] * len(signs)
    question = outcome.questions.get(name, Question(None, None))
    kept, everybody = question.kept, question.all
    if kept is None or everybody is None:
        raise UserError(
            f"{pairing.folder / runs.VOTES}: pairs have votes on {name} and its question has none; count them again "
            "with `emu vote --results`"
        )
    return People(
        **vars(rates(none, signs, tie=0, prompts=prompts)),
        p=sign_test(outcomes(none, signs, tie=0), prompts).p,
        pairs=len(signs),
        prompts=len(set(prompts)),
        votes=sum(_total(cast) for _, cast in counted),
        raters=_raters(outcome, name, kept=True),
        alpha=kept.alpha,
        pooled=kept.pooled and _shares(kept.pooled),
        all=AllRaters(**vars(_shares(everybody.majority)), raters=_raters(outcome, name, kept=False)),
        judge=_judge(pairing, name, [pair for pair, _ in counted], signs),
    )


def _judge(pairing: Pairing, name: str, pairs: Sequence[Pair], signs: Sequence[float]) -> JudgeOfPeople | None:
    """How often the headline judge and most people say the same of a pair, of those that both have judged."""
    columns = pairing.columns(name)
    both = [(pair, sign) for pair, sign in zip(pairs, signs, strict=True) if pair.judged_by(name)]
    if not columns or not both:
        return None
    pairs, signs = zip(*both, strict=True)
    card = pairing.quality.judges[columns[0]]
    before, after = zip(*(pair.opinions[columns[0]] for pair in pairs), strict=True)
    theirs, ours = outcomes(before, after, tie=card["tie"]), outcomes([0.0] * len(signs), signs, tie=0)
    return JudgeOfPeople(card["name"], same=100 * float((theirs == ours).mean()), kappa=cohen_kappa(theirs, ours))


def _raters(votes: VoteOutcome, name: str, *, kept: bool) -> int:
    rows = [row for row in votes.raters if row.question == name and row.votes]
    return sum(1 for row in rows if row.kept or not kept)
