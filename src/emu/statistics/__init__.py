"""Statistics of paired comparisons: how often one side wins, by how much, and how sure that is."""

from emu.statistics.intervals import by_prompt, mean_interval, ratio_interval
from emu.statistics.power import prompts_needed, smallest_rate
from emu.statistics.rates import (
    MeanDifference,
    NetRate,
    Rates,
    Shares,
    WinRate,
    mean_difference,
    net_rate,
    outcomes,
    rates,
    win_rate,
)
from emu.statistics.significance import SignTest, corrected, sign_test, simultaneous_level

__all__ = [
    "MeanDifference",
    "NetRate",
    "Rates",
    "Shares",
    "SignTest",
    "WinRate",
    "by_prompt",
    "corrected",
    "mean_difference",
    "mean_interval",
    "net_rate",
    "outcomes",
    "prompts_needed",
    "rates",
    "ratio_interval",
    "sign_test",
    "simultaneous_level",
    "smallest_rate",
    "win_rate",
]
