"""Streams: shards of captioned pictures, as many as there are, read as they come for the same training loop.

Nothing of a stream is known before it is read but the names of its shards. Its order is a pure function of seed, pass
and place (`order`); a lane reads its shards one after another (`lane`); the loader deals lanes to devices and workers,
and its places go into the checkpoint (`loader`).
"""

from emu.data.streams.lane import Stream
from emu.data.streams.loader import Streaming

__all__ = ["Stream", "Streaming"]
