"""Hashes that are near are found among many, all of them and no other."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.curate.stages import Duplicates, duplicates, hashes
from emu.curate.stages.duplicates import SIDE, nearest
from emu.curate.stages.hashes import BAND, BANDS, Index, changes, near_in_order, radii

bits = st.lists(st.integers(0, 63), max_size=12)


@st.composite
def clustered(draw: st.DrawFn) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Hashes around a few, some of them the same, some as far from each other as any."""
    middles = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    turned = draw(st.lists(st.tuples(st.integers(0, len(middles) - 1), bits), max_size=60))
    return np.array([middles[i] ^ sum(1 << bit for bit in set(some)) for i, some in turned], dtype=np.uint64)


@given(known=clustered(), asked=clustered(), distance=st.integers(0, 10), at_once=st.integers(1, 200))
def test_all_that_are_near_are_found_in_order(
    known: np.ndarray[Any, Any], asked: np.ndarray[Any, Any], distance: int, at_once: int
) -> None:
    both = np.concatenate([known, asked[: len(asked) // 2]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashes, "AT_ONCE", at_once)
        found = Index(both, distance).near(asked)
        within = near_in_order(both, distance)
    plain = np.nonzero(np.bitwise_count(asked[:, None] ^ both) <= distance)
    assert [each.tolist() for each in found] == [each.tolist() for each in plain]
    mine, earlier = np.nonzero(np.tril(np.bitwise_count(both[:, None] ^ both) <= distance, -1))
    assert [each.tolist() for each in within] == [mine.tolist(), earlier.tolist()]


@pytest.mark.parametrize("distance", range(11))
def test_bands_are_looked_at_as_far_as_is_needed_and_no_further(distance: int) -> None:
    """Could each band differ in one bit more than is looked at, the hash would differ in more than the distance."""
    looked = radii(distance)
    assert sum(radius + 1 for radius in looked) == distance + 1
    assert len(looked) <= BANDS
    for radius in looked:
        assert sorted(changes(radius).tolist()) == [one for one in range(1 << BAND) if one.bit_count() <= radius]


def one_by_one(stage: Duplicates, scores: dict[str, Any], rows: np.ndarray[Any, Any]) -> dict[int, tuple[int, str]]:
    """What `Duplicates` does, in its plain form: each is held against all that stay."""
    found: dict[int, tuple[int, str]] = {}
    stay: list[int] = []
    for row in rows.tolist():
        differ = [(int(scores["phash"][one]) ^ int(scores["phash"][row])).bit_count() for one in stay]
        near = [place for place, number in enumerate(differ) if number <= stage.distance]
        best, distance = nearest(scores["layout"][row], scores["layout"][[stay[place] for place in near]])
        if distance <= stage.apart:
            twin, number = stay[near[best]], differ[near[best]]
            why = f"{number} of 64 bits and {distance:.2f} of the layout differ"
            found[row] = twin, f"looks like row {twin} ({why})"
        else:
            stay.append(row)
    return found


@settings(max_examples=60)
@given(
    phash=clustered(),
    distance=st.integers(0, 10),
    together=st.integers(1, 30),
    seed=st.integers(0, 99),
    apart=st.sampled_from([0.0, 0.25, 2.0]),
)
def test_copies_are_those_of_the_plain_form(
    phash: np.ndarray[Any, Any], distance: int, together: int, seed: int, apart: float
) -> None:
    rng = np.random.default_rng(seed)
    middle = rng.integers(0, 256, (3, SIDE * SIDE * 3))
    noisy = [middle[rng.integers(3)] + rng.integers(-9, 10, SIDE * SIDE * 3) for _ in phash]
    layout = np.array([one.clip(0, 255).astype(np.uint8).tobytes() for one in noisy], dtype=object)
    scores, rows = {"phash": phash, "layout": layout}, rng.permutation(len(phash))
    stage = Duplicates(distance=distance, apart=apart)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "TOGETHER", together)
        found = stage._same_looks(scores, rows)
    assert found == one_by_one(stage, scores, rows)
    assert list(found) == [row for row in rows.tolist() if row in found]  # the best copies first
