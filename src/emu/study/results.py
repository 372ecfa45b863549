"""A study's results as plain figures: what `study.json` holds, and what table and plot are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from emu.errors import UserError
from emu.study.outcome import DRIFTS, Run, Scores, moved, net, rate

Arms = Mapping[str, Mapping[int, Run]]
Figures = dict[str, Any]
At = tuple[Run, int]  # a run at one of its steps


def results(arms: Arms, *, reference: str | None) -> Figures:
    """{"arms": {arm: figures of its best steps against its own step 0, "against", "against_last", "curve"}, "before"}.

    A "curve" has them for every step, with "guards": {guard: [{"value", "ci95"} of every run]}.
    Figures are {"appeal": rates, "faithfulness": rates, "faithfulness_net", "score": mean appeal, "drift": by measure}.
    "against" has both criteria's rates and win - lose ("appeal_net") against the best pictures of `reference`, over the
    prompts and seeds that both drew; "against_last" those at the last step that both reached, for best steps may be far
    apart.
    "before" is the arm without tuning: step 0 of the reference against its own best and last.
    """
    told: Figures = {"arms": {arm: _arm(by_seed) for arm, by_seed in arms.items()}}
    if reference is None or reference not in arms:
        return told
    others = _best(arms[reference])
    for arm, by_seed in arms.items():
        if arm != reference:
            shared = {seed: (run, others[seed][0]) for seed, run in by_seed.items() if seed in others}
            last = {seed: max(mine.steps.keys() & other.steps) for seed, (mine, other) in shared.items()}
            told["arms"][arm] |= {
                "against": _against(_best(by_seed), others),
                "against_last": _against(
                    {seed: (mine, last[seed]) for seed, (mine, _) in shared.items()},
                    {seed: (other, last[seed]) for seed, (_, other) in shared.items()},
                ),
            }
    before = {seed: (run, 0) for seed, (run, _) in others.items()}
    ends = {seed: (run, max(run.steps)) for seed, (run, _) in others.items()}
    told["before"] = {"against": _against(before, others), "against_last": _against(before, ends)}
    return told


def _best(by_seed: Mapping[int, Run]) -> dict[int, At]:
    return {seed: (run, run.best) for seed, run in by_seed.items()}


def _arm(by_seed: Mapping[int, Run]) -> Figures:
    shared = sorted(set.intersection(*(set(run.steps) for run in by_seed.values())))
    return {
        "seeds": list(by_seed),
        "best_steps": [run.best for run in by_seed.values()],
        "stop_reasons": [run.stop_reason for run in by_seed.values()],
        **_figures([*_best(by_seed).values()]),
        "curve": [_check(step, [*by_seed.values()]) for step in shared if step],
    }


def _check(step: int, of: Sequence[Run]) -> Figures:
    """All runs at a step, and of every guard that all of them measured there the number and interval of each run."""
    measured = [run.guards.get(step, {}) for run in of]
    names = [name for name in measured[0] if all(name in found for found in measured)]
    guards = {name: [{key: found[name][key] for key in ("value", "ci95")} for found in measured] for name in names}
    return {"step": step, **_figures([(run, step) for run in of]), "guards": guards}


def _figures(chosen: Sequence[At]) -> Figures:
    """Of runs, each at a step, against their own step 0."""
    ties = _ties([run for run, _ in chosen])
    figures: Figures = {}
    for criterion, tie in ties.items():
        figures[criterion] = _rates(_pairs(chosen, criterion), tie)
    if "faithfulness" in ties:
        figures["faithfulness_net"] = asdict(net(_pairs(chosen, "faithfulness"), tie=ties["faithfulness"]))
    if "appeal" in ties:
        figures["score"] = asdict(moved(_pairs(chosen, "appeal")))
    drifts = {
        name: [(run.steps[0].drift[name], run.steps[step].drift[name]) for run, step in chosen] for name in DRIFTS
    }
    return figures | {"drift": {name: asdict(moved(pairs)) for name, pairs in drifts.items()}}


def _pairs(chosen: Sequence[At], criterion: str) -> list[tuple[Scores, Scores]]:
    return [(run.steps[0].scores[criterion], run.steps[step].scores[criterion]) for run, step in chosen]


def _against(mine: Mapping[int, At], reference: Mapping[int, At]) -> Figures:
    """Of runs, each at a step, against those of the reference, seed by seed."""
    shared = [seed for seed in mine if seed in reference]
    ties = _ties([run for seed in shared for run, _ in (mine[seed], reference[seed])])
    figures: Figures = {}
    for criterion, tie in ties.items():
        pairs = []
        for (run, step), (other, at) in ((mine[seed], reference[seed]) for seed in shared):
            pairs.append((other.steps[at].scores[criterion], run.steps[step].scores[criterion]))
        figures[criterion] = _rates(pairs, tie)
        if figures[criterion]:
            figures[f"{criterion}_net"] = asdict(net(pairs, tie=tie))
    return figures


def _ties(told: Sequence[Run]) -> Mapping[str, float]:
    for run in told[1:]:
        if run.ties != told[0].ties:
            raise UserError(f"{run.folder} and {told[0].folder} were judged by different judges; judge them alike")
    return told[0].ties if told else {}


def _rates(pairs: Sequence[tuple[Scores, Scores]], tie: float) -> Figures | None:
    found = rate(pairs, tie=tie)
    return None if found is None else asdict(found)
