import itertools
from typing import Any

import pytest
import torch

from emu.data.epoch import Draw, in_order, shuffled

BUCKETS = [(64, 64)] * 21 + [(32, 128)] * 7 + [(128, 32)]


def plans(world: int, **kw: Any) -> list[list[list[Draw]]]:
    return [
        shuffled(BUCKETS, batch_size=4, seed=1, epoch=kw.pop("epoch", 0), rank=r, world=world, **kw)
        for r in range(world)
    ]


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("make", [in_order, shuffled])
def test_every_picture_is_seen_exactly_once(world: int, make: object) -> None:
    kw = {"seed": 1, "epoch": 3} if make is shuffled else {}
    ranks = [make(BUCKETS, batch_size=4, rank=rank, world=world, **kw) for rank in range(world)]  # type: ignore[operator]
    seen = [draw.picture for plan in ranks for batch in plan for draw in batch if draw.weight]
    assert sorted(seen) == list(range(len(BUCKETS)))


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_all_ranks_step_together_on_one_bucket(world: int) -> None:
    for step in zip(*plans(world), strict=True):
        assert len({len(batch) for batch in step}) == 1
        assert 1 <= len(step[0]) <= 4
        assert len({BUCKETS[draw.picture] for batch in step for draw in batch}) == 1


@pytest.mark.parametrize("accumulate", [1, 2, 5])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_weights_make_the_mean_over_ranks_and_batches_the_mean_over_real_pictures(world: int, accumulate: int) -> None:
    loss = torch.rand(len(BUCKETS), dtype=torch.float64)
    ranks = plans(world, accumulate=accumulate)
    assert len(ranks[0]) % accumulate == 0
    for first in range(0, len(ranks[0]), accumulate):
        step = [batch for plan in ranks for batch in plan[first : first + accumulate]]
        means = [torch.stack([draw.weight * loss[draw.picture] for draw in batch]).mean() for batch in step]
        real = [loss[draw.picture] for batch in step for draw in batch if draw.weight]
        torch.testing.assert_close(torch.stack(means).mean(), torch.stack(real).mean())


def test_steps_do_not_depend_on_who_shares_them() -> None:
    def steps(batch_size: int, accumulate: int, world: int) -> list[dict[int, tuple[int, bool]]]:
        given = {"batch_size": batch_size, "accumulate": accumulate, "world": world, "caption_dropout": 0.5}
        ranks = [shuffled(BUCKETS, seed=2, epoch=1, rank=rank, **given) for rank in range(world)]  # type: ignore[arg-type]
        return [
            {d.picture: (d.seed, d.drop) for plan in ranks for b in plan[i : i + accumulate] for d in b if d.weight}
            for i in range(0, len(ranks[0]), accumulate)
        ]

    alone = steps(12, 1, 1)
    assert alone == steps(3, 4, 1) == steps(6, 1, 2) == steps(2, 2, 3) == steps(1, 1, 12)
    assert sorted(len(step) for step in alone) == [1, 7, 10, 11]  # as even as they can be
    assert len({seed for step in alone for seed, _ in step.values()}) == len(BUCKETS)


def test_seeds_are_drawn_anew_each_epoch_and_kept_where_nothing_is_shuffled() -> None:
    def seeds(plan: list[list[Draw]]) -> dict[int, int]:
        return {draw.picture: draw.seed for batch in plan for draw in batch}

    first, second = (seeds(shuffled(BUCKETS, batch_size=4, seed=0, epoch=epoch)) for epoch in (0, 1))
    fixed, shared = (seeds(in_order(BUCKETS, batch_size=size, seed=0)) for size in (4, 7))
    assert fixed == shared
    assert all(first[i] != second[i] != fixed[i] != first[i] for i in range(len(BUCKETS)))


def test_on_one_rank_every_weight_is_one() -> None:
    assert {draw.weight for batch in plans(1)[0] for draw in batch} == {1.0}


def test_epochs_differ_and_repeat() -> None:
    first, again, second = (shuffled(BUCKETS, batch_size=4, seed=0, epoch=e) for e in (0, 0, 1))
    assert first == again
    assert first != second
    assert len(first) == len(second)


def test_dropout_is_of_the_picture_not_of_its_place() -> None:
    def dropped(world: int, epoch: int) -> set[int]:
        draws = itertools.chain(*itertools.chain(*plans(world, epoch=epoch, caption_dropout=0.5)))
        return {draw.picture for draw in draws if draw.drop and draw.weight}

    assert dropped(1, 0) == dropped(3, 0) != dropped(1, 1)


def test_dropout_has_its_rate() -> None:
    plan = shuffled([(8, 8)] * 20_000, batch_size=100, seed=0, epoch=0, caption_dropout=0.1)
    rate = sum(draw.drop for batch in plan for draw in batch) / 20_000
    assert rate == pytest.approx(0.1, abs=0.01)  # 4.7 standard errors


def test_held_out_pictures_have_times_of_their_own() -> None:
    alone, shared = (
        {d.picture: d.time for plan in ranks for batch in plan for d in batch}
        for ranks in (
            [in_order(BUCKETS, batch_size=4)],
            [in_order(BUCKETS, batch_size=3, rank=rank, world=2) for rank in (0, 1)],
        )
    )
    assert alone == shared
    assert sorted(alone.values()) == [(i + 0.5) / len(BUCKETS) for i in range(len(BUCKETS))]
