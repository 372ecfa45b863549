"""The report: one offline page, from the templates in `page/`, with the pictures in it.

The page's policy lets nothing load and no script or style run but the two written here, named by their hashes; so
captions, names and descriptions from a run folder stay text, whatever is in them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emu.compare.cells import Cell, Cells, Copy, Picks, copies, line, picks, spread
from emu.compare.columns import criterion_of
from emu.compare.curves import Chart, charts
from emu.compare.judged import NOT_JUDGED, WORDS
from emu.compare.pairing import Pairing
from emu.compare.people import Heard, majority
from emu.compare.pictures import longest_side
from emu.compare.recipe import recipe, seeds, whole
from emu.compare.table import people_lines
from emu.compare.verdict import CRITERIA, Verdict, Verdicts
from emu.guards import Evidence
from emu.offline import render
from emu.storage.places import without_places
from emu.storage.shapes import Config

PAGE = Path(__file__).parent / "page"
PAIRS_SHOWN = 300  # prompts on the page at most


@dataclass(frozen=True)
class Compared:
    """All that is known of one run, or of two folders, when its verdict is reached."""

    pairing: Pairing
    seen: Evidence
    heard: Heard
    verdict: Verdict
    config: Config

    def without_places(self) -> "Compared":
        """The same, with the last part alone of every absolute path in verdict and config."""
        return replace(self, verdict=without_places(self.verdict), config=without_places(self.config))


@dataclass(frozen=True)
class RunSection:
    """What the page says of one run apart from the others."""

    pairing: Pairing
    verdict: Verdict
    charts: list[Chart]
    picks: list[tuple[Picks, list[Cell]]]
    copies: list[Copy]
    recipe: list[tuple[str, str]]
    config: str
    seeds: str


def report_page(compared: Sequence[Compared], comparison: Verdicts) -> str:
    """The HTML of the page: what `verdict.json` says, then at most PAIRS_SHOWN prompts, evenly spread."""
    pairs = [pair for one in compared for pair in one.pairing.pairs]
    keys = list(dict.fromkeys(pair.key for pair in pairs))
    shown = dict.fromkeys(spread(keys, PAIRS_SHOWN))
    longest = longest_side([path for pair in pairs if pair.key in shown for path in (pair.before, pair.after)])
    runs = [Cells(one.pairing, one.heard.votes, longest) for one in compared]
    verdicts = comparison.runs
    values = {
        "headline": comparison.headline,
        "sections": [_section(one, cells) for one, cells in zip(compared, runs, strict=True)],
        "criteria": [name for name in CRITERIA if any(name in one.rates for one in verdicts)],
        "columns": [name for name in CRITERIA if any(name in one.rates or name in one.people for one in verdicts)],
        "attributes": list(dict.fromkeys(name for one in verdicts if one.attributes for name in one.attributes.read)),
        "groups": list(dict.fromkeys(group for pair in pairs for group in pair.groups.values())),
        "judges": _judges(verdicts),
        "lone_opinions": lambda name: _lone_opinions(verdicts, name),
        "people_lines": people_lines,
        "not_judged": NOT_JUDGED,
        "majority": lambda votes: WORDS[majority(votes)],
        "lines": [line(runs, key) for key in shown],
        "prompts": len(keys),
        "tuned": all(one.after_step is not None for one in verdicts),
    }
    return render(PAGE / "report.html", values, script=PAGE / "report.js")


def _section(one: Compared, cells: Cells) -> RunSection:
    return RunSection(
        pairing=one.pairing,
        verdict=one.verdict,
        charts=charts(one.pairing.quality, one.pairing.after_step or 0),
        picks=[(pick, [cells.at(place) for place in pick.pairs]) for pick in picks(one.pairing)],
        copies=copies(one.pairing, one.verdict.guards, one.seen, cells.longest),
        recipe=recipe(one.config),
        config=whole(one.config),
        seeds=seeds(one.pairing),
    )


def _lone_opinions(verdicts: Sequence[Verdict], criterion: str) -> str:
    """What is said of a criterion that every run has one judge of, once; empty where some have several."""
    rates = [verdict.rates[criterion] for verdict in verdicts if criterion in verdict.rates]
    words = {one.agreement.words for one in rates}
    return words.pop() if len(words) == 1 and all(len(one.opinions) == 1 for one in rates) else ""


def _judges(verdicts: Sequence[Verdict]) -> list[tuple[str, Mapping[str, object]]]:
    """Each (criterion, judge) once, though several runs share it, and several judges a criterion; then the reader."""
    found: list[tuple[str, Mapping[str, object]]] = []
    for verdict in verdicts:
        named: list[tuple[str, Mapping[str, object]]] = []
        named += [(criterion_of(name), card) for name, card in verdict.judges.items()]
        named += [("attributes", verdict.attributes.reader)] if verdict.attributes and verdict.attributes.read else []
        found += [item for item in named if item not in found]
    return found
