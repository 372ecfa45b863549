"""Draft captions by a model that sees, for people to correct: one sentence a picture, marked as the model's.

Resumable: a picture that has a draft of this model is not looked at again. What a source says of its picture is never
shown to the model, since a caption may hold instructions.
"""

import torch
from PIL import Image
from sqlalchemy import delete, insert, select

from emu.desk.review.standing import standing
from emu.desk.review.study import Review
from emu.desk.review.tables import drafts
from emu.desk.review.thumbnails import decoded
from emu.errors import UserError
from emu.judges.chat import ChatModel
from emu.terminal.bars import Bar

ASKED = "Describe this picture in one factual sentence of at most 40 words. Name no person and no brand."
TOKENS = 80
SIDE = 1024  # pixels: what a model makes of a larger picture it makes of this one


class Drafter:
    """Any transformers image-text-to-text model with a chat template, by hub name or folder; no code of it is run."""

    def __init__(self, name: str) -> None:
        self.chat = ChatModel(name, where="--draft")
        self.chat.model.to("cuda" if torch.cuda.is_available() else "cpu")

    @torch.inference_mode()
    def caption(self, picture: Image.Image) -> str:
        """The likeliest words, one after the other: the same picture gets the same caption."""
        given = self.chat.inputs(picture, ASKED)
        drawn = self.chat.model.generate(**given, max_new_tokens=TOKENS, do_sample=False)
        words = self.chat.decode(drawn[0, given["input_ids"].shape[1] :])
        return " ".join(words.split())


def draft(review: Review, name: str) -> int:
    """Draft the captions of all that came into the last pass, or would; returns how many were written.

    UserError: none came there yet.
    """
    last = review.plan.passes[-1].name
    with review.database.reading() as connection:
        coming = standing(review, connection).entering(last)
        known = set(connection.execute(select(drafts.c.picture).where(drafts.c.model == name)).scalars())
    if not coming:
        raise UserError(f"{review.folder}: no picture has come to the pass {last} yet, for which captions are drafted")
    waiting = [key for key in coming if key not in known]
    if not waiting:
        return 0
    drafter, written = Drafter(name), 0
    for key in Bar(waiting, desc="drafts", unit="picture"):
        picture = decoded(review.folder, review.pictures[key], least=SIDE)
        picture.thumbnail((SIDE, SIDE))
        text = drafter.caption(picture)
        if text:
            with review.database.writing() as connection:
                connection.execute(delete(drafts).where(drafts.c.picture == key))
                connection.execute(insert(drafts).values(picture=key, text=text, model=name))
            written += 1
    return written
