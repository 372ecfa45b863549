"""The report: one offline page, from the templates in `page/`, with the pictures in it.

The page's policy lets nothing load and no script or style run but the two written here, named by their hashes; so
captions, names and descriptions from a run folder stay text, whatever is in them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu.compare.columns import criterion_of
from emu.compare.curves import charts
from emu.compare.headline import headline
from emu.compare.pairs import CRITERIA, Pair, Run
from emu.compare.people import Votes, majority
from emu.compare.picks import picks
from emu.compare.pictures import embed, embed_image, longest_side
from emu.compare.recipe import recipe, seeds, whole
from emu.compare.table import people_lines
from emu.compare.verdict import NOT_JUDGED, WORDS, pair_outcomes
from emu.guards import Evidence
from emu.guards.memorisation import NAME as MEMORISATION
from emu.offline import render

PAGE = Path(__file__).parent / "page"
Key = tuple[str, int]
Verdict = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One run's pair of a prompt, ready to show: `data:` URLs, pixels; by criterion outcome, both scores and votes."""

    run: str
    prompt: str
    before: str
    after: str
    size: tuple[int, int]
    outcomes: dict[str, str]
    scores: dict[str, tuple[float, float]]
    votes: dict[str, Votes]


@dataclass(frozen=True)
class Line:
    """One prompt and seed across all runs; a run that has no such pair has None."""

    prompt: str
    seed: int | None
    groups: list[str]
    cells: list[Cell | None]


def report(
    runs: list[Run],
    verdicts: list[Verdict],
    seen: list[Evidence],
    *,
    votes: list[dict[Key, dict[str, Votes]]],
    configs: list[dict[str, Any]],
    pairs_shown: int,
) -> str:
    """The HTML of the page: what `verdict.json` says, then at most `pairs_shown` prompts, evenly spread."""
    keys = list(dict.fromkeys(_key(pair) for run in runs for pair in run.pairs))
    shown = spread(keys, pairs_shown)
    chosen = set(shown)
    longest = longest_side(
        [path for run in runs for pair in run.pairs if _key(pair) in chosen for path in (pair.before, pair.after)]
    )
    parts = zip(runs, verdicts, seen, votes, configs, strict=True)
    values = {
        "headline": headline(verdicts),
        "criteria": [name for name in CRITERIA if any(name in run.criteria for run in runs)],
        "columns": [name for name in CRITERIA if any(name in told or name in told["people"] for told in verdicts)],
        "people_lines": people_lines,
        "runs": list(zip(runs, verdicts, strict=True)),
        "sections": [_section(*each, longest) for each in parts],
        "groups": list(dict.fromkeys(group for run in runs for pair in run.pairs for group in pair.groups.values())),
        "judges": _judges(verdicts),
        "not_judged": NOT_JUDGED,
        "majority": lambda votes: WORDS[majority(votes)],
        "lone_opinions": lambda name: _lone_opinions(verdicts, name),
        "lines": _lines(runs, votes, shown, longest),
        "prompts": len(keys),
        "tuned": all(run.after_step is not None for run in runs),
    }
    return render(PAGE / "report.html", values, script=PAGE / "report.js")


def spread(keys: list[Key], count: int) -> list[Key]:
    """`count` of the keys at even distances, in order: prompt files are often sorted by category."""
    count = min(count, len(keys))
    return [keys[i * len(keys) // count] for i in range(count)]


def _section(
    run: Run, told: Verdict, seen: Evidence, votes: dict[Key, dict[str, Votes]], config: dict[str, Any], longest: int
) -> dict[str, Any]:
    """What the page tells of one run apart from the others."""
    outcomes = pair_outcomes(run)
    return {
        "name": run.name,
        "told": told,
        "charts": charts(run.quality, run.after_step or 0),
        "picks": [
            (pick, [_cell(run, run.pairs[i], outcomes[i], votes, longest) for i in pick.pairs]) for pick in picks(run)
        ],
        "copies": _copies(run, told, seen, longest),
        "recipe": recipe(config),
        "config": whole(config),
        "seeds": seeds(run),
        "run": run,
    }


def _copies(run: Run, told: Verdict, seen: Evidence, longest: int) -> list[dict[str, Any]]:
    """The pictures after tuning that are nearest to a training picture, beside it and what the base had drawn."""
    if seen.training is None:
        return []
    parts = [part for finding in told["guards"] if finding["guard"] == MEMORISATION for part in finding["parts"]]
    return [
        {
            **part,
            "prompt": run.pairs[part["pair"]].prompt,
            "base": embed(run.pairs[part["pair"]].before, longest),
            "after": embed(run.pairs[part["pair"]].after, longest),
            "nearest": embed_image(seen.training.show[part["row"]](), longest),
            "caption": seen.training.captions[part["row"]],
        }
        for part in parts
    ]


def _lines(runs: list[Run], votes: list[dict[Key, dict[str, Votes]]], keys: list[Key], longest: int) -> list[Line]:
    tables = [
        {_key(pair): (pair, told) for pair, told in zip(run.pairs, pair_outcomes(run), strict=True)} for run in runs
    ]
    lines = []
    for key in keys:
        found = [table.get(key) for table in tables]
        groups = next(list(pair.groups.values()) for pair, _ in filter(None, found))
        each = zip(runs, found, votes, strict=True)
        cells = [_cell(run, *paired, cast, longest) if paired else None for run, paired, cast in each]
        seed = None if runs[0].by_name else key[1]
        lines.append(Line(prompt=key[0], seed=seed, groups=groups, cells=cells))
    return lines


def _cell(run: Run, pair: Pair, told: dict[str, str], votes: dict[Key, dict[str, Votes]], longest: int) -> Cell:
    (before, _), (after, size) = embed(pair.before, longest), embed(pair.after, longest)
    return Cell(run.name, pair.prompt, before, after, size, told, pair.scores, votes.get(_key(pair), {}))


def _lone_opinions(verdicts: list[Verdict], criterion: str) -> str:
    """What is said of a criterion that every run has one judge of, once; empty where some have several."""
    told = [verdict[criterion] for verdict in verdicts if criterion in verdict]
    words = {rates["agreement"]["words"] for rates in told}
    return words.pop() if len(words) == 1 and all(len(rates["opinions"]) == 1 for rates in told) else ""


def _judges(verdicts: list[Verdict]) -> list[tuple[str, dict[str, str | float]]]:
    """Each (criterion, judge) once, though several runs share it, and several judges a criterion."""
    found: list[tuple[str, dict[str, str | float]]] = []
    for verdict in verdicts:
        named = [(criterion_of(name), card) for name, card in verdict["judges"].items()]
        found += [item for item in named if item not in found]
    return found


def _key(pair: Pair) -> Key:
    return pair.prompt, pair.seed
