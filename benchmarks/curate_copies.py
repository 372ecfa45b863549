"""Of two copies of a photograph, whether the original is told from what was scaled from it, by kernel and scale.

    python benchmarks/curate_copies.py [--work FOLDER] [--every 6]

SOFTENED of `emu.curate.stages.detail` was set on the photographs with even numbers.
"""

import argparse
import io
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from real_faults import opened, stored
from real_pictures import pictures

from emu.curate.stages import detail
from emu.curate.stages.detail import is_scaled_up

SCALE = Image.Resampling
KERNELS = (SCALE.BILINEAR, SCALE.BICUBIC, SCALE.LANCZOS, SCALE.NEAREST)
TIMES = (0.5, 0.7, 1.1, 1.25, 1.5, 2)
MOST = 1_500_000  # pixels of an original: larger ones are halved, which costs less and changes nothing


def spectrum(image: Image.Image) -> bytes:
    return detail.spectrum(np.asarray(image.convert("L")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "emu-curate-real")
    parser.add_argument("--every", type=int, default=6, help="every so many-th photograph of each half")
    given = parser.parse_args()
    photographs = [one.path for one in pictures(given.work / "packages") if one.kind == "photograph"]
    right = defaultdict[tuple[float, str, int], list[bool]](list)
    for half in (0, 1):
        for path in photographs[half :: 2 * (given.every // 2)]:
            original = halved(opened(path))
            mine = spectrum(original)
            for times in TIMES:
                for name, copy in copies(original, times).items():
                    right[times, name, half].append(is_right(original, mine, copy))
    print("| copy | even half | odd half |\n|---|---|---|")
    for times, name in dict.fromkeys((times, name) for times, name, _ in right):
        halves = (right[times, name, half] for half in (0, 1))
        print(f"| {times:g} times, {name} | " + " | ".join(f"{sum(one)} of {len(one)}" for one in halves) + " |")


def halved(image: Image.Image) -> Image.Image:
    while image.width * image.height > MOST:
        image = image.reduce(2)
    return image


def copies(image: Image.Image, times: float) -> dict[str, Image.Image]:
    """As JPEGs of quality 92, one sharpened and one strongly compressed among them."""
    size = round(image.width * times), round(image.height * times)
    made = {kernel.name.lower(): saved(image.resize(size, kernel), 92) for kernel in KERNELS}
    smooth = image.resize(size, SCALE.LANCZOS)
    sharpened = smooth.filter(ImageFilter.UnsharpMask(2, 150, 0))
    return made | {"lanczos, sharpened": saved(sharpened, 92), "lanczos, quality 60": saved(smooth, 60)}


def saved(image: Image.Image, quality: int) -> Image.Image:
    return Image.open(io.BytesIO(stored(image, quality))).convert("RGB")


def is_right(original: Image.Image, mine: bytes, copy: Image.Image) -> bool:
    if copy.width > original.width:
        return is_scaled_up(spectrum(copy), mine, min(original.size))
    return not is_scaled_up(mine, spectrum(copy), min(copy.size))


if __name__ == "__main__":
    main()
