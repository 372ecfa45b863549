"""One lane of a stream: window after window of its pictures, from any place on, as batches."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from emu.batch import Pictures
from emu.data.buckets import Bucket
from emu.data.dataset import Example, collate, described
from emu.data.epoch import Draw
from emu.data.fitting import fit_quickly
from emu.data.pictures import BadPicture, decode_sized
from emu.data.streams.order import Place, arranged, window_size
from emu.data.streams.reading import News, Reading
from emu.data.streams.shards import Spool
from emu.data.streams.stream import Stream
from emu.data.survey import Picture

ENOUGH = 2  # times the sides of its shape that a JPEG keeps while it is decoded: finer ones are scaled by the decoder


class Handed(NamedTuple):
    """A batch of a lane, where the lane stands after it, and what happened since the one before."""

    lane: int
    place: Place
    batch: Pictures
    news: News


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
    entry, size = picture.entry, (picture.height, picture.width)
    image, why = torch.zeros(3, *bucket), ""
    try:
        pixels, size = decode_sized(entry.open, max_pixels=max_pixels, least=ENOUGH * max(bucket))
        image = fit_quickly(pixels, bucket, size)
    except BadPicture as reason:
        why = f"{entry.name}: {reason}"
    item = described(Picture(entry, *size, bucket), draw)
    item["image"], item["fault"] = image, why
    if why:
        item["weight"] = 0.0
    return item
