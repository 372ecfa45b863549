"""Which captions leave at the stage `Language`, by kind: names, captions in English, and in other languages.

    python benchmarks/language.py [--overlap 4 3.5 4.5] [--english PartiPrompts.tsv]

The captions are in language.txt, written for this. The limit is that of `curate/paper`. --english adds a table with a
column Prompt.
"""

import argparse
import csv
import io
from pathlib import Path

from emu.curate.picture import Picture
from emu.curate.stages import caption
from emu.curate.stages.caption import Language
from emu.data.sources import Entry

LIMIT = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--overlap", type=float, nargs="+", default=[caption.OVERLAP])
    parser.add_argument("--english", type=Path)
    options = parser.parse_args()
    kinds = captions(Path(__file__).with_suffix(".txt"))
    if options.english:
        with options.english.open(encoding="utf-8", newline="") as table:
            kinds[options.english.name] = [row["Prompt"] for row in csv.DictReader(table, delimiter="\t")]
    for overlap in options.overlap:
        caption.OVERLAP = overlap
        for kind, texts in kinds.items():
            left = [text for text in texts if wanted(text) < LIMIT]
            some = f": {', '.join(left)}" if 0 < len(left) <= 6 else ""
            print(f"divided by {overlap:g}: of {len(texts):,} {kind} {len(left)} leave{some}")


def captions(path: Path) -> dict[str, list[str]]:
    """Kind -> captions, of a file with a heading `# KIND` before those of a kind."""
    parts = (part.splitlines() for part in path.read_text(encoding="utf-8").split("# ")[1:])
    return {kind: [line for line in lines if line] for kind, *lines in parts}


def wanted(text: str) -> float:
    """How likely the stage takes a caption to be in English or a name; pixels are not looked at."""
    picture = Picture(Entry("a.png", text, io.BytesIO, {}), b"", side=0, max_pixels=1)
    return float(LANGUAGE.measure(picture)["language_wanted"])


LANGUAGE = Language()

if __name__ == "__main__":
    main()
