"""People's own taste as a stage: a head that `emu taste` fitted on what they kept and rejected."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from emu.curate.picture import Picture
from emu.curate.pixels import SIDE, embeddings, load_embedder
from emu.curate.stage import Row, Stage
from emu.errors import UserError

if TYPE_CHECKING:
    from emu.judges.head import Head


class Taste(Stage):
    """How likely people would keep a picture, 0 to 1, by those who were asked for the head.

    Args:
        head: the `taste.safetensors` of a folder.
        embedder: the one it was fitted with, as `emu taste` takes it; another one is refused.
        column: what the score is called, and the stage.
        batch: pictures that the embedder is shown together.
    """

    side = SIDE

    def __init__(
        self, head: str, embedder: str = "openai/clip-vit-large-patch14", column: str = "taste", batch: int = 16
    ) -> None:
        self.path, self.embedder, self.name, self.column, self.batch = Path(head), embedder, column, column, batch
        self.columns = {column: "float64"}

    def require(self) -> None:
        """UserError where there is no head, or no model of the embedder."""
        from emu.judges.head import read_head

        read_head(self.path)
        load_embedder(self.embedder).require()

    @cached_property
    def head(self) -> "Head":
        """UserError: it was fitted with another embedder."""
        from emu.judges.head import read_head

        head = read_head(self.path)
        if load_embedder(self.embedder).fingerprint != head.card.get("identity"):
            fitted = head.card.get("embedder")
            raise UserError(f"stage {self.name}: {self.path} was fitted with {fitted}, and not with {self.embedder}")
        return head

    def measure_many(self, pictures: Sequence[Picture]) -> list[Row]:
        seen = embeddings(self.embedder, pictures).double().numpy()
        return [{self.column: chance} for chance in self.head(seen).tolist()]
