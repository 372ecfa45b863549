"""How much a picture holds, whatever its pixels: the spectrum of its lines, and how coarsely a JPEG rounded it."""

import numpy as np
from numpy.typing import NDArray

from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage
from emu.curate.stages.coarseness import coarseness
from emu.curate.stages.technical import windows

LINES = 96  # rows, and as many columns, spread evenly: in a copy of any size they lie where they lie here
LOWEST = 32  # cycles over the short side, where the first band begins
OCTAVE = 16  # bands
BANDS = 8 * OCTAVE  # up to 8192 cycles, the finest that 16,384 pixels hold
EDGE, BEFORE = (0.9, 1.0), (0.4, 0.6)  # of the finest that the smaller copy holds: softened, and not
SOFTENED = 0.09  # log10: by so much more than BEFORE the larger copy falls behind the smaller at the EDGE
FAINTEST = 1e-9  # of a power: a picture of one colour has none at all

Spectrum = NDArray[np.float32]  # (BANDS,): log10 of the power; NaN beyond what its pixels can hold
Lines = NDArray[np.float32]  # (LINES,n) in 8-bit levels


class Detail(Stage):
    """By what `Duplicates` tells which of two copies holds more: a picture's spectrum, 256 bytes, and the step in 8-bit
    levels, 1 to 64, that a JPEG rounded it to, itself or one that it was made of.
    """

    name = "detail"
    columns = {"detail": "binary", "coarseness": "float64"}
    side = 0

    def measure(self, picture: Picture) -> Row:
        luma = np.asarray(picture.image.convert("L"))
        near = [luma[top:bottom, left:right] for left, top, right, bottom in windows(picture.image.size)]
        return {"detail": spectrum(luma), "coarseness": coarseness(near)}


def spectrum(luma: NDArray[np.uint8]) -> bytes:
    """The power of rows and columns (h,w) in sixteenths of an octave of cycles over the short side."""
    places = (np.arange(LINES) + 0.5) / LINES
    total, count, short = np.zeros(BANDS), np.zeros(BANDS), min(luma.shape)
    for lines in (luma[(places * len(luma)).astype(int)], luma[:, (places * luma.shape[1]).astype(int)].T):
        power = _power(lines.astype(np.float32)) * lines.shape[1] / short
        band = _band(np.arange(1, len(power) + 1) * short / lines.shape[1])
        there = (band >= 0) & (band < BANDS)
        total += np.bincount(band[there], power[there], BANDS)
        count += np.bincount(band[there], minlength=BANDS)
    mean = np.maximum(total, FAINTEST) / np.maximum(count, 1)
    return np.where(count > 0, np.log10(mean), np.nan).astype(np.float16).tobytes()


def _power(lines: Lines) -> NDArray[np.float64]:
    """Of 1, 2, ... cycles over a line, of one pixel's worth; a window keeps its two ends from being an edge."""
    window = np.hanning(lines.shape[1]).astype(np.float32)
    waves = np.fft.rfft((lines - lines.mean(axis=1, keepdims=True)) * window, axis=1)[:, 1:]
    power: NDArray[np.float64] = (np.abs(waves) ** 2).mean(axis=0) / (window @ window * lines.shape[1])
    return power


def _band(cycles: NDArray[np.float64]) -> NDArray[np.int64]:
    bands: NDArray[np.int64] = np.floor(np.log2(cycles / LOWEST) * OCTAVE).astype(np.int64)
    return bands


def is_scaled_up(larger: bytes, smaller: bytes, short_side: int) -> bool:
    """Whether the larger of two copies was made of one like the smaller, whose short side has so many pixels.

    The smaller holds half as many cycles. Every kernel that scales up softens what lies just below there; one that
    scales down softens the smaller copy, unless it only leaves out pixels: such a copy passes for an original. What
    sharpens moves all of the bands, and hardly the last ones against those before.
    """
    finest = short_side / 2
    more = _stored(larger) - _stored(smaller)
    return _mean(more, EDGE, finest) - _mean(more, BEFORE, finest) < -SOFTENED


def _stored(spectrum: bytes) -> Spectrum:
    return np.frombuffer(spectrum, dtype=np.float16).astype(np.float32)


def _mean(values: Spectrum, share: tuple[float, float], finest: float) -> float:
    """Over some bands; NaN where they hold nothing."""
    low, high = (int(_band(np.array(part * finest))) for part in share)
    some = values[max(low, 0) : max(high, low + 1, 1)]
    some = some[np.isfinite(some)]
    return float(some.mean()) if len(some) else float("nan")
