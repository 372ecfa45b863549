"""Who looks at what, in any order of raters and with any secret: evenly, nobody twice, one pass after the other."""

import random
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("sqlalchemy", reason="the extra `desk` is not installed")

from emu.desk.dealing import AWAY
from emu.desk.raters import revoke
from emu.desk.review.dealing import Filter
from emu.desk.review.pictures import read_pictures
from emu.desk.review.plan import Pass, read_plan
from emu.desk.review.results import results
from emu.desk.review.standing import waiting_words
from emu.flags import find_config
from reviewers import CAPTION, KEEP, REJECT, Desk, make_review, plan, write_folder


def test_scores_are_what_was_measured_and_no_number_that_names_a_picture(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, 2)
    files = [f"images/{i:04d}.png" for i in range(2)]
    columns = {"row": pa.array([3, 4]), "phash": pa.array([5, 2**64 - 1], pa.uint64()), "file": pa.array(files)}
    scores = {"short_side": pa.array([64, 48]), "detail": pa.array([0.5, None], pa.float64())}
    pq.write_table(pa.table({**columns, **scores}), folder / "manifest.parquet")
    measured = [dict(one.scores) for one in read_pictures(folder).values()]
    assert measured == [{"short_side": 64, "detail": 0.5}, {"short_side": 48}]


@pytest.mark.parametrize("raters", [2, 3, 5])
def test_every_picture_gets_its_looks_and_nobody_meets_one_twice(tmp_path: Path, raters: int) -> None:
    one = Pass("first", "single", votes=2, overlap=0.25)
    desk = Desk(make_review(write_folder(tmp_path, 24), plan(one)), *"ABCDE"[:raters])
    rng, busy, seen = random.Random(raters), list(desk.raters), Counter[tuple[str, str]]()
    while busy:
        name = rng.choice(busy)
        hand = desk.hand(name, "first")
        if not hand.open:
            busy.remove(name)
        for look in hand.open[: rng.randint(1, 3)]:
            assert desk.answer(name, "first", look) == "stored"
            seen[name, look.picture] += 1
    assert max(seen.values()) == 1
    looked = Counter(key for _, key in seen)
    wanted = {key: min(raters, desk.review.wanted(one, key)) for key in desk.review.pictures}
    assert looked == wanted
    assert sorted(desk.review.wanted(one, key) for key in desk.review.pictures) == [2] * 18 + [3] * 6


def test_who_reviews_alone_decides_alone(tmp_path: Path) -> None:
    """The paper's own plan asks for two looks and for overlap: with one rater nothing waits for a second."""
    usual = read_plan(find_config("review/paper"))
    desk = Desk(make_review(write_folder(tmp_path, 24), usual), "me", arbiter=True)
    for one in usual.passes:
        assert desk.standing().waiting(one) == {1: 24}
        assert len(desk.all("me", one.name, CAPTION if one.page == "captions" else KEEP)) == 24
        assert desk.standing().waiting(one) == {}
    assert all(row.kept for row in results(desk.review).pictures)


def test_pictures_wait_for_as_many_looks_as_there_are_raters(tmp_path: Path) -> None:
    """Invited later, a rater is waited for; gone, no more. What was answered stays."""
    one = Pass("first", "grid", votes=3, keep="all")
    desk = Desk(make_review(write_folder(tmp_path, 6), plan(one)), "Ada")
    desk.all("Ada", "first")
    assert desk.standing().entering("first") == [
        key for key in desk.review.pictures if desk.standing().decided(one, key)
    ]
    both = Desk(desk.review, "Ada", "Bo")
    assert both.standing().waiting(one) == {1: 6}
    assert both.hand("Ada", "first").open == []
    first, *_ = both.hand("Bo", "first").open
    both.answer("Bo", "first", first, REJECT)
    assert both.standing().waiting(one) == {1: 5}
    assert waiting_words(both.standing().waiting(one), one.page) == "5 wait for 1 look"
    revoke(both.review.database, "Bo")
    stands = both.standing()
    assert stands.waiting(one) == {}
    assert [key for key in both.review.pictures if stands.decided(one, key) is False] == [first.picture]


def test_a_picture_comes_into_the_next_pass_as_soon_as_it_is_decided_to_stay(tmp_path: Path) -> None:
    desk = Desk(make_review(write_folder(tmp_path, 6)), "Ada", "Bo")
    assert desk.hand("Bo", "specialists").open == []
    first, second, *rest = desk.hand("Ada", "generalists").open
    desk.answer("Ada", "generalists", first, KEEP)
    desk.answer("Ada", "generalists", second, REJECT, reason="dull")
    assert [look.picture for look in desk.hand("Bo", "specialists").open] == [first.picture]
    assert desk.hand("Bo", "captions").open == []
    desk.all("Bo", "specialists")
    assert [look.picture for look in desk.hand("Bo", "captions").open] == [first.picture]
    assert len(rest) == 4


def test_a_change_of_mind_changes_what_follows(tmp_path: Path) -> None:
    desk = Desk(make_review(write_folder(tmp_path, 2)), "Ada")
    look, other = desk.hand("Ada", "generalists").open
    for one in (look, other):
        desk.answer("Ada", "generalists", one)
    assert sorted(desk.all("Ada", "specialists")) == sorted([look.picture, other.picture])
    assert desk.answer("Ada", "generalists", look, REJECT, turn=1) == "stored"
    assert [one.picture for one in desk.hand("Ada", "captions").open] == [other.picture]
    assert desk.standing().entering("specialists") == [other.picture]
    assert desk.answer("Ada", "generalists", look, KEEP, turn=2) == "stored"
    assert sorted(desk.all("Ada", "captions", CAPTION)) == sorted(desk.standing().entering("captions"))


def test_disagreements_go_to_an_arbiter_whose_word_stands(tmp_path: Path) -> None:
    one = Pass("first", "single", votes=2, keep="all")
    desk = Desk(make_review(write_folder(tmp_path, 4), plan(one)), "Ada", "Bo", "Cleo", arbiter=True)
    desk.all("Ada", "first")
    refused = sorted(desk.review.pictures)[:2]
    desk.all("Bo", "first", lambda key: REJECT if key in refused else KEEP)
    stands = desk.standing()
    assert sorted(stands.disputed(one)) == refused
    assert [stands.decided(one, key) for key in refused] == [False, False]
    looks = desk.hand("Cleo", "first", ruling=True).open
    assert sorted(look.picture for look in looks) == refused
    desk.answer("Cleo", "first", looks[0], KEEP)
    stands = desk.standing()
    assert list(stands.disputed(one)) == [looks[1].picture]
    assert stands.decided(one, looks[0].picture) is True
    assert stands.decided(one, looks[1].picture) is False


def test_of_two_arbiters_the_first_word_stands(tmp_path: Path) -> None:
    one = Pass("first", "single", votes=2, keep="all")
    desk = Desk(make_review(write_folder(tmp_path, 1), plan(one)), *("Ada", "Bo", "Cleo", "Dan"), arbiter=True)
    desk.all("Ada", "first")
    desk.all("Bo", "first", REJECT)
    (of_cleo,), (of_dan,) = (desk.hand(name, "first", ruling=True).open for name in ("Cleo", "Dan"))
    assert [desk.answer("Cleo", "first", of_cleo, KEEP) for _ in range(2)] == ["stored"] * 2
    assert desk.answer("Dan", "first", of_dan, REJECT) == "stale"
    assert desk.standing().decided(one, of_cleo.picture) is True
    assert desk.hand("Dan", "first", ruling=True).open == []
    assert desk.answer("Cleo", "first", of_cleo, REJECT, turn=1) == "stored"  # their own word they may change
    assert desk.standing().decided(one, of_cleo.picture) is False


def test_what_one_leaves_behind_goes_to_others_once_they_are_away(tmp_path: Path) -> None:
    desk = Desk(make_review(write_folder(tmp_path, 3), plan(Pass("first", "single"))), "Ada", "Bo")
    assert len(desk.hand("Ada", "first").open) == 3
    assert desk.hand("Bo", "first").open == []
    desk.presence.seen[desk.raters["Ada"]] = time.monotonic() - AWAY - 1
    assert len(desk.hand("Bo", "first").open) == 3
    assert len(desk.all("Bo", "first")) == 3
    assert desk.hand("Ada", "first").open == []


def test_a_filter_shows_what_it_lets_and_gives_the_rest_back(tmp_path: Path) -> None:
    review = make_review(write_folder(tmp_path, 8), plan(Pass("first", "single")))
    for number, key in enumerate(list(review.pictures)):
        told: dict[str, Any] = {"concept": "cat" if number % 2 else "dog"}
        told["scores"] = {"aesthetic": float(number)} if number else {}
        review.pictures[key] = replace(review.pictures[key], **told)
    desk = Desk(review, "Ada", "Bo")
    assert len(desk.hand("Ada", "first").open) == 8
    cats = desk.hand("Ada", "first", chosen=Filter(concept="cat")).open
    assert {review.pictures[look.picture].concept for look in cats} == {"cat"}
    assert len(cats) == 4
    assert len(desk.hand("Bo", "first").open) == 4
    high = desk.hand("Ada", "first", chosen=Filter("cat", "aesthetic", 3, 5)).open
    assert sorted(review.pictures[look.picture].scores["aesthetic"] for look in high) == [3, 5]
    assert desk.hand("Ada", "first", chosen=Filter(concept="bird")).open == []


def test_an_arbiter_may_see_what_one_rater_rejected(tmp_path: Path) -> None:
    desk = Desk(
        make_review(write_folder(tmp_path, 8), plan(Pass("first", "single", votes=2))), "Ada", "Bo", arbiter=True
    )
    keys = list(desk.review.pictures)
    by = {"Ada": set(keys[:3]), "Bo": set(keys[2:5])}
    for name, rejected in by.items():
        desk.all(name, "first", lambda key, rejected=rejected: "reject" if key in rejected else "keep")

    def shown(rater: int) -> set[str]:
        return {look.picture for look in desk.hand("Ada", "first", chosen=Filter(rater=rater), ruling=True).open}

    assert shown(0) == (by["Ada"] ^ by["Bo"])
    assert [shown(number) for number in (1, 2)] == [by["Ada"] - by["Bo"], by["Bo"] - by["Ada"]]
    assert shown(3) == set()


def test_a_rater_filter_is_nothing_where_nobody_settles(tmp_path: Path) -> None:
    desk = Desk(make_review(write_folder(tmp_path, 4), plan(Pass("first", "single", votes=2))), "Ada", "Bo")
    desk.all("Ada", "first", "reject")
    assert len(desk.hand("Bo", "first", chosen=Filter(rater=1)).open) == len(desk.hand("Bo", "first").open) == 4
    assert len(desk.hand("Bo", "first", chosen=Filter(rater=7)).open) == 4


def test_who_has_been_begun_comes_first_and_all_in_one_order(tmp_path: Path) -> None:
    desk = Desk(make_review(write_folder(tmp_path, 40), plan(Pass("first", "single", votes=2))), "Ada", "Bo")
    begun = [look.picture for look in desk.hand("Ada", "first").open[:5]]
    for look in desk.hand("Ada", "first").open[:5]:
        desk.answer("Ada", "first", look)
    shown = [look.picture for look in desk.hand("Bo", "first").open]
    assert set(begun) <= set(shown)
    assert begun == sorted(begun, key=lambda key: desk.review.ranks[key])
    assert sorted(desk.review.ranks.values()) == list(range(40))


def test_the_order_of_the_taste_head_is_taken(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, 6)
    files = [f"images/{i:04d}.png" for i in (3, 0, 5, 1, 2, 4)]
    table = pa.table({"file": files, "score": [0.9, 0.8, 0.1, 0.7, 0.6, 0.5], "order": list(range(6))})
    pq.write_table(table, folder / "taste.parquet")
    desk = Desk(make_review(folder, plan(Pass("first", "single"))), "Ada")
    assert [desk.review.pictures[look.picture].file for look in desk.hand("Ada", "first").open] == files
