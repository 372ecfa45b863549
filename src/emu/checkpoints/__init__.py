"""Checkpoints of a run: whole or not there, known by their sums, found again after whatever stopped the run.

A run's `checkpoints/step-000500.ckpt` counts once `step-000500.ckpt.json` lies beside it, which tells its size and
sha256 and is written last. `emu fit` goes on from the newest that is as its sum says.
"""

from emu.checkpoints.durable import Durable, newest, sums_of, verify
from emu.checkpoints.saving import Checkpoints

__all__ = ["Checkpoints", "Durable", "newest", "sums_of", "verify"]
