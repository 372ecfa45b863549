"""A study's results as plain figures: what `study.json` holds, and what table and plot are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from emu.errors import UserError
from emu.study.outcome import DRIFTS, Run, Scores, moved, net, rate

Arms = Mapping[str, Mapping[int, Run]]
Figures = dict[str, Any]


def results(arms: Arms, *, reference: str | None) -> Figures:
    """{"arms": {arm: figures of its best steps against its own step 0, "against", "curve"}, "before": {"against"}}.

    Figures are {"appeal": rates, "faithfulness": rates, "faithfulness_net", "score": mean appeal, "drift": by measure};
    "against" has the rates of appeal and faithfulness against the best pictures of `reference`, over the prompts and
    seeds that both drew; the "before" of the reference stands among them as the arm without tuning.
    """
    told: Figures = {"arms": {arm: _arm(by_seed) for arm, by_seed in arms.items()}}
    if reference is not None and reference in arms:
        for arm, by_seed in arms.items():
            if arm != reference:
                told["arms"][arm]["against"] = _against(by_seed, arms[reference])
        told["before"] = {"against": _against(arms[reference], arms[reference], before=True)}
    return told


def _arm(by_seed: Mapping[int, Run]) -> Figures:
    bests = [(run, run.best) for run in by_seed.values()]
    shared = sorted(set.intersection(*(set(run.steps) for run in by_seed.values())))
    return {
        "seeds": list(by_seed),
        "best_steps": [run.best for run in by_seed.values()],
        "stop_reasons": [run.stop_reason for run in by_seed.values()],
        **_figures(bests),
        "curve": [{"step": step, **_figures([(run, step) for run in by_seed.values()])} for step in shared if step],
    }


def _figures(chosen: Sequence[tuple[Run, int]]) -> Figures:
    """Of runs, each at a step, against their own step 0."""
    ties = _ties([run for run, _ in chosen])
    figures: Figures = {}
    for criterion, tie in ties.items():
        figures[criterion] = _rates(_pairs(chosen, criterion), tie)
    if "faithfulness" in ties:
        told = net(_pairs(chosen, "faithfulness"), tie=ties["faithfulness"])
        figures["faithfulness_net"] = {"net": told.difference, "ci95": told.ci95}
    if "appeal" in ties:
        figures["score"] = asdict(moved(_pairs(chosen, "appeal")))
    drifts = {
        name: [(run.steps[0].drift[name], run.steps[step].drift[name]) for run, step in chosen] for name in DRIFTS
    }
    return figures | {"drift": {name: asdict(moved(pairs)) for name, pairs in drifts.items()}}


def _pairs(chosen: Sequence[tuple[Run, int]], criterion: str) -> list[tuple[Scores, Scores]]:
    return [(run.steps[0].scores[criterion], run.steps[step].scores[criterion]) for run, step in chosen]


def _against(by_seed: Mapping[int, Run], reference: Mapping[int, Run], *, before: bool = False) -> Figures:
    """The best of each run, or its step 0, against the best of the reference of the same seed."""
    shared = [seed for seed in by_seed if seed in reference]
    ties = _ties([run for seed in shared for run in (by_seed[seed], reference[seed])])
    figures = {}
    for criterion, tie in ties.items():
        pairs = []
        for seed in shared:
            mine, other = by_seed[seed], reference[seed]
            pairs.append(
                (other.steps[other.best].scores[criterion], mine.steps[0 if before else mine.best].scores[criterion])
            )
        figures[criterion] = _rates(pairs, tie)
    return figures


def _ties(told: Sequence[Run]) -> Mapping[str, float]:
    for run in told[1:]:
        if run.ties != told[0].ties:
            raise UserError(f"{run.folder} and {told[0].folder} were judged by different judges; judge them alike")
    return told[0].ties if told else {}


def _rates(pairs: Sequence[tuple[Scores, Scores]], tie: float) -> Figures | None:
    found = rate(pairs, tie=tie)
    return None if found is None else asdict(found)
