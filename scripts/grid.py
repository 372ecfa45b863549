"""Before | after as one picture: a row a run, pairs of the same prompt and seed, the first pairs of each group in turn.

python scripts/grid.py runs/demo/latent runs/demo/pixel runs/demo/muse --out docs/results/demo.png
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from emu.compare.reading import read_run

SIDE, GAP, LABEL = 128, 6, 26
PAPER, INK, MUTED = (255, 255, 255), (30, 30, 36), (120, 120, 130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=4, help="a run")
    parser.add_argument("--skip", type=int, default=0, help="prompts to leave out from the first")
    options = parser.parse_args()
    width = 70 + options.pairs * (2 * SIDE + 3 * GAP)
    sheet = Image.new("RGB", (width, LABEL + len(options.runs) * (SIDE + GAP) + GAP), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for row, run in enumerate(options.runs):
        top = LABEL + row * (SIDE + GAP)
        pen.text((GAP, top + SIDE / 2 - 8), run.name, INK, font)
        pairs = read_run(run).pairs[options.skip :][: options.pairs]
        for column, pair in enumerate(pairs):
            left = 70 + column * (2 * SIDE + 3 * GAP)
            for half, (picture, word) in enumerate(((pair.before, "before"), (pair.after, "after"))):
                x = left + half * (SIDE + 2)
                with Image.open(picture) as opened:
                    sheet.paste(opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST), (x, top))
                if row == 0:
                    pen.text((x + 2, 5), word, MUTED, font)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.out, optimize=True)


if __name__ == "__main__":
    main()
