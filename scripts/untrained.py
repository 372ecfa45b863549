"""What `emu new` makes of the demo's configs: text encoders that read, and untrained pipelines around trained parts."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from emu.bundled import resolve
from emu.untrained import new
from emu.untrained.build import component
from emu.untrained.plan import Plan, read

CONFIGS = Path(__file__).parent.parent / "configs/new"
ARCHITECTURES = ("latent", "pixel", "muse")
READERS = {"clip": "muse", "t5": "pixel"}  # a part that reads -> the architecture whose config says its size
PARTS = {  # component -> the part, a folder of those that were trained before
    "latent": {"tokenizer": "clip", "text_encoder": "clip", "vae": "vae"},
    "pixel": {"tokenizer": "t5", "text_encoder": "t5"},
    "muse": {"tokenizer": "clip", "text_encoder": "clip", "vqvae": "vq"},
}


def plan(name: str) -> Plan:
    """The architecture, the side of its pictures and its components, as configs/new has them."""
    return read(CONFIGS / f"{name}-tiny.yaml")


def make(name: str, out: Path, captions: list[str], *, steps: int = 0, **changed: Any) -> str:
    """`emu new` in place of what `out` held, some components of the config `changed`; says what it wrote."""
    document = yaml.safe_load((CONFIGS / f"{name}-tiny.yaml").read_text())
    document["components"] |= changed
    config = out.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(document))
    shutil.rmtree(out, ignore_errors=True)
    return new(config, out, captions=captions, learn_steps=steps)


def teach_readers(work: Path, captions: list[str], *, steps: int = 600, vocabulary: int = 512) -> None:
    """WORK/clip and WORK/t5: tokenizers and text encoders that read `captions`."""
    length = plan("muse").components["tokenizer"]["max_length"]
    tokenizers = {"clip": {"vocab_size": vocabulary, "max_length": length}, "t5": {}}
    for part, name in READERS.items():
        print(make(name, work / part, captions, steps=steps, tokenizer=tokenizers[part]), flush=True)


def assemble(name: str, work: Path, backbone: str | None = None) -> Path:
    """A pipeline folder around the parts in `work`, its backbone untrained or that of the pipeline `backbone`."""
    parts = {which: str(work / part) for which, part in PARTS[name].items()}
    given = {plan(name).architecture.slot: resolve(backbone)} if backbone else {}
    make(name, folder := work / f"{name}-untrained", [], **parts, **given)
    return folder


def untrained_autoencoder() -> Any:
    """Of the shape that the latent diffusion takes."""
    return component(plan("latent"), "vae", {})
