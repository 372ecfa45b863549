"""Judges: a picture and its prompt -> a number; and embedders, pictures or texts -> vectors. Each is one file."""

from emu.judges.embedder import Embedder, TextEmbedder
from emu.judges.judge import BatchedJudge, Card, Judge, judge_card, judge_pixels, versions
from emu.judges.weights import WeightsFile

__all__ = [
    "BatchedJudge",
    "Card",
    "Embedder",
    "Judge",
    "TextEmbedder",
    "WeightsFile",
    "judge_card",
    "judge_pixels",
    "versions",
]
