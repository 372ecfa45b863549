"""What a page sends: a small JSON object, with exactly the fields that are asked for, or nothing is done."""

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

LONGEST = 256 * 1024  # bytes: the longest caption, every character of it written as \u0001


async def fields(request: Request, **types: type) -> dict[str, Any]:
    """The body's fields by name, each of its type; HTTP 413 for more than 256 KiB, 400 for anything else amiss."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST:
            raise HTTPException(413, "it is too long")
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "it is not JSON") from error
    if not isinstance(found, dict) or found.keys() != types.keys():
        raise HTTPException(400, f"send {', '.join(types) or 'no fields'}")
    for name, kind in types.items():
        if type(found[name]) is not kind:  # True is no number here
            raise HTTPException(400, f"{name} is not of the right type")
    return found


def require_short(text: str, longest: int, what: str) -> None:
    """HTTP 400 for a text of more than so many characters, with how many it has."""
    if len(text) > longest:
        raise HTTPException(400, f"{what} has {len(text):,} characters, and {longest:,} is the most")
