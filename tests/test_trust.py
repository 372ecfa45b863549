"""What comes from somebody else runs nothing: a class that a file names is emu's, or trusted by name."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from emu.class_paths import trust
from emu.cli import main
from emu.curate.config import Funnel
from emu.errors import UserError
from emu.judges.embedder import load
from emu.models.loading import from_config
from emu.training.fit import EmuCLI

MARK = "from pathlib import Path\nPath('ran').touch()\n"
OWN = f"{MARK}from emu.models import Muse\n\n\nclass Mine(Muse):\n    pass\n"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module that leaves a mark where it runs, and nothing trusted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv(trust.VARIABLE, "")
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "strange.py").write_text(OWN)
    yield tmp_path
    sys.modules.pop("strange", None)


def config(**model: Any) -> dict[str, Any]:
    return {
        "model": {"class_path": "emu.models.Muse", "init_args": {"pretrained": "x"}, **model},
        "data": {"root": "x"},
    }


POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "ran"]}}
HOSTILE = {
    "model": config(class_path="strange.Mine"),
    "a function for a model": config(class_path="os.system"),
    "optimizer": config(init_args={"pretrained": "x", "optimizer": POPEN}),
    "callbacks": config() | {"trainer": {"callbacks": [POPEN, {"class_path": "strange.Mine"}]}},
    "logger": config() | {"trainer": {"logger": POPEN}},
    "a callable of a callback": config()
    | {
        "trainer": {
            "callbacks": [
                {"class_path": "lightning.pytorch.callbacks.LambdaCallback", "init_args": {"setup": "strange.Mine"}}
            ]
        }
    },
    "judges": config() | {"quality": {"appeal": POPEN}},
    "an argument of a model": config(init_args={"pretrained": "x", "sampler": {"a": POPEN}}),
}


def fitted(document: dict[str, Any], folder: Path) -> None:
    (folder / "stranger.yaml").write_text(json.dumps(document))
    main(["plan", "-c", "stranger.yaml"])


def parsed(document: dict[str, Any], folder: Path) -> None:
    """Past the first look at a config, by the parser alone."""
    (folder / "stranger.yaml").write_text(json.dumps(document))
    EmuCLI(["--config=stranger.yaml"], command="fit")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", [fitted, parsed])
@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_a_config_runs_nothing(document: dict[str, Any], how: Callable[..., None], elsewhere: Path) -> None:
    with pytest.raises((SystemExit, UserError, Exception)):
        how(document, elsewhere)
    assert not (elsewhere / "ran").exists()


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_a_run_folder_runs_nothing(document: dict[str, Any], elsewhere: Path) -> None:
    with suppress(UserError):  # nothing but the model is looked at
        assert type(from_config(document)).__module__.startswith("emu.")
    assert not (elsewhere / "ran").exists()


@pytest.mark.parametrize("class_path", ["strange.Mine", "subprocess.Popen", "os.system", "emu.models.Muse"])
def test_a_funnel_and_a_head_run_nothing(class_path: str, elsewhere: Path) -> None:
    stage = {"class_path": class_path, "init_args": {"args": ["touch", "ran"]}}
    with pytest.raises(UserError):
        Funnel({"stages": [{"class_path": "emu.curate.stages.Readable"}, stage]})
    with suppress(UserError):
        load(f"{class_path}:touch ran", where="--embedder")
    assert not (elsewhere / "ran").exists()


def test_trust_is_asked_for_once_and_again_where_the_code_is_another(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"strange\.py, which is not emu's code; if you trust it, add --trust strange"):
        trust.require("strange.Mine", where="model")
    assert trust.take(["fit", "--trust", "strange", "-c", "x"]) == ["fit", "-c", "x"]
    monkeypatch.setenv(trust.VARIABLE, "")  # another command, on another day
    trust.require("strange.Mine", where="model")
    (elsewhere / "strange.py").write_text(OWN + "# more\n")
    with pytest.raises(UserError, match="has changed since you trusted it"):
        trust.require("strange.Mine", where="model")


def test_a_process_that_knows_of_no_trust_measures_with_a_stage_that_was_trusted(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of processes that was begun before, or another machine."""
    (elsewhere / "strange.py").write_text("from emu.curate.stages import Shape\n\n\nclass Mine(Shape):\n    pass\n")
    trust.take(["--trust", "strange"])
    stages = [{"class_path": "emu.curate.stages.Readable"}, {"class_path": "strange.Mine"}]
    funnel = pickle.dumps(Funnel({"stages": stages}))
    monkeypatch.setenv(trust.VARIABLE, "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(elsewhere / "another"))
    sys.modules.pop("strange")
    with pytest.raises(UserError, match="add --trust strange"):
        Funnel({"stages": stages})
    assert type(pickle.loads(funnel).steps[1].stage).__name__ == "Mine"


def test_a_trusted_class_is_a_model_like_any_other(elsewhere: Path) -> None:
    trust.take(["--trust=strange"])
    assert type(from_config(config(class_path="strange.Mine"))).__name__ == "Mine"
    assert (elsewhere / "ran").exists()


def test_modules_beside_are_not_found_by_libraries(elsewhere: Path) -> None:
    """diffusers and others look for optional packages: one of that name may lie where one works."""
    (elsewhere / "xformers.py").write_text(MARK)
    code = "import sys; sys.path[:] = [p for p in sys.path if p]; from emu.cli import main; main(['fit', '--help'])\n"
    code += "import importlib.util; print(importlib.util.find_spec('strange'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("None\n")


def test_a_module_of_a_package_is_trusted_with_all_of_it(elsewhere: Path) -> None:
    with pytest.raises(UserError, match="--trust strange.models: give all of it: --trust strange$"):
        trust.take(["fit", "--trust", "strange.models"])


def test_one_line_on_the_terminal(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "mine.yaml").write_text(json.dumps(config(class_path="strange.Mine")))
    with pytest.raises(SystemExit):
        main(["fit", "-c", "mine.yaml"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("if you trust it, add --trust strange")
