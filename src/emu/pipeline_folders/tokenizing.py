"""What tells one tokenizer from another: what it makes of texts, whichever files and versions it is saved by.

Notable: a vocabulary of 256,000 takes seconds to read whole; pieces spread evenly over it are looked at, as numbers
spread over a file of weights are.
"""

import hashlib
import json
from typing import Any

from transformers import PreTrainedTokenizerBase

from emu.storage.shapes import ComponentConfig

PIECES = 1024
TEXTS = (
    *("a red boat at noon", "Two GREEN hills, 1,024 pixels (f/2.8)!", "  spaces\nand\tlines  ", "award-winning bokeh"),
    *("na\u00efve \u732b \u0421\u043d\u0435\u0433 \U0001f3a8", '"quoted" <b>marked</b> don\'t', ""),
)


def tokenizer_of(part: Any) -> PreTrainedTokenizerBase | None:
    """A component itself, or the tokenizer of a processor; None of what reads no text."""
    found = getattr(part, "tokenizer", part)
    return found if isinstance(found, PreTrainedTokenizerBase) else None


def fingerprint(part: Any) -> ComponentConfig:
    """What a tokenizer, or a processor with one, is known by: names in words -> values as JSON has them."""
    tokenizer = tokenizer_of(part)
    assert tokenizer is not None
    number = len(tokenizer)
    spread = [i * number // PIECES for i in range(PIECES)] if number > PIECES else list(range(number))
    special = {name: str(one) for name, one in tokenizer.special_tokens_map.items() if isinstance(one, str)}
    return {
        "vocabulary": f"{number:,} tokens ({_short(tokenizer.convert_ids_to_tokens(spread))})",
        "model_max_length": tokenizer.model_max_length,
        "known texts cut as": _short([tokenizer(text=text, verbose=False)["input_ids"] for text in TEXTS]),
        "chat_template": _short(getattr(part, "chat_template", None)),
        **special,
    }


def _short(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]
