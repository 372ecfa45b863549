"""What is known of a picture before its pixels: whether it can be read, its shape, and what its source says of it."""

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage


class Readable(Stage):
    """Opens the file. The first stage of every funnel; what it cannot open has failed, with the reason.

    Args:
        max_pixels: larger pictures are refused by their header, before they are decoded.
        max_bytes: of longer files no more is read.
    """

    name = "readable"
    columns = {
        "sha256": "string",
        "bytes": "int64",
        "format": "string",
        "width": "int64",
        "height": "int64",
        "animated": "bool",
    }

    def __init__(self, max_pixels: int = 40_000_000, max_bytes: int = 64_000_000) -> None:
        self.max_pixels, self.max_bytes = max_pixels, max_bytes

    def measure(self, picture: Picture) -> Row:
        header, (width, height) = picture.header, picture.size
        return {
            "sha256": picture.sha256,
            "bytes": len(picture.content),
            "format": header.format,
            "width": width,
            "height": height,
            "animated": header.animated,
        }


class Shape(Stage):
    """Sides in pixels and how elongated the picture is, long side to short side."""

    name = "shape"
    columns = {"short_side": "int64", "aspect": "float64"}

    def measure(self, picture: Picture) -> Row:
        short, long = sorted(picture.size)
        return {"short_side": short, "aspect": long / short}


class Popularity(Stage):
    """A number of the source, by the name of its column; a picture without one leaves where there is a limit.

    Args:
        column: of the source; the manifest has it under `as_column`.
    """

    name = "popularity"

    def __init__(self, column: str = "likes", as_column: str = "popularity") -> None:
        self.column, self.as_column = column, as_column
        self.columns = {as_column: "float64"}

    def measure(self, picture: Picture) -> Row:
        value = picture.columns.get(self.column)
        try:  # of a table of text numbers are text
            return {self.as_column: float(value) if isinstance(value, int | float | str) else None}
        except ValueError:
            return {self.as_column: None}
