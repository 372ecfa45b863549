"""A review.json as `emu review --results` writes it, for a folder and decisions that a test names."""

import json
from pathlib import Path
from typing import Any


def review(folder: Path, decided: dict[str, bool], **more: Any) -> dict[str, Any]:
    """Writes it: one pass, one rater; pictures that are not `decided` are there without a vote."""
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    pictures = []
    for row in map(json.loads, lines):
        file, votes, kept = row["file_name"], {}, decided.get(row["file_name"], True)
        if file in decided:
            votes = {"generalists": {"keep": int(kept), "reject": int(not kept)}}
        left = None if kept else "generalists"
        pictures.append({"file": file, "votes": votes, "kept": kept, "left": left, "text": row["text"],
                         "caption_source": "human"})  # fmt: skip
    kept = sum(decided.values())
    told = {
        "passes": [{"name": "generalists", "page": "grid", "rule": "A picture stays where more keep than reject.",
                    "pictures": len(decided), "kept": kept, "votes": len(decided), "raters": 1, "alpha": None,
                    "began": "2026-01-02T10:00:00+00:00", "ended": None, "reasons": {"blurred": 2}}],
        "raters": [{"rater": 1, "pass": "generalists", "looked": len(decided), "kept": kept, "seconds": 1.25}],
        "guideline": {"sha256": "0123abcd", "text": "Is it sharp?"},
        "pictures": pictures,
        **more,
    }  # fmt: skip
    (folder / "review.json").write_text(json.dumps(told))
    return told
