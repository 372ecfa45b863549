"""Answers count once, whatever arrives how often and in which order."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

import sqlalchemy
from sqlalchemy import select

from emu.desk.database import Database
from emu.desk.deck import Answer
from emu.desk.vote.ballots import answer
from emu.desk.vote.cards import cards, events
from emu.desk.vote.poll import Poll
from emu.errors import UserError
from voters import Table, make_poll, write_run


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    poll = make_poll(write_run(tmp_path / "run"))
    yield Table(poll, "Ada", "Bo")
    poll.database.close()


def test_the_same_answer_twice_is_stored_once(table: Table) -> None:
    rater = table.raters[0]
    card = table.hand(rater).open[0]
    assert [table.answer(rater, card, "a") for _ in range(3)] == ["stored"] * 3
    assert table.stored() == [(0, "a")]
    assert table.hand(rater).open[0].id != card.id


def test_another_answer_from_a_stale_tab_changes_nothing(table: Table) -> None:
    rater = table.raters[0]
    card = table.hand(rater).open[0]
    assert table.answer(rater, card, "a") == "stored"
    assert table.answer(rater, card, "b") == "stale"
    assert table.stored() == [(0, "a")]


def test_undo_brings_the_card_back_and_a_late_copy_of_its_answer_stays_taken_back(table: Table) -> None:
    rater = table.raters[0]
    card = table.hand(rater).open[0]
    table.answer(rater, card, "a")
    last = table.hand(rater).last
    assert last is not None
    assert [table.answer(rater, last, "undo") for _ in range(2)] == ["stored"] * 2
    again = table.hand(rater)
    assert (again.open[0].id, again.open[0].turn, again.answered) == (card.id, 2, 0)
    assert table.answer(rater, card, "a") == "stored"  # acknowledged: it was stored, and then taken back
    assert table.hand(rater).open[0].choice is None
    assert table.answer(rater, again.open[0], "tie") == "stored"
    assert table.stored() == [(0, "a"), (1, "undo"), (2, "tie")]


def test_only_the_last_answer_is_taken_back(table: Table) -> None:
    rater = table.raters[0]
    first, second = table.hand(rater).open[:2]
    for card in (first, second):
        table.answer(rater, card, "b")
    assert table.answer(rater, first, "undo", turn=1) == "stale"
    assert table.answer(rater, second, "undo", turn=1) == "stored"
    assert table.answer(rater, first, "undo", turn=1) == "stored"


def test_a_card_is_its_own_raters_alone(table: Table) -> None:
    one, other = table.raters
    card = table.hand(one).open[0]
    assert table.answer(other, card, "a") == "unknown"
    assert table.answer(one, card, "a", id="0" * 32) == "unknown"
    assert table.stored() == []


@pytest.mark.parametrize("choice", ["both", "neither", "", "undo", "first", "A"])
def test_only_the_answers_of_the_question_are_taken(table: Table, choice: str) -> None:
    rater = table.raters[0]
    assert table.answer(rater, table.hand(rater).open[0], choice) == "stale"
    assert table.stored() == []


def test_the_captions_come_last_and_close_the_first_question(table: Table) -> None:
    rater = table.raters[0]
    assert table.begin(rater).question == "appeal"
    while card := next(iter(table.hand(rater).open), None):
        table.answer(rater, card, "a")
    before = table.hand(rater).last
    assert table.begin(rater).question == "faithfulness"
    assert before is not None
    assert table.answer(rater, before, "undo") == "stale"
    assert table.hand(rater).question == "faithfulness"


@pytest.mark.parametrize("seed", range(3))
def test_whatever_arrives_the_log_and_what_stands_agree(tmp_path: Path, seed: int) -> None:
    """Messages of two raters are sent again, late and out of order; what is kept is what an honest log would say."""
    poll = make_poll(write_run(tmp_path / "run", 5), appeal=2)
    table, rng = Table(poll, "Ada", "Bo"), random.Random(seed)
    sent: list[tuple[int, Any, str]] = []
    for _ in range(80):
        rater = rng.choice(table.raters)
        hand = table.hand(rater)
        if hand.open:
            sent.append((rater, rng.choice(hand.open), rng.choice(["a", "b", "tie", "undo"])))
        if hand.last is not None:
            sent.append((rater, hand.last, "undo"))
        for message in rng.sample(sent, min(3, len(sent))):
            table.answer(*message)
    with poll.database.reading() as connection:
        log = connection.execute(select(events).order_by(events.c.card, events.c.turn)).all()
        standing = connection.execute(select(cards)).all()
    assert max(Counter((row.card, row.turn) for row in log).values()) == 1
    for card in standing:
        mine = [row for row in log if row.card == card.id]
        assert [row.turn for row in mine] == list(range(card.turn))
        assert [row.choice == "undo" for row in mine] == [turn % 2 == 1 for turn in range(card.turn)]
        assert card.choice == (mine[-1].choice if mine and mine[-1].choice != "undo" else None)
    poll.database.close()


def test_a_clock_that_jumps_changes_neither_order_nor_count(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    rater = table.raters[0]
    for clock in (2e9, 1.0, 3e9):
        monkeypatch.setattr(time, "time", lambda now=clock: now)
        table.answer(rater, table.hand(rater).open[0], "a")
    hand = table.hand(rater)
    assert (hand.answered, len(table.stored())) == (3, 3)
    assert hand.last is not None
    assert hand.last.position == 2


def test_a_full_disk_stores_nothing_and_goes_on_after(table: Table) -> None:
    rater = table.raters[0]
    card = table.hand(rater).open[0]
    with table.poll.database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    long = "x" * 1_000_000
    limited = Database(table.poll.database.engine.url)
    sqlalchemy.event.listen(limited.engine, "connect", lambda c, _: c.execute(f"PRAGMA max_page_count={pages}"))
    limited.engine.dispose()
    poll = Poll(limited, table.poll.matches, table.poll.options, table.poll.secret)
    with pytest.raises(sqlalchemy.exc.OperationalError, match="full"), limited.writing() as connection:
        answer(poll, connection, rater, Answer(id=card.id, turn=0, choice="a", reason=long))
    limited.close()
    assert table.stored() == []
    assert table.answer(rater, card, "a") == "stored"


def test_a_database_that_is_none_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "votes.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(UserError, match="--db"):
        Database(f"sqlite:///{tmp_path}/votes.sqlite")
    with pytest.raises(UserError, match="--db"):
        Database("nonsense")
    with pytest.raises(UserError, match="--db"):
        Database("oracle+nodriver://x")
