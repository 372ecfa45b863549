"""What a comparison is given: run folders, or two plain folders of pictures, whoever drew what is in them.

Two folders that both have a `samples.jsonl`, as `emu sample` and the steps of a run do, pair up by prompt and seed; any
others by file name. Nothing is written into them; the scores of a run are kept in its folder.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from emu.compare.pairing import Pairing, pair_up
from emu.compare.sides import Key, PictureFolder, Shown, drawn, named, steps_compared
from emu.errors import UserError, printable
from emu.layouts import runs
from emu.layouts.quality_json import Quality, read_quality
from emu.terminal.counted import many

if TYPE_CHECKING:
    from emu.compare.judging import Bench
    from emu.judges import Judge

Judges = Mapping[str, Sequence["Judge"]]
UNKNOWN = (
    "what the pictures of {pairs} were to show is not known (samples.jsonl, metadata.jsonl or a .txt beside each "
    "would tell), so faithfulness is not judged of them, and judges of appeal are given an empty prompt for them"
)


def read_pairings(folders: Sequence[Path], judges: "Judges", bench: "Bench | None") -> list[Pairing]:
    """What is compared, scored by each judge that has not scored all of it yet.

    Runs of one name are kept apart by their folders as well. UserError: no pair, a folder that is neither or comes
    twice, or runs that share no prompt and seed.
    """
    plain, places = are_folders(folders), told_apart(folders)
    if plain:
        return [read_folders(folders[0], folders[1], judges=judges, bench=bench)]
    if judges:
        from emu.compare.judging import judge_run  # brings torch

        for run in folders:
            judge_run(run, judges=judges, bench=bench)
    read = [read_run(run) for run in folders]
    names = Counter(one.name for one in read)
    read = [
        replace(one, name=f"{one.name} ({place})") if names[one.name] > 1 else one
        for one, place in zip(read, places, strict=True)
    ]
    for other in read[1:]:
        if not {pair.key for pair in read[0].pairs} & {pair.key for pair in other.pairs}:
            raise UserError(
                f"{printable(read[0].name)} and {printable(other.name)} share no prompt and seed; compare runs that "
                "drew one prompt file, or each by itself"
            )
    return read


def read_run(run: Path) -> Pairing:
    """Pair up a run folder; UserError where it has no before or after, no shared prompts, or two samplers."""
    quality = read_quality(run)
    steps = steps_compared(run, quality)
    before, after = (drawn(runs.step_folder(run, step)) for step in steps)
    names = f"step {steps[0]:,}", f"step {steps[1]:,}"
    paired = pair_up(quality.name or run.resolve().name, before, after, names=names, quality=quality)
    if paired.sampler_differs:
        differs = ", ".join(paired.sampler_differs)
        raise UserError(f"{run}: before and after differ in the sampler's {differs}; draw both alike")
    return replace(paired, folder=run, before_step=steps[0], after_step=steps[1])


def are_folders(paths: Sequence[Path]) -> bool:
    """Whether two plain folders are meant, and not runs. UserError: one that is not there, or plain beside a run."""
    if gone := [path for path in paths if not path.is_dir()]:
        raise UserError(f"{gone[0]}: no such folder; give run folders, or two folders of pictures")
    plain = [path for path in paths if not _is_run(path)]
    if plain and (len(paths) != 2 or len(plain) != 2):
        raise UserError(
            f"{plain[0]}: holds no drawn steps, so it is no run; give run folders alone, or two folders of pictures: "
            "emu compare BEFORE AFTER"
        )
    return bool(plain)


def read_folders(before: Path, after: Path, *, judges: "Judges", bench: "Bench | None" = None) -> Pairing:
    """The pairs of two plain folders, judged. UserError: nothing to pair."""
    by_name = not all((folder / runs.SAMPLES).is_file() for folder in (before, after))
    sides = _of_one_prompt(named(before), named(after)) if by_name else (drawn(before), drawn(after))
    sides = _unasked(sides[0]), _unasked(sides[1])
    both = sides[0].shown.keys() & sides[1].shown.keys()
    unknown = sum(not sides[0].judged_by("faithfulness", key) for key in both)
    if unknown == len(both):
        judges = {criterion: some for criterion, some in judges.items() if criterion == "appeal"}
    common = {name: card for name, card in sides[0].judges.items() if sides[1].judges.get(name) == card}
    sides = _judged_by(sides[0], set(common)), _judged_by(sides[1], set(common))
    quality = Quality(judges=common)
    if judges:
        from emu.compare.judging import judge_sides  # brings torch

        quality, sides = judge_sides(quality, sides, judges=judges, bench=bench)
    first, second = told_apart([before, after])
    by = "file name" if by_name else "prompt and seed"
    paired = pair_up(f"{second} against {first}", *sides, names=(first, second), quality=quality, by=by)
    notes = [UNKNOWN.format(pairs=many(unknown, "pair"))] if unknown else []
    if paired.sampler_differs:
        notes.append(f"the two sides were drawn with different settings: {', '.join(paired.sampler_differs)}")
    return replace(paired, by_name=by_name, notes=tuple(notes))


def _is_run(path: Path) -> bool:
    return bool(runs.complete_steps(path)) or (path / runs.QUALITY).is_file() or (path / runs.CONFIG).is_file()


def _of_one_prompt(before: PictureFolder, after: PictureFolder) -> tuple[PictureFolder, PictureFolder]:
    """Both sides with one prompt a pair; where they name two, nobody knows which of them was asked for."""
    prompts: dict[Key, set[str]] = {}
    for key, shown in (*before.shown.items(), *after.shown.items()):
        prompts.setdefault(key, set()).update({shown.prompt} - {""})
    return _asked(before, prompts), _asked(after, prompts)


def _asked(side: PictureFolder, prompts: Mapping[Key, set[str]]) -> PictureFolder:
    found: dict[Key, Shown] = {}
    doubtful = [*side.doubtful]
    for key, shown in sorted(side.shown.items(), key=lambda item: str(item[0])):
        if len(prompts[key]) > 1:
            doubtful.append(shown.file)
        else:
            found[key] = replace(shown, prompt=next(iter(prompts[key]), ""))
    return replace(side, shown=found, doubtful=doubtful)


def _unasked(side: PictureFolder) -> PictureFolder:
    return replace(side, unasked=frozenset(shown.file for shown in side.shown.values() if not shown.prompt))


def _judged_by(side: PictureFolder, columns: set[str]) -> PictureFolder:
    """A side with those scores alone that one judge gave to both."""
    kept = {
        file: {name: score for name, score in given.items() if name in columns} for file, given in side.scores.items()
    }
    return replace(side, scores=kept, judges={name: side.judges[name] for name in columns})


def told_apart(folders: Sequence[Path]) -> list[str]:
    """The folders' own names; where some are one, with as much of the way there as tells all of them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for number, folder in enumerate(folders):
        if parts[number] in parts[:number]:
            raise UserError(f"{folder}: the same folder twice; give it once")
    last = 1
    while len({one[-last:] for one in parts}) < len(parts):
        last += 1
    return ["/".join(one[-last:]) for one in parts]
