"""JSON files, read at the edge: what comes out is of the shape that was asked for, or an error says what is wrong.

A shape is a type: a frozen dataclass, whose fields with a default may be absent, or what `typing` spells
(`dict[str, float]`, a union, a `TypedDict`). Keys that a shape does not name are ignored, and a TypedDict keeps them: a
newer emu may write more. A document that changes its meaning says so in a field `schema: Literal[2] = 2`; files of
another schema are then refused in one line, and files without one are read as they are.
"""

import json
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from emu.errors import UserError, is_text

WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object"}


def read_json(path: Path, shape: Any, *, remedy: str) -> Any:
    """What a JSON file holds. UserError: it cannot be read, or has another shape; `remedy` says what to do then."""
    return parse(_text(path, remedy), shape, where=str(path), remedy=remedy)


def read_lines(path: Path, shape: Any, *, remedy: str) -> list[Any]:
    """What every line of a `.jsonl` file holds. UserError as for `read_json`, with the line."""
    lines = _text(path, remedy).removesuffix("\n").split("\n")
    if lines == [""]:
        return []
    return [parse(line, shape, where=f"{path}:{number}", remedy=remedy) for number, line in enumerate(lines, start=1)]


def _text(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not JSON (no UTF-8 text at byte {error.start}); {remedy}") from None


def parse(text: str | bytes, shape: Any, *, where: str, remedy: str) -> Any:
    """What a JSON text says, at `where`. UserError as for `read_json`."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UserError(f"{where}: not JSON ({error}); {remedy}") from None
    except RecursionError:
        raise UserError(f"{where}: not JSON that is read (lists lie too deep in each other); {remedy}") from None
    if wrong := fault(value, shape):
        raise UserError(f"{where}: {wrong}; {remedy}")
    return build(value, shape)


def to_json(value: Any, *, indent: int | None = 2) -> bytes:
    """Dataclasses, lists and mappings as the text of a JSON file. ValueError: a number in them is not finite."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False).encode()


def left_out() -> Any:
    """The default of a dataclass's field that is None, and is then absent from the JSON rather than null."""
    return field(default=None, metadata={"left out": True})


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        shown = [one for one in fields(value) if not ("left out" in one.metadata and getattr(value, one.name) is None)]
        return {one.name: _plain(getattr(value, one.name)) for one in shown}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def build(value: Any, shape: Any) -> Any:
    """A value of JSON without a `fault`, with dataclasses and tuples where its shape has them."""
    origin, arguments = get_origin(shape), get_args(shape)
    if is_dataclass(shape) or is_typeddict(shape):
        known = {name: build(value[name], kind) for name, (kind, _) in _keys(shape).items() if name in value}
        return {**value, **known} if is_typeddict(shape) else shape(**known)
    if origin in (Union, types.UnionType):
        return build(value, next(one for one in arguments if fault(value, one) is None))
    if origin is NotRequired:
        return build(value, arguments[0])
    if origin is dict:
        return {key: build(one, arguments[1]) for key, one in value.items()}
    if origin in (list, tuple):
        return origin(build(one, kind) for one, kind in zip(value, _kinds(value, arguments), strict=True))
    return value


def fault(value: Any, shape: Any, at: str = "") -> str | None:
    """What keeps a value of JSON from being of a shape, as `checks[2].step is "x", not a whole number`; or None."""
    if is_typeddict(shape) or is_dataclass(shape):
        return _fault_of_object(value, shape, at)
    origin, arguments = get_origin(shape), get_args(shape)
    if origin in (Union, types.UnionType):
        faults = [fault(value, one, at) for one in arguments]
        # Of `T | None` what is wrong with T says more than that it is neither.
        return None if None in faults else faults[0]
    if origin is NotRequired:
        return fault(value, arguments[0], at)
    if origin is Literal:
        words = "one of " * (len(arguments) > 1) + ", ".join(map(str, arguments))
        return None if value in arguments else _not(value, words, at)
    if origin in (list, tuple, dict):
        return _fault_of_many(value, origin, arguments, at)
    return None if _is_plain(value, shape) else _not(value, "null" if shape is type(None) else WORDS[shape], at)


def _is_plain(value: Any, shape: Any) -> bool:
    if shape is Any:
        return True
    if shape is float:
        return is_number(value)
    if shape is str:
        return isinstance(value, str) and is_text(value)
    return isinstance(value, shape) and (shape is bool or not isinstance(value, bool))


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number that a float can be: finite, and of whole ones none of 400 digits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _fault_of_object(value: Any, shape: Any, at: str) -> str | None:
    if not isinstance(value, dict):
        return _not(value, "a JSON object", at)
    for name, (kind, required) in _keys(shape).items():
        if name in value:
            if wrong := fault(value[name], kind, f"{at}.{name}".lstrip(".")):
                return wrong
        elif required:
            return f"no {name!r}" + (f" in {at}" if at else "")
    return None


@cache
def _keys(shape: Any) -> dict[str, tuple[Any, bool]]:
    """Of a dataclass or a TypedDict: key -> the shape of its value, and whether it has to be there."""
    kinds = get_type_hints(shape, include_extras=True)
    if is_typeddict(shape):
        return {name: (kind, get_origin(kind) is not NotRequired) for name, kind in kinds.items()}
    return {
        one.name: (kinds[one.name], one.default is MISSING and one.default_factory is MISSING) for one in fields(shape)
    }


def _fault_of_many(value: Any, origin: Any, kinds: tuple[Any, ...], at: str) -> str | None:
    if origin is dict:
        if not isinstance(value, dict):
            return _not(value, WORDS[dict], at)
        parts = [(f"{at}.{key}".lstrip("."), one, kinds[1]) for key, one in value.items()]
    else:
        fixed = origin is tuple and ... not in kinds
        if not isinstance(value, list | tuple) or (fixed and len(value) != len(kinds)):
            return _not(value, f"a list of {len(kinds)}" if fixed else "a list", at)
        each = _kinds(value, kinds)
        parts = [(f"{at}[{i}]", one, kind) for i, (one, kind) in enumerate(zip(value, each, strict=True))]
    return next((wrong for name, one, kind in parts if (wrong := fault(one, kind, name))), None)


def _kinds(value: Sequence[Any], kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """The shape of each member, by the arguments of `list[T]`, `tuple[T, ...]` or `tuple[T, U]`."""
    return kinds if len(kinds) > 1 and ... not in kinds else kinds[:1] * len(value)


def _not(value: Any, wanted: str, at: str) -> str:
    if not at:
        return f"not {wanted}"
    shown = ascii(value) if isinstance(value, str) else f"{value!r:.60}"
    return f"{at} is {shown:.60}, not {wanted}"
