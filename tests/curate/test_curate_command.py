"""`emu curate` as it is typed."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from emu.cli import main
from emu.curate.config import Funnel
from emu.curate.document import KEYS
from emu.storage import documents
from haystack import SEEN, config, folder

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "curate").glob("*.yaml"))
BUDGET = {"by": ["mean"]}


@pytest.fixture
def typed(tmp_path: Path) -> list[str]:
    """A config and a haystack of six."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(SEEN, budget=BUDGET)))
    source = folder(tmp_path / "hay", ["good"] * 6)
    return ["curate", "-c", str(tmp_path / "config.yaml"), "--workers", "1", str(source)]


def test_it_prints_the_funnel_and_then_explains(
    typed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*typed, str(tmp_path / "out")])
    told = capsys.readouterr().out
    assert "6 pictures in, 6 out" in told
    assert "funnel.html" in told
    main(["curate", "--explain", "good-4.jpg", str(tmp_path / "out")])
    assert "row 4, good-4.jpg: kept" in capsys.readouterr().out


def test_a_budget_sets_thresholds_and_keeps_them(
    typed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*typed, str(tmp_path / "out"), "--budget", "2"])
    assert "6 pictures in, 2 out" in capsys.readouterr().out
    from emu.curate.manifest import read_footer

    assert set(read_footer(tmp_path / "out").notes["budget"]["thresholds"]["all"]) == {"mean"}
    main(["curate", "--explain", "row 0", str(tmp_path / "out")])
    assert "thresholds" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--budget", "0"], "--budget 0: at least 1"),
        (["--workers", "0"], "--workers 0: at least 1"),
        (["--engine", "spark"], "--engine spark: no such engine"),
        (["third"], "unknown third"),
        (["--explain", "x"], "--explain takes one folder"),
        (["-c", "curate/papre"], "did you mean curate/paper"),
    ],
)
def test_what_is_mistyped_is_one_line(
    typed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*typed, str(tmp_path / "out"), *more])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("emu: ")
    assert told.count("\n") == 1
    assert said in told


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_bundled_config_is_a_document_that_a_funnel_is_made_of(path: Path) -> None:
    text = path.read_text()
    assert f"emu curate -c curate/{path.stem} " in text
    assert max(map(len, text.splitlines())) <= 120
    names = [step.stage.name for step in Funnel(documents.read_mapping(path, keys=KEYS)).steps]
    assert names[0] == "readable"


def test_measuring_pixels_imports_neither_torch_nor_lightning() -> None:
    code = (
        "import sys, emu.commands.curate, emu.curate, emu.curate.page, emu.curate.pool, emu.curate.stages;"
        "print([m for m in ('torch', 'lightning', 'transformers', 'datasets', 'scipy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
