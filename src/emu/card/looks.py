"""How large, how elongated and how colourful the pictures are: sizes of all of them, colours of a random sample."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from emu.card.blocks import Block, Cell, Section, Table, share
from emu.curate.picture import reduced
from emu.curate.stages.technical import WHOLE, colour, planar
from emu.data.pictures import BadPicture, decode, read_size
from emu.data.sources.openers import File
from emu.terminal.counted import many

MAX_PIXELS = 100_000_000
SAMPLE = 1000  # pictures that are decoded
SIZES = [(512, "under 512"), (768, "512 to 767"), (1024, "768 to 1,023"), (2048, "1,024 to 2,047")]
SHAPES = [(0.8, "upright"), (1.25, "about square")]
# Hasler and Suesstrunk 2003, table 2: 15 is slightly, 45 averagely, 82 highly colourful
COLOURS = [(15, "hardly any colour"), (45, "some colour"), (82, "colourful")]


def section(folder: Path, files: list[str], *, seed: int) -> Section:
    """Tables of three kinds of shares."""
    sizes = [found for file in files if (found := _size(folder / file)) is not None]
    short = Counter(_class(min(size), SIZES, "2,048 and more") for size in sizes)
    shapes = Counter(_class(width / height, SHAPES, "wide") for height, width in sizes)
    blocks: list[Block] = [
        f"Of {many(len(files), 'picture')}; {many(len(files) - len(sizes), 'file')} could not be read.",
        _table("Shorter side, pixels", short, [name for _, name in SIZES] + ["2,048 and more"], exact=True),
        _table("Shape", shapes, [name for _, name in SHAPES] + ["wide"], exact=True),
        "Upright is a width under 0.8 of the height, wide one over 1.25 of it.",
    ]
    drawn = sample(files, SAMPLE, seed=seed)
    colours = Counter(_colours(folder, drawn))
    exact = len(drawn) == len(files)
    of = "all pictures" if exact else f"a random sample of {many(len(drawn), 'picture')}, with 95 % intervals (Wilson)"
    blocks += [
        f"Colourfulness (Hasler and Suesstrunk 2003) of {of}:",
        _table("Colour", colours, [name for _, name in COLOURS] + ["very colourful"], exact=exact),
    ]
    return Section("Sizes, shapes and colours", blocks)


def sample(files: list[str], number: int, *, seed: int) -> list[str]:
    """So many at random, not the best; the same for the same seed."""
    if len(files) <= number:
        return files
    chosen = np.random.default_rng(seed).choice(len(files), number, replace=False)
    return [files[i] for i in sorted(chosen.tolist())]


def _size(path: Path) -> tuple[int, int] | None:
    """(height, width) as it is looked at; None where the file cannot be read."""
    try:
        return read_size(File(path), max_pixels=MAX_PIXELS)
    except BadPicture:
        return None


def _class(value: float, edges: list[tuple[int, str]] | list[tuple[float, str]], last: str) -> str:
    return next((name for edge, name in edges if value < edge), last)


def _colours(folder: Path, files: list[str]) -> Iterable[str]:
    for file in files:
        try:
            image = decode(File(folder / file), max_pixels=MAX_PIXELS, least=WHOLE)
        except BadPicture:
            continue
        yield _class(colour(planar(reduced(image, WHOLE))), COLOURS, "very colourful")


def _table(head: str, counts: Counter[str], names: list[str], *, exact: bool) -> Table:
    total, rows = counts.total(), list[list[Cell]]()
    for name in names:
        row: list[Cell] = [name, f"{counts[name]:,}", share(counts[name], total)]
        if not exact and total:
            low, high = proportion_confint(counts[name], total, method="wilson")
            row += [f"{100 * low:.1f} to {100 * high:.1f} %"]
        rows.append(row)
    heads = [head, "Pictures", "Share", *([] if exact else ["Interval"])]
    return Table(heads, rows, number=len(heads) - 1)
