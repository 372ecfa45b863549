"""What a class of a user's is made of besides its weights: its code, and the arguments that its constructor adds."""

import ast
import hashlib
import inspect
from pathlib import Path
from typing import Any

OURS = "emu.module."  # of which every architecture is made
PLAIN = (str, int, float, bool, type(None), list, tuple, dict)


def code_of(kind: type) -> str:
    """The files of a class and of those it is made of, without comments; not libraries' nor what all are made of."""
    return _code([one for one in kind.__mro__ if not one.__module__.startswith(OURS) and not _is_of_a_library(one)])


def own_code(kind: type) -> str:
    """8 digits of the code of a class outside of emu, and of those there that it is made of; "" of one of emu's."""
    own = [one for one in kind.__mro__ if not one.__module__.startswith("emu.") and not _is_of_a_library(one)]
    return hashlib.sha256(_code(own).encode()).hexdigest()[:8] if own else ""


def _code(kinds: list[type]) -> str:
    files = sorted({file for one in kinds if (file := _file_of(one))})
    return "\n".join(ast.unparse(ast.parse(Path(file).read_text(encoding="utf-8"))) for file in files)


def _file_of(kind: type) -> str | None:
    """None of a class that was typed, as in a notebook."""
    try:
        return inspect.getfile(kind)
    except (OSError, TypeError):
        return None


def own_arguments(model: object) -> dict[str, Any]:
    """Name -> value of the arguments that a class outside of emu adds to the constructor, where it keeps them so."""
    kinds = [one for one in type(model).__mro__ if "__init__" in vars(one) and not one.__module__.startswith("emu.")]
    constructors: list[Any] = [vars(one)["__init__"] for one in kinds if not _is_of_a_library(one)]
    names = {name for constructor in constructors for name in inspect.signature(constructor).parameters}
    values = {name: getattr(model, name, None) for name in sorted(names - {"self", "pretrained", "kwargs"})}
    return {name: value for name, value in values.items() if isinstance(value, PLAIN)}


def _is_of_a_library(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("builtins", "abc", "torch", "lightning", "typing")
