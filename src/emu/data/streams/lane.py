"""One lane of a stream: shard after shard, window after window, from any place on."""

import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from emu.batch import Pictures
from emu.data.buckets import Bucket, assign
from emu.data.dataset import Example, collate, described
from emu.data.epoch import Draw
from emu.data.fitting import fit
from emu.data.pictures import BadPicture, Opener, decode, read_size
from emu.data.sources.entry import Dropped, Entry, Fault, Wanted
from emu.data.sources.openers import File, Member
from emu.data.streams.failures import Failures
from emu.data.streams.order import Place, Share, arranged, share_at, shares, window_size
from emu.data.streams.shards import Spool, is_remote, read_shard
from emu.data.survey import Picture
from emu.errors import UserError

PATIENCE = 20  # passes without one picture: where there are fewer than lanes, a lane may come away empty for some time
NONE: Mapping[str, str] = {}
ENOUGH = 2  # times the sides of its shape that a JPEG keeps while it is decoded: finer ones are scaled by the decoder


@dataclass(frozen=True)
class Stream:
    """What is read, and in which order.

    Args:
        root: for messages.
        shards: paths or addresses, in order.
        wanted: how their records are read.
        buckets: the shapes of batches.
        batch_size: pictures of one.
        lanes: rows of shards that are read side by side.
        shuffle: records of a lane that are shuffled together, about.
        seed: of all that is random.
        caption_dropout: share of captions replaced by "".
        max_pixels: larger pictures are bad.
        max_failed: share of pictures and of shards that may fail.
        held_out: names of the pictures that are not trained on.
    """

    root: str
    shards: tuple[str, ...]
    wanted: Wanted
    buckets: tuple[Bucket, ...]
    batch_size: int
    lanes: int
    shuffle: int
    seed: int
    caption_dropout: float
    max_pixels: int
    max_failed: float
    held_out: frozenset[str] = frozenset()

    @property
    def parts(self) -> int:
        """Of a pass."""
        return len(self.shards) * shares(len(self.shards), self.lanes)

    @property
    def identity(self) -> dict[str, int]:
        """What its order depends on, in words that follow "another"."""
        names = [address.rpartition("/")[2] for address in self.shards]  # wherever they lie
        return {
            "shards": zlib.crc32(repr(names).encode()),
            "held-out pictures": zlib.crc32(repr(sorted(self.held_out)).encode()),
            "shapes": zlib.crc32(repr(self.buckets).encode()),
            "data.batch_size": self.batch_size,
            "data.lanes": self.lanes,
            "data.shuffle": self.shuffle,
            "data.seed": self.seed,
        }

    def failures(self) -> Failures:
        """Of whoever reads it; none yet."""
        return Failures(self.root, self.max_failed, len(self.shards))


@dataclass(slots=True)
class News:
    """What happened on the way: records read, pictures that failed, and shards with the reason."""

    read: int = 0
    failed: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)


class Handed(NamedTuple):
    """A batch of a lane, where the lane stands after it, and what happened since the one before."""

    lane: int
    place: Place
    batch: Pictures
    news: News


@dataclass(frozen=True)
class Held:
    """The bytes of a picture, of a shard that can only be read in order."""

    content: bytes

    def __call__(self) -> io.BytesIO:
        return io.BytesIO(self.content)


class Lane:
    """Batches of one lane, without an end. UserError while they are made: more fails than may."""

    def __init__(self, stream: Stream, number: int, place: Place, spool: Spool) -> None:
        self.stream, self.number, self.place = stream, number, place
        self.reading = Reading(stream, place, spool)

    def __iter__(self) -> Iterator[Handed]:
        skip, self.place = self.place.batch, self.reading.place
        while True:
            batches = self._window()
            for number, (bucket, drawn) in enumerate(batches[skip:], skip + 1):
                behind = self.reading.place
                whole = number == len(batches)
                self.place = behind if whole else self.place._replace(batch=number, reached=behind.part)
                yield self._handed(bucket, drawn)
            skip = 0
            self.reading.tidy()

    def _window(self) -> list[tuple[Bucket, list[tuple[Picture, Draw]]]]:
        """The batches of the window that begins where the lane stands."""
        stream, start = self.stream, self.place
        size = window_size(stream.shuffle, stream.batch_size)
        pictures = list(islice(self.reading.pictures, size))
        rng = np.random.default_rng([stream.seed, 6, start.part, start.record])
        seeds = rng.integers(2**63 - 1, size=size)
        dropped = rng.random(size) < stream.caption_dropout
        sizes = [(picture.height, picture.width) for picture in pictures]
        draws = [Draw(0, seed=int(seeds[i]), drop=bool(dropped[i])) for i in range(size)]
        return [
            (bucket, [(pictures[i], draws[i]) for i in group])
            for bucket, group in arranged(sizes, stream.buckets, stream.batch_size, rng)
        ]

    def _handed(self, bucket: Bucket, drawn: list[tuple[Picture, Draw]]) -> Handed:
        items = [decoded(picture, draw, bucket, max_pixels=self.stream.max_pixels) for picture, draw in drawn]
        batch, failed = collate(items)
        self.reading.tell(0, failed)
        news, self.reading.news = self.reading.news, News()
        return Handed(self.number, self.place, batch, news)


def decoded(picture: Picture, draw: Draw, bucket: Bucket, *, max_pixels: int) -> Example:
    """An item with `image` float32 (3,h,w) in [-1,1]; grey and of weight 0 where the file fails, with the reason."""
    item = described(Picture(picture.entry, picture.height, picture.width, bucket), draw)
    try:
        pixels = decode(picture.entry.open, max_pixels=max_pixels, least=ENOUGH * max(bucket))
        return {**item, "image": fit(pixels, bucket, size=(picture.height, picture.width))}
    except BadPicture as reason:
        return {**item, "image": torch.zeros(3, *bucket), "weight": 0.0, "fault": f"{picture.entry.name}: {reason}"}


class Reading:
    """The usable pictures of a lane's shards, one after another, without an end; `place` is behind the newest.

    UserError while they are read: more fails than may.
    """

    def __init__(self, stream: Stream, place: Place, spool: Spool) -> None:
        self.stream, self.place, self.spool = stream, Place(place.part, place.record), spool
        self.failures, self.news = stream.failures(), News()
        self.ahead = ThreadPoolExecutor(1) if any(map(is_remote, stream.shards)) else None
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
        try:
            self.files.append(self._fetched(self.place.part))
            items = (item for item in read_shard(self.files[-1], self.stream.wanted) if not isinstance(item, Dropped))
            number = -1
            for number, item in enumerate(items):
                record, other = divmod(number - share.number, share.of)
                if other or record < begin:
                    continue
                self.place = self.place._replace(record=record + 1)
                yield from self._looked_at(item)
            lost = "" if number >= 0 else f"{self.files[-1]}: holds no picture"
        except UserError as error:
            lost = str(error)
        if lost:
            self.tell(0, lost={self.stream.shards[share.shard]: lost})

    def _looked_at(self, item: Entry | Fault) -> Iterator[Picture]:
        """The picture, where it can be used and is not held out."""
        if isinstance(item, Fault):
            self.tell(1, [item.message])
        elif item.name not in self.stream.held_out:
            try:
                picture = looked_at(item, self.stream)
            except (BadPicture, OSError) as reason:
                self.tell(1, [f"{item.name}: {reason}"])
            else:
                self.tell(1)
                yield picture

    def _fetched(self, part: int) -> Path:
        """The shard of a part; the next one is fetched meanwhile, where shards lie elsewhere."""
        if self.ahead is None:
            return self.spool.fetch(self.stream.shards[self._share(part).shard])
        for each in (part, part + self.stream.lanes):
            if each not in self.fetching:
                address = self.stream.shards[self._share(each).shard]
                self.fetching[each] = self.ahead.submit(self.spool.fetch, address)
        return self.fetching.pop(part).result()

    def _share(self, part: int) -> Share:
        stream = self.stream
        return share_at(part, shards=len(stream.shards), lanes=stream.lanes, seed=stream.seed)


def looked_at(entry: Entry, stream: Stream) -> Picture:
    """An entry and its size; of a shard that can only be read in order also its bytes. BadPicture, OSError: why not."""
    opener: Opener = entry.open
    if not isinstance(opener, Member | File):
        with opener() as file:
            opener = Held(file.read())
    height, width = read_size(opener, max_pixels=stream.max_pixels)
    light = Entry(entry.name, entry.text, opener, {}, entry.others, entry.caption_from)
    return Picture(light, height, width, assign(height, width, stream.buckets))
