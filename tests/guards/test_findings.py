"""Every guard on evidence whose truth is known: quiet where nothing is wrong, broken where it is."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image

from emu.errors import UserError
from emu.guards import Evidence, Finding, Guard, Side, Training, at_a_check, not_measured, of_folders
from emu.guards.diversity import Diversity, vendi
from emu.guards.drift import Drift
from emu.guards.finding import state_of
from emu.guards.generality import Generality
from emu.guards.held_out import HeldOut
from emu.guards.looks import colours, distances, layout
from emu.guards.memorisation import Memorisation, copy_distance
from emu.storage.records import parse, to_json

RNG = np.random.default_rng(0)
PROMPTS = [f"prompt {i}" for i in range(40)]


def numbers(*shape: int) -> np.ndarray:
    return RNG.random(shape, dtype=np.float32)


@pytest.mark.parametrize(
    ("ci95", "state"), [((-0.1, 0.1), "held"), ((0.1, 0.3), "unsure"), ((0.3, 0.4), "broken"), ((-0.4, -0.3), "broken")]
)
def test_broken_only_where_the_whole_interval_is_beyond(ci95: tuple[float, float], state: str) -> None:
    assert state_of(ci95, "within", 0.2) == state
    assert state_of(ci95, "at_most", 0.2) == (state if ci95[0] > 0 else "held")
    assert state_of((0.8, 0.95), "at_least", 0.9) == "unsure"
    assert state_of((0.7, 0.85), "at_least", 0.9) == "broken"
    assert state_of((0.9, 0.95), "at_least", 0.9) == "held"


def test_a_finding_comes_back_from_json() -> None:
    found = Finding("x", "said", "held", 1.0, (0.5, 1.5), 2.0, "times", "at_most", 1.0, [{"a": 1}])
    nothing = not_measured("x", "why")
    for one in (found, nothing):
        assert parse(to_json(one), Finding, where="", remedy="") == one.of_today() == one


@pytest.mark.parametrize(
    ("unit", "kind", "unchanged"),
    [
        ("of the whole range, either way", "within", 0),
        ("times before, at least", "at_least", 1),
        ("times that of step 0, at most", "at_most", 1),
        ("points of win - lose in the worst category (a, b), at least", "at_least", 0),
    ],
)
def test_a_row_of_before_says_its_kind_in_the_unit(unit: str, kind: str, unchanged: float) -> None:
    found = Finding("x", "said", "held", 1.0, (0.5, 1.5), 2.0, unit).of_today()
    assert (found.kind, found.unchanged, found.unit) == (kind, unchanged, unit.rpartition(", ")[0])


@dataclass(frozen=True)
class Own(Guard):
    threshold: float = 1.0
    kind, unit = "at_most", "points"

    def __call__(self, evidence: Evidence) -> list[Finding]:
        return [self.found("own", "so it is", 3.0, (2.0, 4.0))]


def test_a_guard_of_ones_own_stands_beside_the_usual_ones_and_takes_the_place_of_its_kind() -> None:
    assert at_a_check() == at_a_check([]) == [Drift(), Diversity(), HeldOut()]
    assert at_a_check([Own()]) == [Drift(), Diversity(), HeldOut(), Own()]
    assert at_a_check([Own(), Drift(0.3)]) == [Diversity(), HeldOut(), Own(), Drift(0.3)]
    assert [finding.state for finding in Own()(Evidence([], Side(), Side()))] == ["broken"]


def test_a_threshold_alone_is_given_by_name() -> None:
    assert at_a_check({"drift": 0.3, "memorisation": 5.0}) == [Diversity(), HeldOut(), Drift(0.3)]
    with pytest.raises(UserError, match=r"quality\.guards\.drfit: no such guard"):
        at_a_check({"drfit": 0.3})


@pytest.mark.parametrize(("moved", "state"), [(0.0, "held"), (0.1, "held"), (0.3, "broken"), (-0.3, "broken")])
def test_drift(moved: float, state: str) -> None:
    before = numbers(40, 3) * 0.1 + 0.4
    after = before + np.array([moved, 0, 0], dtype=np.float32)
    found = Drift(0.2)(Evidence(PROMPTS, Side(before), Side(after)))
    assert [finding.state for finding in found] == [state, "held", "held"]
    assert found[0].value == pytest.approx(moved, abs=1e-6)


def test_one_prompt_is_no_drift_of_all_pictures() -> None:
    for draws in (1, 5):
        before = numbers(draws, 3) * 0.01
        found = Drift(0.2)(Evidence(["a fox"] * draws, Side(before), Side(before + 0.5)))
        assert [finding.state for finding in found] == ["unsure"] * 3
        assert not any("than before" in finding.sentence for finding in found)


def test_a_number_without_bounds_is_not_measured() -> None:
    """Two prompts, of which one drew the same picture twice before tuning; its ratio may be anything."""
    before = numbers(4, 8)
    before[1] = before[0]
    prompts = [f"prompt {i // 2}" for i in range(4)]
    first, second = Diversity(0.9)(Evidence(prompts, Side(features=before), Side(features=numbers(4, 8)[::-1])))
    assert first.state == "not measured"
    assert second.state in ("held", "unsure", "broken")
    losses = np.array([0, 0, 0, 0.1, *[0.2] * 12], dtype=np.float32)
    times = (np.arange(16, dtype=np.float32) + 0.5) / 16
    (found,) = HeldOut()(Evidence([], Side(losses=losses), Side(losses=losses + 1), times=times))
    assert found.state == "broken"
    assert to_json([first, second, found])


@pytest.mark.parametrize(("spread", "state"), [(1.0, "held"), (0.5, "broken"), (0.0, "broken")])
def test_diversity_of_several_seeds(spread: float, state: str) -> None:
    prompts = [f"prompt {i // 4}" for i in range(80)]
    centres, around = np.repeat(numbers(20, 8), 4, axis=0), numbers(80, 8) - 0.5
    evidence = Evidence(prompts, Side(features=centres + around), Side(features=centres + spread * around))
    found = Diversity(0.9)(evidence)
    assert [finding.state for finding in found] == [state, state]
    assert found[0].value == pytest.approx(spread, abs=0.01)
    assert found[0].parts[0]["prompts"] == 20


def test_diversity_of_one_seed_is_said_to_be_unmeasured() -> None:
    (found,) = Diversity(0.9)(Evidence(PROMPTS, Side(features=numbers(40, 8)), Side(features=numbers(40, 8))))
    assert found.state == "not measured"
    assert "drawn from several seeds" in found.sentence


def test_vendi_is_the_number_of_different_pictures() -> None:
    assert vendi(np.eye(5, dtype=np.float32)) == pytest.approx(5)
    assert vendi(np.ones((5, 5), dtype=np.float32)) == pytest.approx(1)
    two = np.kron(np.eye(2), np.ones((3, 3))).astype(np.float32)
    assert vendi(two) == pytest.approx(2)


def curated(count: int = 200) -> Training:
    features = numbers(count, 16)
    captions = [f"a red fox number {i}" for i in range(count)]
    return Training(features, [f"{i}.png" for i in range(count)], captions, [])


@pytest.mark.parametrize(("copied", "state"), [(0, "unsure"), (20, "broken")])
def test_memorisation_finds_copies_and_names_what_they_copy(copied: int, state: str) -> None:
    # Unsure: forty pictures do not tell 0 % from 5 %.
    training, before = curated(), numbers(40, 16)
    after = before.copy()
    after[:copied] = training.features[:copied] + 0.001
    evidence = Evidence(PROMPTS, Side(features=before), Side(features=after), training=training)
    (found,) = Memorisation(5.0)(evidence)
    assert found.state == state
    assert found.value == pytest.approx(100 * copied / 40)
    assert found.ci95 is not None
    assert found.ci95[0] < found.value <= found.ci95[1]
    if copied:
        assert all(part["copied"] and part["training"] == f"{part['pair']}.png" for part in found.parts)
        assert all(part["distance"] < part["before"] for part in found.parts)


def test_a_base_that_copied_as_much_is_no_alarm() -> None:
    training = curated()
    pictures = training.features[:40] + 0.001
    (found,) = Memorisation(5.0)(Evidence(PROMPTS, Side(features=pictures), Side(features=pictures), training=training))
    assert (found.value, found.state) == (0, "held" if found.ci95 and found.ci95[1] <= 5 else "unsure")


def test_training_pictures_that_are_there_twice_do_not_hide_copies() -> None:
    once = numbers(100, 16)
    for again in (once, once[:30], once[:1]):
        assert copy_distance(np.concatenate([once, again])) == pytest.approx(copy_distance(once), rel=0.2)
    training = replace(curated(), features=np.repeat(curated().features[:100], 2, axis=0))  # each has two captions
    before, after = numbers(40, 16), training.features[:40]
    (found,) = Memorisation(5.0)(Evidence(PROMPTS, Side(features=before), Side(features=after), training=training))
    assert (found.value, found.state) == (100, "broken")


def test_training_pictures_that_are_all_one_tell_no_copy() -> None:
    training = replace(curated(), features=np.ones((200, 16), dtype=np.float32))
    pictures = Side(features=training.features[:40])
    (found,) = Memorisation(5.0)(Evidence(PROMPTS, pictures, pictures, training=training))
    assert found.state == "not measured"


def test_without_training_pictures_it_says_why() -> None:
    evidence = Evidence(PROMPTS, Side(), Side(), without_training="the folder is gone")
    assert Memorisation(5.0)(evidence)[0].sentence == "not measured: the folder is gone"


def judged(fallen: Callable[[int], bool], count: int = 120, **more: object) -> Evidence:
    before = [1.0] * count
    after = [0.0 if fallen(i) else 1.0 for i in range(count)]
    scores = Side(scores={"faithfulness": before}), Side(scores={"faithfulness": after})
    groups = [{"Category": "animals" if i % 4 else "food"} for i in range(count)]
    prompts = [f"prompt {i}" for i in range(count)]
    return Evidence(prompts, *scores, groups=groups, ties={"faithfulness": 0.0}, **more)  # type: ignore[arg-type]


def test_generality_names_the_category_that_fell_though_the_mean_hides_it() -> None:
    (found,) = Generality(2.0)(judged(lambda i: i % 4 == 0 and i < 80))
    assert found.state == "broken"
    assert found.sentence == "faithfulness fell in food"
    assert {part["category"]: part["net"] for part in found.parts} == pytest.approx(
        {"food": -100 * 20 / 30, "animals": 0}
    )


def test_generality_of_nothing_lost() -> None:
    (found,) = Generality(2.0)(judged(lambda i: False))
    assert found.state != "broken"
    assert found.sentence == "faithfulness fell for sure in none of 2 categories"


def test_one_category_of_many_falls_by_chance_and_is_no_alarm() -> None:
    # Six losses of six have p = 0.03 by themselves, and 0.6 among twenty categories.
    count = 200
    before, after = [1.0] * count, [0.0 if i % 20 == 0 and i < 120 else 1.0 for i in range(count)]
    evidence = Evidence(
        [f"prompt {i}" for i in range(count)],
        Side(scores={"faithfulness": before}),
        Side(scores={"faithfulness": after}),
        groups=[{"Category": str(i % 20)} for i in range(count)],
        ties={"faithfulness": 0.0},
    )
    (found,) = Generality(2.0)(evidence)
    assert found.state == "unsure"
    worst = min(found.parts, key=lambda part: part["net"])
    assert worst["p"] < 0.05 < worst["p_corrected"]


def test_captions_unseen_in_the_curated_set_are_a_category_of_their_own() -> None:
    training = Training(numbers(2, 4), ["a", "b"], ["a prompt about a fox", "a prompt 1"], [])
    prompts = ["prompt fox", "Prompt about a FOX", "prompt walrus"] * 10
    side = Side(scores={"faithfulness": [1.0] * 30})
    (found,) = Generality(2.0)(Evidence(prompts, side, side, ties={"faithfulness": 0.0}, training=training))
    assert {(part["category"], part["prompts"]) for part in found.parts} == {("words seen", 2), ("words unseen", 1)}


def test_held_out_loss_that_rises_at_some_times_only() -> None:
    before = numbers(64) + 1
    times = (np.arange(64, dtype=np.float32) + 0.5) / 64
    after = before * np.where(times < 0.25, 1.5, 0.9).astype(np.float32)
    (found,) = HeldOut(1.1)(Evidence([], Side(losses=before), Side(losses=after), times=times))
    assert found.state == "broken"
    assert found.sentence.endswith("and higher for sure at times 0 to 0.25")
    assert [part["value"] for part in found.parts] == pytest.approx([1.5, 0.9, 0.9, 0.9], abs=1e-3)
    (found,) = HeldOut(1.1)(Evidence([], Side(losses=before), Side(losses=before), times=times))
    assert (found.state, found.value) == ("held", 1.0)


@pytest.mark.parametrize("losses", [None, np.zeros(0, np.float32), np.full(8, np.nan, np.float32)])
def test_held_out_losses_that_are_none(losses: np.ndarray | None) -> None:
    times = np.zeros(0 if losses is None else len(losses), np.float32)
    (found,) = HeldOut(1.1)(Evidence([], Side(losses=losses), Side(losses=losses), times=times))
    assert found.state == "not measured"


def test_every_guard_speaks_where_there_is_nothing() -> None:
    nothing = Evidence([], Side(), Side())
    guards = [*at_a_check(), *of_folders()]
    assert {finding.state for guard in guards for finding in guard(nothing)} == {"not measured"}


def test_looks_of_known_pictures() -> None:
    black, white = (Image.new("RGB", size, name) for size, name in (((40, 30), "black"), ((64, 64), "white")))
    assert distances(layout(black)[None], layout(white)[None])[0, 0] == pytest.approx(1)
    assert distances(layout(white)[None], layout(white)[None])[0, 0] == pytest.approx(0, abs=1e-3)
    assert colours(np.asarray(white)) == pytest.approx([1, 0, 0], abs=1e-4)
