"""Several judges of a criterion: who is the headline, whether they agree, and whose scores are whose."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from emu.compare import compare
from emu.errors import UserError
from emu.judges import Card, Judge
from emu.layouts import runs
from emu.layouts.quality_json import read_quality, write_quality
from lamp import Brightness
from verdicts import read_verdict

MakeRun = Callable[..., Path]


class Of(Brightness):
    """Brighter is better, or worse, said by a judge of a family, with a version."""

    def __init__(self, family: str, sign: int = 1, *, version: str = "1") -> None:
        super().__init__(sign)
        self.family, self.version, self.seen = family, version, 0

    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        self.seen += len(images)
        return super().score(images, prompts)

    def describe(self) -> Card:
        return {**super().describe(), "versions": self.version}


class Broken(Judge):
    name, tie = "broken", 0.0

    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        return torch.tensor([0.5 if prompt != "prompt 2" else torch.nan for prompt in prompts])

    def describe(self) -> Card:
        return {}


def told(run: Path, out: Path, **judges: Any) -> tuple[dict[str, Any], str]:
    table = compare([run], out=out, **judges)
    return read_verdict(out.with_name("verdict.json"))["runs"][0], table


def unjudged(make_run: MakeRun, **how: Any) -> Path:
    run = make_run(**how)
    for step in (0, 20):
        (runs.step_folder(run, step) / runs.SCORES).unlink()
    (run / runs.QUALITY).unlink()
    return run


def test_two_families_that_say_the_same_agree(make_run: MakeRun, tmp_path: Path) -> None:
    run = unjudged(make_run, count=8)
    verdict, table = told(run, tmp_path / "a.html", appeal=[Of("clip"), Of("rules")])
    appeal = verdict["appeal"]
    assert (appeal["judge"], appeal["win"]) == ("brightness", 100)
    assert [(one["family"], one["win"], one["prefers"]) for one in appeal["opinions"]] == [
        ("clip", 100, "after"),
        ("rules", 100, "after"),
    ]
    assert appeal["agreement"]["agree"] is True
    assert appeal["agreement"]["pairs"] == [{"judges": ["brightness", "brightness"], "same": 100, "kappa": None}]
    assert "judges of different families agree: after is better" in table
    assert "judges of different families agree: after is better" in (tmp_path / "a.html").read_text()


def test_two_families_that_say_the_opposite_do_not(make_run: MakeRun, tmp_path: Path) -> None:
    verdict, table = told(unjudged(make_run, count=8), tmp_path / "a.html", appeal=[Of("clip"), Of("rules", -1)])
    assert verdict["appeal"]["win"] == 100
    assert verdict["appeal"]["agreement"]["agree"] is False
    said = "judges do not agree: brightness prefers after, darkness prefers before"
    assert verdict["appeal"]["agreement"]["words"] == said
    assert said in table
    assert "brightness and darkness: the same outcome for 0.0 % of prompts, kappa 0.00" in table


@pytest.mark.parametrize("families", [["clip"], ["clip", "clip"], ["clip", ""]])
def test_one_family_is_no_second_opinion(make_run: MakeRun, tmp_path: Path, families: list[str]) -> None:
    judges = [Of(family, sign) for family, sign in zip(families, (1, -1), strict=False)]
    verdict, table = told(unjudged(make_run), tmp_path / "a.html", appeal=judges)
    assert verdict["appeal"]["agreement"]["agree"] is None
    assert "no second opinion from a judge of another family" in table


def test_the_headline_is_the_first_that_was_named_and_stays(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    first, _ = told(run, tmp_path / "a.html", appeal=[Of("rules", -1), Of("clip")])
    assert [one["judge"] for one in first["appeal"]["opinions"]] == ["darkness", "eye", "brightness"]
    assert first["appeal"]["lose"] == 100
    again, _ = told(run, tmp_path / "a.html")
    assert again == first
    turned, _ = told(run, tmp_path / "a.html", appeal=[Of("clip")])
    assert [one["judge"] for one in turned["appeal"]["opinions"]] == ["brightness", "eye", "darkness"]
    assert turned["groups"] == first["groups"]
    assert turned["judges"]["appeal"]["name"] == "brightness"


def test_what_a_judge_has_scored_it_does_not_score_again(make_run: MakeRun, tmp_path: Path) -> None:
    run, judge = unjudged(make_run), Of("clip")
    told(run, tmp_path / "a.html", appeal=[judge])
    assert judge.seen == 8
    told(run, tmp_path / "a.html", appeal=[judge, Of("rules", -1)])
    newer = Of("clip", version="2")
    verdict, _ = told(run, tmp_path / "a.html", appeal=[newer])
    assert (judge.seen, newer.seen) == (8, 0)
    assert len(verdict["appeal"]["opinions"]) == 2


def test_scores_of_two_versions_never_mix(make_run: MakeRun, tmp_path: Path) -> None:
    run, newer = unjudged(make_run), Of("clip", version="2")
    told(run, tmp_path / "a.html", appeal=[Of("clip")])
    later = runs.step_folder(run, 20)
    runs.write_scores(later, {file: scores for file, scores in runs.read_scores(later).items() if file != "00001.png"})
    verdict, _ = told(run, tmp_path / "a.html", appeal=[newer])
    assert newer.seen == 8
    assert [one["judge"] for one in verdict["appeal"]["opinions"]] == ["brightness"]
    assert verdict["judges"]["appeal"]["versions"] == "2"


def test_a_headline_that_lacks_the_step_now_compared_gives_way(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    told(run, tmp_path / "a.html", appeal=[Of("clip")])
    later = runs.step_folder(run, 20)
    kept = {file: {"appeal": scores["appeal"]} for file, scores in runs.read_scores(later).items()}
    runs.write_scores(later, kept)
    verdict, _ = told(run, tmp_path / "a.html")
    assert [one["judge"] for one in verdict["appeal"]["opinions"]] == ["eye"]


def test_a_score_that_is_no_number_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    run = unjudged(make_run)
    with pytest.raises(UserError, match=r"step-000000/00002\.png: judge broken scores it nan; look at the picture"):
        compare([run], out=tmp_path / "a.html", appeal=Broken())
    verdict, _ = told(run, tmp_path / "a.html")
    assert "appeal" not in verdict


def test_pictures_of_several_sizes_are_judged_each_by_its_own(make_run: MakeRun, tmp_path: Path) -> None:
    run = unjudged(make_run)
    for step in (0, 20):
        for i, size in enumerate(((8, 12), (12, 8))):
            level = np.full((*size, 3), 100 * i + step, dtype=np.uint8)
            runs.save_picture(runs.step_folder(run, step) / runs.picture_name(i), level)
    told(run, tmp_path / "a.html", appeal=Brightness())
    scores = runs.read_scores(runs.step_folder(run, 20))
    assert [255 * scores[runs.picture_name(i)]["appeal"] for i in range(4)] == pytest.approx([20, 120, 40, 50])


def test_a_card_that_tells_more_now_is_the_same_judge(make_run: MakeRun, tmp_path: Path) -> None:
    run, judge = unjudged(make_run), Of("clip")
    told(run, tmp_path / "a.html", appeal=[Brightness()])
    quality = read_quality(run)  # an earlier emu said nothing of a judge's code
    judges = {name: {key: one for key, one in card.items() if key != "code"} for name, card in quality.judges.items()}
    write_quality(run, replace(quality, judges=judges))
    verdict, _ = told(run, tmp_path / "a.html", appeal=[judge, Of("rules", -1)])
    assert judge.seen == 0
    assert [one["family"] for one in verdict["appeal"]["opinions"]] == ["clip", "rules"]
    assert "versions" not in verdict["judges"]["appeal"]


def test_memory_does_not_grow_with_a_run(make_run: MakeRun, tmp_path: Path) -> None:
    """At most 16 pictures are handed to a judge at once, and every one of them once."""
    sizes: list[int] = []

    class Counting(Brightness):
        def score(self, images: Tensor, prompts: list[str]) -> Tensor:
            sizes.append(len(images))
            return super().score(images, prompts)

    told(unjudged(make_run, count=50), tmp_path / "a.html", appeal=[Counting()])
    assert max(sizes) == 16
    assert sum(sizes) == 100


def test_who_scored_a_step_lies_beside_its_scores(make_run: MakeRun, tmp_path: Path) -> None:
    run = unjudged(make_run)
    verdict, _ = told(run, tmp_path / "a.html", appeal=[Of("clip"), Of("rules", -1)])
    for step in (0, 20):
        assert sorted(runs.read_judges(runs.step_folder(run, step))) == sorted(verdict["judges"])


def test_sides_scored_by_two_judges_are_judged_again_as_the_message_says(make_run: MakeRun, tmp_path: Path) -> None:
    run = unjudged(make_run)
    told(run, tmp_path / "a.html", appeal=[Of("clip")])
    runs.write_judges(runs.step_folder(run, 20), {"appeal": {"name": "another", "tie": 0.0}})
    with pytest.raises(UserError, match=r"was scored by two judges, .*remove scores.jsonl of both and judge again"):
        told(run, tmp_path / "a.html", appeal=[Of("clip")])
    for step in (0, 20):
        (runs.step_folder(run, step) / runs.SCORES).unlink()
    verdict, _ = told(run, tmp_path / "a.html", appeal=[Of("rules")])
    assert [one["family"] for one in verdict["appeal"]["opinions"]] == ["rules"]


def test_draws_of_one_prompt_are_no_more_prompts_for_any_judge(make_run: MakeRun, tmp_path: Path) -> None:
    run = unjudged(make_run, count=12)
    for step in (0, 20):
        folder = runs.step_folder(run, step)
        runs.write_samples(
            folder, [{**row, "prompt": f"prompt {row['index'] // 4}"} for row in runs.read_samples(folder)]
        )
    verdict, _ = told(run, tmp_path / "a.html", appeal=[Of("clip"), Of("rules")])
    appeal = verdict["appeal"]
    assert appeal["ci95"] == appeal["opinions"][0]["ci95"] == appeal["opinions"][1]["ci95"]
    assert appeal["net_ci95"] == appeal["opinions"][0]["net_ci95"]
