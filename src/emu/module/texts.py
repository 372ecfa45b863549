"""Texts that were encoded once: what they gave is remembered, and the encoders are let go of, or never loaded.

Notable: a run with a filled cache (`emu encode`) loads no text encoder, such as a T5-XXL of 9.5 GB in bfloat16. Where
the cache lacks prompts that are drawn, the encoders are loaded, used and let go of before training begins.
"""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info

from emu.batch import Cond, Text
from emu.module.architecture import Architecture, in_float32


class RemembersTexts(Architecture):
    """An architecture that reads its prompts from the Trainer's datamodule before it loads anything.

    Args:
        pretrained: as in `Architecture`, like all else.
    """

    def __init__(self, pretrained: str, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self._texts: dict[Text, Cond] = {}
        self._missing: list[Text] | None = None  # that no cache holds and are drawn; None where the encoders stay

    def configure_model(self) -> None:
        """As in the parent; where a cache holds what the text encoders give, they are not loaded."""
        if "backbone" not in self._modules:
            self._missing = self._read_cache()
            if self._missing is not None:
                self.reads_texts = bool(self._missing)
        super().configure_model()

    def _read_cache(self) -> list[Text] | None:
        """Remember what the cache holds of what is drawn; what it lacks, or None where the encoders are needed."""
        data: Any = getattr(self._trainer, "datamodule", None)
        cached = data.cached_texts() if hasattr(data, "cached_texts") else None
        # A negative prompt of a class's own may be made in any way.
        if cached is None or type(self).negative_prompt is not Architecture.negative_prompt:
            return None
        self.remember(cached)
        return [text for text in data.drawn_texts() if text not in cached]

    @torch.no_grad()
    def on_load(self) -> None:
        """Encode what is drawn and no cache holds, on the device; then the text encoders go."""
        if self._missing is None:
            return
        if self._missing:
            self.to(self.trainer.strategy.root_device)  # it says where; nothing is in the module yet
            for part in self.frozen_parts():
                part.to(self.device)
            self.remember({text: self.encode([text.words], negative=text.negative) for text in self._missing})
            self.to("cpu")
            rank_zero_info(
                f"data.cache lacks {len(self._missing):,} of the prompts that are drawn: the text encoders were loaded "
                "for them; `emu encode` with this config puts them there"
            )
        self.leave_encoders()

    def remember(self, texts: Mapping[Text, Cond]) -> None:
        """Encodings, each of one prompt, that `encode` gives from now on; they are kept in the host's memory."""
        for text, cond in texts.items():
            self._texts[text] = {key: value.cpu() for key, value in in_float32(cond).items()}

    def encode(self, prompts: list[str], *, negative: bool = False) -> Cond:
        """As in the parent; what is remembered is not encoded again."""
        texts = [Text(prompt, negative) for prompt in prompts]
        if any(text not in self._texts for text in texts):
            return super().encode(prompts, negative=negative)
        known = [self._texts[text] for text in texts]
        return {key: torch.cat([one[key] for one in known]).to(self.device) for key in known[0]}
