"""Which concept a picture shows, of classes that the config names: zero-shot, by CLIP or SigLIP."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage
from emu.curate.stages.judged import reduced

if TYPE_CHECKING:
    from emu.judges.embedding import Embedder

CLASSES = ["portrait", "food", "animal", "landscape", "car", "plant", "building", "interior", "object", "drawing"]


class Concepts(Stage):
    """The class whose text is nearest, and its cosine. `Balance` sets quotas over it.

    Args:
        model: a CLIP or SigLIP model, by hub name or folder.
        classes: their names.
        template: what is embedded of a class.
    """

    name = "concepts"
    columns = {"concept": "string", "concept_cosine": "float64"}
    side = 448

    def __init__(
        self,
        model: str = "openai/clip-vit-large-patch14",
        classes: list[str] | None = None,
        template: str = "a photo of {}",
    ) -> None:
        self.model, self.classes, self.template = model, classes or CLASSES, template

    @cached_property
    def embedder(self) -> "Embedder":
        import torch

        from emu.judges.embedding import Embedder

        torch.set_num_threads(1)  # each worker has one core
        return Embedder(self.model)

    @cached_property
    def texts(self) -> Any:
        import torch

        return torch.stack([self.embedder.text(self.template.format(name)) for name in self.classes])

    def measure(self, picture: Picture) -> Row:
        import torch

        pixels = torch.from_numpy(np.array(reduced(picture.image, self.side or 0))).permute(2, 0, 1).float() / 255
        seen = self.embedder.image(pixels.cuda() if torch.cuda.is_available() else pixels)
        cosines = (self.texts.to(seen.device) @ seen).tolist()
        best = max(range(len(cosines)), key=cosines.__getitem__)
        return {"concept": self.classes[best], "concept_cosine": cosines[best]}
