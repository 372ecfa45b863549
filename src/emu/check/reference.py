"""What is stored of a model: where it lies, read and written. `NAME.json`, and its first picture `NAME.png` beside.

It lies where its owner sees it and may commit it, in `checks/` of the working folder; or comes with the model, as
`check.json` in its pipeline folder, which the bundled bases have.
"""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from emu.bundled import resolve
from emu.check.measure import Measured, Pixels
from emu.errors import UserError
from emu.layouts import runs
from emu.storage import files
from emu.storage.records import read_json

CHECKS = Path("checks")
SHIPPED = "check.json"


def own_place(model: str) -> Path:
    """Where a model's is stored: `checks/NAME.json` by the last part of its path, or `checks/OWNER--NAME.json`."""
    path = Path(resolve(model))
    if not path.exists():
        return CHECKS / f"{model.replace('/', '--')}.json"
    path = path.resolve()
    if path.is_dir():
        return CHECKS / f"{path.name}.json"
    of_a_run = "" if path.suffix == ".safetensors" else f"{runs.run_of(path).name}-"
    return CHECKS / f"{of_a_run}{path.stem}.json"


def find(model: str, against: Path | None) -> Path | None:
    """The one to hold a model against; None where none is stored. UserError: `against` is not there."""
    if against is not None:
        if not against.is_file():
            raise UserError(f"--against {against}: no such file; --anew stores what is found now there")
        return against
    shipped = Path(resolve(model)) / SHIPPED
    return next((path for path in (own_place(model), shipped) if path.is_file()), None)


def read(path: Path) -> tuple[Measured, Pixels]:
    """What is stored, and the first picture, uint8 (h,w,3)."""
    stored: Measured = read_json(path, Measured, remedy="store it again with --anew")
    picture = path.with_suffix(".png")
    try:
        with Image.open(picture) as opened:
            return stored, np.asarray(opened.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{picture}: cannot be read ({error}); store it again with --anew") from None


def write(path: Path, measured: Measured, picture: Pixels) -> None:
    """Store it. UserError: what was measured is no number."""
    try:
        files.write_json(path, dataclasses.replace(measured, model=_named(measured.model)))
    except ValueError:
        raise UserError(f"{measured.model}: gives numbers that are not finite, and nothing is stored of that") from None
    runs.save_picture(path.with_suffix(".png"), picture)


def _named(model: str) -> str:
    return Path(model).name if Path(model).is_absolute() else model


def save_beside(path: Path, stored: Pixels, now: Pixels) -> None:
    """Both pictures in one file, the stored one on the left."""
    both = [np.pad(one, ((0, max(stored.shape[0], now.shape[0]) - len(one)), (0, 4), (0, 0))) for one in (stored, now)]
    runs.save_picture(path, np.concatenate(both, axis=1))
