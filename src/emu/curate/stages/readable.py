"""Readable and safe: the file is whole, of a format that is let in, and not larger than what is allowed."""

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
