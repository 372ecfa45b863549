"""A single file as a pipeline folder: made once, and kept; with another autoencoder too.

Notable: what is made lies where the hub's models lie, and goes by what it is made of, so that a file that was changed
is another model.
"""

import json
import shutil
from collections.abc import Set
from pathlib import Path

from emu.bundled import resolve
from emu.errors import UserError
from emu.pipeline_folders import components, folders, weight_files
from emu.single_files import autoencoders, fitting
from emu.single_files.contents import parts, published_config, read
from emu.single_files.kept import is_whole, made, place
from emu.storage import files
from emu.storage.shapes import ComponentConfig
from emu.terminal.counted import an


def is_file(pretrained: str) -> bool:
    """Whether a model is a file."""
    return Path(resolve(pretrained)).is_file()


def describing(pretrained: str, config: str | None = None, vae: str | None = None) -> Path:
    """The folder that says what a model consists of, with its weights or not; of a file `config` names it.

    With another autoencoder that fits, as `folder_of` has it.
    """
    if is_file(pretrained):
        base = _description(Path(resolve(pretrained)), config)
    else:
        _refuse(config, pretrained)
        base = folders.describing(pretrained)
    return base if vae is None else autoencoders.swapped(base, vae, weights=False)


def folder_of(pretrained: str, *, config: str | None = None, vae: str | None = None) -> Path:
    """A model's pipeline folder.

    Args:
        pretrained: a folder, `emu://NAME`, a hub name, or a .safetensors file.
        config: of a file: the pipeline folder or hub name that has what the file lacks: configs, tokenizers, scheduler
            and what networks are not in it; None for the one that diffusers takes it to be of.
        vae: an autoencoder in place of the model's: its folder, a pipeline folder, a hub name, or a .safetensors file.

    Raises UserError where there is none, or where a file is of another family, cut off or not all of a model.
    """
    if is_file(pretrained):
        file = Path(resolve(pretrained))
        base = _of_file(file, _named(file, config), describing(pretrained, config))
    else:
        _refuse(config, pretrained)
        base = folders.locate(pretrained)
    return base if vae is None else autoencoders.swapped(base, vae)


def _refuse(config: str | None, pretrained: str) -> None:
    if config is not None:
        raise UserError(f"model.config {config}: says what a single file is, and {pretrained} is none; leave it out")


def _named(file: Path, config: str | None) -> str:
    """The pipeline folder or hub name that describes a file."""
    held = read(file)
    return config or published_config(file, held)


def _description(file: Path, config: str | None) -> Path:
    """The folder of that name. UserError: it is not at hand."""
    named = _named(file, config)
    try:
        return folders.describing(named)
    except UserError as error:
        if config is not None:
            raise
        reason = str(error).partition(": ")[2]
        raise UserError(
            f"{file}: {named} describes it, and is not at hand ({reason}); give a pipeline folder of its family as "
            "model.config (emu sample: --config)"
        ) from None


def _of_file(file: Path, config: str, description: Path) -> Path:
    held = read(file)
    out = place(file.stem, file, *_copied(description))
    if is_whole(out):
        return out
    found = parts(held, description)
    for name, part in found.items():
        fitting.require_fit(part, description / name, where=f"{file}: its {name}")
    rest = _rest(file, set(found), config, description)

    def fill(target: Path) -> None:
        _describe(target, description, markers=held.keys() & {"v_pred", "ztsnr"})
        for name, part in found.items():
            fitting.write(target / name, part, description / name)
        for name, folder in rest.items():
            (target / name).symlink_to(folder.resolve())

    return made(out, fill)


def _rest(file: Path, found: set[str], config: str, description: Path) -> dict[str, Path]:
    """Component -> its folder, of the networks that a file lacks. UserError: they are not with its description."""
    kinds = fitting.kinds(description)
    missing = kinds.keys() - found
    if missing == kinds.keys():
        raise UserError(f"{file}: holds no network of {an(folders.read_index(description)['_class_name'])} ({config})")
    whole = folders.describing(config, also=missing) if missing else description
    for name in missing:
        if weight_files.only_variant(whole / name) is None and not _plain_weights(whole / name):
            raise UserError(f"{file}: has no {name}, nor has {config}; give model.config, a pipeline folder with one")
    return {name: whole / name for name in missing}


def _plain_weights(folder: Path) -> bool:
    try:
        return bool(weight_files.paths_of(folder))
    except UserError:
        return False


def _copied(description: Path) -> list[Path]:
    """The files of a description that go into what is made by it; its other weights are linked."""
    kinds, used = fitting.kinds(description), components.used(folders.read_index(description))
    files = [description / folders.INDEX, *(description / name / "config.json" for name in kinds)]
    for name in used.keys() - kinds.keys():
        files += (description / name).rglob("*")
    return sorted(one for one in files if one.is_file())


def _describe(target: Path, description: Path, *, markers: Set[str]) -> None:
    """What is no network of a pipeline folder: its index, tokenizers and scheduler, set as a file's markers say."""
    index = folders.read_index(description)
    used = components.used(index)
    left_out = {name: [None, None] for name, part in index.items() if components.is_part(part) and name not in used}
    files.write_json(target / folders.INDEX, index | left_out, indent=2)
    for licence in description.glob("LICENSE*"):
        shutil.copyfile(licence, target / licence.name)
    for name in used.keys() - fitting.kinds(description).keys():
        shutil.copytree(description / name, target / name, copy_function=shutil.copyfile)
    path = target / "scheduler" / "scheduler_config.json"
    if markers:
        marked: ComponentConfig = {"prediction_type": "v_prediction"} if "v_pred" in markers else {}
        marked |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"} if "ztsnr" in markers else {}
        files.write_json(path, json.loads(path.read_text()) | marked, indent=2)
