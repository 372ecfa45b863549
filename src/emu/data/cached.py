"""Batches from what `emu encode` wrote, so that no frozen encoder runs while the model trains."""

from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import Dataset

from emu.data.dataset import Example, described
from emu.data.epoch import Draw
from emu.data.keys import Digests, picture_key, prompt_key
from emu.data.survey import Picture
from emu.errors import UserError
from emu.storage.cache import Cache


def find_cache(folder: str | Path) -> Path:
    """The folder of one encoder's shards: `folder` itself, or the only one in it. UserError: none, or several."""
    folder = Path(folder).expanduser()
    if any(folder.glob("shard-*.safetensors")):
        return folder
    inside = sorted({shard.parent for shard in folder.glob("*/shard-*.safetensors")})
    if not inside:
        raise UserError(f"data.cache {folder}: no cache there; run `emu encode` with this config first")
    if len(inside) > 1:
        names = ", ".join(path.name for path in inside)
        raise UserError(f"data.cache {folder}: caches of several encoders ({names}); name one, as {inside[0]}")
    return inside[0]


class Cached(Dataset[Example]):
    """Pictures and captions as the frozen encoders left them."""

    def __init__(self, pictures: Sequence[Picture], *, folder: Path) -> None:
        """UserError: a picture or a caption is not in the cache."""
        self.pictures = pictures
        self.cache = Cache(folder)
        digests = Digests()
        self.keys = [picture_key(picture.entry.open, picture.bucket, digests) for picture in pictures]
        missing = [
            picture.entry.name
            for key, picture in zip(self.keys, pictures, strict=True)
            if key not in self.cache or any(prompt_key(text) not in self.cache for text in picture.entry.texts)
        ]
        if prompt_key("") not in self.cache:
            missing.append("the empty caption")
        if missing:
            raise UserError(
                f"data.cache {folder}: lacks {len(missing):,}, first {missing[0]}; run `emu encode` with this config"
            )

    def __getitem__(self, draw: Draw) -> Example:
        """An item with `x` and `cond` as they were encoded; of weight 0 where the file could not be decoded then."""
        picture = self.pictures[draw.picture]
        item = described(picture, draw)
        stored = self.cache.get(self.keys[draw.picture])
        if not stored["sound"]:
            item["weight"], item["fault"] = 0.0, f"{item['name']}: could not be decoded when the cache was made"
        return {**item, "x": stored["x"], "cond": self.cache.get(prompt_key(item["text"]))}
