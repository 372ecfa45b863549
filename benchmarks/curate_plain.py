"""What emu's cheap stages measure, written down from the papers as a job of one's own would have it."""

import hashlib
import io
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from PIL import Image
from scipy.ndimage import convolve

COLUMNS = ["sha256", "bytes", "format", "width", "height", "animated", "short_side", "aspect", "blur", "noise",
           "blocks", "dark", "clipped", "contrast", "colour", "phash", "layout", "reason"]  # fmt: skip
LUMA = [0.2126, 0.7152, 0.0722]
LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
SMOOTH = np.array([1, 4, 6, 4, 1]) / 16


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
    luma, near = small @ LUMA / 255, [grey(one) for one in windows(image)]
    across, down = small[..., 0] - small[..., 1], small[..., :2].mean(-1) - small[..., 2]
    below = small[len(small) // 3 :]
    return found | {
        "width": width,
        "height": height,
        "short_side": min(image.size),
        "aspect": max(image.size) / min(image.size),
        "blur": blur(grey(image.reduce(max(1, min(image.size) // 512)))),
        "noise": noise(near),
        "blocks": min(blocks(near), blocks([one.T for one in near])),
        "dark": float((luma < 0.02).mean()),
        "clipped": float((below >= 250).mean() * (luma.mean() / 0.5) ** 2),
        "contrast": float(luma.std()),
        "colour": float(np.hypot(across.std(), down.std()) + 0.3 * np.hypot(across.mean(), down.mean())),
        "phash": str(imagehash.phash(image)),
        "layout": image.convert("YCbCr").resize((32, 32), Image.Resampling.LANCZOS).tobytes(),
    }


def grey(image: Image.Image) -> Any:
    """(h,w) in 8-bit levels."""
    return np.asarray(image.convert("L"), dtype=float)


def windows(image: Image.Image) -> list[Image.Image]:
    """Nine of 192 pixels, cut between the blocks of a JPEG; one of a picture hardly larger."""
    if min(image.size) < 576:
        return [image.crop((0, 0, min(image.width, 1152), min(image.height, 1152)))]
    lefts, tops = ([(length * place // 6 - 96) // 8 * 8 for place in (1, 3, 5)] for length in image.size)
    return [image.crop((left, top, left + 192, top + 192)) for left in lefts for top in tops]


def blur(luma: Any) -> float:
    """Zhuo and Sim 2011: how wide edges are, of every second row and column, in per cent of the short side."""
    ratios = np.concatenate([edges(luma[::2]), edges(luma.T[::2])])
    if len(ratios) < 16:
        return 900 / min(luma.shape)
    return float(100 / np.sqrt(max(np.quantile(ratios, 0.7) ** 2 - 1, 1 / 81)) / min(luma.shape))


def edges(lines: Any) -> Any:
    """At the steepest places of each line: the slope to the slope once smoothed."""
    slopes = lines[:, 2:] - lines[:, :-2]
    smooth = np.abs(convolve(slopes, SMOOTH[None]))[:, 2:-2]
    steep = np.abs(slopes)
    here = steep[:, 2:-2]
    found = (here > 16) & (here >= steep[:, 1:-3]) & (here >= steep[:, 3:-1])
    return here[found] / np.maximum(smooth[found], 1e-3)


def noise(near: list[Any]) -> float:
    """Immerkaer 1996, in the calmest tiles of 16 pixels that are neither black nor white, in 8-bit levels."""
    found = []
    for luma in near:
        height, width = ((length - 2) // 16 * 16 for length in luma.shape)
        both = np.abs(convolve(luma, LAPLACIAN)[1:-1, 1:-1])
        light, rough = (one[:height, :width].reshape(height // 16, 16, width // 16, 16).mean((1, 3))
                        for one in (luma[1:], both))  # fmt: skip
        found.append(rough[(light > 16) & (light < 239)])
    values = np.concatenate(found)
    return float(np.sqrt(np.pi / 2) / 6 * np.quantile(values, 0.1)) if len(values) else 0.0


def blocks(near: list[Any]) -> float:
    """By how much steps over the strongest of eight phases exceed those over the second."""
    steps = [np.minimum(np.abs(np.diff(one, axis=1)), 16).mean(axis=0) for one in near]
    phases = [np.concatenate([one[start::8] for one in steps]).mean() for start in range(8)]
    *_, second, strongest = sorted(phases)
    return float(strongest - second)
