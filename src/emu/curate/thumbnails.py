"""Small pictures for the page, kept while a picture is decoded anyway: it may come from a server and is not met again.

Only some shards keep them, the first ones and then each whose number is a power of two: spread over a source of any
size, and never more than a few megabytes.
"""

from collections import Counter

from emu.curate.picture import Picture
from emu.data.pictures import BadPicture
from emu.offline import webp

SIDE = 144  # pixels
REMOVED = 6  # a shard and limit
STAYED = 96  # a shard: some of them leave later, where all pictures are looked at, or are what others leave for


class Thumbnails:
    """Which pictures of a shard get one."""

    def __init__(self, shard: int) -> None:
        self.wanted = shard < 4 or shard & (shard - 1) == 0
        self.seen: Counter[str | None] = Counter()

    def of(self, picture: Picture, why: str | None) -> bytes | None:
        """A WebP, for the first ones that leave for a limit and that stay, whose `why` is None."""
        if not self.wanted or self.seen[why] >= (STAYED if why is None else REMOVED):
            return None
        self.seen[why] += 1
        try:
            return webp(picture.image, SIDE)
        except BadPicture:
            return None
