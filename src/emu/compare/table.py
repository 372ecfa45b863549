"""The verdicts as a plain-text table for the terminal."""

from collections.abc import Iterator, Mapping, Sequence

from emu.compare.columns import criterion_of
from emu.compare.judged import ALONE, NOT_JUDGED
from emu.compare.verdict import CRITERIA, JudgedRates, People, ReadShare, Verdict
from emu.storage.shapes import Card
from emu.terminal.aligned import aligned
from emu.terminal.counted import many

NAMED = 5  # files without a partner that are named; verdict.json has all
NOTHING_TO_READ = "nothing to read with --attributes: no prompt says in columns what it asks for"
COLUMNS = ("win", "tie", "lose", "95 % of win")


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """A row a run and, indented, a row a group, in percent of prompts; below it each judge with its accuracy.

    A run that was not judged has its prompts counted, and is said to be so.
    """
    criteria = [name for name in CRITERIA if any(name in one.rates or name in one.people for one in verdicts)]
    rows = [["", "prompts", *COLUMNS * len(criteria)], *(row for one in verdicts for row in _rows(one, criteria))]
    heads = ["", "", *(cell for name in criteria for cell in (name, *[""] * 3))]
    lines = aligned([heads, *rows])
    notes = [line for one in verdicts for line in [*pairing_lines(one), *people_lines(one)]]
    notes += [line for one in verdicts for name in criteria if name in one.rates for line in opinion_lines(one, name)]
    notes += [judge_line(criterion_of(name), judge) for one in verdicts for name, judge in one.judges.items()]
    notes += [line for one in verdicts for line in set_lines(one)]
    unjudged = [f"{one.name}: {NOT_JUDGED}" for one in verdicts if not one.judges]
    return "\n".join([*filter(None, lines), *_attribute_lines(verdicts), "", *dict.fromkeys(notes), *unjudged])


def _attribute_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """A row a run and side, and a row a group and side: percent of the pictures in which what is asked for is read."""
    read = {one.name: one.attributes.read for one in verdicts if one.attributes and one.attributes.read}
    nothing = [f"{one.name}: {NOTHING_TO_READ}" for one in verdicts if one.attributes and not one.attributes.read]
    if not read:
        return ["" for _ in nothing[:1]] + nothing
    names = list(dict.fromkeys(name for found in read.values() for name in found))
    rows = [["", "prompts", *names]]
    for run, found in read.items():
        groups = dict.fromkeys(group for one in found.values() for group in one.groups)
        parts: dict[str, Mapping[str, ReadShare]] = {run: found} | {
            f"  {group}": {name: one.groups[group] for name, one in found.items() if group in one.groups}
            for group in groups
        }
        rows += [row for label, part in parts.items() for row in _share_rows(label, part, names)]
    return ["", "what is read in the pictures, % of the prompts that ask for it", *aligned(rows), *nothing]


def _share_rows(label: str, shares: Mapping[str, ReadShare], names: Sequence[str]) -> list[list[str]]:
    prompts = f"{max(one.prompts for one in shares.values()):,}"
    before = [f"{shares[name].before:.1f}" if name in shares else "-" for name in names]
    after = [f"{shares[name].after:.1f}" if name in shares else "-" for name in names]
    return [[f"{label}, before", prompts, *before], [f"{label}, after", prompts, *after]]


def set_lines(verdict: Verdict) -> Iterator[str]:
    """`latent, before against 2,000 pictures: FID 41.2, KID ...` and the same after, then what to beware of."""
    sets = verdict.sets
    if sets is None:
        return
    for name, side in (("before", sets.before), ("after", sets.after)):
        figures = f"FID {side.fid:.4g}, KID {side.kid:.3g} (sd {side.kid_sd:.2g}), CMMD {side.cmmd:.3g}"
        figures += f", precision {side.precision:.2f}, recall {side.recall:.2f}"
        yield f"{verdict.name}, {name} against {many(sets.reference.pictures, 'picture')}: {figures}"
    if sets.warning:
        yield f"  {sets.warning}"


def pairing_lines(verdict: Verdict) -> Iterator[str]:
    """`latent: 3 pictures have no partner and do not count: before/a.png, ...`, and what else is to be known."""
    if alone := verdict.alone:
        named = ", ".join(alone[:NAMED]) + (", ..." if len(alone) > NAMED else "")
        count = many(len(alone), "picture has no partner and does", "pictures have no partner and do")
        yield f"{verdict.name}: {count} not count: {named}"
    if verdict.black:
        count, do = many(verdict.black, "pair has", "pairs have"), "does" if verdict.black == 1 else "do"
        yield f"{verdict.name}: {count} a picture that is black all over, and {do} not count"
    yield from (f"{verdict.name}: {note}" for note in verdict.notes)


def people_lines(verdict: Verdict) -> Iterator[str]:
    """`latent, appeal by people: 300 pairs, 1,480 votes of 9 raters (2 more left out), alpha 0.31; ...`."""
    for name, people in verdict.people.items():
        yield f"{verdict.name}, {name} by people: {'; '.join(_people(people))}"
    for name, raters in verdict.unheard.items():
        none = f"none of {many(raters, 'rater')} passed the checks"
        yield f"{verdict.name}, {name} by people: {none}, so that no vote counts"


def _people(people: People) -> Iterator[str]:
    out = people.all.raters - people.raters
    who = many(people.raters, "rater") + (f" ({out} more left out)" if out else "")
    yield f"{many(people.pairs, 'pair')}, {many(people.votes, 'vote')} of {who}"
    if people.alpha is not None:
        yield f"Krippendorff's alpha {people.alpha:.2f}"
    if people.pooled:
        yield f"{people.pooled.win:.1f} % of votes won, {people.pooled.lose:.1f} % lost"
    if out:
        yield f"with all raters {people.all.win:.1f} % of pairs won, {people.all.lose:.1f} % lost"
    if judge := people.judge:
        kappa = "" if judge.kappa is None else f", kappa {judge.kappa:.2f}"
        yield f"{judge.name} says the same of {judge.same:.1f} % of them{kappa}"


def opinion_lines(verdict: Verdict, criterion: str) -> Iterator[str]:
    """`latent, appeal: eye 60.0 [55.0, 64.8], ear 50.2 [45.0, 55.4]; judges do not agree: ...`, and every two."""
    opinions, agreement = verdict.rates[criterion].opinions, verdict.rates[criterion].agreement
    if agreement.words == ALONE and len(opinions) == 1:
        yield f"{criterion}: {ALONE}"
        return
    each = [f"{one.judge} {one.win:.1f} [{one.ci95[0]:.1f}, {one.ci95[1]:.1f}]" for one in opinions]
    yield f"{verdict.name}, {criterion}: {', '.join(each)}; {agreement.words}"
    for pair in agreement.pairs:
        kappa = "-" if pair.kappa is None else f"{pair.kappa:.2f}"
        yield f"  {' and '.join(pair.judges)}: the same outcome for {pair.same:.1f} % of prompts, kappa {kappa}"


def judge_line(criterion: str, judge: Card) -> str:
    """`appeal by world-appeal: a tie is at most 0.05 apart; held-out accuracy 0.97`."""
    figures = [f"{key} {value:g}" for key, value in judge.items() if key != "tie" and isinstance(value, int | float)]
    return "; ".join([f"{criterion} by {judge['name']}: a tie is at most {judge['tie']:g} apart", *figures])


def _rows(verdict: Verdict, criteria: Sequence[str]) -> Iterator[list[str]]:
    yield [verdict.name, *_cells(verdict.prompts, verdict.rates, criteria)]
    if people := verdict.people:
        yield ["  people", *_cells(max(one.prompts for one in people.values()), people, criteria)]
    for name, group in verdict.groups.items():
        yield [f"  {name}", *_cells(group.prompts, group.rates, criteria)]


def _cells(prompts: int, rates: Mapping[str, JudgedRates | People], criteria: Sequence[str]) -> list[str]:
    cells = [f"{prompts:,}"]
    for name in criteria:
        if one := rates.get(name):
            cells += [f"{one.win:.1f}", f"{one.tie:.1f}", f"{one.lose:.1f}", f"[{one.ci95[0]:.1f}, {one.ci95[1]:.1f}]"]
        else:
            cells += ["-"] * len(COLUMNS)
    return cells
