"""`emu review`: people choose the needles from what the funnel left, and write their captions."""

import argparse
from pathlib import Path

from emu.commands.desk import add_flags, extra, open_page
from emu.commands.parser import Parser
from emu.errors import UserError
from emu.terminal.counted import many


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """The command and its flags."""
    parser = commands.add_parser("review", help="a page on which people choose the needles, in passes")
    parser.set_defaults(action=review, parser=parser)
    parser.add_argument("folder", type=Path, help="a curated folder, of emu curate or like one")
    parser.add_argument("-c", "--config", default="review/paper", help="the plan of passes (review/paper)")
    parser.add_argument("--guideline", type=Path, metavar="FILE", help="text that raters see beside the pictures")
    parser.add_argument("--db", metavar="URL", help="where answers are kept (review.sqlite in the folder)")
    do = add_flags(parser, port=8766, answers="answers")
    do.add_argument("--draft", metavar="MODEL", help="let a vision-language model draft captions for people to correct")
    do.add_argument("--results", action="store_true", help="count the answers, into review.json in the folder")
    do.add_argument("--out", type=Path, metavar="FOLDER", help="write what stayed as a curated folder of its own")
    who = parser.add_argument_group("with --invite")
    who.add_argument("--pass", dest="passes", action="append", default=[], metavar="PASS", help="a pass (all of them)")
    who.add_argument("--arbiter", action="store_true", help="the rater also settles what others disagree on")


def review(given: argparse.Namespace) -> None:
    """Opens the page, or does what is asked for instead."""
    with extra("emu review"):
        from emu.desk.review import needles, raters, results
        from emu.desk.review.app import ReviewPage
        from emu.desk.review.plan import read_plan
        from emu.desk.review.study import opened
    from emu.flags import find_config

    if (given.passes or given.arbiter) and given.invite is None:
        raise UserError("--pass and --arbiter say what an invited rater does; add --invite NAME")
    plan = read_plan(find_config(given.config, of="review"), guideline=given.guideline)
    begun = bool(given.results or given.raters or given.revoke or given.out)
    with opened(given.folder, plan, url=given.db, begun=begun) as made:
        if given.results:
            print(results.write_results(made))
        elif given.out is not None:
            print(needles.write_needles(made, given.out))
        elif given.draft is not None:
            from emu.desk.review.drafting import draft  # imports transformers

            print(f"{given.folder}: {many(draft(made, given.draft), 'caption')} drafted")
        elif given.raters:
            print("\n".join(raters.progress(made)))
        else:
            passes = [made.named(name) for name in given.passes] or plan.passes

            def invite(name: str) -> str:
                return raters.invite(made.database, name, passes, arbiter=given.arbiter)

            open_page(ReviewPage(made), given, beside=given.folder, invite=invite)
