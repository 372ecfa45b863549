"""Models that see a picture and answer a question about it: whatever transformers calls image-text-to-text."""

from functools import cached_property
from typing import Any

from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from emu.errors import UserError
from emu.judges.pretrained import Pretrained


class ChatModel:
    """A model with a chat template, loaded when it is first asked, in the precision that its weights are kept in.

    Args:
        model: a hub name, or a folder.
        where: what asks for it, as messages begin.
        sha256: that its weights must have, or its beginning; others are refused.
    """

    def __init__(self, model: str, *, where: str = "judge's model", sha256: str | None = None) -> None:
        self.files = Pretrained(model, "a model that takes pictures and text", where, sha256)

    def inputs(self, picture: Image.Image, question: str) -> Any:
        """A turn that shows an RGB picture and asks: what the model is called with, on its device.

        The question is text and neither picture nor turn: the model's own markers are taken out of it, those too that
        the taking makes of what stood around them.
        """
        while marker := next((one for one in self.markers if one in question), None):
            question = question.replace(marker, "")
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
        asked = self.processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=False)
        given = self.processor(text=[asked], images=[picture], return_tensors="pt")
        return given.to(self.model.device, self.model.dtype)

    @cached_property
    def markers(self) -> list[str]:
        """What the model reads as anything but text."""
        of_processor = (getattr(self.processor, f"{kind}_token", None) for kind in ("image", "video", "audio"))
        return [one for one in (*self.processor.tokenizer.all_special_tokens, *of_processor) if one]

    def decode(self, tokens: Tensor) -> str:
        """Token ids (n,) -> their text, without markers."""
        text: str = self.processor.tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def require(self) -> None:
        """UserError where it is not there, or no question can be put to it; weights are not looked at."""
        self.files.read(AutoConfig)
        _ = self.processor

    @cached_property
    def model(self) -> Any:
        """In evaluation mode. UserError: absent, of another kind, or with other weights than were asked for."""
        return self.files.model(AutoModelForImageTextToText, dtype="auto")

    @cached_property
    def processor(self) -> Any:
        """UserError: absent, or no question can be put to it."""
        processor = self.files.read(AutoProcessor)
        if not getattr(processor, "chat_template", None):
            raise UserError(f"{self.files}: has no chat template; name one that answers questions")
        return processor
