"""The headline: one sentence that is true of all runs, for the top of the page and of `verdict.json`.

It calls a side better only where the 95 % interval of win - lose excludes 0, and a guard broken only where it is sure.
Where people have spoken they stand in place of judges. Judges of different families that come to two verdicts are
named, and so is a judge that says the contrary of what people say.
"""

from collections.abc import Sequence

from emu.compare.verdict import Verdict
from emu.statistics import Rates
from emu.terminal.counted import many

WIN, SAME, LOSE = 1, 0, -1
CRITERIA = {
    "appeal": ("pictures win on appeal", "pictures lose on appeal", "no difference in appeal"),
    "faithfulness": ("faithfulness rises", "faithfulness falls", "no difference in faithfulness"),
}
PEOPLE = {
    "appeal": (
        "people find the pictures more beautiful",
        "people find the pictures less beautiful",
        "people were not shown to find the pictures more or less beautiful",
    ),
    "faithfulness": (
        "people find them more faithful",
        "people find them less faithful",
        "people were not shown to find them more or less faithful",
    ),
}


def headline(verdicts: Sequence[Verdict]) -> str:
    """What tuning did to appeal, to faithfulness and to the guards, in all runs of `verdict.json`."""
    clauses = [clause for name, words in PEOPLE.items() for clause in _of_people(verdicts, name, words)]
    clauses += [clause for name, words in CRITERIA.items() for clause in _of_judges(verdicts, name, words)]
    if not clauses:
        clauses = ["no judge has said which pictures are better"]
    return f"{_subject(verdicts)}, {_size(verdicts)}{'; '.join([*clauses, _guards(verdicts)])}."


def _subject(verdicts: Sequence[Verdict]) -> str:
    """Two folders are compared without saying that one of them was tuned."""
    first = verdicts[0]
    return f"In {first.after} against {first.before}" if first.after_step is None else "After tuning"


def _size(verdicts: Sequence[Verdict]) -> str:
    """The prompts, once for all runs that have as many of them."""
    return f"over {many(verdicts[0].prompts, 'prompt')}, " if _one_size(verdicts) else ""


def _one_size(verdicts: Sequence[Verdict]) -> bool:
    return len({verdict.prompts for verdict in verdicts}) == 1


def _of_judges(verdicts: Sequence[Verdict], name: str, words: tuple[str, str, str]) -> list[str]:
    judged = [(one, one.rates[name]) for one in verdicts if name in one.rates and name not in one.people]
    clauses = []
    for way, sentence in zip((WIN, LOSE, SAME), words, strict=True):
        figures = [_figures(verdict, rates, verdicts) for verdict, rates in judged if rates.direction == way]
        if figures:
            where = f"with {_list(figures)}" if len(verdicts) > 1 else _list(figures)
            clauses.append(f"{sentence}{' could be shown' if way == SAME else ''} {where}")
    if disputed := [verdict for verdict, rates in judged if rates.agreement.agree is False]:
        clauses.append(f"judges of different families do not agree on {name}{_with(disputed, verdicts)}")
    return clauses


def _of_people(verdicts: Sequence[Verdict], name: str, words: tuple[str, str, str]) -> list[str]:
    asked = [(verdict, verdict.people[name]) for verdict in verdicts if name in verdict.people]
    clauses = []
    for way, sentence in zip((WIN, LOSE, SAME), words, strict=True):
        figures = [
            _named(
                verdict, f"({rates.win:.0f} % of {many(rates.pairs, 'pair')} won, {rates.lose:.0f} % lost)", verdicts
            )
            for verdict, rates in asked
            if rates.direction == way
        ]
        if figures:
            clauses.append(f"{sentence} {_list([f'with {one}' if len(verdicts) > 1 else one for one in figures])}")
    contrary = [
        verdict
        for verdict, rates in asked
        if name in verdict.rates and rates.direction * verdict.rates[name].direction == -WIN
    ]
    if contrary:
        clauses.append(f"the judge of {name} says the contrary{_with(contrary, verdicts)}")
    return clauses


def _figures(verdict: Verdict, rates: Rates, verdicts: Sequence[Verdict]) -> str:
    size = "" if _one_size(verdicts) else f" of {many(verdict.prompts, 'prompt')}"
    return _named(verdict, f"({rates.win:.0f} %{size} won, {rates.lose:.0f} % lost)", verdicts)


def _named(verdict: Verdict, figures: str, verdicts: Sequence[Verdict]) -> str:
    return f"{verdict.name} {figures}" if len(verdicts) > 1 else figures


def _guards(verdicts: Sequence[Verdict]) -> str:
    broken = _in_state(verdicts, "broken")
    if broken:
        guards = [f"{guard}{_with(runs, verdicts)}" for guard, runs in broken.items()]
        return f"broken {'is the guard' if len(broken) == 1 else 'are the guards'} of {_list(guards)}"
    unsure = [f"{guard}{_with(runs, verdicts)}" for guard, runs in _in_state(verdicts, "unsure").items()]
    absent = [
        guard + _with(runs, verdicts) * (len(runs) < len(verdicts))
        for guard, runs in _in_state(verdicts, "not measured").items()
    ]
    notes = [f"{state}: {_list(named)}" for state, named in (("unsure", unsure), ("not measured", absent)) if named]
    return "no guard is broken" + (f" ({'; '.join(notes)})" if notes else "")


def _in_state(verdicts: Sequence[Verdict], state: str) -> dict[str, list[Verdict]]:
    """Guard -> the runs in which it is in this state."""
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        for finding in verdict.guards:
            if finding.state == state:
                found.setdefault(finding.guard, []).append(verdict)
    return found


def _with(runs: Sequence[Verdict], verdicts: Sequence[Verdict]) -> str:
    return f" with {_list([verdict.name for verdict in runs])}" if len(verdicts) > 1 else ""


def _list(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
