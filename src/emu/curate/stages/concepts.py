"""Which concept a picture shows, of classes that the config names: zero-shot, by CLIP or SigLIP."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from emu.curate.picture import Picture
from emu.curate.pixels import SIDE, embedder, embeddings
from emu.curate.stage import Row, Stage
from emu.errors import UserError

if TYPE_CHECKING:
    from emu.judges.embedding import Embedder

CLASSES = ["portrait", "food", "animal", "landscape", "car", "plant", "building", "interior", "object", "drawing"]
TEMPLATES = ["a photo of {}"]


class Concepts(Stage):
    """The class whose text is nearest, and its cosine. `Balance` sets quotas over it.

    Of several templates the mean of the texts' embeddings counts, brought back to length 1 (Radford et al. 2021, arXiv
    2103.00020, sec. 3.1.4).

    Args:
        model: a CLIP or SigLIP model, by hub name or folder.
        classes: their names.
        templates: what is embedded of a class.
        batch: pictures that the model is shown together.
    """

    name = "concepts"
    columns = {"concept": "string", "concept_cosine": "float64"}
    side = SIDE

    def __init__(
        self,
        model: str = "openai/clip-vit-large-patch14",
        classes: list[str] | None = None,
        templates: list[str] | None = None,
        batch: int = 16,
    ) -> None:
        self.model, self.batch = model, batch
        self.classes, self.templates = classes or CLASSES, templates or TEMPLATES

    @cached_property
    def texts(self) -> Any:
        import torch

        found = [self.reader.texts([one.format(name) for one in self.templates]) for name in self.classes]
        return torch.nn.functional.normalize(torch.stack([texts.mean(0) for texts in found]).cpu(), dim=1)

    @property
    def reader(self) -> "Embedder":
        from emu.judges.embedding import Embedder

        reader = embedder(self.model)
        if not isinstance(reader, Embedder):
            raise UserError(f"stage {self.name}: {self.model} reads no texts; name a CLIP or SigLIP model")
        return reader

    def require(self) -> None:
        super().require()
        self.reader.require()

    def measure(self, picture: Picture) -> Row:
        return self.measure_many([picture])[0]

    def measure_many(self, pictures: Sequence[Picture]) -> list[Row]:
        cosines = embeddings(self.model, pictures) @ self.texts.T
        best = cosines.max(1)
        return [
            {"concept": self.classes[which], "concept_cosine": cosine}
            for which, cosine in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
