"""Captions that a tokenizer cuts: what is lost is not learned, so it is counted and listed before training."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from emu.module import TextToImageModule

LISTED = 5


def cut(model: TextToImageModule, captions: list[str]) -> list[str]:
    """The captions that are longer than the model reads, the longest first."""
    counts = dict(zip(captions, model.token_counts(captions), strict=True)) if captions else {}
    too_long = [caption for caption, count in counts.items() if count > model.max_tokens]
    return sorted(too_long, key=lambda caption: -counts[caption])


def describe(model: TextToImageModule, captions: list[str]) -> str:
    """`captions: 3 of 2,000 are cut at 77 tokens` and the first of them, one a line."""
    found = cut(model, captions)
    lines = [f"captions: {len(found):,} of {len(set(captions)):,} are cut at {model.max_tokens} tokens"]
    more = [f"  and {len(found) - LISTED:,} more"] if len(found) > LISTED else []
    return "\n".join([*lines, *(f"  {caption}" for caption in found[:LISTED]), *more])


class CutCaptions(Callback):
    """Says before training which captions are cut."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, TextToImageModule)
        captions = trainer.datamodule.captions()  # type: ignore[attr-defined]
        if pl_module.reads_captions and cut(pl_module, captions):
            rank_zero_warn(describe(pl_module, captions))
