"""A study from its file to its table: sets, encoders, runs, results. What is done already is not done again."""

from pathlib import Path

from emu.data.options import ENCODED_ALIKE
from emu.errors import UserError
from emu.storage import files
from emu.study.outcome import StudyOutcome
from emu.study.plan import WORLD as PLACE
from emu.study.plan import Study
from emu.study.plot import plot
from emu.study.processes import Job, Runner, require_all
from emu.study.results import outcome_of
from emu.study.scored import read_scored
from emu.study.table import study_table

WORLD, CACHE, LOGS = "world", "cache", "logs"
ENCODED = ("data", "stages", "config", "c")  # sections of a config, or a config, that may change what is encoded


def run(study: Study, *, out: Path, jobs: int = 1) -> str:
    """Writes OUT/ARM-SEED/, OUT/study.json and OUT/study.svg; returns the table.

    Raises UserError after everything else has run where a run failed; the table is then of the others, in study.json.
    """
    runner = Runner(out / LOGS, at_once=jobs, devices=_devices() if jobs > 1 else 0)
    fits = [_fit(study, arm, seed, out) for seed in study.seeds for arm in study.arms]
    if not all(fit.done for fit in fits):
        if study.world:
            from emu.study.sets import draw_sets

            draw_sets(out / WORLD, study.world)
        # One at a time: they may be of one set, where the second finds what the first has made.
        require_all(Runner(out / LOGS, at_once=1).run(_encodes(study, out)))
    failed = runner.run(fits)
    outcome = _outcome(study, out)
    if outcome.arms:
        files.write_json(out / "study.json", outcome, indent=2, alone=True)
    require_all(failed)
    return f"{study_table(outcome)}\n\n{_plotted(outcome, out / 'study.svg')}"


def _fit(study: Study, arm: str, seed: int, out: Path) -> Job:
    name, flags = f"{arm}-{seed}", study.flags(arm, seed)
    own = [f"--trainer.default_root_dir={out / name}", "--trainer.enable_progress_bar=false"]
    return Job(name, "fit", _args(study, flags, out) + own, run=out / name, flags=flags)


def _encodes(study: Study, out: Path) -> list[Job]:
    """One for all arms that learn from the same pictures and texts, and draw the same prompts."""
    alike = {f"data.{key}" for key in ENCODED_ALIKE}
    jobs: dict[str, Job] = {}
    for arm, overrides in study.arms.items() if study.cache else ():
        given = {**study.set, **overrides}
        own = [(key, value) for key, value in given.items() if key.partition(".")[0] in ENCODED and key not in alike]
        flags = [*study.flags(arm, 0), "--data.num_pictures=0"]  # all: each seed trains on others
        jobs.setdefault(repr(sorted(own, key=repr)), Job(f"encode-{len(jobs)}", "encode", _args(study, flags, out)))
    return list(jobs.values())


def _args(study: Study, flags: list[str], out: Path) -> list[str]:
    cache = [f"--data.cache={out / CACHE}"] if study.cache else []
    return [flag.replace(PLACE, str(out / WORLD)) for flag in flags] + cache


def _outcome(study: Study, out: Path) -> StudyOutcome:
    arms = {}
    for arm in study.arms:
        done = {seed: read_scored(out / f"{arm}-{seed}") for seed in study.seeds if _fit(study, arm, seed, out).done}
        if done:
            arms[arm] = done
    return outcome_of(study, arms)


def _plotted(outcome: StudyOutcome, path: Path) -> str:
    try:
        files.write(path, plot(outcome), alone=True)
    except UserError as error:
        return str(error)
    return f"{path}: the same as a picture"


def _devices() -> int:
    import torch

    return int(torch.cuda.device_count())
