"""Statistics of paired comparisons: how often one side wins, by how much, and how sure that is."""

from emu.statistics.rates import (
    MeanDifference,
    NetRate,
    WinRate,
    mean_difference,
    net_rate,
    outcomes,
    win_rate,
)

__all__ = ["MeanDifference", "NetRate", "WinRate", "mean_difference", "net_rate", "outcomes", "win_rate"]
