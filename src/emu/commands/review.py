"""`emu review`: people choose the needles from what the funnel left, and write their captions."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from emu.commands.parser import Parser
from emu.errors import UserError, printable

if TYPE_CHECKING:
    from emu.desk.review.study import Review


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("review", help="a page on which people choose the needles, in passes")
    parser.set_defaults(action=review, parser=parser)
    parser.add_argument("folder", type=Path, help="a curated folder, of emu curate or like one")
    parser.add_argument("-c", "--config", default="review/paper", help="the plan of passes (review/paper)")
    parser.add_argument("--guideline", type=Path, metavar="FILE", help="what raters see beside pictures: your taste")
    parser.add_argument("--db", metavar="URL", help="where answers are kept (review.sqlite in the folder)")

    do = parser.add_argument_group("instead of opening the page").add_mutually_exclusive_group()
    do.add_argument("--invite", metavar="NAME", help="print a new link for a rater; one that they had closes")
    do.add_argument("--revoke", metavar="NAME", help="close a rater's link; the answers stay")
    do.add_argument("--raters", action="store_true", help="list the raters and how far they are")
    do.add_argument("--draft", metavar="MODEL", help="let a model that sees draft the captions, for people to correct")
    do.add_argument("--results", action="store_true", help="count the answers, into review.json in the folder")
    do.add_argument("--out", type=Path, metavar="FOLDER", help="write what stayed as a curated folder of its own")

    who = parser.add_argument_group("with --invite")
    who.add_argument("--pass", dest="passes", action="append", default=[], metavar="PASS", help="which (all of them)")
    who.add_argument("--arbiter", action="store_true", help="they settle what others differ on")

    page = parser.add_argument_group("the page")
    page.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1); others need invited raters")
    page.add_argument("--port", type=int, default=8766, help="(8766; 0 takes a free one)")
    page.add_argument("--url", help="what raters type, if a proxy stands between, such as https://review.example.org")
    page.add_argument("--no-browser", action="store_true", help="print the link, open nothing")


def review(given: argparse.Namespace) -> None:
    """Opens the page, or does what is asked for instead."""
    try:
        from emu.desk.review.opening import opened, progress
    except ModuleNotFoundError as error:
        raise UserError(f"emu review needs {error.name}; pip install 'emu-quality-tuning[desk]'") from error
    from emu.desk.review.plan import read_plan
    from emu.flags import find_config

    if (given.passes or given.arbiter) and given.invite is None:
        raise UserError("--pass and --arbiter say what an invited rater does; add --invite NAME")
    plan = read_plan(find_config(given.config), guideline=given.guideline)
    begun = bool(given.results or given.raters or given.revoke or given.out)
    with opened(given.folder, plan, url=given.db, begun=begun) as made:
        if given.results:
            from emu.desk.review.results import write_results

            print(write_results(made))
        elif given.out is not None:
            from emu.desk.review.needles import write_needles

            print(write_needles(made, given.out))
        elif given.draft is not None:
            from emu.desk.review.drafting import draft

            print(f"{given.folder}: {draft(made, given.draft):,} captions drafted")
        elif given.raters:
            print("\n".join(progress(made)))
        else:
            page(made, given)


def page(made: "Review", given: argparse.Namespace) -> None:
    """Invites, revokes, or serves until interrupted."""
    from emu.desk import raters, serving
    from emu.desk.review.invitations import invite
    from emu.desk.review.opening import door, review_app

    where = serving.address(given.host, given.port, given.url)
    if given.revoke is not None:
        raters.revoke(made.database, given.revoke)
        print(f"{printable(given.revoke)}: the link is closed; the answers stay")
    elif given.invite is not None:
        passes = [made.named(name) for name in given.passes] or made.plan.passes
        print(where.link(invite(made.database, given.invite, passes, arbiter=given.arbiter)))
    else:
        listening, where = serving.listen(where, invited=raters.invited(made.database))
        print(door(made, where, browser=not given.no_browser), flush=True)
        serving.server(review_app(made, hosts=where.names, secure=where.secure)).run(sockets=[listening])
