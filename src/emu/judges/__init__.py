"""Judges: a picture and its prompt -> a number. Each judge is one small file; `Judge` is what they share."""

from emu.judges.judge import Card, Judge, judge_card, judge_pixels, versions

__all__ = ["Card", "Judge", "judge_card", "judge_pixels", "versions"]
