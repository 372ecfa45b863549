"""What a page sends: small JSON objects, with exactly the fields that a dataclass has, or nothing is done."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_origin, get_type_hints

from starlette.exceptions import HTTPException
from starlette.requests import Request

from emu.desk.deck import Answer
from emu.storage.records import is_number

LONGEST = 256 * 1024  # bytes: the longest caption, every character of it written as \u0001
WORDS = {"reason": "the reason", "text": "the caption"}
LONGEST_LOOK = 3600 * 1000  # milliseconds; a card that was open for longer counts as an hour

T = TypeVar("T")
A = TypeVar("A", bound=Answer)


class Nothing:
    """A message without fields."""


async def message(request: Request, kind: type[T]) -> T:
    """The body as a dataclass; HTTP 413 for more than 256 KiB, 400 for anything else amiss."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST:
            raise HTTPException(413, "it is too long")
    try:
        return shaped(json.loads(body or b"{}"), kind)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "it is not JSON") from error


def shaped(found: Any, kind: type[T]) -> T:
    """A value of JSON as a dataclass of plain fields; HTTP 400 for other fields than those, or another type.

    JSON knows one kind of numbers, so that a whole one is a float too; none is without an end.
    """
    types = get_type_hints(kind)
    if not isinstance(found, dict) or found.keys() != types.keys():
        raise HTTPException(400, f"send {', '.join(types) or 'no fields'}")
    for name, wanted in types.items():
        value = found[name]
        if not (is_number(value) if wanted is float else type(value) is (get_origin(wanted) or wanted)):
            raise HTTPException(400, f"{name} is not of the right type")
    return kind(**found)


def checked(answer: A, longest: Mapping[str, int]) -> A:
    """The answer as it is stored; HTTP 400 where it is none.

    Args:
        longest: its texts, and the most characters that each may have.
    """
    if not 0 <= answer.turn < 2**31 or not answer.id.isascii():
        raise HTTPException(400, "there is no such picture")
    for name, most in longest.items():
        require_short(getattr(answer, name), most, WORDS[name])
    texts = {name: storable(getattr(answer, name)) for name in longest}
    took = min(max(answer.milliseconds, 0), LONGEST_LOOK)
    return type(answer)(**{**vars(answer), **texts, "milliseconds": took})


def require_short(text: str, longest: int, what: str) -> None:
    """HTTP 400 for a text of more than so many characters, with how many it has."""
    if len(text) > longest:
        raise HTTPException(400, f"{what} has {len(text):,} characters, and {longest:,} is the most")


def storable(text: str) -> str:
    """Half characters and zeros may come in JSON, but no database takes them."""
    return text.encode(errors="replace").decode().replace("\0", "")
