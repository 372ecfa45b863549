"""Draws with the pipelines that lie beside this file, one after the other, in plain diffusers.

python draw.py "a red boat at noon" picture.png --seed 7 --dtype float16
"""

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from PIL import Image

HERE = Path(__file__).resolve().parent


def draw(prompt: str, *, seed: int = 0, dtype: str = "float32", folder: Path = HERE, bare: bool = False) -> Image.Image:
    """The picture of the last stage; `bare`: without bars, safety checker and watermark."""
    stages = json.loads((folder / "stages.json").read_text())
    picture: Any = None
    for number, stage in enumerate(stages, start=1):
        arguments = dict(stage["arguments"])
        if picture is not None:
            arguments["image"] = picture
        if picture is not None and stage["sized"]:
            arguments |= {"height": stage["factor"] * picture.height, "width": stage["factor"] * picture.width}
        # No stage is to start from a picture that is blackened or stamped.
        left_out = stage["left_out"] if bare or number < len(stages) else {}
        for module in stage["modules"]:  # of parts of the folder, which diffusers does not import by itself
            import_module(module)
        kind = pipeline_class(stage.get("pipeline"))
        pipeline: Any = kind.from_pretrained(folder / stage["folder"], **left_out, **stage["not_there"])
        for name, value in stage["attributes"].items():
            setattr(pipeline, name, [tuple(one) for one in value] if isinstance(value, list) else value)
        pipeline.set_progress_bar_config(disable=bare)
        pipeline.to("cuda" if torch.cuda.is_available() else "cpu", getattr(torch, dtype))
        generator = torch.Generator().manual_seed(seed)  # the CPU's: a seed means the same on every device
        picture = pipeline(prompt=prompt, generator=generator, **arguments)[0][0]
        del pipeline  # one stage at a time is in memory
    drawn: Image.Image = picture
    return drawn


def pipeline_class(path: str | None) -> Any:
    """The class that loads a stage: diffusers' own, or that of a package that has to be installed beside it."""
    if path is None:
        return DiffusionPipeline
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float16", "bfloat16"])
    given = parser.parse_args()
    draw(given.prompt, seed=given.seed, dtype=given.dtype).save(given.out)


if __name__ == "__main__":
    main()
