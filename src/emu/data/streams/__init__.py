"""Streams: shards of captioned pictures, as many as there are, read as they come for the same training loop.

Nothing of a stream is known before it is read but the names of its shards. Its order is a pure function of seed, pass
and place (`order`); a lane reads shards one after another (`reading`) and makes batches of windows (`lane`); the loader
deals lanes to devices and workers, and their places go into the checkpoint (`loader`).
"""

from emu.data.streams.loader import Streaming
from emu.data.streams.stream import Stream

__all__ = ["Stream", "Streaming"]
