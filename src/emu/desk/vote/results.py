"""Results: `votes.json` in every run folder, and a table for the terminal.

Every figure stands twice: over all raters, and without those below the attention bar.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from emu.desk.vote.attention import RULE, attention, kept
from emu.desk.vote.matches import Match
from emu.desk.vote.poll import Poll
from emu.desk.vote.questions import APPEAL, FAITHFULNESS, MATCH
from emu.desk.vote.table import table
from emu.desk.vote.tally import sign, tally
from emu.desk.vote.votes import Vote, read_votes
from emu.errors import UserError
from emu.layouts.votes_json import Cast, Question, Voted, VoteOutcome, write_voted
from emu.statistics.strengths import Comparison, Strength, strengths

MAJORITY = "the answer of most votes on a pair; where two are equally common, a tie; both and neither are ties"


def write_results(poll: Poll, folders: Sequence[Path]) -> str:
    """Write `votes.json` into the run folders, in the order in which they were given; return the table."""
    votes = read_votes(poll)
    if not any(vote.kind == MATCH for vote in votes):
        raise UserError("no votes yet; open the page with emu vote RUN")
    ranked = ranking(poll, kept(votes))
    for number, folder in enumerate(folders):
        write_voted(folder, outcome(poll, votes, ranked, run=number))
    return table(poll, votes, ranked)


def outcome(poll: Poll, votes: Sequence[Vote], ranked: dict[str, list[Strength]], *, run: int) -> VoteOutcome:
    """The results of one run, by its number."""
    mine = [vote for vote in votes if vote.kind != MATCH or vote.match.run == run]
    clean = kept(mine)
    matches = [match for match in poll.matches.values() if match.run == run]
    before, after = matches[0].models
    return VoteOutcome(
        before=before,
        after=after,
        rules={"majority": MAJORITY, "attention": RULE},
        questions={question: Question(tally(clean, question), tally(mine, question)) for question in poll.questions},
        raters=attention(mine),
        pairs=_pairs(matches, poll.questions, clean, mine),
        strengths=ranked,
    )


def ranking(poll: Poll, votes: Sequence[Vote]) -> dict[str, list[Strength]]:
    """Question -> Bradley-Terry strengths, strongest first, where more than two models were compared and linked."""
    found = {}
    for question in poll.questions:
        compared = [_comparison(vote) for vote in votes if vote.kind == MATCH and vote.question == question]
        if len({model for one in compared for model in (one.first, one.second)}) > 2:
            try:
                found[question] = strengths(compared)
            except ValueError:  # runs without a common base, not held against each other: nothing ranks them
                continue
    return found


def _comparison(vote: Vote) -> Comparison:
    first, second = vote.match.models
    return Comparison(vote.match.prompt, first, second, (1 - sign(vote.outcome)) / 2)


def _pairs(matches: Sequence[Match], asked: Sequence[str], clean: Sequence[Vote], votes: Sequence[Vote]) -> list[Voted]:
    kept_votes, all_votes = _cast(clean), _cast(votes)

    def cast(match: Match, question: str) -> tuple[Cast | None, Cast | None]:
        key = (match.key, question)
        return (kept_votes[key], all_votes[key]) if question in asked else (None, None)

    return [
        Voted(
            *(match.prompt, match.seed, match.key, match.first.name, match.second.name),
            *cast(match, APPEAL),
            *cast(match, FAITHFULNESS),
        )
        for match in matches
    ]


def _cast(votes: Sequence[Vote]) -> dict[tuple[str, str], Cast]:
    """(match, question) -> its votes; none of them where nobody has answered."""
    signs: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for vote in votes:
        if vote.kind == MATCH:
            signs[vote.match.key, vote.question][sign(vote.outcome)] += 1
    counted = {key: Cast(after=count[1], tie=count[0], before=count[-1]) for key, count in signs.items()}
    return defaultdict(lambda: Cast(0, 0, 0), counted)
