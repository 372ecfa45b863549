"""A card as one offline page in the look of the funnel's: nothing loads, and what others wrote stays text."""

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from emu.card.blocks import Card, Pictures, Table, Told, Verbatim
from emu.card.looks import MAX_PIXELS, opener
from emu.data.pictures import BadPicture, decode
from emu.errors import printable

HERE = Path(__file__).parent
STYLES = ("compare/page/report.css", "curate/page.css", "card/card.css")
SIDE = 192  # pixels of a picture on the page
LONGEST = 200  # characters of a caption


def page(card: Card, folder: Path) -> str:
    """The HTML."""
    style = "".join((HERE.parent / name).read_text() for name in STYLES)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests |= {
        "told": _of(Told),
        "table": _of(Table),
        "verbatim": _of(Verbatim),
        "pictures": _of(Pictures),
    }
    environment.filters |= {"printable": printable, "lines": lines}
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("card.html").render(
        card=card,
        thumbnail=lambda file: thumbnail(folder / file),
        longest=LONGEST,
        style=style,
        style_hash=f"sha256-{digest}",
    )


def lines(text: str) -> str:
    """As it stands, line by line; what turns text around is spelled out."""
    indents = [line[: len(line) - len(line.lstrip(" "))] for line in text.splitlines()]
    return "\n".join(indent + printable(line) for indent, line in zip(indents, text.splitlines(), strict=True))


def thumbnail(path: Path) -> str | None:
    """A small WebP as an address of its own; None where the picture cannot be read."""
    try:
        image = decode(opener(path), max_pixels=MAX_PIXELS, least=SIDE)
    except BadPicture:
        return None
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=80, method=2)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()


def _of(kind: type) -> Any:
    return lambda value: isinstance(value, kind)
