"""Which cards hold which config: the planned memory of each, as it stands and with what makes it smaller.

    OMP_NUM_THREADS=1 python benchmarks/cards.py [latent/sdxl ...] [--on-16gb]

Planned is by `emu.planning.memory`, of the networks of described.yaml at their published sizes, pictures of the
config's resolution, captions that fill all tokens, and drawing at checks; nothing is read from a cache. A cell has
GB and, in brackets, the smallest card that holds them. With --on-16gb the columns are those of an adapter on a
base in 4 bits, without a cache and with one.
"""

import argparse
import json
import tempfile
from pathlib import Path

import yaml
from described import CONFIGS, NAMES, describe
from PIL import Image

from emu import flags
from emu.errors import first_line
from emu.planning import cards
from emu.planning.memory import DRAWING, ENCODING, share, whole
from emu.planning.outline import Outline
from emu.training.fit import Settings

LAYERS = {
    "full": [],
    "-c cards/24gb": ["-c", "cards/24gb"],
    "-c adapters/lora": ["-c", "adapters/lora"],
    "-c adapters/lora -c cards/24gb": ["-c", "adapters/lora", "-c", "cards/24gb"],
}
ON_16GB = {
    "-c cards/16gb-lora": ["-c", "cards/16gb-lora"],
    "-c cards/16gb-lora --data.cache CACHE": ["-c", "cards/16gb-lora", "--data.cache", "cache"],
}


def one_picture(root: Path, side: int) -> Path:
    """A set of one square picture."""
    folder = root / f"needles-{side}"
    if not folder.exists():
        folder.mkdir()
        Image.new("RGB", (side, side)).save(folder / "0.png")
        (folder / "0.txt").write_text("a grey square")
    return folder


def starting(folder: Path) -> Path:
    """A file of one prompt that starts from the set's picture."""
    file = folder.with_suffix(".jsonl")
    file.write_text(json.dumps({"prompt": "a grey square", "image": str(folder / "0.png")}))
    return file


def row(name: str, root: Path, layers: dict[str, list[str]]) -> tuple[str, list[str]]:
    """Parameters that train, and a cell a layer."""
    base = describe(name, root / name)
    data = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["data"]
    folder = str(one_picture(root, data["resolution"]))
    given = ["--data.root", folder, "--model.pretrained", str(base)]
    if not data["prompts"].startswith("emu://"):  # which start from pictures
        given += ["--data.prompts", str(starting(Path(folder)))]
    trained, cells = "", list[str]()
    known: dict[str, dict[str, int]] = {}
    for layer, words in layers.items():
        settings = Settings(flags.check(["-c", name, *words, *given]), command="plan")
        settings.datamodule.setup("fit")
        outline = Outline(settings.model)
        trained = trained or f"{outline.trained() / 1e6:,.0f} M"  # of the full tune
        of = whole(outline, settings, known=known.get(layer.replace("-c adapters/lora", "").strip() or "full"))
        known[layer] = {kind: of.work[kind] for kind in (ENCODING, DRAWING) if kind in of.work}  # an adapter's are too
        held = share(of, settings.config, among=1)
        fitting = cards.holding(held.total)
        missing = "".join(f"; without {kind}: {reason}" for kind, reason in held.uncounted.items())
        cells.append(f"{held.total / 1e9:.1f} ({fitting[0] if fitting else 'none'}{missing})")
    return trained, cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--on-16gb", action="store_true")
    given = parser.parse_args()
    layers = ON_16GB if given.on_16gb else LAYERS
    print(f"| config | trains | {' | '.join(layers)} |\n|---|---|{'---|' * len(layers)}")
    with tempfile.TemporaryDirectory() as root:
        for name in given.names:
            try:
                trained, cells = row(name, Path(root), layers)
            except Exception as error:  # one config must not keep the others from being counted
                trained, cells = "", [f"{type(error).__name__}: {first_line(error)}"]
            print(f"| {name} | {trained} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
