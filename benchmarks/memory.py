"""Peak memory of real runs: what `emu plan` says against what is measured, and shards against whole copies.

    OMP_NUM_THREADS=1 python benchmarks/memory.py layouts
    OMP_NUM_THREADS=1 python benchmarks/memory.py settings

`layouts`: a transformer of some eighty million parameters in a pipeline of the real classes (Stable Diffusion 3's) is
tuned for two steps by `emu fit`, on CPUs: alone, in two processes with whole copies, and in two with shards.
`settings`: so is a U-Net of Stable Diffusion 1.5's layers and 311 million parameters, alone, one picture at a time on
latents of 32 x 32, by each of the ways to make a run smaller. Measured is the peak of each process's resident memory,
files apart that are no weights, less that of the same run with a network that weighs nothing, which is the libraries'.
Checkpoints are written at once, but where it says otherwise: their copies in the background are host memory, which a
CPU's run counts as its own; that run goes on after its first.
"""

import argparse
import ctypes
import os
import platform
import re
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from diffusers import UNet2DConditionModel

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import pipelines
from emu import flags
from emu.class_paths import trust
from emu.cli import main as emu
from emu.planning import memory
from emu.planning.outline import Outline
from emu.training.fit import Settings
from processes import ranks
from test_layouts import DDP, FLOAT32, config

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
LAYOUTS = {
    "alone": (1, []),
    "two copies (DDP)": (2, DDP),
    "two shards (FSDP2)": (2, FLOAT32),
    "two shards, kept together": (2, [*FLOAT32, "--trainer.strategy.init_args.reshard_after_forward", "false"]),
}
SETTINGS = {
    "float32": [],
    "float32, saved in the background": ["--checkpoint.blocking", "false", "--quality.max_steps", "4"],
    "bf16-mixed": ["--trainer.precision", "bf16-mixed"],
    "gradient checkpointing": ["--model.gradient_checkpointing", "true"],
    "LoRA": ["-c", "adapters/lora"],
    "LoRA, bf16-mixed, checkpointing": [
        "-c", "adapters/lora", "--trainer.precision", "bf16-mixed", "--model.gradient_checkpointing", "true",
    ],
    "cards/24gb": ["-c", "cards/24gb", "--data.batch_size", "1"],
    "cards/16gb-lora": ["-c", "cards/16gb-lora"],
}  # fmt: skip


def anonymous() -> int:
    """Bytes of this process's resident memory that no file stands behind."""
    (kilobytes,) = re.findall(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(kilobytes)


def mapped() -> int:
    """Bytes of weights that lie in this process's memory as the file has them, as a frozen network's do."""
    parts = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    weights = [part for part in parts if ".safetensors" in part.partition("\n")[0]]
    found = [re.search(r"\nRss:\s+(\d+) kB.*\nAnonymous:\s+(\d+) kB", part, re.DOTALL) for part in weights]
    return 1024 * sum(int(one[1]) - int(one[2]) for one in found if one)  # what trains is written: `anonymous` has it


def watched(peak: list[int]) -> None:
    """Look every few milliseconds, for ever."""
    while True:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.003)


def measured(argv: list[str], out: Path) -> None:
    """Run `emu ARGV`; the growth of this process at its peak goes to `out`.RANK, with mapped weights in a lone one."""
    torch.set_num_threads(1)
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)  # what is let go of goes back to the kernel at once
    before, peak = anonymous(), [0]
    threading.Thread(target=watched, args=(peak,), daemon=True).start()
    emu(argv)
    alone = os.environ["WORLD_SIZE"] == "1"  # shards are not in the files, whose pages the system takes back
    Path(f"{out}.{os.environ['RANK']}").write_text(str(peak[0] - before + alone * mapped()))


def transformer(root: Path) -> tuple[Path, Path]:
    """The config of a run over a larger transformer, and of one over the tests' own."""
    pipeline = pipelines.build("flow")
    settings = {**pipeline.transformer.config, "num_layers": 12, "num_attention_heads": 8, "attention_head_dim": 64}
    settings["caption_projection_dim"] = 512
    pipeline.register_modules(transformer=type(pipeline.transformer).from_config(settings))
    return written(root, "flow", pipeline, batch=4)


def unet(root: Path) -> tuple[Path, Path]:
    """The config of a run over a U-Net as Stable Diffusion 1.5's, 0.6 times as wide, and of one over the tests' own."""
    pipeline = pipelines.build("latent")
    wide = UNet2DConditionModel(
        sample_size=32, block_out_channels=(192, 384, 768, 768), attention_head_dim=8,
        cross_attention_dim=pipelines.WIDTH,
    )  # fmt: skip
    pipeline.register_modules(unet=wide)
    data = {"resolution": 64, "aspect_ratios": False, "held_out": 0, "num_prompts": 2}
    return written(root, "latent", pipeline, batch=2, data=data)


def written(root: Path, name: str, large: Any, *, batch: int, data: dict[str, Any] | None = None) -> tuple[Path, Path]:
    """Configs of two steps of `batch` pictures, one at a time, over the large pipeline and the tests' own."""
    found = []
    for size, pipeline in (("large", large), ("nothing", pipelines.build(name))):
        home = root / size
        home.mkdir()
        pipeline.save_pretrained(home / "pipeline")
        path = config(home, name, home / "pipeline")
        document = yaml.safe_load(path.read_text())
        document["model"]["init_args"]["optimizer"] = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-5}}
        document["data"] |= {"batch_size": 1, **(data or {})}
        document["quality"] |= {"max_steps": 2, "check_every": 2, "batch": batch}
        document["checkpoint"] = {"blocking": True}
        path.write_text(yaml.safe_dump(document))
        found.append(path)
    return found[0], found[1]


def planned(argv: list[str]) -> int:
    """Bytes on one device, as `emu plan` has them."""
    settings = Settings(flags.check(argv), command="plan")
    settings.datamodule.setup("fit")
    of = memory.whole(Outline(settings.model), settings)
    return memory.share(of, settings.config, among=memory.shards(settings.config)).total


def peak(root: Path, argv: list[str], world: int = 1) -> int:
    """Bytes of `emu fit ARGV`, of the process that takes most."""
    out = ["--trainer.default_root_dir", str(root / "run")]
    codes = ranks(world, measured, ["fit", *argv, *out], root / "peak", log=root / "log", timeout=1800)
    assert codes == [0] * world, (root / "log.0").read_text()[-3000:]
    shutil.rmtree(root / "run")
    return max(int((root / f"peak.{rank}").read_text()) for rank in range(world))


def compared(root: Path, made: tuple[Path, Path], name: str, args: list[str], world: int = 1) -> int:
    """Print a row: bytes of a process as planned, and as measured, which are returned."""
    argv, nothing = (["-c", str(path), *args, "--trainer.devices", str(world)] for path in made)
    foretold, found = planned(argv), peak(root, argv, world) - peak(root, nothing, world)
    print(f"| {name} | {foretold / 1e6:,.0f} | {found / 1e6:,.0f} | {foretold / found:.2f} |", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("layouts", "settings"))
    parser.add_argument("--only", nargs="+", help="of the rows")
    given = parser.parse_args()
    trust.take_over(["lamp"])  # the judge of the tests
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}\n")
    print("| | planned, MB a process | measured | planned / measured |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if given.what == "settings":
            made = unet(root)
            for name, args in SETTINGS.items():
                if not given.only or name in given.only:
                    compared(root, made, name, args)
            return
        made = transformer(root)
        peaks = {
            name: compared(root, made, name, args, world)
            for name, (world, args) in LAYOUTS.items()
            if not given.only or name in given.only
        }
    copies, *shards = (peak for name, peak in peaks.items() if name.startswith("two"))
    shares = " and ".join(f"{peak / copies:.0%}" for peak in shards)
    print(f"\nA process with shards takes {shares} of one with a whole copy.")


if __name__ == "__main__":
    main()
