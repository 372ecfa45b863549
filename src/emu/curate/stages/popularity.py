"""What a source itself says of its pictures: likes, views, votes."""

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage


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
        return {self.as_column: float(value) if isinstance(value, int | float) else None}
