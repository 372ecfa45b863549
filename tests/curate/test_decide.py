"""A copy takes the place of a picture that leaves after it: no subject is lost to a quota that a copy of it meets."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.curate import Funnel, curate
from emu.curate.decide import BACK, STAYED, TURNS, decide
from haystack import SEEN, Here, config, pixels, stored

COPIES = {"class_path": "emu.curate.stages.Duplicates", "init_args": {"distance": -1}}


def best(number: int) -> dict[str, Any]:
    return {"class_path": "emu.curate.stages.Best", "init_args": {"number": number, "by": {"mean": 1}}}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=20),
       st.integers(1, 4))  # fmt: skip
def test_of_each_subject_one_stays_at_most_and_copies_are_tried(
    tmp_path_factory: Any, pictures: list[tuple[str, int, int]], number: int
) -> None:
    names, widths, means = (list(column) for column in zip(*pictures, strict=True))
    count = len(pictures)
    path = tmp_path_factory.mktemp("decide") / "shard.parquet"
    table = {"left": pa.array([STAYED] * count, pa.int16()), "failed": [False] * count, "reason": [None] * count,
             "sha256": names, "phash": pa.array([0] * count, pa.uint64()), "layout": [b""] * count,
             "width": widths, "height": [1] * count, "mean": pa.array(means, pa.float64())}  # fmt: skip
    pq.write_table(pa.table(table), path)
    funnel = Funnel(config(SEEN, COPIES, best(number)))
    fates = decide(funnel, [path])
    copies, last = (next(i for i, step in enumerate(funnel.steps) if step.stage.name == name)
                    for name in ("duplicates", "best"))  # fmt: skip
    kept = Counter(name for name, stays in zip(names, fates.stayed.tolist(), strict=True) if stays)
    assert max(kept.values()) == 1
    assert sum(kept.values()) == min(number, len(set(names)))
    for name, size in Counter(names).items():
        of_it = fates.left[[one == name for one in names]]
        tried = int((of_it == last).sum()) + kept[name]
        assert 1 <= tried <= min(size, TURNS + 1)
        if not kept[name] and count - len(set(names)) <= TURNS:  # each turn brings a copy back at least
            assert tried == size
        assert int((of_it == copies).sum()) == size - tried
    for row in np.flatnonzero(~fates.stayed).tolist():
        assert fates.reason(row)
    assert all(fates.left[row] == copies for row in fates.twins)


def test_the_copy_that_a_quota_takes_stands_for_the_one_that_it_does_not(tmp_path: Path) -> None:
    source = tmp_path / "hay"
    source.mkdir()
    rows = [("large.png", 0, (96, 80), 1), ("small.png", 0, (48, 40), 9), ("other.png", 1, (48, 40), 5)]
    for name, seed, size, _ in rows:
        (source / name).write_bytes(stored(pixels(seed).resize(size), "PNG"))
    lines = [{"file_name": name, "text": name, "kind": "x", "likes": likes} for name, _, _, likes in rows]
    (source / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    stages = [
        {"class_path": "emu.curate.stages.Duplicates"},
        {"class_path": "emu.curate.stages.Balance", "init_args": {"most": 1, "column": "kind", "by": {"likes": 1}}},
    ]
    columns = {"columns": {"kind": "string", "likes": "int64"}}
    footer = curate(Funnel(config(SEEN, *stages, data=columns)), str(source), tmp_path / "out", engine=Here())
    found = {row["source"]: row for row in pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()}
    assert {name: (row["status"], row["stage"]) for name, row in found.items()} == {
        "large.png": ("dropped", "balance"), "small.png": ("kept", None), "other.png": ("dropped", "balance"),
    }  # fmt: skip
    assert found["large.png"]["reason"] == "2 of x, of which 1 stay; its copy, row 1, took its place"
    assert footer.notes["duplicates"] == {BACK: 1}
    assert [(one.came, one.stays) for one in footer.stages[-2:]] == [(3, 3), (3, 1)]
