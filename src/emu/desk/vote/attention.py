"""Raters: how attentive each was, and whom the bar leaves out.

The rule, fixed before any vote is counted: of at least MIN_CHECKS checks in a question, a rater must pass BAR. The bar
is Imagen's (2022), which kept raters who answered at least 80 % of its control trials. All other figures are there to
be read, and leave out nobody.
"""

from collections import Counter
from collections.abc import Sequence
from statistics import median

from emu.desk.vote.questions import MATCH, REPEAT
from emu.desk.vote.votes import Vote
from emu.layouts.votes_json import Attention

BAR = 0.8
MIN_CHECKS = 5
RULE = f"a rater who passes less than {BAR:.0%} of at least {MIN_CHECKS} checks in a question is left out of it"


def attention(votes: Sequence[Vote]) -> list[Attention]:
    """For every rater and question that has answers."""
    keys = list(dict.fromkeys((vote.rater, vote.question) for vote in votes))
    return [_one(*key, [vote for vote in votes if (vote.rater, vote.question) == key]) for key in sorted(keys)]


def kept(votes: Sequence[Vote]) -> list[Vote]:
    """The votes of raters above the bar."""
    out = {(one.rater, one.question) for one in attention(votes) if not one.kept}
    return [vote for vote in votes if (vote.rater, vote.question) not in out]


def _one(rater: str, question: str, votes: Sequence[Vote]) -> Attention:
    checks = [vote.right for vote in votes if vote.right is not None]
    first = {vote.match.key: vote.outcome for vote in votes if vote.kind == MATCH}
    repeats = [vote for vote in votes if vote.kind == REPEAT and vote.match.key in first]
    matches = [vote for vote in votes if vote.kind == MATCH]
    shown = Counter(vote.shown for vote in matches)
    sided = shown["a"] + shown["b"]
    return Attention(
        rater=rater,
        question=question,
        votes=len(matches),
        checks=len(checks),
        passed=sum(checks),
        repeats=len(repeats),
        consistent=sum(vote.outcome == first[vote.match.key] for vote in repeats),
        left=shown["a"] / sided if sided else None,
        commonest=max(shown.values(), default=0) / max(len(matches), 1),
        seconds=median(vote.milliseconds for vote in votes) / 1000,
        kept=len(checks) < MIN_CHECKS or sum(checks) >= BAR * len(checks),
    )
