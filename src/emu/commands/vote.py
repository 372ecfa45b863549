"""`emu vote`: people say, blind, which pictures are better."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from emu.commands.desk import add_flags, extra, open_page
from emu.commands.parser import Parser
from emu.errors import UserError
from emu.terminal.counted import many

if TYPE_CHECKING:
    from emu.desk.vote.poll import Poll

OPTIONS = ("prompts", "appeal", "faithfulness", "checks", "repeats", "training", "across")


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("vote", help="a page on which people say, blind, which pictures are better")
    parser.set_defaults(action=vote, parser=parser)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders; each one's before is compared with its after")
    parser.add_argument("--db", metavar="URL", help="where votes are kept (votes.sqlite in the first run folder)")
    do = add_flags(parser, port=8765, answers="votes")
    do.add_argument("--results", action="store_true", help="count the votes, into votes.json in every run folder")

    out = parser.add_argument_group("with --results")
    out.add_argument("--votes", type=Path, metavar="FILE", help="write every vote as a line of JSON")
    out.add_argument(
        "--dpo", type=Path, metavar="FILE", help="write prompt, chosen and rejected of every pair with a majority"
    )
    poll = parser.add_argument_group("what is asked; fixed at the first start, but for the two numbers of votes")
    poll.add_argument("--prompts", type=int, metavar="N", help="pairs of each run, evenly spread (300)")
    poll.add_argument("--appeal", type=int, metavar="N", help="votes on the appeal of each pair (5)")
    poll.add_argument("--faithfulness", type=int, metavar="N", help="votes on the faithfulness of each pair (3)")
    poll.add_argument("--checks", type=float, metavar="SHARE", help="share of pairs whose answer is known (0.1)")
    poll.add_argument("--repeats", type=float, metavar="SHARE", help="share of pairs that are shown again (0.05)")
    poll.add_argument("--training", type=int, metavar="N", help="practice pairs before each question (4)")
    poll.add_argument(
        "--across", action="store_true", default=None, help="also compare the tuned pictures of different runs"
    )


def vote(given: argparse.Namespace) -> None:
    """Opens the page, or does what is asked for instead."""
    with extra("emu vote"):
        from emu.desk.vote.app import VotePage
        from emu.desk.vote.poll import opened
        from emu.desk.vote.votes import progress
    if (given.votes or given.dpo) and not given.results:
        raise UserError("--votes and --dpo write what --results has counted; add --results")
    options = {name: getattr(given, name) for name in OPTIONS}
    begun = bool(given.results or given.raters or given.revoke)
    with opened(given.runs, url=given.db, begun=begun, **options) as poll:
        if given.results:
            results(poll, given)
        elif given.raters:
            print("\n".join(progress(poll)))
        else:
            open_page(VotePage(poll), given, beside=given.runs[0])


def results(poll: "Poll", given: argparse.Namespace) -> None:
    """Counts the votes, writes what was asked for, prints the table."""
    from emu.desk.vote.exports import write_dpo, write_votes
    from emu.desk.vote.results import write_results

    print(write_results(poll, given.runs))
    if given.votes:
        print(f"{given.votes}: {many(write_votes(poll, given.votes), 'vote')}")
    if given.dpo:
        print(f"{given.dpo}: {many(write_dpo(poll, given.dpo), 'pair')}")
