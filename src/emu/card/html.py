"""A card as one offline page in the look of the funnel's: nothing loads, and what others wrote stays text."""

from functools import partial
from pathlib import Path

from emu.card.blocks import Card, Pictures, Quoted, Table, Verbatim
from emu.card.looks import MAX_PIXELS
from emu.data.pictures import BadPicture, decode
from emu.data.sources.openers import File
from emu.errors import printable
from emu.offline import data_url, render, webp

HERE = Path(__file__).parent
SIDE = 192  # pixels of a picture on the page
LONGEST = 200  # characters of a caption


def page(card: Card, folder: Path) -> str:
    """The HTML."""
    values = {"card": card, "thumbnail": lambda file: thumbnail(folder / file), "longest": LONGEST}
    kinds = {"quoted": Quoted, "table": Table, "verbatim": Verbatim, "pictures": Pictures}
    return render(
        HERE / "card.html",
        values,
        styles=(HERE.parent / "curate" / "page.css", HERE / "card.css"),
        filters={"lines": lines},
        tests={name: partial(_is_a, kind=kind) for name, kind in kinds.items()},
    )


def lines(text: str) -> str:
    """As it stands, line by line; what turns text around is spelled out."""
    indents = [line[: len(line) - len(line.lstrip(" "))] for line in text.splitlines()]
    return "\n".join(indent + printable(line) for indent, line in zip(indents, text.splitlines(), strict=True))


def thumbnail(path: Path) -> str | None:
    """A small WebP as an address of its own; None where the picture cannot be read."""
    try:
        image = decode(File(path), max_pixels=MAX_PIXELS, least=SIDE)
    except BadPicture:
        return None
    return data_url(webp(image, SIDE))


def _is_a(value: object, *, kind: type) -> bool:
    return isinstance(value, kind)
