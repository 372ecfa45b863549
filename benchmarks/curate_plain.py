"""What emu's cheap stages measure, written down from the papers as a job of one's own would have it."""

import hashlib
import io
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from PIL import Image
from scipy.ndimage import convolve, uniform_filter1d

COLUMNS = ["sha256", "bytes", "format", "width", "height", "animated", "short_side", "aspect", "blur", "noise",
           "blocks", "dark", "bright", "contrast", "colour", "phash", "reason"]  # fmt: skip
LUMA = [0.2126, 0.7152, 0.0722]
LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])


def measured(row: dict[str, Any]) -> dict[str, Any]:
    """A row a picture; a broken file has its reason."""
    found: dict[str, Any] = {**row, **dict.fromkeys(COLUMNS)}
    try:
        content = Path(row["path"]).read_bytes()
        image: Any = Image.open(io.BytesIO(content))
        found |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "format": image.format,
                  "animated": int(getattr(image, "n_frames", 1) > 1)}  # fmt: skip
        image = image.convert("RGB")
    except Exception as error:
        return {**found, "reason": str(error)}
    width, height = image.size
    small = np.asarray(image.reduce(max(1, min(image.size) // 256)), dtype=float)
    luma, near = small @ LUMA / 255, [np.asarray(one, dtype=float) @ LUMA / 255 for one in windows(image)]
    across, down = small[..., 0] - small[..., 1], small[..., :2].mean(-1) - small[..., 2]
    return found | {
        "width": width,
        "height": height,
        "short_side": min(image.size),
        "aspect": max(image.size) / min(image.size),
        "blur": max(blur(luma), blur(luma.T)),
        "noise": float(np.median([noise(one) for one in near])),
        "blocks": min(min(blocks(one), blocks(one.T)) for one in near),
        "dark": float((luma < 0.02).mean()),
        "bright": float((luma > 0.98).mean()),
        "contrast": float(luma.std()),
        "colour": float(np.hypot(across.std(), down.std()) + 0.3 * np.hypot(across.mean(), down.mean())),
        "phash": str(imagehash.phash(image)),
    }


def windows(image: Image.Image) -> list[Image.Image]:
    """Four of 192 pixels where the thirds cross, cut between the blocks of a JPEG; one of a picture hardly larger."""
    if min(image.size) < 384:
        return [image.crop((0, 0, min(image.width, 384), min(image.height, 384)))]
    lefts, tops = ([(length * third // 3 - 96) // 8 * 8 for third in (1, 2)] for length in image.size)
    return [image.crop((left, top, left + 192, top + 192)) for left in lefts for top in tops]


def blur(luma: Any) -> float:
    """Crete et al. 2007, along the first axis."""
    steps = np.abs(np.diff(luma, axis=0))
    smooth = np.abs(np.diff(uniform_filter1d(luma, 9, axis=0, mode="nearest"), axis=0))
    return float(1 - np.maximum(steps - smooth, 0).sum() / steps.sum())


def noise(luma: Any) -> float:
    """Immerkaer 1996, in 8-bit levels."""
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(convolve(luma, LAPLACIAN)[1:-1, 1:-1]).mean() * 255)


def blocks(luma: Any) -> float:
    """Steps over every eighth border against the strongest of the seven places between."""
    steps = np.abs(np.diff(luma, axis=0)).mean(axis=1)
    *between, border = (steps[start::8].mean() + 1e-4 for start in range(8))
    return float(border / max(between))
