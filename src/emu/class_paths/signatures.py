"""What the flags of `emu fit` can be: constructors read with `ast`, since to import them costs ten seconds."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Parameter:
    """Its default as it is written, None where there is none, and what the docstring says of it."""

    default: str | None
    about: str


Signature = dict[str, Parameter]


def sections() -> dict[str, Signature]:
    """What each section of a config takes, but for the model, whose class the config chooses."""
    spec = find_spec("lightning")
    assert spec is not None
    lightning = Path(str(spec.origin)).parent / "pytorch"
    return {
        "data": constructor([PACKAGE / "data" / "datamodule.py"], "CuratedData")
        | fields(PACKAGE / "data" / "options.py", "Options"),
        "quality": constructor([PACKAGE / "quality" / "tuning.py"], "QualityTuning")
        | fields(PACKAGE / "quality" / "stopping.py", "StopRule"),
        "trainer": constructor([lightning / "trainer" / "trainer.py"], "Trainer"),
        "checkpoint": constructor([PACKAGE / "checkpoints" / "saving.py"], "Checkpoints"),
    }


def model(class_path: str) -> Signature | None:
    """What a model of emu takes, by `emu.models.Muse` or `Muse`; None for a class of the user's own."""
    module, _, name = class_path.rpartition(".")
    if module and module.partition(".")[0] != "emu":
        return None
    return constructor([file for room in ("module", "models") for file in (PACKAGE / room).glob("*.py")], name) or None


def any_model() -> Signature:
    """What every model takes, by name, an adapter's own fields too."""
    adapter = fields(PACKAGE / "networks" / "adapters.py", "Adapter")
    taken = (model("emu.TextToImageModule") or {}) | {f"adapter.{name}": one for name, one in adapter.items()}
    return dict(sorted(taken.items()))


def constructor(files: list[Path], name: str) -> Signature:
    """The parameters of class `name`, looked for in `files`; through **kwargs those of its bases there too.

    What is said to be "as in" a base is described as there.
    """
    classes = {name: node for file in files for name, node in classes_in(file).items()}
    if name not in classes:
        return {}
    node = classes[name]
    inits = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    found: Signature = {}
    if not inits or inits[0].args.kwarg:
        for base in node.bases:
            found |= constructor(files, ast.unparse(base))
    own = _described(node, parameters(inits[0].args)) if inits else {}
    return found | {name: one for name, one in own.items() if not (name in found and one.about.startswith("as in "))}


def fields(file: Path, name: str) -> Signature:
    """The fields of a dataclass, as `constructor` has parameters."""
    node = classes_in(file)[name]
    body = [each for each in node.body if isinstance(each, ast.AnnAssign)]
    return _described(node, {ast.unparse(each.target): each.value for each in body})


@cache  # of a class each base is looked for in the same files
def classes_in(file: Path) -> dict[str, ast.ClassDef]:
    """The classes at the top of a file, by name."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return {node.name: node for node in body if isinstance(node, ast.ClassDef)}


def parameters(given: ast.arguments) -> dict[str, ast.expr | None]:
    """Names and defaults, without `self`."""
    positional = given.args[1:]
    defaults = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    both = [*zip(positional, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return {argument.arg: default for argument, default in both}


def _described(node: ast.ClassDef, defaults: dict[str, ast.expr | None]) -> Signature:
    """With what the section Args of the class's docstring says, each of `a, b: text` the same."""
    _, _, text = (ast.get_docstring(node) or "").partition("Args:\n")
    section = re.split(r"\n\S", text)[0]
    entries = re.findall(r"^    (\w+(?:, \w+)*): (.*(?:\n     +.*)*)", section, re.MULTILINE)
    about = {name: " ".join(said.split()) for names, said in entries for name in names.split(", ")}
    return {
        name: Parameter(ast.unparse(default) if default else None, about.get(name, ""))
        for name, default in defaults.items()
    }
