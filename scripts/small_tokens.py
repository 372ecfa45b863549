"""The tokens of the masked models, trained by the product's own commands: `emu new`, `emu fit`, `emu export`."""

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from untrained import PARTS, make, plan

from emu import flags
from emu.exporting.export import export
from emu.training import fit

HELD_OUT = 256


def train_tokens(work: Path, images: np.ndarray, *, steps: int, start: str | None = None) -> None:
    """uint8 (n,h,w,3) -> WORK/vq, for pictures of the side that the masked model draws.

    They begin with nothing, or with the `vqvae` of the pipeline `start`.
    """
    pictures, untrained, run, trained = (work / f"vq-{what}" for what in ("pictures", "untrained", "run", "trained"))
    lay_out(images, pictures, side=plan("muse").resolution)
    readers = {name: str(work / part) for name, part in PARTS["muse"].items() if part != "vq"}
    print(make("muse", untrained, [], **readers, **({"vqvae": start} if start else {})), flush=True)
    shutil.rmtree(run, ignore_errors=True)
    given = {
        "config": "muse/tokenizer",
        "trainer.default_root_dir": run,
        "model.init_args.pretrained": untrained,
        "data.root": pictures,
        "data.held_out": min(HELD_OUT, len(images) // 10),
        "quality.max_steps": steps,
        "quality.check_every": max(1, steps // 6),
    }
    fit.run("fit", flags.check([f"--{key}={value}" for key, value in given.items()]))
    export(run, trained)
    shutil.rmtree(work / "vq", ignore_errors=True)
    shutil.copytree(trained / "vqvae", work / "vq")


def lay_out(images: np.ndarray, folder: Path, *, side: int) -> None:
    """Pictures in a folder, each reduced to `side` pixels by the means of its squares."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, image in enumerate(images):
        rows.append({"file_name": f"{i:06d}.png", "text": ""})
        Image.fromarray(image).reduce(image.shape[0] // side).save(folder / rows[-1]["file_name"])
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
