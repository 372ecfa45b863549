"""The headline: one sentence that is true of all runs, for the top of the page and of `verdict.json`.

It calls a side better only where the 95 % interval of win - lose excludes 0, and a guard broken only where it is sure.
Where people have spoken they stand in place of judges. Judges of different families that come to two verdicts are told
of, and a judge that says the contrary of what people say, lest one word stand alone.
"""

from typing import Any

Verdict = dict[str, Any]
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


def headline(verdicts: list[Verdict]) -> str:
    """What tuning did to appeal, to faithfulness and to the guards, in all runs of `verdict.json`."""
    clauses = [clause for name, words in PEOPLE.items() for clause in _of_people(verdicts, name, words)]
    clauses += [clause for name, words in CRITERIA.items() for clause in _clauses(verdicts, name, words)]
    if not clauses:
        clauses = ["no judge has said which pictures are better"]
    return f"{_subject(verdicts)}, {_size(verdicts)}{'; '.join([*clauses, _guards(verdicts)])}."


def direction(rates: Verdict) -> int:
    """Whether a criterion is won, lost or not decided."""
    low, high = rates["net_ci95"]
    return WIN if low > 0 else LOSE if high < 0 else SAME


def _subject(verdicts: list[Verdict]) -> str:
    """Two folders are compared without saying that one of them was tuned."""
    folders = verdicts[0].get("after_step", 0) is None
    return f"In {verdicts[0]['after']} against {verdicts[0]['before']}" if folders else "After tuning"


def _size(verdicts: list[Verdict]) -> str:
    """The prompts, once for all runs that have as many of them."""
    return f"over {verdicts[0]['prompts']:,} prompts, " if _one_size(verdicts) else ""


def _one_size(verdicts: list[Verdict]) -> bool:
    return len({told["prompts"] for told in verdicts}) == 1


def _clauses(verdicts: list[Verdict], name: str, words: tuple[str, str, str]) -> list[str]:
    judged = [told for told in verdicts if name in told and name not in told.get("people", {})]
    clauses = []
    for way, said in zip((WIN, LOSE, SAME), words, strict=True):
        told = [one for one in judged if direction(one[name]) == way]
        if told:
            figures = _list([_figures(one, one[name], verdicts) for one in told])
            where = f"with {figures}" if len(verdicts) > 1 else figures
            clauses.append(f"{said}{' could be shown' if way == SAME else ''} {where}")
    disputed = [told for told in judged if told[name].get("agreement", {}).get("agree") is False]
    if disputed:
        clauses.append(f"judges of different families do not agree on {name}{_with(disputed, verdicts)}")
    return clauses


def _of_people(verdicts: list[Verdict], name: str, words: tuple[str, str, str]) -> list[str]:
    asked = [told for told in verdicts if name in told.get("people", {})]
    clauses = []
    for way, said in zip((WIN, LOSE, SAME), words, strict=True):
        found = [told for told in asked if direction(told["people"][name]) == way]
        if found:
            clauses.append(f"{said} {_list([_shares(told, told['people'][name], verdicts) for told in found])}")
    contrary = [
        told for told in asked if name in told and direction(told["people"][name]) * direction(told[name]) == -WIN
    ]
    if contrary:
        clauses.append(f"the judge of {name} says the contrary{_with(contrary, verdicts)}")
    return clauses


def _shares(told: Verdict, rates: Verdict, verdicts: list[Verdict]) -> str:
    figures = f"({rates['win']:.0f} % of {rates['pairs']:,} pairs won, {rates['lose']:.0f} % lost)"
    return f"with {told['name']} {figures}" if len(verdicts) > 1 else figures


def _figures(told: Verdict, rates: Verdict, verdicts: list[Verdict]) -> str:
    size = "" if _one_size(verdicts) else f" of {told['prompts']:,} prompts"
    figures = f"({rates['win']:.0f} %{size} won, {rates['lose']:.0f} % lost)"
    return f"{told['name']} {figures}" if len(verdicts) > 1 else figures


def _guards(verdicts: list[Verdict]) -> str:
    broken = _in_state(verdicts, "broken")
    if broken:
        guards = [f"{guard}{_with(runs, verdicts)}" for guard, runs in broken.items()]
        return f"broken {'is the guard' if len(broken) == 1 else 'are the guards'} of {_list(guards)}"
    unsure = [f"{guard}{_with(runs, verdicts)}" for guard, runs in _in_state(verdicts, "unsure").items()]
    absent = list(_in_state(verdicts, "not measured"))
    notes = [f"{state}: {_list(told)}" for state, told in (("unsure", unsure), ("not measured", absent)) if told]
    return "no guard is broken" + (f" ({'; '.join(notes)})" if notes else "")


def _in_state(verdicts: list[Verdict], state: str) -> dict[str, list[Verdict]]:
    """Guard -> the runs in which it is in this state."""
    found: dict[str, list[Verdict]] = {}
    for told in verdicts:
        for finding in told["guards"]:
            if finding["state"] == state:
                found.setdefault(finding["guard"], []).append(told)
    return found


def _with(runs: list[Verdict], verdicts: list[Verdict]) -> str:
    return f" with {_list([told['name'] for told in runs])}" if len(verdicts) > 1 else ""


def _list(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
