"""A vote: the matches that people compare, and how they are asked.

The first start fixes the matches; of the options only the numbers of votes may change later.
"""

import hmac
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from emu.compare.pairing import Pairing
from emu.compare.reading import read_run
from emu.desk import study
from emu.desk.database import Database
from emu.desk.study import begin, begun, change_options
from emu.desk.vote.matches import Match, matches
from emu.desk.vote.questions import APPEAL, FAITHFULNESS
from emu.errors import UserError

FILE = "votes.sqlite"
MOST_BESIDE = 0.9  # of cards that are no votes


@dataclass(frozen=True)
class Options:
    """How people are asked.

    Args:
        prompts: at most so many pairs of a run, evenly spread over its list.
        appeal: votes wanted on each pair's visual appeal, each by another rater; 0 leaves the question out.
        faithfulness: the same for text faithfulness.
        checks: share of cards whose right answer is known, in [0, 0.5].
        repeats: share of cards that show an answered pair again, in [0, 0.5].
        training: practice cards at the start of each question, which say what the right answer is.
        across: also pair the tuned pictures of every two runs.
    """

    prompts: int
    appeal: int
    faithfulness: int
    checks: float
    repeats: float
    training: int
    across: bool

    def wanted(self, question: str) -> int:
        return {APPEAL: self.appeal, FAITHFULNESS: self.faithfulness}[question]

    def require_sound(self) -> None:
        """UserError for an option out of its range."""
        for name, value in asdict(self).items():
            if name in ("checks", "repeats") and not 0 <= value <= 0.5:
                raise UserError(f"--{name} {value}: give a share from 0 to 0.5")
            if value < 0 or (name == "prompts" and value < 1):
                raise UserError(f"--{name} {value}: give {'a number above 0' if name == 'prompts' else '0 or more'}")
        if self.checks + self.repeats > MOST_BESIDE:
            raise UserError(
                f"--checks {self.checks} --repeats {self.repeats}: give shares of at most {MOST_BESIDE} together, so "
                "that pairs are left to vote on"
            )
        if not self.appeal and not self.faithfulness:
            raise UserError("--appeal 0 --faithfulness 0: nothing is left to ask; give votes to one of them")


USUAL = Options(prompts=300, appeal=5, faithfulness=3, checks=0.1, repeats=0.05, training=4, across=False)


@dataclass(frozen=True)
class Poll:
    """An open vote; `matches` by key."""

    database: Database
    matches: dict[str, Match]
    options: Options
    secret: bytes
    numbers: dict[tuple[object, ...], int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def questions(self) -> list[str]:
        """In the order in which they are asked."""
        return [question for question in (APPEAL, FAITHFULNESS) if self.options.wanted(question)]

    def number(self, *about: object) -> int:
        """HMAC-SHA256(secret, about) as a number: nobody without the secret can foretell it, and it never changes."""
        found = self.numbers.get(about)
        if found is None:  # a few for every rater and match: kept, since each answer asks for hundreds of them
            found = int.from_bytes(hmac.digest(self.secret, repr(about).encode(), "sha256"), "big")
            self.numbers[about] = found
        return found


@contextmanager
def opened(folders: Sequence[Path], *, url: str | None, begun: bool, **options: Any) -> Iterator[Poll]:
    """The vote on these runs; the run folders are read before a database is touched.

    Args:
        url: the database's; None for a file in the first run folder.
        begun: only if there is one already; UserError otherwise.
    """
    read = [read_run(folder) for folder in folders]
    missing = f"no votes yet; open the page first with emu vote {folders[0]}"
    with study.opened(url, folders[0].resolve() / FILE, begun=begun, missing=missing) as database:
        yield open_poll(database, read, **options)


def open_poll(database: Database, runs: Sequence[Pairing], **asked: Any) -> Poll:
    """The vote on these runs, begun where there is none yet.

    Args:
        asked: options as `Options` has them; None for what was not said.

    Raises:
        UserError: the database holds a vote on other pictures, or was begun with other options.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    before = begun(database, Options)
    options = replace(before.options if before else USUAL, **given)
    options.require_sound()
    for name, value in asdict(before.options).items() if before else ():
        if name not in (APPEAL, FAITHFULNESS) and given.get(name, value) != value:
            raise UserError(f"--{name} {given[name]}: this vote was begun with {value}; leave --{name} out")
    found = matches(runs, limit=options.prompts, across=options.across)
    stands = begin(database, found, options, kind="a vote on")
    if stands.options != options:
        change_options(database, options)
    return Poll(database, found, options, stands.secret)
