"""The README.md of an exported folder: the model, its base, under which licence; the head is for the Hub."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from emu.card.licences import hub_name
from emu.card.markdown import code
from emu.formats import in_diffusers
from emu.module import TextToImageModule

NAME = "README.md"
PROMPT = "a red boat at noon"


def text(model: TextToImageModule, folder: Path, *, step: int, of_pictures: Sequence[str]) -> str:
    """Of a model that is saved in `folder` as it was after optimizer step `step`.

    of_pictures: the licences of what it learned from, as the set's card says; none where there is no card.
    """
    base = model.pretrained if on_the_hub(model.pretrained) else Path(model.pretrained).name
    licence = model.licence or "not known"
    head = {
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        **({"base_model": base} if on_the_hub(model.pretrained) else {}),
        **front(model.licence),
        "tags": ["emu", "quality-tuning"],
    }
    learned_from = ", ".join(map(code, of_pictures)) or "not known, for it has none"
    kind = f"`{model.pipeline_class.__name__}` of diffusers"
    if not in_diffusers(model.pipeline_class):
        kind = f"`{model.pipeline_class.__module__}.{model.pipeline_class.__name__}`, which `from_pretrained` loads"
    drawn = ", ".join(f"{name} {value}" for name, value in model.sampler.items())
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n# {folder.resolve().name}\n\n"
        f"A {kind}: `{base}`, quality-tuned with emu, after optimizer step "
        f"{step:,}.\n\n"
        f"Licence of the base, as the config of the run says: {licence}. What was tuned stays under it.\n\n"
        f"Licences of the pictures that it learned from, as the card of their set says: {learned_from}.\n\n"
        f"The run drew with {drawn}, in sides of {model.resolution} pixels. So does\n\n"
        f"```python\n{call(model, folder)}```\n"
    )


def call(model: TextToImageModule, folder: Path) -> str:
    """How a user of plain diffusers draws with what is saved in `folder`: a few lines of Python."""
    kind = model.pipeline_class
    module, loader = ("diffusers", "DiffusionPipeline") if in_diffusers(kind) else (kind.__module__, kind.__qualname__)
    given = model.plain_arguments(PROMPT)
    imports, start = "", ""
    if model.starts_from_picture:
        imports, start = "from diffusers.utils import load_image\n", 'image=load_image("small.png"), '
    else:
        given |= model.size_arguments(model.resolution, model.resolution)
    arguments = ", ".join(f"{name}={value!r}" for name, value in given.items() if name != "prompt")
    return (
        f"import torch\n{imports}from {module} import {loader}\n\n"
        "# Without a dtype (torch_dtype in older versions) text encoders may be in another than the network.\n"
        f"pipeline = {loader}.from_pretrained({folder.resolve().name!r}, dtype=torch.float32)\n"
        f"picture = pipeline({PROMPT!r}, {start}{arguments})[0][0]\n"
        'picture.save("picture.png")\n'
    )


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
