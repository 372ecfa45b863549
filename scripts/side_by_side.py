"""Folders of drawn pictures beside each other: a row a prompt, a column a folder, prompts evenly from the file.

    S=runs/studies/overfit-latent
    python scripts/side_by_side.py $S/30-0/step-000000 $S/30-0/step-000384 $S/2000-0/step-000384 \
        --titles "before tuning" "30 needles, step 384" "2,000 needles, step 384" --out docs/results/overfit.png

A prompt that was drawn with several seeds has them side by side.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from emu.layouts import runs

SIDE, GAP, APART, HEAD, FOOT = 96, 2, 22, 22, 20
PAPER, INK, MUTED = (255, 255, 255), (30, 30, 36), (90, 90, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--titles", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=6)
    options = parser.parse_args()
    if len(options.titles) != len(options.folders):
        parser.error("as many --titles as folders")
    drawn = [of_prompts(folder) for folder in options.folders]
    names = list(drawn[0])
    names = names[:: max(1, len(names) // options.prompts)][: options.prompts]
    seeds = max(len(drawn[0][name]) for name in names)
    column, row = seeds * (SIDE + GAP) + APART, SIDE + FOOT
    sheet = Image.new("RGB", (len(drawn) * column - APART, HEAD + len(names) * row), PAPER)
    pen, font, small = ImageDraw.Draw(sheet), ImageFont.load_default(13), ImageFont.load_default(12)
    for number, (pictures, title) in enumerate(zip(drawn, options.titles, strict=True)):
        pen.text((number * column, 2), title, INK, font)
        for line, name in enumerate(names):
            top = HEAD + line * row
            if number == 0:
                pen.text((0, top + SIDE + 2), name, MUTED, small)
            for place, path in enumerate(pictures[name]):
                with Image.open(path) as opened:
                    large = opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)
                sheet.paste(large, (number * column + place * (SIDE + GAP), top))
    sheet.save(options.out, optimize=True)


def of_prompts(folder: Path) -> dict[str, list[Path]]:
    """The pictures of each prompt, in the order of the file."""
    found: dict[str, list[Path]] = {}
    for sample in runs.read_samples(folder):
        found.setdefault(sample["prompt"], []).append(folder / sample["file"])
    return found


if __name__ == "__main__":
    main()
