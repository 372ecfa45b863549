"""Results: the majority rule, both ways of counting, the attention bar, exports and strengths."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")
pytest.importorskip("choix", reason="the extra `desk` is not installed")

from emu.desk.vote.attention import attention, kept
from emu.desk.vote.exports import write_dpo, write_votes
from emu.desk.vote.matches import Match
from emu.desk.vote.questions import DEGRADED, FOREIGN, IDENTICAL, MATCH, accepted
from emu.desk.vote.results import write_results
from emu.desk.vote.tally import majority, pooled, tally
from emu.desk.vote.votes import Vote, read_votes
from emu.errors import UserError
from emu.layouts import runs
from emu.layouts.votes_json import Cast, read_voted
from voters import Table, make_poll, write_run

Choose = Callable[[Any], str]  # the outcome that a rater wants of a card


def vote(prompt: int, found: str, *, rater: str = "rater-1", kind: str = MATCH, right: bool | None = None) -> Vote:
    match = Match(str(prompt), f"prompt {prompt}", 0, Path("a.png"), Path("b.png"), ("base", "tuned"), 0)
    return Vote(rater, "appeal", kind, match, found, "a", right, "", 1000, 0.0)


@pytest.mark.parametrize(
    ("signs", "told"),
    [
        ([1], 1), ([1, 1, 1, -1, -1], 1), ([1, 1, 0, 0, -1], 0), ([1, -1], 0), ([0, 0, 1], 0), ([-1, -1, 1, 0], -1),
        ([1, 1, -1, -1, 0], 0), ([-1, -1, -1, 0, 0], -1),
    ],
)  # fmt: skip
def test_the_majority_is_what_most_say_and_a_draw_is_a_tie(signs: list[int], told: int) -> None:
    assert majority(signs) == told


@given(st.lists(st.sampled_from([1, 0, -1]), min_size=1, max_size=9))
def test_the_majority_knows_no_order_and_no_side(signs: list[int]) -> None:
    assert majority(signs) == majority(signs[::-1]) == -majority([-sign for sign in signs])


def test_pooled_and_majority_differ_and_both_and_neither_are_ties() -> None:
    votes = [
        vote(0, "second"),
        vote(0, "second"),
        vote(0, "first"),
        vote(1, "both"),
        vote(1, "neither"),
        vote(1, "first"),
    ]
    told = tally(votes, "appeal")
    assert told is not None
    assert (told.pairs, told.votes) == (2, 6)
    assert (told.majority.win, told.majority.tie, told.majority.lose) == (50, 50, 0)
    assert told.pooled is not None
    assert (told.pooled.win, told.pooled.tie, told.pooled.lose) == pytest.approx((100 / 3,) * 3)


def test_the_pooled_interval_covers_the_truth_though_votes_on_a_prompt_agree() -> None:
    """100 prompts with five votes each that lean one way; by votes the interval covers 80 %, by prompts about 95 %."""
    rng, covered, naive = np.random.default_rng(0), 0, 0
    for _ in range(100):
        chance = rng.beta(1.3, 0.7, 60)
        votes = [vote(i, "second" if rng.random() < chance[i] else "first") for i in range(60) for _ in range(5)]
        told = pooled(votes)
        assert told is not None
        covered += told.ci95[0] <= 65 <= told.ci95[1]
        half = 196 * np.sqrt(told.win / 100 * (1 - told.win / 100) / 300)
        naive += abs(told.win - 65) <= half
    assert covered >= 0.88 * 100
    assert naive < 0.88 * 100


def test_one_prompt_has_no_pooled_interval_and_no_votes_no_tally() -> None:
    told = tally([vote(0, "second"), vote(0, "second")], "appeal")
    assert told is not None
    assert told.pooled is None
    assert told.alpha is None
    assert tally([], "appeal") is None


@pytest.mark.parametrize(
    ("passed", "checks", "stays"), [(4, 5, True), (3, 5, False), (0, 4, True), (8, 10, True), (7, 10, False)]
)
def test_the_attention_bar(passed: int, checks: int, stays: bool) -> None:
    votes = [vote(i, "second") for i in range(9)]
    votes += [vote(i, "first", kind=DEGRADED, right=i < passed) for i in range(checks)]
    (one,) = attention(votes)
    assert (one.passed, one.checks, one.kept) == (passed, checks, stays)
    assert bool(kept(votes)) == stays


def test_what_a_check_accepts() -> None:
    assert accepted("appeal", DEGRADED, swapped=False) == {"a"}
    assert accepted("appeal", DEGRADED, swapped=True) == {"b"}
    assert accepted("appeal", IDENTICAL, swapped=True) == {"tie"}
    assert accepted("faithfulness", IDENTICAL, swapped=False) == {"both", "neither"}
    assert accepted("faithfulness", f"training-{FOREIGN}", swapped=True) == {"b", "neither"}


# Whole studies, voted on without a page.


def second_of(card: Any) -> str:
    return "a" if card.swapped else "b"


def honest(card: Any) -> str:
    """Passes every check, prefers the picture after tuning."""
    if card.kind == MATCH or card.kind == "repeat":
        return second_of(card)
    return min(accepted(card.question, card.kind, swapped=card.swapped))


def careless(card: Any) -> str:
    """Fails every check, prefers the picture before tuning."""
    if card.kind == MATCH or card.kind == "repeat":
        return "b" if card.swapped else "a"
    options = {"a", "b"} - accepted(card.question, card.kind, swapped=card.swapped)
    return max(options)


def vote_all(table: Table, *ways: Choose) -> None:
    for rater, choose in zip(table.raters, ways, strict=True):
        while True:
            while hand := table.hand(rater).open:
                table.answer(rater, hand[0], choose(hand[0]))
            if not table.begin(rater).open:
                break


@pytest.fixture(scope="module")
def voted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """Two raters who look and one who does not, over 24 pairs."""
    run = write_run(tmp_path_factory.mktemp("voted") / "run", 24)
    poll = make_poll(run, checks=0.25, repeats=0.1, training=2)
    table = Table(poll, "Ada", "Bo", "Cleo")
    vote_all(table, honest, honest, careless)
    yield table
    poll.database.close()


def test_sides_are_turned_back_and_both_ways_of_counting_stand_in_the_file(voted: Table) -> None:
    run = next(iter(voted.poll.matches.values())).first.parents[1]
    text = write_results(voted.poll, [run])
    outcome = read_voted(run)
    for question in ("appeal", "faithfulness"):
        figures = outcome.questions[question]
        assert figures.kept.majority.win == 100
        assert figures.kept.votes == 48
        assert figures.all.votes == 72
        assert figures.all.majority.win == 100
        assert figures.all.pooled.win == pytest.approx(200 / 3)
    out = {(one.rater, one.kept) for one in outcome.raters}
    assert out == {("rater-1", True), ("rater-2", True), ("rater-3", False)}
    assert all(one.consistent == one.repeats for one in outcome.raters)
    assert sum(one.repeats for one in outcome.raters) > 0  # chance deals them; one rater may get none
    assert outcome.pairs[0].appeal == Cast(after=2, tie=0, before=0)
    assert outcome.pairs[0].appeal_all == Cast(after=2, tie=0, before=1)
    assert "Cleo" in text
    assert "Ada" not in (run / runs.VOTES).read_text() + text
    assert outcome.before == "run step 0"


def test_an_answer_taken_back_is_no_vote(voted: Table) -> None:
    before = len(read_votes(voted.poll))
    last = voted.hand(voted.raters[0]).last
    assert voted.answer(voted.raters[0], last, "undo") == "stored"
    assert len(read_votes(voted.poll)) == before - 1
    card = voted.hand(voted.raters[0]).open[0]
    assert voted.answer(voted.raters[0], card, honest(card)) == "stored"
    assert len(read_votes(voted.poll)) == before


def test_exports_read_back(voted: Table, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere" / "dpo.jsonl"
    assert write_dpo(voted.poll, out) == 24
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    for row in rows:
        assert (out.parent / row["chosen"]).resolve().parent.name == "step-000020"
        assert (out.parent / row["rejected"]).resolve().parent.name == "step-000000"
        assert (out.parent / row["chosen"]).is_file()
        assert (row["votes_for"], row["votes_against"]) == (2, 0)
    votes = tmp_path / "votes.jsonl"
    count = write_votes(voted.poll, votes)
    lines = [json.loads(line) for line in votes.read_text().splitlines()]
    assert len(lines) == count
    assert sum(line["counted"] for line in lines) == 96
    assert {line["kind"] for line in lines} == {"match", "repeat", "degraded", "identical", "foreign"}


def test_several_runs_are_ranked_over_their_common_base(tmp_path: Path) -> None:
    weak = write_run(tmp_path / "weak", 12, base=0, tuned=1)
    strong = write_run(tmp_path / "strong", 12, base=0, tuned=2)
    poll = make_poll(weak, strong, appeal=2, faithfulness=0, across=True)
    assert {model for match in poll.matches.values() for model in match.models} == {
        "weak step 0", "weak step 20", "strong step 20",
    }  # fmt: skip
    assert len(poll.matches) == 36
    rank = {"weak step 0": 0, "weak step 20": 1, "strong step 20": 2}
    rng = np.random.default_rng(0)

    def mostly(card: Any) -> str:
        first, second = poll.matches[card.pair].models
        better = second_of(card) if rank[second] > rank[first] else {"a": "b", "b": "a"}[second_of(card)]
        return better if rng.random() < 0.85 else {"a": "b", "b": "a"}[better]

    table = Table(poll, "Ada", "Bo")
    vote_all(table, mostly, mostly)
    text = write_results(poll, [weak, strong])
    ranked = read_voted(strong).strengths["appeal"]
    assert [one.model for one in ranked] == ["strong step 20", "weak step 20", "weak step 0"]
    assert all(one.ci95[0] < one.strength < one.ci95[1] for one in ranked)
    assert read_voted(weak).strengths["appeal"] == ranked
    assert len(read_voted(weak).pairs) == 12
    assert "appeal: strong step 20 against weak step 20" in text
    poll.database.close()


def test_no_votes_are_no_results(tmp_path: Path) -> None:
    poll = make_poll(write_run(tmp_path / "run", 3))
    with pytest.raises(UserError, match="no votes yet"):
        write_results(poll, [tmp_path / "run"])
    assert not (tmp_path / "run" / runs.VOTES).exists()
    poll.database.close()
