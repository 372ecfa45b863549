"""Before | after as one picture: a row a run, a pair of columns a prompt, the prompts taken evenly from the file.

python scripts/grid.py runs/demo/latent runs/demo/pixel runs/demo/muse --out docs/results/demo.png
"""

import argparse
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from emu.compare.reading import read_run

SIDE, GAP, LEFT, HEAD = 128, 6, 70, 58
PAIR = 2 * SIDE + 3 * GAP
PAPER, INK, MUTED = (255, 255, 255), (30, 30, 36), (120, 120, 130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=4, help="a run")
    options = parser.parse_args()
    sheet = Image.new("RGB", (LEFT + options.pairs * PAIR, HEAD + len(options.runs) * (SIDE + GAP)), PAPER)
    pen, font, small = ImageDraw.Draw(sheet), ImageFont.load_default(15), ImageFont.load_default(13)
    for row, run in enumerate(options.runs):
        top = HEAD + row * (SIDE + GAP)
        pen.text((GAP, top + SIDE / 2 - 8), run.name, INK, font)
        drawn = read_run(run).pairs
        pairs = drawn[:: max(1, len(drawn) // options.pairs)][: options.pairs]
        for column, pair in enumerate(pairs):
            left = LEFT + column * PAIR
            if row == 0:
                caption = textwrap.shorten(pair.prompt, 44, placeholder=" ...")
                pen.text((left + 2, 8), caption, INK, small)
            for half, (picture, word) in enumerate(((pair.before, "before"), (pair.after, "after"))):
                x = left + half * (SIDE + 2)
                with Image.open(picture) as opened:
                    sheet.paste(opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST), (x, top))
                if row == 0:
                    pen.text((x + 2, 32), word, MUTED, font)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.out, optimize=True)


if __name__ == "__main__":
    main()
