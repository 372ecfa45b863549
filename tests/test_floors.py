"""The laws of docs/architecture.md, read from every import of every file, wherever it stands."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "emu"
FILES = sorted(PACKAGE.rglob("*.py"))
NEUTRAL = {"data", "quality", "judges", "curate", "compare", "desk"}


def rooms() -> list[str]:
    """The rooms from the top down, as the architecture page lists them."""
    table = (ROOT / "docs" / "architecture.md").read_text().split("src/emu/\n", 1)[1].split("```", 1)[0]
    return re.findall(r"^  (\w+)(?:\.py|/) ", table, re.MULTILINE)


def room(file: Path) -> str:
    """`src/emu/data/buckets.py` -> data, `src/emu/cli.py` -> cli."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


ROOMS = {room(file) for file in FILES}


def imported(file: Path) -> set[str]:
    """The rooms of emu that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("emu.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "emu":
            found |= {alias.name for alias in node.names if alias.name in ROOMS}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("emu."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import, which hides its room"
    return found - {room(file)}


DOORS = ["__main__", "__init__"]


def test_every_room_is_listed_once_and_no_other() -> None:
    assert sorted([*rooms(), *DOORS]) == sorted({room(file) for file in FILES})


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_down(file: Path) -> None:
    order = [*DOORS, *rooms()]
    below = order[order.index(room(file)) + 1 :]
    assert imported(file) <= set(below)


def module(file: Path) -> str:
    """`src/emu/data/__init__.py` -> emu.data."""
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(file) for file in FILES}


def modules_imported(file: Path) -> set[str]:
    """The modules of emu that a file imports as it runs, at its top or later; not those for types alone."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {(f"{node.module}.{alias.name}", str(node.module)) for node in nodes for alias in node.names}
    names |= {(alias.name, "") for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return ({whole if whole in MODULES else part for whole, part in names} & MODULES) - {module(file)}


def test_no_module_imports_itself_by_way_of_others() -> None:
    order = TopologicalSorter({module(file): modules_imported(file) for file in FILES})
    order.prepare()  # CycleError names a circle


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_models_and_data_meet_only_in_the_batch(file: Path) -> None:
    if room(file) in NEUTRAL:
        assert not imported(file) & {"module", "models"}
    if room(file) == "models":
        assert not imported(file) & {"data", "quality"}


def test_what_is_shared_names_no_model() -> None:
    names = re.compile(r"\b(LatentDiffusion|PixelDiffusion|Muse|FlowMatching|unet|vae)\b")
    shared = [file for file in FILES if room(file) in NEUTRAL | {"statistics", "cache"}]
    assert [file.name for file in shared if names.search(code(file))] == []


def code(file: Path) -> str:
    """A file without its comments and docstrings."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
    return ast.unparse(tree)


def test_no_drawer_for_odds_and_ends() -> None:
    assert [file for file in FILES if file.stem in {"utils", "util", "helpers", "common", "core", "base"}] == []


def test_source_is_ascii() -> None:
    files = [*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "configs").rglob("*.yaml")]
    assert [file for file in files if not file.read_bytes().isascii()] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_command_prints(file: Path) -> None:
    calls = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)]
    prints = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert not prints or room(file) in {"cli", "commands", "demo"}
