"""How many tokens a caption has, by the tokenizers that a plan names and this machine has."""

import os
from functools import cached_property
from typing import Any


class Tokens:
    """Counts in several tokenizers, which are loaded when a caption is first counted.

    Args:
        names: hub names or folders.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def count(self, text: str) -> list[dict[str, Any]]:
        """[{"name", "tokens", "most": how many the model reads, or null}]."""
        return [
            {"name": name, "tokens": len(loaded(text).input_ids), "most": _most(loaded)}
            for name, loaded in self.loaded.items()
        ]

    @cached_property
    def loaded(self) -> dict[str, Any]:
        if not self.names:
            return {}
        from transformers import AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()  # that a caption is longer than the model reads is what we are here to say
        found = {}
        for name in self.names:
            try:
                found[os.path.basename(name)] = AutoTokenizer.from_pretrained(name, local_files_only=True)
            except (OSError, ValueError):  # not on this machine, and nobody waits for a hub here
                continue
        return found


def _most(tokenizer: Any) -> int | None:
    most = int(tokenizer.model_max_length)
    return most if most < 1_000_000 else None  # transformers writes 1e30 where none is known
