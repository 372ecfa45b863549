"""Judges: a picture and its prompt -> a number. Each judge is one small file; `Judge` is what they share."""

from emu.judges.judge import Judge, judge_card, judge_pixels

__all__ = ["Judge", "judge_card", "judge_pixels"]
