"""The verdicts as a plain-text table for the terminal."""

from collections.abc import Iterator
from typing import Any

from emu.aligned import aligned
from emu.compare.agreement import ALONE
from emu.compare.columns import criterion_of
from emu.compare.pairs import CRITERIA
from emu.compare.verdict import NOT_JUDGED

NAMED = 5  # files without a partner that are named; verdict.json has all
COLUMNS = ("win", "tie", "lose", "95 % of win")


def table(verdicts: list[dict[str, Any]]) -> str:
    """A row a run and, indented, a row a group, in percent of prompts; below it each judge with its accuracy.

    A run that was not judged has its prompts counted, and is said to be so.
    """
    criteria = [name for name in CRITERIA if any(name in told or name in told["people"] for told in verdicts)]
    rows = [["", "prompts", *COLUMNS * len(criteria)], *(row for told in verdicts for row in _rows(told, criteria))]
    groups = ["", "", *(cell for name in criteria for cell in (name, *[""] * 3))]
    lines = aligned([groups, *rows])
    judges = [judge_line(criterion_of(name), judge) for told in verdicts for name, judge in told["judges"].items()]
    unjudged = [f"{told['name']}: {NOT_JUDGED}" for told in verdicts if not told["judges"]]
    second = [line for told in verdicts for name in criteria if name in told for line in opinion_lines(told, name)]
    said = [line for told in verdicts for line in [*pairing_lines(told), *people_lines(told)]]
    sets = [line for told in verdicts if "sets" in told for line in set_lines(told)]
    return "\n".join([*filter(None, lines), "", *dict.fromkeys([*said, *second, *judges, *sets]), *unjudged])


def set_lines(told: dict[str, Any]) -> Iterator[str]:
    """`latent, before against 2,000 pictures: FID 41.2, KID ...` and the same after, then what to beware of."""
    sets = told["sets"]
    for side in ("before", "after"):
        fid, kid, spread, *rest = (sets[side][name] for name in ("fid", "kid", "kid_sd", "cmmd", "precision", "recall"))
        figures = f"FID {fid:.4g}, KID {kid:.3g} (sd {spread:.2g}), CMMD {rest[0]:.3g}"
        figures += f", precision {rest[1]:.2f}, recall {rest[2]:.2f}"
        yield f"{told['name']}, {side} against {sets['reference']['pictures']:,} pictures: {figures}"
    if sets["warning"]:
        yield f"  {sets['warning']}"


def pairing_lines(told: dict[str, Any]) -> Iterator[str]:
    """`latent: 3 pictures have no partner and do not count: before/a.png, ...`, and what else is to be known."""
    if told["alone"]:
        named = ", ".join(told["alone"][:NAMED]) + (", ..." if len(told["alone"]) > NAMED else "")
        count = f"{len(told['alone']):,} picture{'s have' if len(told['alone']) > 1 else ' has'}"
        yield f"{told['name']}: {count} no partner and do{'es' * (len(told['alone']) == 1)} not count: {named}"
    if told["black"]:
        yield f"{told['name']}: {told['black']:,} pairs have a picture that is black all over, and do not count"
    yield from (f"{told['name']}: {note}" for note in told["notes"])


def people_lines(told: dict[str, Any]) -> Iterator[str]:
    """`latent, appeal by people: 300 pairs, 1,480 votes of 9 raters (2 more left out), alpha 0.31; ...`."""
    for name, rates in told["people"].items():
        everybody = rates["all"]
        out = everybody["raters"] - rates["raters"]
        who = f"{rates['raters']} rater{'s' * (rates['raters'] != 1)}{f' ({out} more left out)' if out else ''}"
        parts = [f"{rates['pairs']:,} pairs, {rates['votes']:,} votes of {who}"]
        parts += [] if rates["alpha"] is None else [f"Krippendorff's alpha {rates['alpha']:.2f}"]
        pooled = rates["pooled"]
        parts += [f"{pooled['win']:.1f} % of votes won, {pooled['lose']:.1f} % lost"] if pooled else []
        parts += (
            [f"with all raters {everybody['win']:.1f} % of pairs won, {everybody['lose']:.1f} % lost"] if out else []
        )
        if judge := rates["judge"]:
            kappa = "" if judge["kappa"] is None else f", kappa {judge['kappa']:.2f}"
            parts += [f"{judge['name']} says the same of {judge['same']:.1f} % of them{kappa}"]
        yield f"{told['name']}, {name} by people: {'; '.join(parts)}"
    for name, raters in told["unheard"].items():
        yield f"{told['name']}, {name} by people: none of {raters} raters passed the checks, so that no vote counts"


def opinion_lines(told: dict[str, Any], criterion: str) -> Iterator[str]:
    """`latent, appeal: eye 60.0 [55.0, 64.8], ear 50.2 [45.0, 55.4]; judges do not agree: ...`, and every two."""
    rate = told[criterion]
    if rate["agreement"]["words"] == ALONE and len(rate["opinions"]) == 1:
        yield f"{criterion}: {ALONE}"
        return
    each = [f"{one['judge']} {one['win']:.1f} [{one['ci95'][0]:.1f}, {one['ci95'][1]:.1f}]" for one in rate["opinions"]]
    yield f"{told['name']}, {criterion}: {', '.join(each)}; {rate['agreement']['words']}"
    for pair in rate["agreement"]["pairs"]:
        kappa = "-" if pair["kappa"] is None else f"{pair['kappa']:.2f}"
        yield f"  {' and '.join(pair['judges'])}: the same outcome for {pair['same']:.1f} % of prompts, kappa {kappa}"


def judge_line(criterion: str, judge: dict[str, str | float]) -> str:
    """`appeal by world-appeal: a tie is at most 0.05 apart; held-out accuracy 0.97`."""
    figures = [f"{key} {value:g}" for key, value in judge.items() if key != "tie" and not isinstance(value, str)]
    return "; ".join([f"{criterion} by {judge['name']}: a tie is at most {judge['tie']:g} apart", *figures])


def _rows(verdict: dict[str, Any], criteria: list[str]) -> Iterator[list[str]]:
    yield [verdict["name"], *_cells(verdict, criteria)]
    if people := verdict["people"]:
        most = max(rates["prompts"] for rates in people.values())
        yield ["  people", *_cells({"prompts": most, **people}, criteria)]
    for group, rates in verdict["groups"].items():
        yield [f"  {group}", *_cells(rates, criteria)]


def _cells(rates: dict[str, Any], criteria: list[str]) -> list[str]:
    cells = [f"{rates['prompts']:,}"]
    for name in criteria:
        if name in rates:
            low, high = rates[name]["ci95"]
            cells += [*(f"{rates[name][word]:.1f}" for word in ("win", "tie", "lose")), f"[{low:.1f}, {high:.1f}]"]
        else:
            cells += ["-"] * len(COLUMNS)
    return cells
