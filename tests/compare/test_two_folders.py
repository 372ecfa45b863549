"""Two plain folders of pictures: paired by what both say, judged as far as it is known what they show."""

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from emu.cli import main
from emu.compare import compare
from emu.errors import UserError
from emu.judges import Judge
from emu.layouts import runs
from lamp import Brightness
from verdicts import read_verdict

MakeRun = Callable[..., Path]


class Reader(Judge):
    """Gives a picture as many points as its prompt has letters, and one more where it is bright."""

    name, tie = "reader", 0.0

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "tie": self.tie}

    def score(self, images: Any, prompts: list[str]) -> Any:
        return images.flatten(1).float().mean(1) + images.new_tensor([len(prompt) for prompt in prompts])


def folder(where: Path, level: int, files: list[str], captions: dict[str, str] | None = None) -> Path:
    """Pictures of one brightness each, those of a higher level brighter; captions beside some of them."""
    for i, file in enumerate(files):
        path = where / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 10 * i + level, dtype=np.uint8)).save(path)
    for file, text in (captions or {}).items():
        (where / file).write_text(text)
    return where


def verdict(out: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(out.with_name("verdict.json").read_text())["runs"][0]
    return told


def listed(*folders: Path) -> list[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for one in folders for path in sorted(one.rglob("*")) if path.is_file()]


def test_pictures_of_one_name_are_pairs_and_the_rest_is_named(tmp_path: Path) -> None:
    before = folder(tmp_path / "base", 10, ["a.png", "b/0.png", "c.png", "d.png", "d.webp"])
    after = folder(tmp_path / "tuned", 90, ["a.jpg", "b/0.png", "d.png", "e.png"])
    was, out = listed(before, after), tmp_path / "out" / "page.html"
    told = compare([before, after], out=out, appeal=Brightness(), faithfulness=Reader())
    found = verdict(out)
    assert listed(before, after) == was  # nothing is written into them
    assert (found["name"], found["before"], found["after"]) == ("tuned against base", "base", "tuned")
    assert (found["pairs"], found["appeal"]["win"]) == (2, 100.0)
    assert found["alone"] == ["base/c.png", "base/d.png", "base/d.webp", "tuned/d.png", "tuned/e.png"]
    assert "tuned against base: 5 pictures have no partner and do not count: base/c.png, " in told
    assert "faithfulness" not in found
    assert "what the pictures of 2 pairs were to show is not known" in told
    assert "so faithfulness is not judged" in out.read_text()
    assert "seed 0" not in out.read_text()


def test_a_pair_of_which_nobody_knows_what_it_shows_is_the_only_one_that_goes_unjudged(tmp_path: Path) -> None:
    files, captions = [f"{i}.png" for i in range(5)], {f"{i}.txt": f"a fox {i}" for i in range(4)}
    before, after = (folder(tmp_path / name, level, files, captions) for name, level in (("x", 10), ("y", 90)))
    told = compare([before, after], out=tmp_path / "page.html", appeal=Brightness(), faithfulness=Reader())
    found = verdict(tmp_path / "page.html")
    assert (found["pairs"], found["unasked"]) == (5, 1)
    assert found["appeal"]["win"] == found["faithfulness"]["win"] == 100.0
    assert found["faithfulness"]["p"] == 0.125  # four tosses of a coin
    assert found["appeal"]["p"] == 0.0625
    assert "what the pictures of 1 pair were to show is not known" in told
    assert (tmp_path / "page.html").read_text().count('data-faithfulness="win"') == 4


def test_folders_that_both_know_an_empty_prompt(make_run: MakeRun, tmp_path: Path) -> None:
    sides = [folder(tmp_path / name, level, ["0.png", "1.png"]) for name, level in (("x", 10), ("y", 90))]
    for side in sides:
        rows = [{"file": f"{i}.png", "prompt": text, "seed": i, "index": i} for i, text in enumerate(("", "a fox"))]
        (side / runs.SAMPLES).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    compare(sides, out=tmp_path / "page.html", faithfulness=Reader())
    found = verdict(tmp_path / "page.html")
    assert (found["pairs"], found["unasked"], found["faithfulness"]["p"]) == (2, 1, 1.0)


@pytest.mark.parametrize("source", ["beside", "metadata", "samples"])
def test_prompts_come_from_whatever_either_folder_says(source: str, tmp_path: Path) -> None:
    before = folder(tmp_path / "base", 10, ["a.png", "b.png"])
    after = folder(tmp_path / "tuned", 90, ["a.png", "b.png"])
    prompts = {"a.png": "a cat", "b.png": "a dog"}
    if source == "beside":
        folder(after, 90, [], {"a.txt": "a cat", "b.txt": "a dog"})
    elif source == "metadata":
        lines = [json.dumps({"file_name": file, "text": text}) for file, text in prompts.items()]
        (before / "metadata.jsonl").write_text("\n".join(lines))
    else:
        runs.write_samples(after, [{"file": f, "prompt": p, "seed": 3, "category": "x"} for f, p in prompts.items()])
    compare([before, after], out=tmp_path / "page.html", faithfulness=Reader())
    found = verdict(tmp_path / "page.html")
    assert (found["prompts"], found["faithfulness"]["win"], found["notes"]) == (2, 100.0, [])
    assert ">a cat<" in (tmp_path / "page.html").read_text()


def test_files_that_were_to_show_two_things_are_no_pair(tmp_path: Path) -> None:
    before = folder(tmp_path / "base", 10, ["a.png", "b.png"], {"a.txt": "a cat", "b.txt": "a dog"})
    after = folder(tmp_path / "tuned", 90, ["a.png", "b.png"], {"a.txt": "a cat", "b.txt": "a house"})
    compare([before, after], out=tmp_path / "page.html", faithfulness=Reader())
    assert (verdict(tmp_path / "page.html")["pairs"], verdict(tmp_path / "page.html")["alone"]) == (
        1,
        ["base/b.png", "tuned/b.png"],
    )


def test_drawn_folders_are_paired_by_prompt_and_seed_and_other_settings_are_told(
    make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run(after={"sampler": {"steps": 9}})
    steps = [runs.step_folder(run, step) for step in (0, 20)]
    told = compare(steps, out=tmp_path / "page.html", appeal=Brightness())
    found = verdict(tmp_path / "page.html")
    assert found["name"] == "step-000020 against step-000000"
    assert (found["pairs"], found["appeal"]["judge"]) == (4, Brightness().name)
    assert "drawn with different settings: steps" in told
    assert "seed 3" in (tmp_path / "page.html").read_text()


def test_scores_count_only_where_one_judge_gave_both(make_run: MakeRun, tmp_path: Path) -> None:
    card = {"name": "eye", "tie": 0.1}
    steps = [runs.step_folder(make_run(), step) for step in (0, 20)]
    for step in steps:
        runs.write_judges(step, {"appeal": card, "faithfulness": {"name": str(step), "tie": 0.0}})
    compare(steps, out=tmp_path / "page.html")
    found = verdict(tmp_path / "page.html")
    assert (found["appeal"]["judge"], found["appeal"]["win"], "faithfulness" in found) == ("eye", 100.0, False)


def test_sides_that_change_places_change_win_and_lose(tmp_path: Path) -> None:
    sides = [folder(tmp_path / name, level, ["a.png", "b.png"]) for name, level in (("x", 10), ("y", 90))]
    rates = []
    for order in (sides, sides[::-1]):
        compare(order, out=tmp_path / "page.html", appeal=Brightness())
        rates.append([verdict(tmp_path / "page.html")["appeal"][word] for word in ("win", "lose")])
    assert rates[0] == rates[1][::-1] == [100.0, 0.0]


def test_what_is_no_pair_of_folders_is_one_line(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, one = make_run(), folder(tmp_path / "one", 10, ["a.png"])
    other = folder(tmp_path / "other", 10, ["b.png"])
    (tmp_path / "empty").mkdir()
    for given, message in (
        ([one], "holds no drawn steps, so it is no run"),
        ([run, one], "two folders of pictures: emu compare BEFORE AFTER"),
        ([one, other, one], "holds no drawn steps"),
        ([one, other], "one and other share no file name; give two pictures of one prompt one name"),
        ([one, tmp_path / "empty"], "holds neither pictures nor a run"),
        ([one, one], "the same folder twice"),
        ([one, tmp_path / "gone"], "no such"),
    ):
        with pytest.raises(SystemExit):
            main(["compare", *map(str, given), "--out", str(tmp_path / "page.html")])
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    before = folder(tmp_path / "base" / "samples", 10, ["a.png"])
    after = folder(tmp_path / "tuned" / "samples", 90, ["a.png"])
    compare([before, after], out=tmp_path / "page.html")
    assert verdict(tmp_path / "page.html")["name"] == "tuned/samples against base/samples"


def test_runs_of_one_name_are_told_apart_and_none_comes_twice(make_run: MakeRun, tmp_path: Path) -> None:
    first = make_run()
    second = shutil.copytree(first, tmp_path / "copy")
    compare([first, second], out=tmp_path / "page.html")
    found = [one["name"] for one in read_verdict(tmp_path / "verdict.json")["runs"]]
    assert found == ["latent (latent)", "latent (copy)"]
    with pytest.raises(UserError, match="the same folder twice; give it once"):
        compare([first, second, tmp_path / "copy" / ".." / "latent"], out=tmp_path / "page.html")


def test_draws_of_the_empty_prompt_are_draws_of_one_prompt(make_run: MakeRun, tmp_path: Path) -> None:
    empty = {"prompt": ""}
    compare([make_run(before=empty, after=empty)], out=tmp_path / "page.html")
    found = verdict(tmp_path / "page.html")
    assert (found["prompts"], found["pairs"]) == (1, 4)
    assert "(&#39;&#39;" not in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("name", ["verdict.json", "folder"])
def test_a_page_takes_no_place_of_something_else(make_run: MakeRun, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="name a file for the page"):
        compare([make_run()], out=tmp_path / name)
    assert not (tmp_path / "verdict.json").exists()


def test_a_picture_that_is_none_is_named(tmp_path: Path) -> None:
    before = folder(tmp_path / "base", 10, ["a.png"])
    after = folder(tmp_path / "tuned", 90, ["a.png"])
    (after / "a.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"tuned/a\.png"):
        compare([before, after], out=tmp_path / "page.html")


def test_a_name_with_accents_is_one_name_on_a_mac_and_elsewhere(tmp_path: Path) -> None:
    names = ["caf\xe9.png", "B\xfcro/na\xefve.png"]
    before, after = (
        folder(tmp_path / form, level, [unicodedata.normalize(form, name) for name in names])
        for form, level in (("NFC", 10), ("NFD", 90))
    )
    compare([before, after], out=tmp_path / "page.html", appeal=Brightness())
    found = verdict(tmp_path / "page.html")
    assert (found["pairs"], found["alone"], found["appeal"]["win"]) == (2, [], 100.0)


def test_prompts_that_were_drawn_with_other_seeds_are_said_to_be(tmp_path: Path) -> None:
    def side(name: str, prompt: str, seed: int) -> Path:
        where = folder(tmp_path / name, 10, ["a.png"])
        runs.write_samples(where, [{"file": "a.png", "prompt": prompt, "seed": seed, "index": 0, "sampler": {}}])
        return where

    first, second, other = side("first", "a fox", 0), side("second", "a fox", 1), side("other", "a cat", 0)
    with pytest.raises(UserError, match="share prompts, and no seed of one; draw both with one --seed"):
        compare([first, second], out=tmp_path / "page.html")
    with pytest.raises(UserError, match="share no prompt and seed; draw both from one prompt file"):
        compare([first, other], out=tmp_path / "page.html")


def test_drawings_in_black_on_a_clear_ground_are_compared(tmp_path: Path) -> None:
    """Stickers: their colour is black everywhere, and what they show is in their opacity."""
    for name, rows in (("before", 6), ("after", 2)):
        ink = np.zeros((8, 8, 4), dtype=np.uint8)
        ink[:rows, :, 3] = 255
        (tmp_path / name).mkdir()
        Image.fromarray(ink).save(tmp_path / name / "a.png")
    compare([tmp_path / "before", tmp_path / "after"], out=tmp_path / "page.html", appeal=Brightness())
    found = verdict(tmp_path / "page.html")
    assert (found["pairs"], found["black"], found["appeal"]["win"]) == (1, 0, 100.0)
