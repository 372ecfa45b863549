"""Checkpoints of a run: whole or not there, known by their sums, found again however the run was stopped.

A run's `checkpoints/step-000500.ckpt`, a file or of a sharded run a folder, counts once `step-000500.ckpt.json` lies
beside it, which holds sizes and sha256 and is written last. `emu fit` goes on from the newest that is as its sum says.
"""

from emu.checkpoints.durable import Durable
from emu.checkpoints.saving import Checkpoints
from emu.checkpoints.sharded import is_sharded
from emu.checkpoints.sums import newest, step_of, sums_of, verify

__all__ = ["Checkpoints", "Durable", "is_sharded", "newest", "step_of", "sums_of", "verify"]
