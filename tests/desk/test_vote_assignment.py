"""Matches fill evenly and exactly, nobody meets one twice, checks come at their share and cannot be told apart."""

import random
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

from emu.desk.dealing import AWAY, Presence
from emu.desk.vote.assignment import AHEAD, Deal
from emu.desk.vote.questions import CHOICES, MATCH, REPEAT
from emu.desk.vote.slots import slots
from voters import Table, make_poll, write_run


def everyone_votes(table: Table, rng: random.Random, *, spread: int = 100) -> list[Any]:
    """Raters in any order until nobody has a card left; returns all cards. The fill is held even on the way."""
    busy = list(table.raters)
    while busy:
        rater = rng.choice(busy)
        hand = table.hand(rater)
        if hand.open:
            table.answer(rater, hand.open[0], rng.choice(CHOICES[hand.question]))
        else:
            busy.remove(rater)
        held = Counter(dict.fromkeys(table.poll.matches, 0))
        held.update(card.pair for card in table.cards() if card.kind == MATCH)
        assert max(held.values()) - min(held.values()) <= spread
    return table.cards()


@pytest.mark.parametrize("raters", [3, 5, 8])
def test_every_pair_gets_its_votes_and_no_rater_meets_it_twice(tmp_path: Path, raters: int) -> None:
    table = Table(make_poll(write_run(tmp_path / "run", 8), appeal=5), *"ABCDEFGH"[:raters])
    found = everyone_votes(table, random.Random(raters), spread=2)
    votes = Counter(card.pair for card in found)
    assert set(votes.values()) == {min(raters, 5)}
    assert len(votes) == 8
    assert max(Counter((card.rater, card.pair) for card in found).values()) == 1


def test_sides_are_even_and_each_raters_own(tmp_path: Path) -> None:
    table = Table(make_poll(write_run(tmp_path / "run", 60), appeal=4), *"ABCD")
    found = {(rater, key): side_shown(table, rater, key) for rater in table.raters for key in table.poll.matches}
    assert 0.37 < sum(found.values()) / len(found) < 0.63  # four standard deviations of 240 coins
    orders = {tuple(found[rater, key] for key in table.poll.matches) for rater in table.raters}
    assert len(orders) == 4


def side_shown(table: Table, rater: int, key: str) -> bool:
    with table.poll.database.reading() as connection:
        return Deal(table.poll, connection, rater, "appeal").side(MATCH, key)


def test_checks_and_repeats_come_at_their_share(tmp_path: Path) -> None:
    poll = make_poll(write_run(tmp_path / "run", 40), checks=0.1, repeats=0.05, training=4, faithfulness=0)
    table = Table(poll, "Ada")
    found = everyone_votes(table, random.Random(0))
    kinds = Counter(card.kind for card in found)
    assert kinds[MATCH] == 40
    assert kinds["training-degraded"] == kinds["training-identical"] == 2
    assert kinds["degraded"] + kinds["identical"] in (4, 5)
    assert kinds[REPEAT] in (1, 2, 3)  # the first twenty cards may ask for one when nothing can be repeated yet
    first = {card.pair: card for card in found if card.kind == MATCH}
    for card in (card for card in found if card.kind == REPEAT):
        assert card.swapped != first[card.pair].swapped
        assert card.position - first[card.pair].position >= 8
    assert [card.kind.startswith("training") for card in found] == [True] * 4 + [False] * (len(found) - 4)


@pytest.mark.parametrize(("checks", "repeats"), [(0.1, 0.05), (0.3, 0.0), (0.4, 0.4), (0.5, 0.4), (0.45, 0.07)])
def test_cards_beside_the_votes_are_as_many_as_was_asked_for(tmp_path: Path, checks: float, repeats: float) -> None:
    poll = make_poll(write_run(tmp_path / "run", 3), checks=checks, repeats=repeats)
    kinds = Counter(islice(slots(poll, 1, "appeal"), 2000))
    assert kinds["degraded"] + kinds["identical"] == pytest.approx(2000 * checks, abs=1)
    assert kinds[REPEAT] == pytest.approx(2000 * repeats, abs=2)
    assert kinds[MATCH] == pytest.approx(2000 * (1 - checks - repeats), abs=3)


def test_where_a_check_comes_depends_on_the_rater_and_the_secret(tmp_path: Path) -> None:
    one = make_poll(write_run(tmp_path / "one"), checks=0.1)
    other = make_poll(write_run(tmp_path / "other"), checks=0.1)
    seen = set()
    for poll, rater in ((one, 1), (one, 2), (other, 1)):
        kinds = slots(poll, rater, "appeal")
        seen.add(tuple(next(kinds) for _ in range(100)))
    assert len(seen) == 3
    assert {sum(kind != MATCH for kind in kinds) for kinds in seen} == {10}


def test_a_check_takes_no_repeat_away(tmp_path: Path) -> None:
    poll = make_poll(write_run(tmp_path / "run"), checks=0.2, repeats=0.2, training=0)
    for rater in range(20):  # both are drawn on one place a hundred times here
        kinds = list(islice(slots(poll, rater, "appeal"), 100))
        late = kinds[-1] != REPEAT and kinds.count(REPEAT) == 19  # the last one's place is the hundred-and-first
        assert kinds.count(REPEAT) == 20 or late
        assert kinds.count(MATCH) == 80 - kinds.count(REPEAT)


def test_the_bar_moves_alike_for_checks_and_votes(tmp_path: Path) -> None:
    poll = make_poll(write_run(tmp_path / "run", 20), checks=0.2, repeats=0.1, training=2, faithfulness=0)
    table = Table(poll, "Ada")
    told = []
    while (hand := table.hand(table.raters[0])).open:
        told.append((hand.answered, hand.total))
        table.answer(table.raters[0], hand.open[0], "tie")
    assert [answered for answered, _ in told] == list(range(len(told)))
    assert {total for _, total in told[14:]} == {len(told)}
    # A repeat with nothing to repeat yet is one card less, and with it may go a check and a repeat just before the end.
    assert max(total for _, total in told) - min(total for _, total in told) <= 3


def test_what_a_rater_leaves_behind_goes_to_others_and_is_not_voted_too_often(tmp_path: Path) -> None:
    table = Table(make_poll(write_run(tmp_path / "run", 4), appeal=1), "Ada", "Bo")
    ada, bo = table.raters
    left = table.hand(ada).open
    assert len(left) == AHEAD
    answered = set()
    while (hand := table.hand(bo)).open:
        answered.add(hand.open[0].pair)
        table.answer(bo, hand.open[0], "a")
    assert len(answered) == 1  # Ada is here: hers stay hers
    table.presence = Presence(seen={ada: time.monotonic() - AWAY - 1})
    while (hand := table.hand(bo)).open:
        answered.add(hand.open[0].pair)
        table.answer(bo, hand.open[0], "a")
    assert len(answered) == 4
    assert table.hand(ada).open == []
    assert table.answer(ada, left[0], "a") == "unknown"


def test_one_prompt_alone_has_no_foreign_picture_to_check_with(tmp_path: Path) -> None:
    poll = make_poll(write_run(tmp_path / "run", prompts=["the same"] * 3), training=2, appeal=0)
    hand = Table(poll, "Ada").hand(1)
    assert {card.kind for card in hand.open} == {"training-identical", MATCH}


def test_a_study_of_one_pair_works(tmp_path: Path) -> None:
    poll = make_poll(write_run(tmp_path / "run", 1), checks=0.5, repeats=0.4, training=4)
    table = Table(poll, "Ada")
    found = everyone_votes(table, random.Random(1))
    assert sum(card.kind == MATCH for card in found) == 1
