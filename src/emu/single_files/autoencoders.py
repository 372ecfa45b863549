"""A pipeline folder with another autoencoder, as a folder of links: made once, and kept.

Notable: nothing in an autoencoder's weights says how its latents are scaled or what they mean; its description does.
One whose latents are others than the network learned would draw noise, or learn from it, without a word.
"""

from pathlib import Path
from typing import Any

from emu.bundled import resolve
from emu.errors import UserError
from emu.pipeline_folders import components, described, folders, weight_files
from emu.single_files import fitting
from emu.single_files.contents import autoencoder, read
from emu.single_files.kept import is_whole, made, place
from emu.storage import files
from emu.storage.records import read_json
from emu.storage.shapes import ComponentConfig
from emu.terminal.counted import an

MEANING = (
    *("in_channels", "input_channels", "latent_channels", "z_dim", "patch_size"),
    *("scaling_factor", "shift_factor", "latents_mean", "latents_std"),
)
"""Settings by which equal numbers in latents mean the same."""
LEVELS = ("block_out_channels", "encoder_block_out_channels", "dim_mult", "temperal_downsample")
"""Lists with an entry a level: by how many there are, latents are smaller than pictures."""


def swapped(base: Path, vae: str, *, weights: bool = True) -> Path:
    """A folder of links to a pipeline's, with another autoencoder; of a file its weights, where they are asked for.

    UserError: there is none of that name, or its latents are not the model's.
    """
    vae, index = resolve(vae), folders.read_index(base)
    if "vae" not in index:
        raise UserError(f"model.vae {vae}: {an(index['_class_name'])} has no autoencoder of that name; leave it out")
    if Path(vae).is_file():
        return _of_file(base, Path(vae), weights=weights)
    folder = folders.component(vae, "vae", weights=weights)
    _require_latents(folder, base)
    out = place(base.name, base / folders.INDEX, folder / "config.json")

    def fill(target: Path) -> None:
        _link(target, base)
        (target / "vae").symlink_to(folder.resolve())

    return out if is_whole(out) else made(out, fill)


def _of_file(base: Path, vae: Path, *, weights: bool) -> Path:
    out = place(base.name, base / folders.INDEX, vae)
    if is_whole(out):
        return out
    part = autoencoder(read(vae, key="model.vae"), base)
    fitting.require_fit(part, base / "vae", where=f"model.vae {vae}: it", layers=("encoder.", "decoder."))
    if not weights:  # it is as the base describes its own
        return base

    def fill(target: Path) -> None:
        _link(target, base)
        fitting.write(target / "vae", part, base / "vae")

    return made(out, fill)


def _link(target: Path, base: Path) -> None:
    """What a pipeline folder has but for its autoencoder, as links."""
    files.write_json(target / folders.INDEX, folders.read_index(base), indent=2)
    for one in base.iterdir():
        if one.name not in ("vae", folders.INDEX):
            (target / one.name).symlink_to(one.resolve())


def _require_latents(folder: Path, base: Path) -> None:
    """UserError where the autoencoder of a folder makes other latents than a pipeline folder's own."""
    index = folders.read_index(base)
    given, own = (
        read_json(one / "config.json", ComponentConfig, remedy=weight_files.AGAIN) for one in (folder, base / "vae")
    )
    remedy = "give an autoencoder of its family, or a pipeline folder that learned from this one"
    kind, wanted = str(given.get("_class_name")), str(index["vae"][1])
    if kind != wanted:
        raise UserError(f"model.vae {folder}: {an(kind)}, and the model's is {an(wanted)}; {remedy}")
    defaults = described.defaults(components.used(index)["vae"])
    one, other = ({**defaults, **said} for said in (given, own))
    for key in MEANING:
        if one.get(key) != other.get(key):
            raise UserError(
                f"model.vae {folder}: its {key} is {_shown(one.get(key))}, and the model's has "
                f"{_shown(other.get(key))}; {remedy}"
            )
    for key in LEVELS:
        if key in one and key in other and _levels(one[key]) != _levels(other[key]):
            raise UserError(
                f"model.vae {folder}: its {key} has {_levels(one[key])} levels, and the model's {_levels(other[key])}, "
                f"so its latents are of another size; {remedy}"
            )


def _levels(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _shown(value: Any) -> str:
    return f"{value!s:.60}"
