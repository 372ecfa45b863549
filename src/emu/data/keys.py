"""The names under which the cache knows pictures and prompts: by content, so that renaming or reordering keeps them."""

import hashlib

from emu.data.buckets import Bucket
from emu.data.fitting import PREPROCESSING
from emu.data.pictures import Opener
from emu.storage import files


class Digests:
    """The sha256 of what openers open; of one that was met before, without reading it again."""

    def __init__(self) -> None:
        self.known: dict[Opener, str] = {}

    def __call__(self, file: Opener) -> str:
        if file not in self.known:
            with file() as stream:
                self.known[file] = files.sha256(stream)
        return self.known[file]


def picture_key(file: Opener, bucket: Bucket, digests: Digests | None = None) -> str:
    """A picture file's content, the shape it is brought to and how."""
    digest = (digests or Digests())(file)
    return f"picture-{digest}-{bucket[0]}x{bucket[1]}-{PREPROCESSING}"


def prompt_key(prompt: str, *, negative: bool = False) -> str:
    """A prompt's text, and whether guidance leads away from it."""
    return f"{'negative' if negative else 'prompt'}-{hashlib.sha256(prompt.encode()).hexdigest()}"
