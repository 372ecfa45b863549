"""How many tokens a caption has, by the tokenizers that a plan names and this machine has."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Count:
    """How many tokens a text has by the tokenizer of that name, and the most that its model reads, where known."""

    name: str
    tokens: int
    most: int | None


class Tokens:
    """Counts in several tokenizers, which are loaded when a caption is first counted.

    Args:
        names: hub names or folders.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def count(self, text: str) -> list[Count]:
        return [Count(name, len(loaded(text).input_ids), _most(loaded)) for name, loaded in self.loaded.items()]

    @cached_property
    def loaded(self) -> dict[str, "PreTrainedTokenizerBase"]:
        if not self.names:
            return {}
        from transformers import AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()  # that a caption is longer than the model reads is what we are here to say
        found: dict[str, PreTrainedTokenizerBase] = {}
        for name in self.names:
            try:
                found[os.path.basename(name)] = AutoTokenizer.from_pretrained(name, local_files_only=True)
            except (OSError, ValueError):  # not on this machine, and nobody waits for a hub here
                continue
        return found


def _most(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    most = int(tokenizer.model_max_length)
    return most if most < 1_000_000 else None  # transformers writes 1e30 where none is known
