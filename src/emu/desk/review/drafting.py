"""Draft captions by a model that sees, for people to correct: one sentence a picture, marked as the model's.

Resumable: a picture that has a draft of this model is not looked at again. What a source says of its picture is never
shown to the model, since a caption may hold instructions.
"""

from typing import Any

import torch
from PIL import Image
from sqlalchemy import delete, insert, select
from tqdm import tqdm

from emu.desk.review.standing import standing
from emu.desk.review.study import Review
from emu.desk.review.tables import drafts
from emu.desk.review.thumbnails import decoded
from emu.errors import UserError

ASKED = "Describe this picture in one factual sentence of at most 40 words. Name no person and no brand."
TOKENS = 80
SIDE = 1024  # pixels: what a model makes of a larger picture it makes of this one


class Drafter:
    """Any transformers image-text-to-text model with a chat template, by hub name or folder; no code of it is run."""

    def __init__(self, name: str) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.name = name
        try:
            self.processor: Any = AutoProcessor.from_pretrained(name)
            self.model: Any = AutoModelForImageTextToText.from_pretrained(name, dtype="auto").eval()
        except (OSError, ValueError) as error:
            said = str(error).strip().partition("\n")[0].rstrip(".")
            raise UserError(f"--draft {name}: {said}; name a model that takes pictures and text") from error
        if not getattr(self.processor, "chat_template", None):
            raise UserError(f"--draft {name}: has no chat template; name one that answers questions")
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")

    @torch.inference_mode()
    def caption(self, picture: Image.Image) -> str:
        """The likeliest words, one after the other: the same picture gets the same caption."""
        content = [{"type": "image"}, {"type": "text", "text": ASKED}]
        asked = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        given = self.processor(text=[asked], images=[picture], return_tensors="pt")
        drawn = self.model.generate(
            **given.to(self.model.device, self.model.dtype), max_new_tokens=TOKENS, do_sample=False
        )
        words = self.processor.tokenizer.decode(drawn[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
        return " ".join(words.split())


def draft(review: Review, name: str) -> int:
    """Draft the captions of all that came into the last pass, or would; returns how many were written."""
    with review.database.reading() as connection:
        coming = standing(review, connection).entering(review.plan.passes[-1].name)
        known = set(connection.execute(select(drafts.c.picture).where(drafts.c.model == name)).scalars())
    waiting = [key for key in coming if key not in known]
    if not waiting:
        return 0
    drafter, written = Drafter(name), 0
    for key in tqdm(waiting, desc="drafts", unit="picture"):
        picture = decoded(review.folder, review.pictures[key], least=SIDE)
        picture.thumbnail((SIDE, SIDE))
        text = drafter.caption(picture)
        if text:
            with review.database.writing() as connection:
                connection.execute(delete(drafts).where(drafts.c.picture == key))
                connection.execute(insert(drafts).values(picture=key, text=text, model=name))
            written += 1
    return written
