"""Captions and prompts that a tokenizer cuts: what is lost is not learned, or drawn, so it is listed."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from emu.data import CuratedData
from emu.module import TextToImageModule

LISTED = 5


def cut(model: TextToImageModule, captions: list[str]) -> list[str]:
    """The captions that are longer than the model reads, the longest first."""
    counts = dict(zip(captions, model.token_counts(captions), strict=True)) if captions else {}
    too_long = [caption for caption, count in counts.items() if count > model.max_tokens]
    return sorted(too_long, key=lambda caption: -counts[caption])


def describe(model: TextToImageModule, captions: list[str], *, what: str = "captions") -> str:
    """`captions: 3 of 2,000 are cut at 77 tokens` and the first of them, one a line."""
    return _listed(model, captions, cut(model, captions), what=what)


def _listed(model: TextToImageModule, captions: list[str], found: list[str], *, what: str) -> str:
    lines = [f"{what}: {len(found):,} of {len(set(captions)):,} are cut at {model.max_tokens} tokens"]
    more = [f"  and {len(found) - LISTED:,} more"] if len(found) > LISTED else []
    return "\n".join([*lines, *(f"  {caption}" for caption in found[:LISTED]), *more])


def warn(model: TextToImageModule, data: CuratedData) -> None:
    """Warns of what is cut of a set's captions, where the loss reads them, and of the prompts of its checks."""
    prompts = [text.words for text in data.drawn_texts() if not text.negative]
    for what, texts in (("captions", data.captions() if model.reads_captions else []), ("prompts", prompts)):
        if found := cut(model, texts):
            rank_zero_warn(_listed(model, texts, found, what=what))


class CutCaptions(Callback):
    """Says before training what is cut."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, TextToImageModule)
        warn(pl_module, trainer.datamodule)  # type: ignore[attr-defined]
