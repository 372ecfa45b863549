"""The pictures of a lane's shards, one after another from any place on, and what fails on the way."""

import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from emu.data.buckets import assign
from emu.data.pictures import BadPicture, Opener, read_size
from emu.data.sources.entry import Dropped, Entry, Fault
from emu.data.sources.openers import File, Member
from emu.data.streams.order import Place, Share, share_at
from emu.data.streams.shards import Spool, is_remote, read_shard
from emu.data.streams.stream import Stream
from emu.data.survey import Picture
from emu.errors import UserError

PATIENCE = 20  # passes without one picture: where there are fewer than lanes, a lane may come away empty for some time
NONE: Mapping[str, str] = {}
NOTHING: frozenset[str] = frozenset()


@dataclass(slots=True)
class News:
    """What happened on the way: records read, pictures that failed, and shards with the reason."""

    read: int = 0
    failed: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)


class Reading:
    """The usable pictures of a lane's shards, one after another, without an end; `place` is behind the newest.

    UserError while they are read: more fails than may.
    """

    def __init__(self, stream: Stream, place: Place, spool: Spool) -> None:
        self.stream, self.place, self.spool = stream, Place(place.part, place.record), spool
        self.failures, self.news = stream.failures(), News()
        self.looks_ahead = any(map(is_remote, stream.shards))
        self.fetching: dict[int, Future[Path]] = {}
        self.files: list[Path] = []  # the one that is being read, and before it those of which a window has pictures
        self.pictures = self._pictures()

    def tell(self, read: int, failed: Sequence[str] = (), lost: Mapping[str, str] = NONE) -> None:
        """Count what was read and what failed."""
        self.news.read += read
        self.news.failed += failed
        self.news.lost.update(lost)
        self.failures.add(read, failed, lost)

    def tidy(self) -> None:
        """A window is over: files before the one that is being read are needed no more."""
        for path in self.files[:-1]:
            self.spool.drop(path)
        self.files = self.files[-1:]

    def _pictures(self) -> Iterator[Picture]:
        stream, idle = self.stream, 0
        while idle <= PATIENCE * stream.parts:
            idle += 1
            for picture in self._part():
                idle = 0
                yield picture
            self.place = Place(self.place.part + stream.lanes)
        raise UserError(f"data.root {stream.root}: holds no picture that can be used")

    def _part(self) -> Iterator[Picture]:
        """What is left of the part at which the lane stands; a shard that cannot be read is lost from there on."""
        share, begin = self._share(self.place.part), self.place.record
        address = self.stream.shards[share.shard]
        held_out = NOTHING if share.shard else self.stream.held_out
        path = Path(address)
        try:
            path = self._fetched(self.place.part)
            self.files.append(path)
            items = (item for item in read_shard(path, self.stream.wanted) if not isinstance(item, Dropped))
            number = -1
            for number, item in enumerate(items):
                record, other = divmod(number - share.number, share.of)
                if other or record < begin:
                    continue
                self.place = self.place._replace(record=record + 1)
                yield from self._looked_at(item, held_out)
            lost = "" if number >= 0 else f"{address}: holds no picture"
        except UserError as error:
            lost = str(error).replace(str(path), address)
        if lost:
            self.tell(0, lost={address: lost})

    def _looked_at(self, item: Entry | Fault, held_out: frozenset[str]) -> Iterator[Picture]:
        """The picture, where it can be used and is not held out."""
        if isinstance(item, Fault):
            self.tell(1, [item.message])
        elif item.name not in held_out:
            try:
                picture = looked_at(item, self.stream, sized=len(self.stream.buckets) > 1)
            except (BadPicture, OSError) as reason:
                self.tell(1, [f"{item.name}: {reason}"])
            else:
                self.tell(1)
                yield picture

    def _fetched(self, part: int) -> Path:
        """The shard of a part; the next one is fetched meanwhile, where shards lie elsewhere."""
        if not self.looks_ahead:
            return self.spool.fetch(self.stream.shards[self._share(part).shard])
        for each in (part, part + self.stream.lanes):
            if each not in self.fetching:
                address = self.stream.shards[self._share(each).shard]
                self.fetching[each] = self.spool.begin(address)
        return self.fetching.pop(part).result()

    def _share(self, part: int) -> Share:
        stream = self.stream
        return share_at(part, shards=len(stream.shards), lanes=stream.lanes, seed=stream.seed)


@dataclass(frozen=True)
class Held:
    """The bytes of a picture, of a shard that can only be read in order."""

    content: bytes

    def __call__(self) -> io.BytesIO:
        return io.BytesIO(self.content)


def looked_at(entry: Entry, stream: Stream, *, sized: bool) -> Picture:
    """An entry and its size; of a shard that can only be read in order also its bytes. BadPicture, OSError: why not.

    Without `sized` no header is read before it is decoded, and the size is that of the stream's first shape.
    """
    opener: Opener = entry.open
    if not isinstance(opener, Member | File):
        with opener() as file:
            opener = Held(file.read())
    light = Entry(entry.name, entry.text, opener, {}, entry.others, entry.caption_from)
    if not sized:
        return Picture(light, *stream.buckets[0], stream.buckets[0])
    height, width = read_size(opener, max_pixels=stream.max_pixels)
    return Picture(light, height, width, assign(height, width, stream.buckets))
