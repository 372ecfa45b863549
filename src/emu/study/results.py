"""A study's runs as figures: every arm against its own step 0, and against the reference."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from emu.errors import UserError
from emu.guards.looks import COLOURS
from emu.statistics import NetRate, WinRate
from emu.study.outcome import AgainstReference, Arm, CurvePoint, Figures, GuardNumber, StudyOutcome, Untuned
from emu.study.plan import Study
from emu.study.scored import Pairs, ScoredRun, moved, net, rate

Arms = Mapping[str, Mapping[int, ScoredRun]]  # arm -> seed -> run
At = tuple[ScoredRun, int]  # a run at one of its steps


def outcome_of(study: Study, arms: Arms) -> StudyOutcome:
    """What the runs that have ended came to."""
    found = {arm: _arm(by_seed) for arm, by_seed in arms.items()}
    before = None
    if study.reference is not None and study.reference in arms:
        reference = arms[study.reference]
        for arm in arms:
            if arm != study.reference:
                best, last = _against_reference(arms[arm], reference)
                found[arm] = replace(found[arm], against=best, against_last=last)
        start, ends = ({seed: (run, at(run.steps)) for seed, run in reference.items()} for at in (min, max))
        before = Untuned(_against(start, _best(reference)), _against(start, ends))
    return StudyOutcome(
        question=study.question,
        base=study.base,
        set=study.set,
        overrides=study.arms,
        reference=study.reference,
        arms=found,
        before=before,
    )


def _best(by_seed: Mapping[int, ScoredRun]) -> dict[int, At]:
    return {seed: (run, run.best) for seed, run in by_seed.items()}


def _arm(by_seed: Mapping[int, ScoredRun]) -> Arm:
    runs = [*by_seed.values()]
    shared = sorted(set.intersection(*(set(run.steps) for run in runs)))
    return Arm(
        **vars(_figures([*_best(by_seed).values()])),
        seeds=list(by_seed),
        best_steps=[run.best for run in runs],
        stop_reasons=[run.stop_reason for run in runs],
        curve=[_curve_point(step, runs) for step in shared if step],
    )


def _curve_point(step: int, runs: Sequence[ScoredRun]) -> CurvePoint:
    """All runs at a step, and of every guard that all of them measured there the number and interval of each run."""
    measured = [run.guards.get(step, {}) for run in runs]
    names = [name for name in measured[0] if all(name in found for found in measured)]
    guards: dict[str, list[GuardNumber]] = {name: [found[name] for found in measured] for name in names}
    return CurvePoint(**vars(_figures([(run, step) for run in runs])), step=step, guards=guards)


def _figures(chosen: Sequence[At]) -> Figures:
    """Of runs, each at a step, against their own step 0."""
    ties = _ties([run for run, _ in chosen])
    pairs = {name: [(run.steps[0].scores[name], run.steps[step].scores[name]) for run, step in chosen] for name in ties}
    rates = {name: rate(pairs[name], tie=tie) for name, tie in ties.items()}
    return Figures(
        appeal=rates.get("appeal"),
        faithfulness=rates.get("faithfulness"),
        faithfulness_net=net(pairs["faithfulness"], tie=ties["faithfulness"]) if "faithfulness" in ties else None,
        score=moved(pairs["appeal"]) if "appeal" in ties else None,
        drift={
            name: moved([(run.steps[0].drift[name], run.steps[step].drift[name]) for run, step in chosen])
            for name in COLOURS
        },
    )


def _against_reference(
    mine: Mapping[int, ScoredRun], reference: Mapping[int, ScoredRun]
) -> tuple[AgainstReference, AgainstReference]:
    """Best against best, and at the last step that both reached."""
    last = {seed: max(run.steps.keys() & reference[seed].steps) for seed, run in mine.items() if seed in reference}
    ends = [{seed: (runs[seed], step) for seed, step in last.items()} for runs in (mine, reference)]
    return _against(_best(mine), _best(reference)), _against(ends[0], ends[1])


def _against(mine: Mapping[int, At], reference: Mapping[int, At]) -> AgainstReference:
    """Of runs, each at a step, against those of the reference, seed by seed."""
    both = [(reference[seed], mine[seed]) for seed in mine if seed in reference]
    ties = _ties([run for pair in both for run, _ in pair])
    found: dict[str, tuple[WinRate | None, NetRate | None]] = {}
    for name, tie in ties.items():
        pairs: Pairs = [(run.steps[at].scores[name], now.steps[step].scores[name]) for (run, at), (now, step) in both]
        won = rate(pairs, tie=tie)
        found[name] = won, net(pairs, tie=tie) if won else None
    none = (None, None)
    return AgainstReference(*found.get("appeal", none), *found.get("faithfulness", none))


def _ties(runs: Sequence[ScoredRun]) -> Mapping[str, float]:
    for run in runs[1:]:
        if run.ties != runs[0].ties:
            raise UserError(f"{run.folder} and {runs[0].folder} were judged by different judges; judge them alike")
    return runs[0].ties if runs else {}
