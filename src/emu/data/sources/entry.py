"""What every source yields: a captioned picture that can be opened at any time, or why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from emu.data.pictures import Opener
from emu.storage.shapes import Row

NOWHERE = "nowhere"  # has the empty caption of a picture without one come from
LONGEST_CAPTION = 20_000  # characters; the longest that any text encoder here reads has some 2,000


@dataclass(frozen=True, slots=True)
class Entry:
    """One captioned picture of a source, not yet looked at."""

    name: str  # for messages: a file, a member of a tar or a row
    text: str
    open: Opener
    columns: Row = field(default_factory=dict)  # what else the source says of it
    others: tuple[str, ...] = ()  # further captions of the same picture
    caption_from: str = ""  # such as "column text"

    @property
    def texts(self) -> tuple[str, ...]:
        """All of its captions, the first one first."""
        return (self.text, *self.others)


@dataclass(frozen=True, slots=True)
class Fault:
    """One picture that cannot be used though it was meant to be: its name and the reason, as one line."""

    message: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that the source holds and that is no picture of the set: its name and the reason, as one line.

    `captions`: whether it is text that may hold what pictures lack.
    """

    message: str
    captions: bool = False


Item = Entry | Fault | Dropped


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a user asks of a source.

    Args:
        image_column, text_column: columns, or fields of a tar's samples; None for the first of the usual names.
        lines: whether each line of a file of text is a caption of its own.
        sequential: whether pictures are opened once and in order, so that no table need be laid out for random access.
        captioned: whether a picture without a caption is a fault; otherwise its caption is empty.
    """

    image_column: str | None = None
    text_column: str | None = None
    lines: bool = False
    sequential: bool = False
    captioned: bool = True


def entry_or_fault(
    name: str, texts: Sequence[str], opener: Opener, columns: Row, *, caption_from: str
) -> Entry | Fault:
    """An entry where its captions can be stored and read."""
    for text in texts:
        if len(text) > LONGEST_CAPTION:
            return Fault(f"{name}: its caption has {len(text):,} characters, more than {LONGEST_CAPTION:,}")
        try:
            text.encode()
        except UnicodeEncodeError:
            return Fault(f"{name}: its caption is not valid Unicode")
        if "\0" in text:  # what UTF-16 without a mark looks like
            return Fault(f"{name}: its caption holds a NUL character; save it as UTF-8")
    return Entry(name, texts[0], opener, columns, tuple(texts[1:]), caption_from)
