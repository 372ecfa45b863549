"""`emu demo`: one curated set quality-tunes three architectures, and a page shows before | after.

The set is drawn by the simulated web; everything after that is what a user runs on pictures of their own: `emu encode`,
`emu fit` with the config of each architecture, `emu compare`. A second call goes on where the first one stopped.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from tqdm import tqdm

from emu import files
from emu.errors import UserError
from emu.records import read_json
from emu.runs import read_quality
from emu.world import World

ARCHITECTURES = ("latent", "pixel", "muse")
LONGEST_FIRST = ("pixel", "latent", "muse")
NEEDLES_SEED, PROMPTS_SEED = 10, 11  # the bases saw World(0); the judges learned from World(2)


def main(out: Path, *, quick: bool = False) -> None:
    """Writes OUT/needles, a run folder an architecture, OUT/report.html and OUT/verdict.json; prints the table.

    `quick` draws fewer needles and prompts and takes fewer steps: it shows that everything works, not how good it gets.
    """
    begun = time.monotonic()
    needles, prompts, steps = (128, 24, 4) if quick else (2000, 240, 0)
    _refuse_another(out, {"needles": needles, "prompts": prompts, "steps": steps})
    draw_needles(out / "needles", needles)
    draw_prompts(out / "prompts.jsonl", prompts)
    tune(out, steps)
    from emu.compare import compare
    from emu.demo import attributes
    from emu.judges.photo_rules import PhotoRules
    from emu.judges.world import WorldAppeal, WorldFaithfulness

    runs = [out / name for name in ARCHITECTURES]
    appeal = [WorldAppeal(), PhotoRules()]  # the first has scored while tuning; the second is of another family
    table = compare(runs, out=out / "report.html", appeal=appeal, faithfulness=WorldFaithfulness())
    took = time.monotonic() - begun
    print(f"\n{table}\n\n{attributes.table(runs)}")
    print(f"\n{out / 'report.html'}: before | after, for any browser ({took:.0f} s)")


def draw_needles(folder: Path, number: int) -> None:
    """A curated set as `emu fit` takes it: pictures, and a metadata.jsonl written last, which marks it complete."""
    if (folder / "metadata.jsonl").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    world, rows = World(NEEDLES_SEED), []
    for i in tqdm(range(number), desc="needles", unit="picture"):
        scene = world.needle(i)
        scene.render().save(folder / f"{i:05d}.png")
        rows.append({"file_name": f"{i:05d}.png", "text": scene.caption})
    files.write_lines(folder / "metadata.jsonl", rows)


def draw_prompts(path: Path, number: int) -> None:
    """Prompts with their group: a quarter is of kinds that no needle shows."""
    files.write_lines(path, World(PROMPTS_SEED).prompts(number, unseen=number // 4))


def tune(out: Path, steps: int) -> None:
    """Encodes and tunes every architecture that is not done yet, as many at a time as there are cores for.

    Each is a process of its own with its share of the threads: tiny layers gain nothing from many threads, and lose
    much where cores are busy. What each says goes to OUT/NAME.log, and its last words to the terminal.
    """
    waiting = [name for name in LONGEST_FIRST if not read_quality(out / name).get("stop_reason")]
    cores = os.cpu_count() or 1
    at_once = max(1, min(len(waiting), cores))
    with ThreadPoolExecutor(at_once) as pool:
        jobs = {name: pool.submit(_tune, name, out, steps, max(1, cores // at_once)) for name in waiting}
        _show(out, jobs)
    for job in jobs.values():
        job.result()


def _tune(name: str, out: Path, steps: int, threads: int) -> None:
    run = out / name
    given = ["-c", f"{name}/tiny", "--data.root", str(out / "needles"), "--data.prompts", str(out / "prompts.jsonl")]
    given += ["--data.cache", str(out / "cache" / name), "--trainer.default_root_dir", str(run)]
    if steps:
        given += ["--quality.max_steps", str(steps), "--quality.check_every", str(steps // 2)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TRANSFORMERS_VERBOSITY": "error"}
    log = out / f"{name}.log"
    with log.open("w") as output:
        for command in ("encode", "fit"):
            argv = [sys.executable, "-m", "emu", command, *given]
            done = subprocess.run(argv, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
            if done.returncode:
                raise UserError(f"{name}: emu {command} failed; {log} says why: {_last_words(log)}")


def _show(out: Path, jobs: dict[str, Future[None]]) -> None:
    """The last words of every process until all have ended."""
    lines = {name: tqdm(bar_format="{desc}", position=i) for i, name in enumerate(jobs)}
    pause = 0.5 if sys.stderr.isatty() else 10
    while wait(jobs.values(), timeout=pause).not_done:
        for name, line in lines.items():
            line.set_description_str(f"{name:7}{_last_words(out / f'{name}.log')}")
    for line in lines.values():
        line.close()


def _last_words(log: Path) -> str:
    text = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    spoken = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return spoken[-1][:110] if spoken else "waiting"


def _refuse_another(out: Path, asked: dict[str, int]) -> None:
    """A folder holds one tour: pictures of two sizes of it would not compare."""
    path = out / "demo.json"
    if path.exists() and read_json(path, dict[str, int], remedy="remove it") != asked:
        raise UserError(f"--out {out}: holds a demo of another size; name another folder, or remove this one")
    out.mkdir(parents=True, exist_ok=True)
    files.write_json(path, asked)
