"""Every file of docs/extending.md is laid into a folder outside of the package, and every command there is run."""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors import safe_open

from emu.class_paths import trust
from emu.cli import main
from emu.layouts import runs
from emu.layouts.quality_json import read_quality
from needles import draw, make_folder

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r"^`(\w+\.(?:py|yaml))`:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = [shlex.split(line) for line in re.findall(r"^emu (.+)$", PAGE, re.MULTILINE)]
TINY = "--data.batch_size 4 --data.held_out 2 --data.num_workers 0 --data.bucket_step 8 --quality.batch 4"
TINY += " --quality.max_steps 2 --quality.check_every 1 --trainer.accelerator cpu --trainer.logger false"
TINY += " --trainer.enable_progress_bar false"
SMALLER = {
    "fit": [*TINY.split(), "--data.resolution=32"],
    "plan": ["--data.num_workers=0", "--data.resolution=32", "--data.bucket_step=8"],
    "curate": ["--workers", "1"],
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The '\\w+_dataloader' does not have many workers"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Callable[[str], Path]) -> Iterator[Path]:
    """Where a newcomer works, after all commands of the page from top to bottom."""
    folder = tmp_path_factory.mktemp("newcomer")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    shutil.copytree(tiny_folder("latent"), folder / "base")
    make_folder(folder, [(40, 40)] * 12)
    (folder / "haystack").mkdir()
    for i in range(3):
        draw(folder / "haystack" / f"{i}.png", (80, 80), seed=i)
    Image.new("RGB", (80, 80), "grey").save(folder / "haystack" / "grey.png")
    for picture in (folder / "haystack").glob("*.png"):
        picture.with_suffix(".txt").write_text("a boat\n")
    (folder / "prompts.txt").write_text("".join(f"boat {i}\n" for i in range(4)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", list(sys.path))
        for name, value in {"XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache", trust.VARIABLE: ""}.items():
            patch.setenv(name, value and str(folder / value))
        for words in COMMANDS:
            patch.setenv(trust.VARIABLE, "")  # each is a process of its own
            main([*words, *SMALLER.get(words[0], [])])
        yield folder
    for name in FILES:
        sys.modules.pop(Path(name).stem, None)


def test_files_are_short_and_their_commands_stand_in_the_page() -> None:
    assert len(FILES) == 8
    assert all(len(text.splitlines()) < 40 for text in FILES.values())
    named = " ".join(word for words in COMMANDS for word in words)
    assert all(Path(name).stem in named for name in FILES)


def test_an_architecture_is_tuned_exported_and_drawn(place: Path) -> None:
    assert runs.complete_steps(place / "runs" / "mine") == [0, 1, 2]
    assert read_quality(place / "runs" / "mine").model == "Mine"
    assert json.loads((place / "tuned" / "emu.json").read_text())["class_path"] == "my_model.Mine"
    assert type(StableDiffusionPipeline.from_pretrained(place / "tuned")) is StableDiffusionPipeline
    for side in ("before", "after"):
        assert len(runs.read_samples(place / "pictures" / side)) == 4
    assert read_verdict(place / "two")["runs"][0]["prompts"] == 4


def test_a_judge_decides_in_a_comparison_and_in_a_run(place: Path) -> None:
    assert "warmth" in json.dumps(read_verdict(place / "warm"))
    judges = read_quality(place / "runs" / "warm").judges
    assert judges["appeal"]["name"] == "warmth"


def test_a_guard_speaks_at_every_check_and_in_the_verdict(place: Path) -> None:
    checks = read_quality(place / "runs" / "sharp").checks
    for check in checks:
        found = {row.guard: row for row in check.guards}
        assert {"sharpness", "held-out loss", "drift of brightness"} <= found.keys()
        assert found["sharpness"].kind == "at_least"
        assert found["sharpness"].value > 0
    assert len(checks) == 2
    main(["compare", str(place / "runs" / "sharp"), "--out", str(place / "sharp" / "report.html")])
    assert "neighbouring pixels differ" in json.dumps(read_verdict(place / "sharp"))
    assert "sharpness over the steps" in (place / "sharp" / "report.html").read_text()


def test_a_stage_measures_and_its_limit_drops(place: Path) -> None:
    rows = [json.loads(line) for line in (place / "curated" / "metadata.jsonl").read_text().splitlines()]
    assert len(rows) == 3  # without the grey one


def test_an_export_format_is_proved_like_any_other(place: Path) -> None:
    with safe_open(place / "network.safetensors", "pt") as file:
        assert file.metadata()["emu.step"].isdigit()


def test_an_embedder_tells_near_from_far(place: Path) -> None:
    assert "nine parts" in json.dumps(read_verdict(place / "near"))


def read_verdict(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "verdict.json").read_text())
