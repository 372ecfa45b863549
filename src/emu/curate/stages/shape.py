"""Size and aspect ratio, from the header or of what a crop left."""

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage


class Shape(Stage):
    """Sides in pixels and how elongated the picture is, long side to short side."""

    name = "shape"
    columns = {"short_side": "int64", "aspect": "float64"}

    def measure(self, picture: Picture) -> Row:
        short, long = sorted(picture.size)
        return {"short_side": short, "aspect": long / short}
