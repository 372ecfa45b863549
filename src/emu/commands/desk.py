"""What the commands that open a page of the desk have in common: flags, links for raters, and the page itself."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from emu.commands.parser import Parser
from emu.errors import UserError, printable

if TYPE_CHECKING:
    from emu.desk.pages import DeskPage

HOST = "127.0.0.1"


def add_flags(parser: Parser, *, port: int, answers: str) -> "argparse._MutuallyExclusiveGroup":
    """Where the page is served, and what to do instead of opening it; returns the group of the latter."""
    do = parser.add_argument_group("instead of opening the page").add_mutually_exclusive_group()
    do.add_argument("--invite", metavar="NAME", help="print a new link for a rater; an earlier one stops working")
    do.add_argument("--revoke", metavar="NAME", help=f"close a rater's link; the {answers} stay")
    do.add_argument("--raters", action="store_true", help="list the raters and how far each has come")
    page = parser.add_argument_group("the page; without these --invite makes a link to where it was opened last")
    page.add_argument("--host", help=f"where to listen ({HOST}); elsewhere only with invited raters")
    page.add_argument("--port", type=int, help=f"port ({port}; 0 takes a free one)")
    page.add_argument("--url", help="what raters type where a proxy stands in front, such as https://rate.example.org")
    page.add_argument("--no-browser", action="store_true", help="print the link and open nothing")
    parser.set_defaults(own_port=port)
    return do


@contextmanager
def extra(command: str) -> Iterator[None]:
    """Around imports of the desk: says what to install where that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(f"{command} needs {error.name}; pip install 'emu-quality-tuning[desk]'") from error


def open_page(
    page: "DeskPage", given: argparse.Namespace, *, beside: Path, invite: Callable[[str], str] | None = None
) -> None:
    """Invites, revokes, or serves until interrupted.

    Args:
        beside: a folder of the owner's, for the file that leads the browser on.
        invite: a name -> a link's token, where raters may do less than the owner.
    """
    from emu.desk import raters, serving
    from emu.desk.pages import app

    host, port = HOST if given.host is None else given.host, given.own_port if given.port is None else given.port
    where = serving.address(host, port, given.url)
    if given.revoke is not None:
        raters.revoke(page.database, given.revoke)
        print(f"{printable(given.revoke)}: the link is closed; the answers stay")
    elif given.invite is not None:
        if given.host is given.port is given.url is None:
            where = serving.remembered(page.database) or where
        print(where.link((invite or page.invite)(given.invite)))
    else:
        listening, where = serving.listen(where, invited=raters.invited(page.database))
        serving.remember(where, page.database)
        print(serving.door(page, where, browser=not given.no_browser, beside=beside), flush=True)
        serving.server(app(page, hosts=where.names, secure=where.secure)).run(sockets=[listening])
