"""The measures of emu's cheap stages as plain jobs of other engines, for `benchmarks/curate.py speed`.

    python curate_others.py datasets SRC OUT     # Hugging Face datasets, map(num_proc=2)
    python curate_others.py ray SRC OUT          # Ray Data, 2 CPUs
    python curate_others.py plain SRC OUT        # datasets again

The first two call the very code that measures in emu; what differs is everything around it. `plain` is such a job as
one writes it: the same columns from the same formulas, with Pillow, NumPy, SciPy and imagehash (`curate_plain.py`).
"""

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from emu.curate.picture import Picture
from emu.curate.stages import Duplicates, Readable, Shape, Technical
from emu.data.pictures import BadPicture
from emu.data.sources import Entry

COLUMNS = ["sha256", "bytes", "format", "width", "height", "animated", "short_side", "aspect", "blur", "noise",
           "blocks", "dark", "clipped", "contrast", "colour", "phash", "layout"]  # fmt: skip


@cache
def stages() -> list[Any]:
    return [Readable(), Shape(), Technical(), Duplicates(distance=4)]


def measured(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {**dict.fromkeys(COLUMNS), "reason": None}
    try:
        content = Path(row["path"]).read_bytes()
        picture = Picture(Entry(row["path"], row["text"], Path(row["path"]).open, {}), content, side=0,
                          max_pixels=40_000_000)  # fmt: skip
        for stage in stages():
            found |= stage.measure(picture)
    except (BadPicture, OSError) as error:
        found["reason"] = str(error)
    found["phash"] = str(found["phash"])  # neither takes an unsigned number of 64 bits where others are null
    return {**row, **found}


def rows(source: Path) -> list[dict[str, Any]]:
    told = map(json.loads, (source / "metadata.jsonl").read_text().splitlines())
    return [{"path": str(source / one["file_name"]), "text": one["text"]} for one in told]


def with_datasets(source: Path, out: Path, measure: Callable[[dict[str, Any]], dict[str, Any]] = measured) -> None:
    import datasets

    datasets.disable_progress_bars()
    found = datasets.Dataset.from_list(rows(source)).map(measure, num_proc=2)
    found.to_parquet(str(out / "measured.parquet"))


def with_ray(source: Path, out: Path) -> None:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    ray.data.from_items(rows(source), override_num_blocks=16).map(measured).write_parquet(str(out / "measured"))


def plain(source: Path, out: Path) -> None:
    from curate_plain import measured

    with_datasets(source, out, measured)


if __name__ == "__main__":
    # Workers look for what they run in a module, not in a script.
    from curate_others import plain, with_datasets, with_ray

    jobs = {"datasets": with_datasets, "ray": with_ray, "plain": plain}
    jobs[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
