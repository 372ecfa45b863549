"""`emu sample`: prompts -> a folder of pictures, with any pipeline folder or checkpoint.

    emu sample runs/sdxl/best.ckpt PartiPrompts.tsv pictures --limit 200
    emu sample stabilityai/stable-diffusion-xl-base-1.0 PartiPrompts.tsv pictures --lora my-style.safetensors
    torchrun --nproc-per-node 8 -m emu sample runs/sdxl PartiPrompts.tsv pictures    # the devices share the prompts

The folder is like a step's folder of a run: `emu compare` reads it. A second call draws only what is missing.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from emu.batch import Prompts, Sampler
from emu.data.prompts import load_prompts, prompt_batches, sample_row
from emu.drawn import black, to_pixels
from emu.errors import UserError
from emu.layouts import runs
from emu.loras.file import LoRAFile
from emu.models.loading import find_checkpoint, load_model
from emu.module import TextToImageModule
from emu.module.settings import draw, drawn_with
from emu.storage import locks
from emu.storage.files import sweep
from emu.storage.shapes import Row
from emu.terminal.bars import Bar
from emu.terminal.counted import many

PLANNED = ".planned"  # a folder inside: its samples.jsonl says what an interrupted call was drawing
STAGE = re.compile(r"stage-\d+")  # folders inside: what the stages of a cascade before the last one drew


@dataclass(frozen=True)
class Plan:
    """What is drawn: the rows of `load_prompts`, the file that they are from, and how many are drawn at a time.

    A picture does not depend on `batch_size`, but for its last bits.
    """

    rows: list[Row]
    prompts: Path
    batch_size: int = 16

    @classmethod
    def read(cls, prompts: Path, *, limit: int = 0, seed: int = 0, batch_size: int = 16) -> "Plan":
        """Of a prompt file `limit` prompts, spread evenly over it (0: all), seeded from `seed` on, one more each."""
        if batch_size < 1:
            raise UserError(f"--batch-size {batch_size}: give 1 or more")
        return cls(load_prompts(prompts, limit=limit, seed=seed), prompts, batch_size)


@dataclass(frozen=True)
class Stage:
    """A model that draws, with what it draws by.

    Args:
        model: a pipeline folder, a hub name, a .safetensors file, or a checkpoint of a run.
        sampler: keyword arguments of the pipeline over the model's own; a prompt's own settings come over both.
        loras: files of LoRAs to draw with, FILE or FILE:STRENGTH, as `load_model` takes them.
        architecture: the class of a pipeline folder that no run made, as "my_models.Mine".
        config, vae: what a single file is, and another autoencoder (`emu.single_files`).
    """

    model: str
    sampler: Sampler = field(default_factory=dict)
    loras: Sequence[str] = ()
    architecture: str | None = None
    config: str | None = None
    vae: str | None = None

    def load(self) -> TextToImageModule:
        """UserError: none there, or settings that it does not know."""
        drawer = load_model(
            self.model, architecture=self.architecture, config=self.config, vae=self.vae, loras=self.loras
        )
        drawer.sampler = {**drawer.sampler, **self.sampler}
        drawer.check_sampler()
        if drawer.base_dtype is not None and locks.first_process():
            Bar.write(f"{self.model}: drawn on its base in {drawer.base_dtype}, as in training; an export is not")
        return drawer

    @property
    def name(self) -> str:
        """The model's `identity`, and that of each LoRA."""
        return " with ".join([identity(self.model), *map(merged, self.loras)])


@torch.no_grad()
def draw_rows(drawer: TextToImageModule, plan: Plan, out: Path, rows: list[Row]) -> None:
    """Draw what is missing of `rows`; the processes of torchrun share the prompts, and the first keeps the folder."""
    with together() as (rank, world, local), locks.alone(out, "emu sample") if rank == 0 else nullcontext():
        found: list[Any] = [claim(out, rows) if rank == 0 else None]
        if world > 1:
            torch.distributed.broadcast_object_list(found)
        batches = prompt_batches(plan.rows, batch_size=plan.batch_size, rank=rank, world=world)
        draw_missing(drawer, batches, out, missing=found[0], local=local)
        if world > 1:
            torch.distributed.barrier()
        if rank == 0:
            runs.write_samples(out, rows)
            discard(out / PLANNED)


@contextmanager
def together() -> Iterator[tuple[int, int, int]]:
    """The rank of this process of torchrun's, how many there are, and its rank here; inside they know each other."""
    rank, world, local = (int(os.environ.get(name, default)) for name, default in runs.PROCESS.items())
    if world == 1 or torch.distributed.is_initialized():
        yield rank, world, local
        return
    torch.distributed.init_process_group("gloo")  # to wait for each other; nothing else travels
    yield rank, world, local
    torch.distributed.destroy_process_group()


def describe(drawer: TextToImageModule, planned: list[Row], *, model: str) -> list[Row]:
    """The rows of `samples.jsonl`, in the order of the prompts."""
    batches = prompt_batches(planned, batch_size=len(planned), rank=0, world=1)
    rows = [
        {**sample_row(batch, i, sampler=drawn_with(drawer, batch.get("settings", {}))), "model": model}
        for batch in batches
        for i in range(len(batch["prompt"]))
    ]
    return sorted(rows, key=lambda row: int(row["index"]))


def identity(model: str) -> str:
    """The model's name and, where it is a file, when that was written: `best.ckpt` is another model an hour later."""
    path = Path(model)
    if not path.exists():
        return model
    if (path / runs.CONFIG).is_file():
        path = find_checkpoint(path)
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return f"{path} of {written.isoformat(timespec='seconds')}"


def merged(given: str) -> str:
    """The name of a LoRA that is drawn with, as `identity`, and its strength where that is another than 1."""
    lora = LoRAFile(given)
    return identity(str(lora.path)) + f" at {lora.strength:g}" * (lora.strength != 1)


def claim(out: Path, rows: list[Row]) -> set[str]:
    """The files still to draw; pictures that an earlier call drew otherwise are removed."""
    for folder in (out, out / PLANNED):
        sweep(folder)
    require_ours(out)
    recorded = [folder for folder in (out, out / PLANNED) if (folder / runs.SAMPLES).exists()]
    known = {row["file"]: row for folder in recorded for row in runs.read_samples(folder)}
    wanted = {row["file"]: row for row in rows}
    gone = [file for file, row in known.items() if wanted.get(file) != row and (out / file).exists()]
    if gone:
        Bar.write(f"{out}: removes {many(len(gone), 'picture')} {_drawn_otherwise(known, wanted, gone)}")
    for file in gone:
        (out / file).unlink(missing_ok=True)
    runs.write_samples(out / PLANNED, rows)
    (out / runs.SAMPLES).unlink(missing_ok=True)
    (out / runs.SCORES).unlink(missing_ok=True)
    return {row["file"] for row in rows if not (out / row["file"]).exists()}


def _drawn_otherwise(known: Mapping[str, Row], wanted: Mapping[str, Row], gone: Sequence[str]) -> str:
    """What tells them from those that are wanted, in words."""
    pairs = [(known[file], wanted[file]) for file in gone if file in wanted]
    keys = dict.fromkeys(key for old, new in pairs for key in (*new, *old) if old.get(key) != new.get(key))
    return f"of another {', '.join(keys)}" if keys else "that are not asked for any more"


def require_ours(out: Path) -> None:
    """UserError where the folder holds what no call drew, as the steps of a run do."""
    recorded = [folder for folder in (out, out / PLANNED) if (folder / runs.SAMPLES).exists()]
    if any("model" not in row for folder in recorded for row in runs.read_samples(folder)):
        raise UserError(f"{out}: holds pictures that a run drew; name another folder")
    if recorded or not out.exists():
        return
    if any(one.name not in (PLANNED, locks.NAME) and not STAGE.fullmatch(one.name) for one in out.iterdir()):
        raise UserError(f"{out}: holds files that `emu sample` did not draw; name another folder")


def draw_missing(
    model: TextToImageModule, batches: list[Prompts], out: Path, *, missing: set[str], local: int = 0
) -> None:
    """One PNG for each file that is missing, written as soon as it is drawn, on device `local` of this machine.

    A batch is drawn whole though some of it be there already: its size may change the last bits of a picture, and a
    call that goes on should leave what one without a break leaves.
    """
    named = [([runs.picture_name(int(index)) for index in batch["index"]], batch) for batch in batches]
    wanted = [(files, batch) for files, batch in named if missing & set(files)]
    if wanted:
        model.to(torch.device("cuda", local) if torch.cuda.is_available() else "cpu")
    with Bar(total=sum(len(files) for files, _ in wanted), unit="picture", disable=local > 0 or not wanted) as bar:
        for files, batch in wanted:
            pixels = to_pixels(draw(model, batch), batch["prompt"])
            for file, dark in zip(files, black(pixels), strict=True):
                if dark and file in missing:
                    Bar.write(f"warning: {out / file} is black all over, and counts in no comparison")
            for file, picture in zip(files, pixels.permute(0, 2, 3, 1).cpu().numpy(), strict=True):
                if file in missing:
                    runs.save_picture(out / file, picture)
            bar.update(len(files))


def discard(folder: Path) -> None:
    """Removes the folder that says what was planned."""
    (folder / runs.SAMPLES).unlink(missing_ok=True)
    folder.rmdir()
