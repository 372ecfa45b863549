"""Two folders of pictures, held against each other: any that people have, whoever drew what is in them.

Where both have a `samples.jsonl`, as `emu sample` and the steps of a run do, pictures pair up by prompt and seed; any
others by file name. Nothing is written into them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emu import runs
from emu.compare.pairs import Run, pair_up
from emu.compare.sides import Side, captions, drawn, named
from emu.errors import UserError

if TYPE_CHECKING:
    from emu.compare.judging import Bench
    from emu.judges import Judge

UNKNOWN = (
    "what the pictures of {count} pairs were to show is not known (samples.jsonl, metadata.jsonl or a .txt beside each "
    "would tell), so faithfulness is not judged, and judges of appeal are given an empty prompt for them"
)


def are_folders(paths: Sequence[Path]) -> bool:
    """Whether two plain folders are meant, and not runs. UserError: one that is not there, or plain beside a run."""
    if gone := [path for path in paths if not path.is_dir()]:
        raise UserError(f"{gone[0]}: no such folder; give run folders, or two folders of pictures")
    plain = [path for path in paths if path.is_dir() and not _is_run(path)]
    if plain and (len(paths) != 2 or len(plain) != 2):
        raise UserError(
            f"{plain[0]}: holds no drawn steps, so it is no run; give run folders alone, or two folders of pictures: "
            "emu compare BEFORE AFTER"
        )
    return bool(plain)


def read_folders(
    before: Path, after: Path, *, judges: Mapping[str, Sequence["Judge"]], bench: "Bench | None" = None
) -> Run:
    """The pairs of two plain folders, judged. UserError: nothing to pair."""
    by_name = not all((folder / runs.SAMPLES).is_file() for folder in (before, after))
    sides: Sequence[Side] = (
        _told_alike(*(named(folder, captions(folder)) for folder in (before, after)))
        if by_name
        else (drawn(before), drawn(after))
    )
    unknown = sum(not sides[0].rows[key]["prompt"] for key in sides[0].rows.keys() & sides[1].rows.keys())
    if unknown:
        judges = {criterion: some for criterion, some in judges.items() if criterion == "appeal"}
    common = {name: card for name, card in sides[0].judges.items() if sides[1].judges.get(name) == card}
    sides = [_judged_by(side, set(common)) for side in sides]
    quality: dict[str, Any] = {"judges": common}
    if judges:
        from emu.compare.judging import judge_sides

        sides = judge_sides(quality, sides, judges=judges, bench=bench)
    names = _names(before, after)
    paired = pair_up(
        f"{names[1]} against {names[0]}",
        sides[0],
        sides[1],
        names=names,
        quality=quality,
        by="file name" if by_name else "prompt and seed",
    )
    notes = [UNKNOWN.format(count=unknown)] if unknown else []
    if paired.sampler_differs:
        notes.append(f"the two sides were drawn with different settings: {', '.join(paired.sampler_differs)}")
    return replace(paired, by_name=by_name, notes=tuple(notes))


def _is_run(path: Path) -> bool:
    return bool(runs.complete_steps(path)) or (path / runs.QUALITY).is_file() or (path / runs.CONFIG).is_file()


def _told_alike(before: Side, after: Side) -> tuple[Side, Side]:
    """Both sides with one prompt a pair; where they name two, nobody knows which of them was asked for."""
    found: list[dict[Any, runs.Row]] = [{}, {}]
    doubtful: list[list[str]] = [[*before.doubtful], [*after.doubtful]]
    for key in before.rows.keys() | after.rows.keys():
        rows = [side.rows.get(key) for side in (before, after)]
        prompts = {row["prompt"] for row in rows if row and row["prompt"]}
        for side, row in enumerate(rows):
            if row and len(prompts) > 1:
                doubtful[side].append(row["file"])
            elif row:
                found[side][key] = {**row, "prompt": next(iter(prompts), "")}
    order = [sorted(rows, key=str) for rows in found]
    return tuple(  # type: ignore[return-value]
        replace(side, rows={key: rows[key] for key in keys}, doubtful=left)
        for side, rows, keys, left in zip((before, after), found, order, doubtful, strict=True)
    )


def _judged_by(side: Side, columns: set[str]) -> Side:
    """A side with those scores alone that one judge gave to both."""
    kept = {
        file: {name: score for name, score in given.items() if name in columns} for file, given in side.scores.items()
    }
    return replace(side, scores=kept, judges={name: side.judges[name] for name in columns})


def _names(before: Path, after: Path) -> tuple[str, str]:
    """The folders' own names; where these are one, with as much of the way there as tells them apart."""
    parts = [folder.resolve().parts for folder in (before, after)]
    for last in range(1, max(map(len, parts)) + 1):
        first, second = ("/".join(one[-last:]) for one in parts)
        if first != second:
            return first, second
    raise UserError(f"{before}: the same folder twice; give two")
