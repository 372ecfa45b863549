"""What a text of the command line or of a config names: a class with its arguments, or a setting.

emu.judges.clip.ClipScore:openai/clip-vit-large-patch14,sha256=0f3a99c1      CLASS_PATH[:ARG][,NAME=VALUE]...
guidance_scale=5                                                             KEY=VALUE
"""

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from emu.class_paths import trust
from emu.errors import UserError
from emu.storage import documents

FORM = "CLASS_PATH[:ARG][,NAME=VALUE]"
CLASS_PATH = re.compile(r"(?:[A-Za-z_]\w*\.)+[A-Z]\w*(?=[:,]|$)")
NEXT = re.compile(r",(?=\w+=)")  # a comma that begins NAME=VALUE; any other belongs to the value
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

T = TypeVar("T")


def find(class_path: str, kind: type[T], *, where: str, like: str, typed: bool = False) -> type[T]:
    """The class that a class path leads to.

    Args:
        kind: a class that it is derived from, or a protocol of methods that it has.
        where: what a message begins with, such as a flag.
        like: an example, for messages.
        typed: on the command line, which is the user's own word; code that a file names has to be trusted
            (`emu.class_paths.trust`).

    Raises UserError where there is no such class, or it is not of the kind.
    """
    module, _, name = class_path.rpartition(".")
    if typed:
        trust.look_here()
    elif module not in sys.modules:  # else it runs already: a program that uses emu as a library imported it
        trust.require(class_path, where=where)
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{where} {class_path}: {error}; give a class such as {like}") from None
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UserError(f"{where} {class_path}: no {kind.__name__}; give a class such as {like}")
    if lacks := lacking(found):
        raise UserError(f"{where} {lacks}")
    return found


def lacking(kind: type) -> str | None:
    """`my_model.Mine lacks encode_prompts, loss; write ...` of a class that is not whole; None of one that is."""
    names = sorted(getattr(kind, "__abstractmethods__", ()))
    what = f"{kind.__module__}.{kind.__qualname__} lacks {', '.join(names)}; write what it lacks (docs/extending.md)"
    return what if names else None


def leads_to(class_path: object, kind: type) -> bool:
    """Whether a class path of a file leads to a class or one derived from it; False where its code is not trusted."""
    try:
        find(str(class_path), kind, where="", like="")
    except UserError:
        return False
    return True


def make(given: str, kind: type[T], *, where: str, like: str, bare: str = "", typed: bool = False) -> T:
    """The object that `given`, a text of the `FORM`, names.

    Args:
        kind, where, like, typed: as for `find`.
        bare: the class whose ARG a text is that begins with no class path.

    Raises UserError as `find` does, and where the class takes other arguments.
    """
    class_path, *settings = NEXT.split(given if CLASS_PATH.match(given) or not bare else f"{bare}:{given}")
    class_path, colon, argument = class_path.partition(":")
    found = find(class_path, kind, where=where, like=like, typed=typed)
    where = f"{where} {given}"
    taken = _bound(found, [argument] if colon else [], dict(one.split("=", 1) for one in settings), where=where)
    for name, text in taken.arguments.items():
        taken.arguments[name] = _read(text, taken.signature.parameters[name], where=where)
    _require_kinds(taken, where=where)
    try:
        return found(*taken.args, **taken.kwargs)
    except (ImportError, AttributeError, ValueError, TypeError, OSError) as error:
        raise UserError(f"{where}: {error}; give one such as {like}") from None


def construct(kind: type[T], arguments: Any, *, where: str) -> T:
    """An object from arguments as YAML has them. UserError, which begins with `where`: it takes others."""
    if not isinstance(arguments, dict):
        raise UserError(f"{where}: {arguments!r:.80} is no mapping of arguments to values")
    _require_kinds(_bound(kind, [], arguments, where=where), where=where)
    return kind(**arguments)


def _bound(
    kind: Callable[..., Any], arguments: Sequence[Any], by_name: Mapping[str, Any], *, where: str
) -> inspect.BoundArguments:
    """Arguments as a class takes them. UserError, which says what it takes, where it takes others."""
    try:
        signature = inspect.signature(kind, eval_str=True)
    except NameError:  # an annotation of what is imported for type checkers alone
        signature = inspect.signature(kind)
    try:
        return signature.bind(*arguments, **by_name)
    except TypeError as error:
        raise UserError(f"{where}: {error}; it takes {', '.join(signature.parameters) or 'none'}") from None


def _require_kinds(bound: inspect.BoundArguments, *, where: str) -> None:
    """UserError where an argument is not of its parameter's type, as far as plain types tell."""
    for name, value in bound.arguments.items():
        wanted = bound.signature.parameters[name].annotation
        if bound.signature.parameters[name].kind not in VARIADIC and not is_a(value, wanted):
            said = wanted.__name__ if isinstance(wanted, type) else wanted
            raise UserError(f"{where}: {name} is {value!r:.80}, which is no {said}")


def is_a(value: Any, wanted: Any) -> bool:
    """Whether a value of a YAML file is of a type, as far as plain types tell: `[en, no]` is no list[str]."""
    kind, inner = get_origin(wanted) or wanted, get_args(wanted)
    if kind in (UnionType, Union):
        return any(is_a(value, one) for one in inner)
    if kind in (int, float):
        return isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    if kind in (list, Sequence):
        many = list if kind is list else (list, tuple)
        return isinstance(value, many) and all(is_a(one, part) for part in inner[:1] for one in value)
    if kind is dict and inner:
        return isinstance(value, dict) and all(is_a(one, inner[1]) for one in value.values())
    return isinstance(value, kind) if kind in (str, bool, list, dict, NoneType) else True


def _read(text: Any, parameter: inspect.Parameter, *, where: str) -> Any:
    """What was typed, read as YAML where numbers are taken; where text is, a model or a hash may look like one."""
    kinds = {parameter.annotation, *get_args(parameter.annotation)}
    return documents.parse(text, where=where) if kinds & {int, float, bool} and str not in kinds else text


def setting(pair: str, *, flag: str, like: str) -> tuple[str, str]:
    """`guidance_scale=5` -> ("guidance_scale", "5"). UserError: there is no equals sign."""
    key, equals, value = pair.partition("=")
    if not equals:
        raise UserError(f"{flag} {pair}: give KEY=VALUE, such as {like}")
    return key, value
