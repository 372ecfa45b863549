"""The results as plain text for the terminal."""

from collections.abc import Iterator, Mapping, Sequence

from emu.desk.vote.attention import RULE, attention, kept
from emu.desk.vote.poll import Poll
from emu.desk.vote.tally import tally
from emu.desk.vote.votes import Vote, rater_names
from emu.errors import printable
from emu.layouts.votes_json import Attention
from emu.statistics import WinRate
from emu.statistics.strengths import Strength
from emu.terminal.aligned import aligned
from emu.terminal.counted import many

HEAD = ("", "pairs", "votes", "win", "tie", "lose", "95 % of win", "pooled win", "95 %", "alpha")


def table(poll: Poll, votes: Sequence[Vote], ranked: Mapping[str, Sequence[Strength]]) -> str:
    """A row for every two models and question, over the raters kept and over all; then raters and strengths."""
    out = [one for one in attention(votes) if not one.kept]
    ways = [("", kept(votes)), *([(", all raters", list(votes))] if out else [])]
    rows = [list(HEAD)]
    for question in poll.questions:
        for models in dict.fromkeys(match.models for match in poll.matches.values()):
            for name, chosen in ways:
                rows += _rows(f"{question}: {models[1]} against {models[0]}{name}", models, question, chosen)
    names = rater_names(poll)
    lines = [*aligned(rows), "", *(f"left out of {one.question}: {_passed(one, names)}" for one in out)]
    lines += [f"rule: {RULE}" if out else f"no rater was left out; the rule: {RULE}"]
    for question, strongest in ranked.items():
        lines += ["", f"strengths, {question} (Bradley-Terry, log-odds, 95 % over prompts)"]
        lines += [f"  {printable(one.model)}  {_strength(one.strength, *one.ci95)}" for one in strongest]
    return "\n".join(lines)


def _strength(value: float, low: float | None, high: float | None) -> str:
    """`+0.81 [+0.52, +1.10]`; of a model that never lost `above +1.60`, since no vote says how far."""
    if low is not None and high is not None:
        return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
    ends = [f"{word} {end:+.2f}" for word, end in (("above", low), ("below", high)) if end is not None]
    return f"{ends[0]} (all votes went one way)" if ends else f"{value:+.2f} (how sure is not known)"


def _rows(title: str, models: tuple[str, str], question: str, votes: Sequence[Vote]) -> Iterator[list[str]]:
    found = tally([vote for vote in votes if vote.match.models == models], question)
    if found is not None:
        rate = found.majority
        alpha = "-" if found.alpha is None else f"{found.alpha:.2f}"
        pooled = ["-", "-"] if found.pooled is None else [f"{found.pooled.win:.1f}", _interval(found.pooled)]
        rates = [f"{share:.1f}" for share in (rate.win, rate.tie, rate.lose)]
        yield [printable(title), f"{found.pairs:,}", f"{found.votes:,}", *rates, _interval(rate), *pooled, alpha]


def _interval(rate: WinRate) -> str:
    return f"[{rate.ci95[0]:.1f}, {rate.ci95[1]:.1f}]"


def _passed(one: Attention, names: dict[str, str]) -> str:
    return (
        f"{printable(names[one.rater])}, {one.passed} of {many(one.checks, 'check')} passed, {many(one.votes, 'vote')}"
    )
