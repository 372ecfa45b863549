"""What every source yields: a captioned picture that can be opened at any time, or what is wrong with one."""

from dataclasses import dataclass, field
from typing import Any

from emu.data.pictures import Opener

LONGEST_CAPTION = 20_000  # characters; the longest that any text encoder here reads has some 2,000


@dataclass(frozen=True, slots=True)
class Entry:
    """One captioned picture of a source, not yet looked at."""

    name: str  # for messages: a file, a member of a tar or a row
    text: str
    open: Opener
    columns: dict[str, Any] = field(default_factory=dict)  # what else the source says of it


@dataclass(frozen=True, slots=True)
class Fault:
    """One picture that cannot be used: its name and the reason, as one line."""

    message: str


def entry_or_fault(name: str, text: object, opener: Opener, columns: dict[str, Any]) -> Entry | Fault:
    """An entry where the caption is a text that can be stored and read."""
    if not isinstance(text, str):
        return Fault(f"{name}: its caption is not text but {text!r:.60}")
    if len(text) > LONGEST_CAPTION:
        return Fault(f"{name}: its caption has {len(text):,} characters, more than {LONGEST_CAPTION:,}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return Fault(f"{name}: its caption is not valid Unicode")
    return Entry(name, text, opener, columns)
