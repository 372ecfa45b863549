"""Which concept a picture shows, of classes that the config names: zero-shot, by CLIP or SigLIP."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from emu.curate.picture import Picture
from emu.curate.pixels import SIDE, embeddings, load_embedder
from emu.curate.stage import Row, Stage
from emu.errors import UserError

if TYPE_CHECKING:
    from emu.judges import TextEmbedder

CLASSES = ["portrait", "food", "animal", "landscape", "car", "plant", "building", "interior", "object", "drawing"]
TEMPLATES = ["a photo of {}"]


class Concepts(Stage):
    """The class whose text is nearest, and its cosine. `Balance` sets quotas over it.

    Of several templates the mean of the texts' embeddings counts, brought back to length 1 (Radford et al. 2021, arXiv
    2103.00020, sec. 3.1.4).

    Args:
        embedder: a CLIP or SigLIP by hub name or folder, or CLASS_PATH[:ARG] of another that reads texts.
        classes: their names.
        templates: what is embedded of a class.
        batch: pictures that the embedder is shown together.
    """

    name = "concepts"
    columns = {"concept": "string", "concept_cosine": "float64"}
    side = SIDE

    def __init__(
        self,
        embedder: str = "openai/clip-vit-large-patch14",
        classes: list[str] | None = None,
        templates: list[str] | None = None,
        batch: int = 16,
    ) -> None:
        self.embedder, self.batch = embedder, batch
        self.classes, self.templates = classes or CLASSES, templates or TEMPLATES

    @cached_property
    def texts(self) -> Any:
        import torch

        found = [self.reader.texts([one.format(name) for one in self.templates]) for name in self.classes]
        return torch.nn.functional.normalize(torch.stack([texts.mean(0) for texts in found]).cpu(), dim=1)

    @property
    def reader(self) -> "TextEmbedder":
        from emu.judges import TextEmbedder

        reader = load_embedder(self.embedder)
        if not isinstance(reader, TextEmbedder):
            raise UserError(f"stage {self.name}: {self.embedder} reads no texts; name a CLIP or SigLIP model")
        return reader

    def require(self) -> None:
        super().require()
        self.reader.require()

    def measure_many(self, pictures: Sequence[Picture]) -> list[Row]:
        cosines = embeddings(self.embedder, pictures) @ self.texts.T
        best = cosines.max(1)
        return [
            {"concept": self.classes[which], "concept_cosine": cosine}
            for which, cosine in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
