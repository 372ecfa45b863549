"""A root and the options of a set -> its stream, and the pictures that are held out of it."""

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from emu.data.options import Options
from emu.data.pictures import BadPicture
from emu.data.sources.entry import Dropped, Fault, Wanted
from emu.data.streams.reading import looked_at
from emu.data.streams.shards import Spool, addresses, is_remote, read_shard
from emu.data.streams.stream import Stream
from emu.data.survey import Picture
from emu.errors import UserError
from emu.terminal.counted import many


def stream_of(root: str, options: Options, spool: Spool, *, captioned: bool = True) -> tuple[Stream, list[Picture]]:
    """The stream and what is held out: the first pictures of its first shard.

    UserError: no shards, too many that are not there, or too few pictures.
    """
    shards = addresses(root)
    stream = Stream(
        root=root,
        shards=tuple(shards),
        wanted=Wanted(options.image_column, options.text_column, options.caption_lines, True, captioned),
        buckets=tuple(options.buckets),
        batch_size=options.batch_size,
        lanes=options.lanes,
        shuffle=options.shuffle,
        seed=options.seed,
        caption_dropout=options.caption_dropout,
        max_pixels=options.max_pixels,
        max_failed=options.max_failed,
    )
    stream.failures().add(0, [], {each: f"{each}: no such file" for each in shards if _is_missing(each)})
    held_out = _first(stream, options.held_out, spool) if options.held_out else []
    return replace(stream, held_out=frozenset(picture.entry.name for picture in held_out)), held_out


def _is_missing(address: str) -> bool:
    """Of a shard on this machine, where a typing error in a pattern would show when its turn comes; others wait."""
    return not is_remote(address) and not os.path.isfile(address)


def _first(stream: Stream, number: int, spool: Spool) -> list[Picture]:
    found = list(islice(_sound(stream, spool), number))
    if len(found) < number:
        raise UserError(
            f"data.held_out {number:,}: the first shard, {stream.shards[0]}, has {many(len(found), 'picture')} that "
            "can be used; hold out fewer"
        )
    return found


def _sound(stream: Stream, spool: Spool) -> Iterator[Picture]:
    for item in read_shard(spool.fetch(stream.shards[0]), stream.wanted):
        if not isinstance(item, Dropped | Fault):
            try:
                yield looked_at(item, stream, sized=True)
            except (BadPicture, OSError):
                continue
