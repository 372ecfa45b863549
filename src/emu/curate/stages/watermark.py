"""Watermarks, as a classifier sees them."""

from emu.curate.stages.classified import Classified


class Watermark(Classified):
    """How likely a picture is marked by its seller, 0 to 1, by any image classifier of transformers that tells them.

    Args:
        model: by hub name or folder.
        labels: of the model, which say that there is one.
        batch: pictures that the model is shown together.
    """

    def __init__(self, model: str, labels: list[str] | None = None, batch: int = 16) -> None:
        super().__init__(model, labels or ["watermark"], "watermark", batch=batch)
