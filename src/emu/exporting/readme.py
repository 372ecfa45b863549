"""The README.md of an exported folder: the model, its base, under which licence; the head is for the Hub."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from emu.card.licences import hub_name
from emu.card.markdown import code
from emu.formats import in_diffusers
from emu.loras.file import LoRAFile
from emu.module import TextToImageModule
from emu.pipeline_folders import components, folders
from emu.storage.shapes import Arguments
from emu.terminal.counted import an

NAME = "README.md"
PROMPT, SEED = "a red boat at noon", 7


def text(model: TextToImageModule, folder: Path, *, step: int, of_pictures: Sequence[str]) -> str:
    """Of a model that is saved in `folder` as it was after optimizer step `step`.

    of_pictures: the licences of what it learned from, as the set's card says; none where there is no card.
    """
    base = named(model.pretrained)
    licence = model.licence or "not known"
    head = {
        "library_name": "diffusers",
        "pipeline_tag": "image-to-image" if model.starts_from_picture else "text-to-image",
        **({"base_model": base} if on_the_hub(model.pretrained) else {}),
        **front(model.licence),
        "tags": ["emu", "quality-tuning"],
    }
    learned_from = ", ".join(map(code, of_pictures)) or "not known, for it has none"
    name = model.pipeline_class.__name__
    article, kind = an(name).split()[0].capitalize(), f"`{name}` of diffusers"
    if not in_diffusers(model.pipeline_class):
        kind = f"`{model.pipeline_class.__module__}.{name}`, which `from_pretrained` loads"
    drawn = ", ".join(f"{name} {value}" for name, value in model.sampler.items())
    sides = f", in sides of {model.resolution} pixels" if model.resolution else ""
    beyond = ", but for ".join(["", *sorted(model.beyond_plain & model.sampler.keys())])
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n# {folder.resolve().name}\n\n"
        f"{article} {kind}: `{base}`, quality-tuned with emu, after optimizer step "
        f"{step:,}.{began_with(model)}\n\n"
        f"Licence of the base, as the config of the run says: {licence}. What was tuned stays under it.\n\n"
        f"Licences of the pictures that it learned from, as the card of their set says: {learned_from}.\n\n"
        f"The run drew with {drawn}{sides}. So do these lines{beyond}:\n\n"
        f"```python\n{call(model, folder)}```\n"
    )


def began_with(model: TextToImageModule) -> str:
    """What was put into the base before it was tuned, of which nobody says the licence."""
    parts = [f"the autoencoder {code(named(model.vae))}"] if model.vae else []
    parts += [f"the LoRA {code(one.path.name)} at {one.strength:g}" for one in map(LoRAFile, model.loras)]
    return f" It began with {' and '.join(parts)} in the base, under licences of their own." if parts else ""


def named(given: str) -> str:
    """A model's name on the Hub, or the last part of its path."""
    return given if on_the_hub(given) else Path(given).name


def call(model: TextToImageModule, folder: Path) -> str:
    """How a user of plain diffusers draws with what is saved in `folder`: a few lines of Python."""
    kind, index = model.pipeline_class, folders.read_index(folder)
    module, loader = ("diffusers", "DiffusionPipeline") if in_diffusers(kind) else (kind.__module__, kind.__qualname__)
    imports = [f"import {one}" for one in ("torch", *components.modules(index))] + [f"from {module} import {loader}"]
    given, attributes = {**model.plain_arguments(PROMPT), "prompt": PROMPT}, Arguments()
    written = {name: repr(value) for name, value in given.items()}
    if model.starts_from_picture:
        imports.append("from diffusers.utils import load_image")
        written["image"] = 'load_image("small.png")'
    elif side := model.resolution:
        attributes = model.size_attributes(side, side)
        written |= {name: repr(value) for name, value in model.size_arguments(side, side).items()}
    written["generator"] = f"torch.Generator().manual_seed({SEED})"
    without = "".join(f", {name}=None" for name in not_there(model, folder))
    arguments = ",\n    ".join(f"{name}={value}" for name, value in written.items())
    lines = [
        *imports,
        "",
        *(f"# Its {name} needs torchvision." for name in processors(model, folder)),
        "# Without a dtype (torch_dtype in older versions) text encoders may be in another than the network.",
        f"pipeline = {loader}.from_pretrained({folder.resolve().name!r}, dtype=torch.float32{without})",
        *(f"pipeline.{name} = {value!r}  # or it draws another size" for name, value in attributes.items()),
        f"picture = pipeline(\n    {arguments},\n)[0][0]",
        'picture.save("picture.png")',
    ]
    return "\n".join(lines) + "\n"


def not_there(model: TextToImageModule, folder: Path) -> dict[str, None]:
    """Arguments of `from_pretrained`: what the folder leaves out, and what is of no use to draw."""
    unused = {name: None for name, one in model.stand_ins().items() if one is None}
    return components.not_there(model.pipeline_class, folders.read_index(folder)) | unused


def processors(model: TextToImageModule, folder: Path) -> list[str]:
    """Components that are loaded and could read pictures too, for which transformers asks for another package."""
    parts = folders.read_index(folder)
    apart = {*components.UNUSED, *not_there(model, folder)}
    return [name for name, one in parts.items() if name not in apart and str(one).endswith("Processor']")]


def front(licence: str | None) -> dict[str, str]:
    """A licence in the keys of the Hub's front matter."""
    if licence is None:
        return {"license": "unknown"}
    name = hub_name(licence)
    return {"license": name} if name != "other" else {"license": name, "license_name": licence}


def on_the_hub(pretrained: str) -> bool:
    """Whether a base is named as OWNER/NAME, and is no folder of this machine."""
    return (
        pretrained.count("/") == 1 and not pretrained.startswith((".", "/", "emu:")) and not Path(pretrained).exists()
    )
