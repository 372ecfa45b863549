"""Results: `votes.json` in every run folder, and a table for the terminal.

Every figure stands twice: over all raters, and without those below the attention bar.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emu import runs
from emu.desk.vote.attention import RULE, attention, kept
from emu.desk.vote.matches import Match
from emu.desk.vote.questions import MATCH
from emu.desk.vote.study import Study
from emu.desk.vote.tally import sign, tally
from emu.desk.vote.votes import Vote, read_votes
from emu.errors import UserError
from emu.statistics.strengths import Comparison, strengths

MAJORITY = "the answer of most votes on a pair; where two are equally common, a tie; both and neither are ties"
WORDS = {1: "after", 0: "tie", -1: "before"}


def write_results(study: Study, folders: Sequence[Path]) -> str:
    """Write `votes.json` into the run folders, in the order in which they were given; return the table."""
    votes = read_votes(study)
    if not any(vote.kind == MATCH for vote in votes):
        raise UserError("no votes yet; open the page with emu vote RUN")
    ranked = ranking(study, kept(votes))
    for number, folder in enumerate(folders):
        mine = [vote for vote in votes if vote.kind != MATCH or vote.match.run == number]
        runs.write_votes(folder, {**run_results(study, mine, run=number), "strengths": ranked})
    from emu.desk.vote.table import table

    return table(study, votes, ranked)


def run_results(study: Study, votes: Sequence[Vote], *, run: int) -> dict[str, Any]:
    """What `votes.json` says of one run (docs/architecture.md), but for the strengths."""
    matches = [match for match in study.matches.values() if match.run == run]
    clean = kept(votes)
    return {
        "before": matches[0].models[0],
        "after": matches[0].models[1],
        "rules": {"majority": MAJORITY, "attention": RULE},
        "questions": {
            question: {name: figures(chosen, question) for name, chosen in (("kept", clean), ("all", votes))}
            for question in study.questions
        },
        "raters": [{**asdict(one), "kept": one.kept} for one in attention(votes)],
        "pairs": [_pair(match, votes, clean, study.questions) for match in matches],
    }


def figures(votes: Sequence[Vote], question: str) -> dict[str, Any] | None:
    """A question's tally as JSON takes it; None where nobody has answered it."""
    told = tally([vote for vote in votes if vote.kind == MATCH and vote.question == question])
    return None if told is None else asdict(told)


def ranking(study: Study, votes: Sequence[Vote]) -> dict[str, list[dict[str, Any]]]:
    """Question -> Bradley-Terry strengths, strongest first, where more than two models were compared and linked."""
    found = {}
    for question in study.questions:
        compared = [_comparison(vote) for vote in votes if vote.kind == MATCH and vote.question == question]
        if len({model for one in compared for model in (one.first, one.second)}) > 2:
            try:
                found[question] = [asdict(one) for one in strengths(compared)]
            except ValueError:  # runs without a common base, not held against each other: nothing ranks them
                continue
    return found


def _comparison(vote: Vote) -> Comparison:
    first, second = vote.match.models
    return Comparison(vote.match.prompt, first, second, (1 - sign(vote.outcome)) / 2)


def _pair(match: Match, votes: Sequence[Vote], clean: Sequence[Vote], questions: Sequence[str]) -> dict[str, Any]:
    """A pair's votes by question: {"after", "tie", "before"}, of raters above the bar, and of all."""
    told: dict[str, Any] = {"prompt": match.prompt, "seed": match.seed, "key": match.key}
    told |= {"before": match.first.name, "after": match.second.name}
    for question in questions:
        for name, chosen in ((question, clean), (f"{question}_all", votes)):
            cast = Counter(
                WORDS[sign(vote.outcome)]
                for vote in chosen
                if vote.kind == MATCH and vote.question == question and vote.match.key == match.key
            )
            told[name] = {word: cast[word] for word in WORDS.values()}
    return told
