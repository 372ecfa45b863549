"""A perceptual hash: two pictures that look the same differ in few of its 64 bits.

The bits are those of imagehash's `phash`, without SciPy, which would take 11 MB in every process that measures.
"""

import numpy as np
from PIL import Image

SIDE = 32  # pixels of what is transformed
LOW = 8  # frequencies either way, the mean among them

# Rows of the cosine transform of type II.
COSINES = 2 * np.cos(np.pi / SIDE * np.outer(np.arange(LOW), np.arange(SIDE) + 0.5))


def phash(image: Image.Image) -> int:
    """64 bits, the mean's first: which of the low frequencies are stronger than their median (Krawetz 2011)."""
    grey = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    mean = grey.mean()
    strengths = COSINES @ (grey - mean) @ COSINES.T  # of an even picture nothing is left, and no rounding decides
    strengths[0, 0] = 4 * SIDE**2 * mean
    return int.from_bytes(np.packbits(strengths > np.median(strengths)).tobytes(), "big")
