"""Statistics of paired comparisons: how often one side wins, by how much, and how sure that is."""

from emu.statistics.bootstrap import by_prompt, mean_interval, ratio_interval
from emu.statistics.correction import corrected, simultaneous_level
from emu.statistics.power import prompts_needed, smallest_rate
from emu.statistics.rates import (
    MeanDifference,
    NetRate,
    WinRate,
    mean_difference,
    net_rate,
    outcomes,
    win_rate,
)
from emu.statistics.sign import SignTest, sign_test

__all__ = [
    "MeanDifference",
    "NetRate",
    "SignTest",
    "WinRate",
    "by_prompt",
    "corrected",
    "mean_difference",
    "mean_interval",
    "net_rate",
    "outcomes",
    "prompts_needed",
    "ratio_interval",
    "sign_test",
    "simultaneous_level",
    "smallest_rate",
    "win_rate",
]
