"""CuratedData: one curated set, its captions and prompts, for every architecture alike.

data = CuratedData("my/needles", resolution=512, prompts="prompts.txt")
"""

import zlib
from collections.abc import Sequence
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch.utils.data import Dataset

from emu.data.account import remarks, table
from emu.data.buckets import list_buckets
from emu.data.cached import Cached, find_cache
from emu.data.dataset import Decoded
from emu.data.epoch import Batch, in_order, shuffled
from emu.data.loader import Fixed, HeldOut, Training
from emu.data.prompts import load_prompts, prompt_batches
from emu.data.sources import read_source
from emu.data.split import alike, split
from emu.data.survey import Faults, Picture, Survey, some, survey
from emu.errors import UserError


class CuratedData(L.LightningDataModule):
    """Training batches, held-out batches and prompts of one curated set.

    A batch holds `image` float32 (b,3,h,w) in [-1,1] (with a cache `x` and `cond` instead), `text` list[str], `size`
    int64 (b,6), `weight` float32 (b,), `noise_seed` list[int] and `name` list[str]. No picture is dropped and each is
    seen once an epoch, on any number of ranks; the place in the epoch is part of the checkpoint, and holds on another
    number of ranks too, where an optimizer step sees as many pictures.

    Args:
        root: a folder (with metadata.jsonl, .csv or .parquet, captions in files beside the pictures, or tars), a tar, a
            table, a pattern such as {000..127}.tar, hf://datasets/OWNER/NAME, emu://NAME.
        resolution: side of the square whose area every bucket has, in pixels.
        batch_size: pictures a step on each device.
        caption_dropout: share of captions that become "", drawn anew each epoch.
        held_out: how many pictures are kept from training, to watch the loss on; 0 for none. Rows of one picture stay
            together.
        num_pictures: how many of the rest are trained on, drawn by `seed`; 0 for all. With one seed a smaller number's
            are among a larger one's.
        prompts: the prompts that are drawn at every check: .txt, .csv, .tsv, .jsonl, .json or .toml (docs/prompts.md).
        num_prompts: how many of them, spread evenly over the file; 0 for all.
        sample_batch_size: prompts a batch.
        aspect_ratios: False brings every picture to one square.
        bucket_step: sides of buckets are multiples of it.
        image_column: the column of the pictures, or in a tar the field; by default the first usual name that is there.
        text_column: the column of the captions, a field of it as caption.en; by default as above. Of a list of captions
            one is drawn at each visit.
        caption_lines: whether each line of a .txt or .caption file is a caption of its own.
        max_bad: how many bad pictures are skipped before the run is refused. A file that fails only when it is decoded
            counts too: it is named, and a grey picture of weight 0 takes its place.
        max_pixels: larger pictures are bad, and are not decoded.
        num_workers: processes that decode.
        cache: what `emu encode` wrote; encoded pictures and captions are then served from it.
        seed: of shuffling, caption dropout, the choice of pictures and, plus its index, of each prompt that names none.
    """

    def __init__(
        self,
        root: str,
        *,
        resolution: int = 512,
        batch_size: int = 8,
        caption_dropout: float = 0.1,
        held_out: int = 0,
        num_pictures: int = 0,
        prompts: str | None = None,
        num_prompts: int = 0,
        sample_batch_size: int = 16,
        aspect_ratios: bool = True,
        bucket_step: int = 64,
        image_column: str | None = None,
        text_column: str | None = None,
        caption_lines: bool = False,
        max_bad: int = 0,
        max_pixels: int = 100_000_000,
        num_workers: int = 2,
        cache: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        positive = {"resolution": resolution, "batch_size": batch_size, "sample_batch_size": sample_batch_size}
        natural = {"held_out": held_out, "num_pictures": num_pictures, "num_prompts": num_prompts, "seed": seed}
        for least, flags in ((1, positive), (0, natural)):
            for flag, value in flags.items():
                if value < least:
                    raise UserError(f"data.{flag} {value}: give {least} or more")
        if not 0 <= caption_dropout <= 1:
            raise UserError(f"data.caption_dropout {caption_dropout}: give a share between 0 and 1")
        if aspect_ratios and resolution % bucket_step:
            raise UserError(
                f"data.resolution {resolution}: not a multiple of data.bucket_step {bucket_step}; "
                "change one of them or set data.aspect_ratios to false"
            )
        self.root = root
        self.resolution = resolution
        self.batch_size = batch_size
        self.caption_dropout = caption_dropout
        self.held_out = held_out
        self.num_pictures = num_pictures
        self.prompts = prompts
        self.num_prompts = num_prompts
        self.sample_batch_size = sample_batch_size
        self.image_column = image_column
        self.text_column = text_column
        self.caption_lines = caption_lines
        self.max_pixels = max_pixels
        self.num_workers = num_workers
        self.cache = cache
        self.seed = seed
        self.buckets = list_buckets(resolution, step=bucket_step if aspect_ratios else resolution)
        self.faults = Faults(root, limit=max_bad)
        self.train_pictures: list[Picture] = []
        self.held_out_pictures: list[Picture] = []
        self.prompt_rows: list[dict[str, Any]] = []
        self.seen = Survey()

    def setup(self, stage: str) -> None:
        """Look at every header once, and read the prompts. UserError: nothing there, or too much of it bad."""
        if self.train_pictures:
            return
        if self.prompts is not None:
            self.prompt_rows = load_prompts(self.prompts, limit=self.num_prompts, seed=self.seed)
        pictures = self._survey()
        if self.held_out >= len(pictures):
            raise UserError(
                f"data.root {self.root}: {len(pictures):,} pictures, none left to train on beside "
                f"data.held_out {self.held_out:,}"
            )
        if self.held_out + self.num_pictures > len(pictures):
            raise UserError(
                f"data.root {self.root}: {len(pictures):,} pictures, fewer than data.num_pictures "
                f"{self.num_pictures:,} and data.held_out {self.held_out:,} together"
            )
        groups = alike(pictures) if self.held_out else [[i] for i in range(len(pictures))]
        held_out, rest = split(groups, held_out=self.held_out, seed=self.seed)
        if not rest:
            raise UserError(
                f"data.root {self.root}: all of it shows one picture, which cannot be held out and trained on"
            )
        self.held_out_pictures = [pictures[i] for i in sorted(held_out)]
        self.train_pictures = [pictures[i] for i in sorted(rest[: self.num_pictures or None])]
        rank_zero_info(self.describe())

    def captions(self) -> list[str]:
        """Every caption, training first, then held-out; after `setup`."""
        return [text for picture in self.train_pictures + self.held_out_pictures for text in picture.entry.texts]

    def describe(self) -> str:
        """`1,101 of 1,101 used`, a line a bucket, and what else there is to say of the set; after `setup`."""
        pictures, held_out = self.train_pictures + self.held_out_pictures, len(self.held_out_pictures)
        head = f"{self.root}: {len(pictures):,} of {self.seen.total:,} used, {held_out:,} held out"
        shapes = table(self.train_pictures, at_once=self.batch_size * self._world)
        said = remarks(pictures, self.seen, lines=self.caption_lines)
        return "\n".join([f"{head}; height x width of the rest:", *shapes, *said])

    def train_dataloader(self) -> Training:
        """Shuffled batches of one bucket each, captions dropped; resumable."""
        buckets = [picture.bucket for picture in self.train_pictures]
        accumulate = self.trainer.accumulate_grad_batches if self.trainer else 1

        def plan(epoch: int) -> list[Batch]:
            return shuffled(
                buckets,
                batch_size=self.batch_size,
                seed=self.seed,
                epoch=epoch,
                accumulate=accumulate,
                caption_dropout=self.caption_dropout,
                rank=self._rank,
                world=self._world,
            )

        identity = {
            "pictures or buckets": zlib.crc32(repr(buckets).encode()),
            "data.seed": self.seed,
            "number of pictures a step": self.batch_size * accumulate * self._world,
        }
        return Training(
            self._dataset(self.train_pictures),
            plan,
            accumulate=accumulate,
            num_workers=self.num_workers,
            faults=self.faults,
            identity=identity,
        )

    def val_dataloader(self) -> list[HeldOut | Fixed]:
        """The held-out pictures where there are any, then the prompts where there are any."""
        loaders: list[HeldOut | Fixed] = []
        share = {"rank": self._rank, "world": self._world}
        if self.held_out_pictures:
            buckets = [picture.bucket for picture in self.held_out_pictures]
            loaders.append(
                HeldOut(
                    self._dataset(self.held_out_pictures),
                    in_order(buckets, batch_size=self.batch_size, seed=self.seed, **share),
                    num_workers=self.num_workers,
                    faults=self.faults,
                )
            )
        if self.prompt_rows:
            loaders.append(Fixed(prompt_batches(self.prompt_rows, batch_size=self.sample_batch_size, **share)))
        return loaders

    @property
    def cache_fingerprint(self) -> str | None:
        """Of the encoders that filled the cache, for the module to compare with its own; None without a cache."""
        return find_cache(self.cache).name if self.cache else None

    def _survey(self) -> list[Picture]:
        """Every picture that can be used. UserError: there is none, or too much is bad."""
        found = read_source(
            self.root, image_column=self.image_column, text_column=self.text_column, lines=self.caption_lines
        )
        self.seen = survey(found, self.buckets, max_pixels=self.max_pixels)
        if message := self.faults.add(self.seen.faults):
            rank_zero_warn(message)
        if not self.seen.pictures:
            left_out = f"; not used: {some(self.seen.dropped)}" if self.seen.dropped else ""
            raise UserError(f"data.root {self.root}: holds no picture{left_out}")
        return self.seen.pictures

    def _dataset(self, pictures: Sequence[Picture]) -> Dataset[dict[str, Any]]:
        if self.cache:
            return Cached(pictures, folder=find_cache(self.cache))
        return Decoded(pictures, max_pixels=self.max_pixels)

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1
