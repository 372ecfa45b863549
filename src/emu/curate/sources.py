"""Where a haystack comes from: what `emu.data.sources` reads, in order."""

from collections.abc import Iterator

from emu.data.sources import Item, read_source


def read_pictures(
    source: str, *, image_column: str | None = None, text_column: str | None = None, lines: bool = False
) -> Iterator[Item]:
    """All that a source holds, in an order that is the same at every start; pictures are to be opened in that order.

    UserError: no source.
    """
    return read_source(source, image_column=image_column, text_column=text_column, lines=lines, sequential=True)
