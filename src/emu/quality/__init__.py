"""Quality-tuning: draws, judges, stops, keeps the best. It knows no architecture."""

from emu.quality.tuning import QualityTuning

__all__ = ["QualityTuning"]
