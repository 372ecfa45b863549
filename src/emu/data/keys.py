"""The names under which the cache knows pictures and prompts: by content, so that renaming or reordering keeps them."""

import hashlib

from emu.data.buckets import Bucket
from emu.data.pictures import PREPROCESSING, Opener


def picture_key(file: Opener, bucket: Bucket) -> str:
    """A picture file's content, the shape it is brought to and how."""
    with file() as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return f"picture-{digest}-{bucket[0]}x{bucket[1]}-{PREPROCESSING}"


def prompt_key(prompt: str) -> str:
    """A prompt's text."""
    return f"prompt-{hashlib.sha256(prompt.encode()).hexdigest()}"
