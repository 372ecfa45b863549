"""People's own taste as a stage: a head that `emu taste` fitted on what they kept and rejected."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emu.curate.picture import Picture
from emu.curate.pixels import one_thread
from emu.curate.stage import Row, Stage
from emu.errors import UserError

if TYPE_CHECKING:
    from emu.taste.head import Head


class Taste(Stage):
    """How likely people would keep a picture, 0 to 1, by those who were asked for the head.

    Args:
        head: the `taste.safetensors` of a folder.
        embedder: the one it was fitted with, as `emu taste` takes it; another one is refused.
        column: what the score is called, and the stage.
    """

    side = 448

    def __init__(self, head: str, embedder: str = "openai/clip-vit-large-patch14", column: str = "taste") -> None:
        self.path, self.embedder, self.name, self.column = Path(head), embedder, column, column
        self.columns = {column: "float64"}

    def require(self) -> None:
        """UserError where there is no head."""
        from emu.taste.head import read_head

        read_head(self.path)

    @cached_property
    def head(self) -> "Head":
        from emu.taste.head import read_head

        return read_head(self.path)

    @cached_property
    def eye(self) -> Any:
        from emu.taste.embeddings import identity, load_eye

        eye = load_eye(self.embedder)
        if identity(eye)[:16] != self.head.card.get("identity"):
            fitted = self.head.card.get("embedder")
            raise UserError(f"stage {self.name}: {self.path} was fitted with {fitted}, and not with {self.embedder}")
        return eye

    def measure(self, picture: Picture) -> Row:
        from emu.taste.embeddings import see

        one_thread()
        seen = see(self.eye, picture.image).double().numpy()
        return {self.column: float(self.head(seen[None])[0])}
