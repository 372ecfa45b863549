"""`emu vote`: people say, blind, which pictures are better."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from emu.commands.parser import Parser
from emu.errors import UserError, printable

if TYPE_CHECKING:
    from emu.desk.vote.study import Study

OPTIONS = ("prompts", "appeal", "faithfulness", "checks", "repeats", "training", "across")


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("vote", help="a page on which people say, blind, which pictures are better")
    parser.set_defaults(action=vote, parser=parser)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders; each one's before is held against its after")
    parser.add_argument("--db", metavar="URL", help="where votes are kept (votes.sqlite in the first run's folder)")

    do = parser.add_argument_group("instead of opening the page").add_mutually_exclusive_group()
    do.add_argument("--invite", metavar="NAME", help="print a new link for a rater; one that they had closes")
    do.add_argument("--revoke", metavar="NAME", help="close a rater's link; the votes stay")
    do.add_argument("--raters", action="store_true", help="list the raters and how far they are")
    do.add_argument("--results", action="store_true", help="count the votes, into votes.json in every run folder")

    out = parser.add_argument_group("with --results")
    out.add_argument("--votes", type=Path, metavar="FILE", help="every vote as a line of JSON")
    out.add_argument("--dpo", type=Path, metavar="FILE", help="prompt, chosen, rejected of every pair with a majority")

    page = parser.add_argument_group("the page")
    page.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1); others need invited raters")
    page.add_argument("--port", type=int, default=8765, help="(8765; 0 takes a free one)")
    page.add_argument("--url", help="what raters type, if a proxy stands between, such as https://vote.example.org")
    page.add_argument("--no-browser", action="store_true", help="print the link, open nothing")

    study = parser.add_argument_group("the study; all but the two numbers of votes is fixed at its first start")
    study.add_argument("--prompts", type=int, metavar="N", help="pairs of a run, evenly spread (300)")
    study.add_argument("--appeal", type=int, metavar="N", help="votes on each pair's appeal (5)")
    study.add_argument("--faithfulness", type=int, metavar="N", help="votes on each pair's faithfulness (3)")
    study.add_argument("--checks", type=float, metavar="SHARE", help="share of pairs with a known answer (0.1)")
    study.add_argument("--repeats", type=float, metavar="SHARE", help="share of pairs that are shown again (0.05)")
    study.add_argument("--training", type=int, metavar="N", help="pairs for practice (4)")
    study.add_argument("--across", action="store_true", default=None, help="also hold tuned runs against each other")


def vote(given: argparse.Namespace) -> None:
    """Opens the page, or does what is asked for instead."""
    try:
        from emu.desk.vote.opening import opened
    except ModuleNotFoundError as error:
        raise UserError(f"emu vote needs {error.name}; pip install 'emu-quality-tuning[desk]'") from error
    if (given.votes or given.dpo) and not given.results:
        raise UserError("--votes and --dpo write what --results has counted; add --results")
    options = {name: getattr(given, name) for name in OPTIONS}
    begun = bool(given.results or given.raters or given.revoke)
    with opened(given.runs, url=given.db, begun=begun, **options) as study:
        if given.results:
            results(study, given)
        elif given.raters:
            raters(study)
        else:
            page(study, given)


def results(study: "Study", given: argparse.Namespace) -> None:
    """Counts the votes, writes what was asked for, prints the table."""
    from emu.desk.vote.exports import write_dpo, write_votes
    from emu.desk.vote.results import write_results

    print(write_results(study, given.runs))
    if given.votes:
        print(f"{given.votes}: {write_votes(study, given.votes)} votes")
    if given.dpo:
        print(f"{given.dpo}: {write_dpo(study, given.dpo)} pairs")


def raters(study: "Study") -> None:
    """A line a rater, and one a question."""
    from emu.desk.vote.progress import progress

    for line in progress(study):
        print(line)


def page(study: "Study", given: argparse.Namespace) -> None:
    """Invites, revokes, or serves until interrupted."""
    from emu.desk import raters, serving
    from emu.desk.vote.opening import door, vote_app

    where = serving.address(given.host, given.port, given.url)
    if given.revoke is not None:
        raters.revoke(study.database, given.revoke)
        print(f"{printable(given.revoke)}: the link is closed; the votes stay")
    elif given.invite is not None:
        print(where.link(raters.invite(study.database, given.invite)))
    else:
        listening, where = serving.listen(where, invited=raters.invited(study.database))
        print(door(study, where, browser=not given.no_browser, beside=given.runs[0]), flush=True)
        serving.server(vote_app(study, hosts=where.names, secure=where.secure)).run(sockets=[listening])
