"""CuratedData: one curated set, its captions and prompts, for every architecture alike.

data = CuratedData("my/needles", resolution=512, prompts="prompts.txt")
"""

import zlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch.utils.data import Dataset

from emu.batch import Cond, Text
from emu.data.account import remarks, table
from emu.data.buckets import Bucket
from emu.data.cached import Cached, find_cache
from emu.data.dataset import Decoded, Example
from emu.data.epoch import in_order, shuffled
from emu.data.keys import prompt_key
from emu.data.loader import Fixed, HeldOut, Planned, Training
from emu.data.options import Options
from emu.data.prompts import load_prompts, prompt_batches
from emu.data.sources import read_source
from emu.data.split import parted
from emu.data.streams import Stream, Streaming
from emu.data.streams.loader import require_dealt
from emu.data.streams.setting_up import stream_of
from emu.data.streams.shards import Spool
from emu.data.survey import Faults, Picture, Survey, some, survey
from emu.errors import UserError
from emu.storage.cache import Cache
from emu.storage.shapes import Row
from emu.terminal.counted import many


class CuratedData(L.LightningDataModule):
    """Training batches, held-out batches and prompts of one curated set.

    A batch holds `image` float32 (b,3,h,w) in [-1,1] (with a cache `x` and `cond` instead), `text` list[str], `size`
    int64 (b,6), `weight` float32 (b,), `noise_seed` list[int] and `name` list[str]. No picture is dropped and each is
    seen once an epoch, on any number of ranks; the place in the epoch is part of the checkpoint, and holds on another
    number of ranks too, where an optimizer step sees as many pictures.

    Args:
        root: a folder (with metadata.jsonl, .csv or .parquet, captions in files beside the pictures, or tars), a tar, a
            table, a pattern such as {000..127}.tar, hf://datasets/OWNER/NAME, emu://NAME.
        options: as `Options` has them: `resolution`, `batch_size`, `held_out`, `prompts`, `cache`, ...
    """

    def __init__(self, root: str, **options: Any) -> None:
        super().__init__()
        self.root = root
        self.options = Options(**options)
        self.faults = Faults(root, limit=self.options.max_bad)
        self.train_pictures: list[Picture] = []
        self.held_out_pictures: list[Picture] = []
        self.prompt_rows: list[Row] = []
        self.seen = Survey()
        self.stream: Stream | None = None
        self.captioned = True  # whether a picture without a caption is a bad one
        self.ahead: set[Bucket] = set()  # shapes that later stages of the run will ask for
        self._spool: Spool

    @property
    def batch_size(self) -> int:
        """Pictures a step on each device."""
        return self.options.batch_size

    @property
    def pretrains(self) -> bool:
        """Whether the set is a stream, of which nobody asks how often each picture is seen."""
        return self.options.stream

    def setup(self, stage: str) -> None:
        """Look at every header once, and read the prompts. UserError: nothing there, or too much of it bad."""
        if self.train_pictures or self.stream:
            return
        options = self.options
        if options.prompts is not None:
            self.prompt_rows = load_prompts(options.prompts, limit=options.num_prompts, seed=options.seed)
        if options.stream:
            require_dealt(options.lanes, workers=options.num_workers, world=self._world)
            self._spool = Spool.of_this_process()
            self.stream, self.held_out_pictures = stream_of(self.root, options, self._spool, captioned=self.captioned)
            rank_zero_info(self.describe())
            return
        self.seen = self._survey()
        self.train_pictures, self.held_out_pictures = parted(
            self.seen.pictures,
            root=self.root,
            held_out=options.held_out,
            num_pictures=options.num_pictures,
            seed=options.seed,
        )
        rank_zero_info(self.describe())

    def teardown(self, stage: str) -> None:
        """Shards that were fetched go: of a run in stages the next one fetches its own. `setup` begins anew."""
        if self.stream:
            self._spool.remove()
            self.stream, self.held_out_pictures = None, []

    @property
    def shapes(self) -> set[Bucket]:
        """Those that batches have, of a stream those that they may have; after `setup`."""
        if self.stream:
            return set(self.options.buckets)
        return {picture.bucket for picture in self.train_pictures + self.held_out_pictures}

    @property
    def sizes(self) -> set[Bucket]:
        """All shapes that the model will be given, in later stages too; after `setup`."""
        return self.shapes | self.ahead

    def captions(self) -> list[str]:
        """Every caption, training first, then held-out; after `setup`."""
        return [text for picture in self.train_pictures + self.held_out_pictures for text in picture.entry.texts]

    def drawn_texts(self) -> list[Text]:
        """What checks draw, and what guidance leads away from; after `setup`."""
        prompts = [Text(row["prompt"]) for row in self.prompt_rows]
        given = [row.get("settings", {}).get("negative_prompt", "") for row in self.prompt_rows]
        negatives = [Text(words, negative=True) for words in ("", *given)] if given else []
        return list(dict.fromkeys([*prompts, *negatives]))

    def cached_texts(self) -> dict[Text, Cond] | None:
        """Those of `drawn_texts` that the cache holds, each of one prompt (1,...); None without a cache."""
        if not self.options.cache:
            return None
        cache = Cache(find_cache(self.options.cache))
        keys = {text: prompt_key(text.words, negative=text.negative) for text in self.drawn_texts()}
        return {
            text: {name: value[None] for name, value in cache.get(key).items()}
            for text, key in keys.items()
            if key in cache
        }

    def describe(self) -> str:
        """`1,101 of 1,101 used`, a line a bucket, and what else there is to say of the set; after `setup`."""
        pictures, held_out = self.train_pictures + self.held_out_pictures, len(self.held_out_pictures)
        if self.stream:
            shards = many(len(self.stream.shards), "shard")
            return f"{self.root}: a stream of {shards}, {many(held_out, 'picture')} held out"
        head = f"{self.root}: {len(pictures):,} of {self.seen.total:,} used, {held_out:,} held out"
        shapes = table(self.train_pictures, at_once=self.batch_size * self._world)
        said = remarks(pictures, self.seen, lines=self.options.caption_lines, root=self.root)
        return "\n".join([f"{head}; height x width of the rest:", *shapes, *said])

    def train_dataloader(self) -> Training | Streaming:
        """Shuffled batches of one bucket each, captions dropped; resumable."""
        buckets = [picture.bucket for picture in self.train_pictures]
        accumulate = self.trainer.accumulate_grad_batches if self.trainer else 1
        if self.stream:
            return Streaming(
                self.stream,
                self._spool,
                num_workers=self.options.num_workers,
                accumulate=accumulate,
                rank=self._rank,
                world=self._world,
                steps=self.trainer.max_steps if self.trainer else -1,
            )
        plan = partial(
            shuffled,
            buckets,
            batch_size=self.batch_size,
            seed=self.options.seed,
            accumulate=accumulate,
            caption_dropout=self.options.caption_dropout,
            rank=self._rank,
            world=self._world,
        )
        identity = {
            "pictures or buckets": zlib.crc32(repr(buckets).encode()),
            "data.seed": self.options.seed,
            "number of pictures a step": self.batch_size * accumulate * self._world,
        }
        planned = Planned(self._dataset(self.train_pictures), self.options.num_workers, self.faults)
        return Training(planned, plan, accumulate=accumulate, identity=identity)

    def val_dataloader(self) -> list[HeldOut | Fixed]:
        """The held-out pictures where there are any, then the prompts where there are any."""
        loaders: list[HeldOut | Fixed] = []
        share = {"rank": self._rank, "world": self._world}
        if self.held_out_pictures:
            buckets = [picture.bucket for picture in self.held_out_pictures]
            batches = in_order(buckets, batch_size=self.batch_size, seed=self.options.seed, **share)
            planned = Planned(self._dataset(self.held_out_pictures), self.options.num_workers, self.faults)
            loaders.append(HeldOut(planned, batches))
        if self.prompt_rows:
            loaders.append(Fixed(prompt_batches(self.prompt_rows, batch_size=self.options.sample_batch_size, **share)))
        return loaders

    @property
    def cache_fingerprint(self) -> str | None:
        """Of the encoders that filled the cache, for the module to compare with its own; None without a cache."""
        return find_cache(self.options.cache).name if self.options.cache else None

    def _survey(self) -> Survey:
        """Of every picture. UserError: none can be used, or too much is bad."""
        options = self.options
        found = read_source(
            self.root,
            image_column=options.image_column,
            text_column=options.text_column,
            lines=options.caption_lines,
            captioned=self.captioned,
        )
        seen = survey(found, options.buckets, max_pixels=options.max_pixels)
        if message := self.faults.add(seen.faults, unread=seen.unread):
            rank_zero_warn(message)
        if not seen.pictures:
            left_out = f"; not used: {some(seen.dropped)}" if seen.dropped else ""
            raise UserError(f"data.root {self.root}: holds no picture{left_out}")
        return seen

    def _dataset(self, pictures: Sequence[Picture]) -> Dataset[Example]:
        if self.options.cache:
            return Cached(pictures, folder=find_cache(self.options.cache))
        return Decoded(pictures, max_pixels=self.options.max_pixels)

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1
