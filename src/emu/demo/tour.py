"""`emu demo`: one curated set quality-tunes three architectures, and a page shows before | after.

The set is drawn by the simulated web; everything after that is what a user runs on pictures of their own: `emu encode`,
`emu fit` with the config of each architecture, `emu compare`. A second call goes on where the first one stopped.
"""

import time
from pathlib import Path

from emu.errors import UserError
from emu.layouts.quality_json import read_quality
from emu.storage import files
from emu.storage.records import read_json
from emu.study.processes import Job, Runner, require_all
from emu.study.sets import draw_prompts, draw_set

ARCHITECTURES = ("latent", "pixel", "muse")


def main(out: Path, *, quick: bool = False) -> None:
    """Writes OUT/needles, a run folder an architecture, OUT/report.html and OUT/verdict.json; prints the table.

    `quick` draws fewer needles and prompts and takes fewer steps: it shows that everything works, not how good it gets.
    """
    begun = time.monotonic()
    needles, prompts, steps = (128, 24, 4) if quick else (2000, 240, 0)
    _refuse_another(out, {"needles": needles, "prompts": prompts, "steps": steps})
    draw_set(out / "needles", {"needles": needles})
    draw_prompts(out / "prompts.jsonl", prompts)
    tune(out, steps)
    from emu.compare import Against, compare
    from emu.judges.photo_rules import PhotoRules
    from emu.judges.world import WorldAppeal, WorldFaithfulness

    table = compare(
        [out / name for name in ARCHITECTURES],
        out=out / "report.html",
        appeal=[WorldAppeal(), PhotoRules()],  # the first has scored while tuning; the second is of another family
        faithfulness=WorldFaithfulness(),
        against=Against(attributes=WorldFaithfulness()),
    )
    took = time.monotonic() - begun
    print(f"\n{table}\n\n{out / 'report.html'}: before | after, for any browser ({took:.0f} s)")


def tune(out: Path, steps: int) -> None:
    """Encodes and tunes every architecture that is not done yet, all at the same time.

    Each is a process of its own with its share of the threads: tiny layers gain nothing from many threads, and lose
    much where cores are busy. What each says goes to OUT/logs.
    """
    waiting = [name for name in ARCHITECTURES if not read_quality(out / name).stop_reason]
    jobs = [Job(name, "encode+fit", _flags(name, out, steps), run=out / name) for name in waiting]
    require_all(Runner(out / "logs", at_once=max(1, len(waiting))).run(jobs))


def _flags(name: str, out: Path, steps: int) -> list[str]:
    flags = ["-c", f"{name}/tiny", f"--data.root={out / 'needles'}", f"--data.prompts={out / 'prompts.jsonl'}"]
    flags += [f"--data.cache={out / 'cache' / name}", f"--trainer.default_root_dir={out / name}"]
    return flags + ([f"--quality.max_steps={steps}", f"--quality.check_every={steps // 2}"] if steps else [])


def _refuse_another(out: Path, asked: dict[str, int]) -> None:
    """A folder holds one tour: pictures of two sizes of it would not compare."""
    path = out / "demo.json"
    if path.exists() and read_json(path, dict[str, int], remedy="remove it") != asked:
        raise UserError(f"--out {out}: holds a demo of another size; name another folder, or remove this one")
    files.write_json(path, asked)
