"""What tests of the review page share: folders to review, reviews with any plan, raters with and without a page."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import select

from emu.desk.database import Database
from emu.desk.database import raters as known
from emu.desk.dealing import Presence
from emu.desk.deck import Card, Status
from emu.desk.pages import app
from emu.desk.review.app import ReviewPage
from emu.desk.review.dealing import Answer, Filter, Hand, deal, store
from emu.desk.review.pictures import read_pictures
from emu.desk.review.plan import Pass, Plan
from emu.desk.review.raters import invite
from emu.desk.review.standing import CAPTION, KEEP, REJECT, Standing, standing
from emu.desk.review.study import FILE, Review, open_review
from voters import served_app

ANY = Filter()


def write_folder(folder: Path, count: int = 12, *, captions: list[str] | None = None, name: str = "{:04d}.png") -> Path:
    """A curated folder of noise; every caption is its own."""
    captions = captions or [f"a {i} of number{i}" for i in range(count)]
    rows = []
    for i, caption in enumerate(captions):
        file = f"images/{name.format(i)}"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / file)
        rows.append({"file_name": file, "text": caption, "license": "CC0"})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def plan(*passes: Pass, guideline: str = "# Light\nIs it good?") -> Plan:
    """Three passes as in the paper, of one vote each, where none are given."""
    usual = [Pass("generalists", "grid", keep="any", reasons=("dull", "blurred")), Pass("specialists", "single")]
    return Plan(list(passes) or [*usual, Pass("captions", "captions")], guideline)


def make_review(folder: Path, made: Plan | None = None) -> Review:
    return open_review(Database.in_file(folder / FILE), folder, read_pictures(folder), made or plan())


class Desk:
    """A review with raters who answer without a page between, all invited to all passes."""

    def __init__(self, review: Review, *names: str, arbiter: bool = False) -> None:
        self.review, self.presence = review, Presence()
        self.tokens = {name: invite(review.database, name, review.plan.passes, arbiter=arbiter) for name in names}
        with review.database.reading() as connection:
            rows = connection.execute(select(known.c.name, known.c.id))
            self.raters = {name: number for name, number in rows if name in names}

    def hand(self, name: str, of: str, *, chosen: Filter = ANY, ruling: bool = False) -> Hand:
        rater, one = self.raters[name], self.review.named(of)
        self.presence.note(rater)
        with self.review.database.writing() as connection:
            return deal(self.review, connection, rater, one, self.presence, chosen=chosen, ruling=ruling)

    def answer(self, name: str, of: str, look: Card, choice: str = KEEP, **more: Any) -> Status:
        given = Answer(**{"id": look.id, "turn": look.turn, "choice": choice} | more)
        with self.review.database.writing() as connection:
            return store(connection, self.raters[name], self.review.named(of), given)

    def all(self, name: str, of: str, choice: Any = KEEP) -> list[str]:
        """Answers until nothing is left; `choice` may be of a picture's key. Returns the keys."""
        seen = []
        while (hand := self.hand(name, of)).open:
            for look in hand.open:
                said = choice(look.picture) if callable(choice) else choice
                text = self.review.pictures[look.picture].text if said == CAPTION else ""
                assert self.answer(name, of, look, said, text=text) == "stored"
                seen.append(look.picture)
        return seen

    def standing(self) -> Standing:
        with self.review.database.reading() as connection:
            return standing(self.review, connection)


@contextmanager
def served_review(review: Review) -> Iterator[int]:
    """The review's page, in a thread of this process; yields its port."""
    with served_app(lambda names: app(ReviewPage(review), hosts=names)) as port:
        yield port


__all__ = ["ANY", "CAPTION", "KEEP", "REJECT", "Desk", "make_review", "plan", "served_review", "write_folder"]
