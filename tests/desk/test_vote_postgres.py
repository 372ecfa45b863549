"""The same promises on PostgreSQL, on a server of the test's own where one is installed."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytest.importorskip("starlette", reason="the extra `desk` is not installed")

import postgres
from emu.desk.database import Database, metadata
from emu.desk.vote.poll import Poll
from emu.desk.vote.questions import CHOICES
from emu.desk.vote.results import write_results
from emu.errors import UserError
from voters import Table, Voter, invite, make_poll, served, write_run

pytestmark = pytest.mark.skipif(postgres.programs() is None, reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.fixture
def poll(tmp_path: Path, url: str) -> Iterator[Poll]:
    made = make_poll(write_run(tmp_path / "run", 8), url=url, checks=0.2, repeats=0.1, training=2)
    yield made
    metadata.drop_all(made.database.engine)
    made.database.close()


def test_raters_at_once_give_every_pair_its_votes(poll: Poll, tmp_path: Path) -> None:
    """Eight raters race in threads, each message sent twice."""
    with served(poll) as port:
        voters = [Voter(port).join(token) for token in invite(poll, *"ABCDEFGH")]

        def vote(voter: Voter, rng: random.Random) -> None:
            while True:
                while (hand := voter.hand())["cards"]:
                    card, choice = hand["cards"][0], rng.choice(CHOICES[hand["question"]])
                    assert [voter.answer(card, choice)[0] for _ in range(2)] == [200, 200]
                if hand["next"] is None or not voter.post("/begin")[1]["cards"]:
                    return

        threads = [threading.Thread(target=vote, args=(voter, random.Random(i))) for i, voter in enumerate(voters)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    table = Table(poll)
    for question, wanted in (("appeal", 5), ("faithfulness", 3)):
        votes = Counter(card.pair for card in table.cards() if card.question == question and card.kind == "match")
        assert set(votes.values()) == {wanted}
    assert len(table.stored()) == len(table.cards())
    assert "appeal" in write_results(poll, [tmp_path / "run"])


def test_undo_and_stale_tabs(poll: Poll) -> None:
    table = Table(poll, "Ada")
    rater = table.raters[0]
    for _ in range(3):
        card = table.hand(rater).open[0]
        assert [table.answer(rater, card, "a") for _ in range(2)] == ["stored"] * 2
        assert table.answer(rater, card, "b") == "stale"
    last = table.hand(rater).last
    assert table.answer(rater, last, "undo") == "stored"
    assert [choice for _, choice in table.stored()] == ["a", "a", "a", "undo"]


def test_writers_take_turns_before_anything_is_begun(tmp_path: Path, url: str) -> None:
    """Two servers that begin one study at once begin the same: neither finds it not there and makes it then."""
    run = write_run(tmp_path / "run", 3)
    first = Database(url)
    metadata.drop_all(first.engine)
    made: list[Poll] = []
    others = [threading.Thread(target=lambda: made.append(make_poll(run, url=url))) for _ in range(3)]
    with first.writing():
        for other in others:
            other.start()
        others[0].join(1)
        assert not made
    for other in others:
        other.join()
    assert len({poll.secret for poll in made}) == 1
    assert len(made) == 3
    for poll in made:
        poll.database.close()
    metadata.drop_all(first.engine)
    first.close()


def test_an_id_that_no_database_takes_is_no_cards(poll: Poll) -> None:
    with served(poll) as port:
        voter = Voter(port).join(*invite(poll, "Ada"))
        assert voter.send("GET", "/picture/%00/a")[0] == 404
        assert voter.answer({"id": "\0", "turn": 0}, "a")[0] == 404


def test_a_server_that_does_not_answer_is_told() -> None:
    with pytest.raises(UserError, match="--db"):
        Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
