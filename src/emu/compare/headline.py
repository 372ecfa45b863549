"""The headline: one sentence that is true of all runs, for the top of the page and of `verdict.json`.

It calls a side better only where the 95 % interval of win - lose excludes 0, and a guard broken only where it is sure.
"""

from typing import Any

Verdict = dict[str, Any]
WIN, SAME, LOSE = 1, 0, -1


def headline(verdicts: list[Verdict]) -> str:
    """What tuning did to appeal, to faithfulness and to the guards, in all runs of `verdict.json`."""
    numbers = sorted({told["prompts"] for told in verdicts})
    asked = " to ".join(f"{number:,}" for number in dict.fromkeys((numbers[0], numbers[-1])))
    clauses = [
        *_clauses(verdicts, "appeal", ("pictures win on appeal", "pictures lose on appeal", "no difference in appeal")),
        *_clauses(
            verdicts, "faithfulness", ("faithfulness rises", "faithfulness falls", "no difference in faithfulness")
        ),
        _guards(verdicts),
    ]
    if not any(name in told for told in verdicts for name in ("appeal", "faithfulness")):
        clauses.insert(0, "no judge has said which pictures are better")
    return f"On {asked} prompt{'s' if numbers != [1] else ''}, before against after tuning: {'; '.join(clauses)}."


def direction(rates: Verdict) -> int:
    """Whether a criterion is won, lost or not decided."""
    low, high = rates["net_ci95"]
    return WIN if low > 0 else LOSE if high < 0 else SAME


def _clauses(verdicts: list[Verdict], name: str, words: tuple[str, str, str]) -> list[str]:
    judged = [told for told in verdicts if name in told]
    clauses = []
    for way, said in zip((WIN, LOSE, SAME), words, strict=True):
        told = [one for one in judged if direction(one[name]) == way]
        if told:
            where = _list([_figures(one, one[name], named=len(verdicts) > 1) for one in told])
            of = " with" if len(verdicts) > 1 else ""
            clauses.append(f"{said}{' could be shown' if way == SAME else ''}{of} {where}")
    return clauses


def _figures(told: Verdict, rates: Verdict, *, named: bool) -> str:
    figures = f"({rates['win']:.0f} % won, {rates['lose']:.0f} % lost)"
    return f"{told['name']} {figures}" if named else figures


def _guards(verdicts: list[Verdict]) -> str:
    broken = [
        f"{finding['guard']}{' with ' + told['name'] if len(verdicts) > 1 else ''}"
        for told in verdicts
        for finding in told["guards"]
        if finding["state"] == "broken"
    ]
    if broken:
        return f"broken {'is the guard' if len(broken) == 1 else 'are the guards'} of {_list(broken)}"
    unmeasured = list(
        dict.fromkeys(
            finding["guard"] for told in verdicts for finding in told["guards"] if finding["state"] == "not measured"
        )
    )
    return "no guard is broken" + (f", though not every one was measured ({_list(unmeasured)})" if unmeasured else "")


def _list(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
