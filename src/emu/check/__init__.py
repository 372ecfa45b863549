"""`emu check`: whether a model is what it was, in a minute, before a day of a GPU is spent on it.

    emu check my-model                              # stores what it finds at first, and is held against that later
    emu check my-model-int8 --against checks/my-model.json

A conversion, a quantisation or a library's update that breaks a model shows here, and by the first link that differs
what broke.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from emu.check import reference
from emu.check.faults import changed_settings, likely, unlawful
from emu.check.measure import Measured, Pixels, measure
from emu.check.rows import HAIR, Row, held_against, laws, tolerance_of
from emu.errors import UserError
from emu.exporting.export import autocast
from emu.models.loading import load_model
from emu.terminal.aligned import aligned
from emu.terminal.counted import an


@dataclass(frozen=True)
class Checked:
    """What to print, and whether nothing failed."""

    text: str
    sound: bool


def check(
    model: str,
    *,
    against: Path | None = None,
    anew: bool = False,
    precision: str = "32-true",
    architecture: str | None = None,
    config: str | None = None,
    vae: str | None = None,
) -> Checked:
    """A model against what is stored of it; stored where nothing is yet, and no law of trained models is broken.

    Args:
        model: as `load_model` takes it.
        against: the file that holds what is stored; None for the model's own (`emu.check.reference`).
        anew: store what is found now, in place of what was stored, and whatever the laws say.
        precision: "32-true", "bf16-mixed" or "16-mixed".
        architecture, config, vae: as for `load_model`.
    """
    place = None if anew else reference.find(model, against)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = load_model(model, architecture=architecture, config=config, vae=vae)
    loaded.backbone = loaded.ema  # what draws and is exported; of a run the average
    loaded.to(device)
    now, picture = measure(loaded, model, precision=precision, context=autocast(precision, device))
    if place is None:
        return first(now, picture, against or reference.own_place(model), anyway=anew)
    return again(now, picture, place)


def first(now: Measured, picture: Pixels, place: Path, *, anyway: bool) -> Checked:
    """Where nothing is stored of a model yet: the laws alone; stored if they hold, or `anyway`."""
    rows = laws(now)
    lines = [headline(now), "", *table(rows), "", *failures(rows)]
    if fault := unlawful(now, rows):
        lines.append(f"likely: {fault}")
    if fault and not anyway:
        lines.append("nothing is stored; --anew stores a model as it is, such as one that was never trained")
        return Checked("\n".join(lines), sound=False)
    reference.write(place, now, picture)
    lines.append(f"{place}: stored, with {place.with_suffix('.png').name}; commit both")
    return Checked("\n".join(lines), sound=True)


def again(now: Measured, picture: Pixels, place: Path) -> Checked:
    """Against what is stored. UserError: that is of another kind of model."""
    stored, before = reference.read(place)
    if stored.kind != now.kind:
        raise UserError(f"{place}: of {an(stored.kind)}, and {now.model} is {an(now.kind)}; name another by --against")
    against = held_against(now, stored, (picture, before))
    # What a model broke when it was stored, or held by what rounding moves, it may break now.
    kept = {row.what for row in laws(stored, below=1 - HAIR) if not row.fails}
    lawful = [row for row in laws(now) if row.what in kept]
    rows = [*against, *lawful]
    lines = [headline(now), f"{place}: {stored.model} with {versions(stored)}; {tolerance_of(now, stored).why}", ""]
    lines += [*table(rows), "", *failures(rows)]
    sound = not any(row.fails for row in rows)
    if not sound:
        lines += [f"changed: {change}" for change in changed_settings(now, stored)]
        lines.append(f"likely: {likely(now, stored, against) or unlawful(now, lawful)}")
    beside = reference.own_place(now.model).with_suffix(".now.png")
    reference.save_beside(beside, before, picture)
    lines.append(f"{beside}: the first picture, stored and now")
    return Checked("\n".join(lines), sound)


def headline(now: Measured) -> str:
    """What was checked, and with what."""
    height, width = now.size
    return f"{now.model}: {now.kind}, {height} x {width}, {now.precision} on {now.device}, {versions(now)}"


def versions(of: Measured) -> str:
    """`torch 2.14.1, diffusers 0.42.1, transformers 5.0.0`"""
    return ", ".join(f"{library} {version}" for library, version in of.made_with.items())


def table(rows: list[Row]) -> list[str]:
    """Rows for a terminal."""
    cells = [(row.what, row.stored, row.now, row.apart, row.allowed) for row in rows]
    return aligned([("", "stored", "now", "apart", "allowed"), *cells])


def failures(rows: list[Row]) -> list[str]:
    """A line for each row that fails."""
    return [f"FAIL {row.what}: {', '.join(_said(row))}" for row in rows if row.fails]


def _said(row: Row) -> list[str]:
    cells = {"stored": row.stored, "now": row.now, "apart": row.apart, "allowed": row.allowed}
    return [f"{name} {value}" for name, value in cells.items() if value]
