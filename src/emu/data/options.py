"""What of a set is used, and how: section `data` of a config, but for the set itself."""

from dataclasses import dataclass

from emu.data.buckets import Bucket, list_buckets
from emu.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Options:
    """UserError, which names the key, where two of them do not fit or one is out of its range.

    Args:
        resolution: side in pixels of the square whose area every bucket has.
        batch_size: pictures per step on each device.
        caption_dropout: share of captions replaced by "", drawn anew each epoch.
        held_out: number of pictures kept from training, to watch the loss on (0: none). Rows of one picture stay
            together.
        num_pictures: train on this many of the rest, drawn by `seed` (0: all). With one seed a smaller number's
            pictures are among a larger one's.
        prompts: file of the prompts drawn at every check: .txt, .csv, .tsv, .jsonl, .json or .toml (docs/prompts.md).
        num_prompts: draw this many of them, spread evenly over the file (0: all).
        sample_batch_size: prompts per batch.
        aspect_ratios: buckets of several shapes; False brings every picture to one square.
        bucket_step: the sides of buckets are multiples of it.
        image_column: column of the pictures, in a tar the field; by default the first usual name that is there.
        text_column: column of the captions, or a field of it as in caption.en; by default as above. Of a list of
            captions, one is drawn at each visit.
        caption_lines: each line of a .txt or .caption file is a caption of its own.
        max_bad: bad pictures of a set to skip before the run is refused. A file that fails only when it is decoded
            counts too: it is named, and a grey picture of weight 0 takes its place.
        max_pixels: larger pictures are bad, and are not decoded.
        stream: read shards as they come, here or in any storage that fsspec knows, however many there are; see
            docs/pretraining.md. The next three are a stream's.
        lanes: rows of shards that are read side by side: a multiple of the devices times `num_workers`.
        shuffle: records of a lane that are shuffled together, about.
        max_failed: share of the pictures read that may be bad, and of the shards, before the run is refused.
        num_workers: processes that decode pictures.
        cache: folder that `emu encode` wrote; encoded pictures and captions are then served from it.
        seed: seeds shuffling, caption dropout, the choice of pictures and, plus its index, each prompt without a seed.
    """

    resolution: int = 512
    batch_size: int = 8
    caption_dropout: float = 0.1
    held_out: int = 0
    num_pictures: int = 0
    prompts: str | None = None
    num_prompts: int = 0
    sample_batch_size: int = 16
    aspect_ratios: bool = True
    bucket_step: int = 64
    image_column: str | None = None
    text_column: str | None = None
    caption_lines: bool = False
    max_bad: int = 0
    max_pixels: int = 100_000_000
    stream: bool = False
    lanes: int = 16
    shuffle: int = 1024
    max_failed: float = 0.01
    num_workers: int = 2
    cache: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for least, keys in ((1, POSITIVE), (0, NATURAL)):
            for key in keys:
                if getattr(self, key) < least:
                    raise UserError(f"data.{key} {getattr(self, key)}: give {least} or more")
        for key in SHARES:
            if not 0 <= getattr(self, key) <= 1:
                raise UserError(f"data.{key} {getattr(self, key)}: give a share between 0 and 1")
        for key in OF_SETS if self.stream else ():
            if getattr(self, key):
                raise UserError(f"data.{key}: a stream takes none; leave it out, or data.stream")
        for key in () if self.stream else OF_STREAMS:
            if getattr(self, key) != getattr(Options, key):
                raise UserError(f"data.{key}: for streams alone; leave it out, or set data.stream to true")
        if self.aspect_ratios and self.resolution % self.bucket_step:
            raise UserError(
                f"data.resolution {self.resolution}: not a multiple of data.bucket_step {self.bucket_step}; "
                "change one of them or set data.aspect_ratios to false"
            )

    @property
    def buckets(self) -> list[Bucket]:
        """The shapes that pictures are brought to."""
        return list_buckets(self.resolution, step=self.bucket_step if self.aspect_ratios else self.resolution)


POSITIVE = ("resolution", "batch_size", "sample_batch_size", "bucket_step", "max_pixels", "lanes", "shuffle")
NATURAL = ("held_out", "num_pictures", "num_prompts", "max_bad", "num_workers", "seed")
SHARES = ("caption_dropout", "max_failed")
OF_SETS = ("cache", "num_pictures", "max_bad")  # what a stream would not heed
OF_STREAMS = ("lanes", "shuffle", "max_failed")
# Of a set, what leaves the encoded pictures and texts as they are: all of it is encoded, held out or not.
ENCODED_ALIKE = (
    "batch_size",
    "caption_dropout",
    "held_out",
    "num_pictures",
    "sample_batch_size",
    "num_workers",
    "cache",
    "seed",
)
