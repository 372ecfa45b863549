"""What people said stands beside what judges said: of these pictures alone, and whether both say the same."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

from dataclasses import replace

from emu.compare import compare
from emu.compare.people import majority
from emu.desk.vote.questions import CHOICES
from emu.desk.vote.results import write_results
from emu.errors import UserError
from emu.layouts import runs
from emu.layouts.quality_json import read_quality, write_quality
from emu.layouts.votes_json import Cast, read_voted, write_voted
from verdicts import read_verdict
from voters import Table, make_poll

MakeRun = Callable[..., Path]
OPPOSITE = {"second": "first", "first": "second", "tie": "tie"}


def vote(run: Path, chosen: Callable[[int], str], *, raters: int = 3) -> None:
    """All pairs by all raters, appeal alone; `chosen` of a vote's number is first, second or tie."""
    (run / "votes.sqlite").unlink(missing_ok=True)
    table = Table(make_poll(run, appeal=raters, faithfulness=0), *"ABCDEFGH"[:raters])
    number = 0
    for rater in table.raters:
        while (hand := table.hand(rater)).open:
            card = hand.open[0]
            said = chosen(number)
            shown = {"tie": "tie", "first": "b" if card.swapped else "a", "second": "a" if card.swapped else "b"}[said]
            assert shown in CHOICES[card.question]
            table.answer(rater, card, shown)
            number += 1
    write_results(table.poll, [run])
    table.poll.database.close()


def verdict(run: Path) -> tuple[str, dict[str, Any], str, str]:
    """Headline, what people said, page and table."""
    out = run.parent / "report.html"
    table = compare([run], out=out)
    told = read_verdict(run.parent / "verdict.json")
    return told["headline"], told["runs"][0]["people"], out.read_text(), table


def test_people_come_first_and_stand_in_page_and_table(make_run: MakeRun) -> None:
    run = make_run(count=30)
    vote(run, lambda number: "tie" if number < 5 else "second")  # of one rater of three
    headline, people, page, table = verdict(run)
    appeal = people["appeal"]
    assert appeal["pairs"] == 30
    assert appeal["votes"] == 90
    assert appeal["raters"] == appeal["all"]["raters"] == 3
    assert appeal["win"] == 100
    assert appeal["ci95"][0] < 100
    assert appeal["judge"] == {"name": "eye", "same": 100, "kappa": None}
    assert "people find the pictures more beautiful (100 % of 30 pairs won, 0 % lost)" in headline
    assert "pictures win" not in headline
    assert "says the contrary" not in headline
    assert page.count('<tr class="people">') == 1
    assert "people, appeal 3:0" in page
    assert "30 pairs, 90 votes of 3 raters" in page
    assert "latent, appeal by people: 30 pairs, 90 votes of 3 raters" in table
    assert any(line.split()[:3] == ["people", "30", "100.0"] for line in table.splitlines())


def test_a_judge_that_says_the_contrary_is_told_of(make_run: MakeRun) -> None:
    run = make_run(count=30)
    vote(run, lambda number: "first")
    headline, people, _, _ = verdict(run)
    assert people["appeal"]["judge"]["same"] == 0
    assert "people find the pictures less beautiful" in headline
    assert "the judge of appeal says the contrary" in headline


def test_sides_that_change_places_change_win_and_lose(make_run: MakeRun) -> None:
    rng = random.Random(0)
    answers = [rng.choice(["first", "second", "second", "tie"]) for _ in range(60)]
    run = make_run(count=20)
    vote(run, lambda number: answers[number])
    there = verdict(run)[1]["appeal"]
    vote(run, lambda number: OPPOSITE[answers[number]])
    back = verdict(run)[1]["appeal"]
    # Who is dealt which pair hangs on a poll's own secret, so the pooled votes alone are the same ones.
    assert there["pooled"]["win"] == pytest.approx(back["pooled"]["lose"])
    assert there["pooled"]["tie"] == pytest.approx(back["pooled"]["tie"])


def test_a_majority_is_of_most_votes_and_of_nobody_where_two_are_as_common() -> None:
    assert majority(Cast(2, 1, 1)) == 1
    assert majority(Cast(1, 1, 2)) == -1
    assert majority(Cast(2, 1, 2)) == 0
    assert majority(Cast(0, 3, 2)) == 0
    assert majority(Cast(2, 2, 0)) == 0


def test_where_nobody_voted_nothing_is_said_of_people(make_run: MakeRun) -> None:
    headline, people, page, table = verdict(make_run())
    assert people == {}
    assert "people find" not in headline
    assert 'class="people"' not in page
    assert "people" not in table


def test_votes_that_do_not_count_are_told_of(make_run: MakeRun) -> None:
    run = make_run(count=4)
    vote(run, lambda number: "second")
    counted = read_voted(run)
    raters = [replace(row, kept=False) for row in counted.raters]
    pairs = [replace(row, appeal=Cast(after=0, tie=0, before=0)) for row in counted.pairs]
    write_voted(run, replace(counted, raters=raters, pairs=pairs))
    headline, people, page, table = verdict(run)
    assert people == {}
    assert "people find" not in headline
    for text in (page, table):
        assert "latent, appeal by people: none of 3 raters passed the checks, so that no vote counts" in text


def test_without_a_judge_people_alone_are_the_verdict(make_run: MakeRun) -> None:
    run = make_run(count=12)
    (runs.step_folder(run, 20) / runs.SCORES).unlink()
    vote(run, lambda number: "second")
    headline, people, page, _ = verdict(run)
    assert people["appeal"]["judge"] is None
    assert "people find the pictures more beautiful" in headline
    assert "no judge has said" not in headline
    assert "not asked" not in page


@pytest.mark.parametrize("other", ["redrawn", "another run", "another step"])
def test_votes_on_other_pictures_are_refused(make_run: MakeRun, other: str) -> None:
    run = make_run(count=4)
    vote(run, lambda number: "second")
    if other == "redrawn":
        picture = runs.step_folder(run, 20) / "00002.png"
        picture.write_bytes((runs.step_folder(run, 0) / "00001.png").read_bytes())
    elif other == "another run":
        second = make_run("muse", size=16)
        (run / runs.VOTES).rename(second / runs.VOTES)
        run = second
    else:
        (runs.step_folder(run, 20)).rename(runs.step_folder(run, 40))
        write_quality(run, replace(read_quality(run), best_step=40))
        (runs.step_folder(run, 40) / "00000.png").write_bytes((runs.step_folder(run, 0) / "00003.png").read_bytes())
    with pytest.raises(UserError, match=r"votes.json: votes on other pictures than steps 0 and") as refused:
        compare([run], out=run.parent / "report.html")
    assert len(str(refused.value).splitlines()) == 1
    assert not (run.parent / "report.html").exists()
