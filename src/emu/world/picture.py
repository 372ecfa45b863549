"""Scene -> picture: a background, a subject on it, and the five qualities, each good or bad on its own.

Backgrounds and subjects are drawn larger and reduced, which is the anti-aliasing; light, colour and focus are
arithmetic on the finished pixels. A 64 px picture costs a millisecond or two.
"""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from emu.world.background import Pixels, background, clutter, floats
from emu.world.subjects import COLOURS, subject

if TYPE_CHECKING:
    from emu.world.scene import Scene

SUBJECT_TINT = {
    "morning": (1.0, 0.98, 0.96),
    "noon": (1.0, 1.0, 1.0),
    "sunset": (1.02, 0.93, 0.88),
    "night": (0.84, 0.86, 0.95),
}


def render(scene: "Scene", size: int) -> Image.Image:
    """RGB, size x size pixels."""
    rng = np.random.default_rng(scene.seed)
    pixels = background(scene, rng, size)
    if not scene.has("background"):
        pixels = clutter(pixels, rng, size)
    pixels = _place(scene, rng, pixels, size)
    if not scene.has("lighting"):
        pixels = pixels * rng.uniform(0.38, 0.5) if rng.random() < 0.5 else pixels * 0.75 + rng.uniform(0.32, 0.42)
    pixels = _colour(scene, rng, pixels)
    picture = Image.fromarray((pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8))
    if not scene.has("focus"):
        picture = picture.filter(ImageFilter.GaussianBlur(size / 64 * rng.uniform(1.4, 2.0)))
    return picture


def _place(scene: "Scene", rng: np.random.Generator, pixels: Pixels, size: int) -> Pixels:
    """The subject, well placed and lit from one side, its shadow on the ground; or off the frame, tiny or tilted."""
    share, x, foot, tilt = _composition(scene, rng)
    figure = subject(scene.kind, COLOURS[scene.colour])
    figure = figure.rotate(tilt, Image.Resampling.BILINEAR) if tilt else figure
    art, rows, cols = _art(figure, share, x, foot, size)
    colour, alpha = art[..., :3] * floats(SUBJECT_TINT[scene.time]), art[..., 3:]
    if scene.has("lighting"):
        side = float(rng.choice((-1, 1)))
        fall = np.linspace(-1, 1, size, dtype=np.float32)[None, cols, None] - floats(2 * x - 1)
        colour = colour * (1.0 + 0.55 * side * fall).clip(0.62, 1.22) + 0.05
        pixels = _shadow(pixels, x - 0.1 * side, foot, share, size)
    placed = pixels.copy()
    placed[rows, cols] = pixels[rows, cols] * (1 - alpha) + colour * alpha
    return placed


def _composition(scene: "Scene", rng: np.random.Generator) -> tuple[float, float, float, float]:
    """The subject's share of the side, the middle and the foot of it as shares too, and its tilt in degrees."""
    share, x = rng.uniform(0.52, 0.62), rng.choice((0.4, 0.6)) + rng.uniform(-0.04, 0.04)
    foot, tilt = rng.uniform(0.84, 0.9), 0.0
    if not scene.has("composition"):
        match int(rng.integers(3)):
            case 0:
                x = float(rng.choice((rng.uniform(0.0, 0.08), rng.uniform(0.92, 1.0))))
            case 1:
                share, x, foot = rng.uniform(0.24, 0.3), rng.uniform(0.15, 0.85), rng.uniform(0.72, 0.96)
            case _:
                tilt = float(rng.choice((-1, 1))) * rng.uniform(24, 42)
    return share, x, foot, tilt


def _art(figure: Image.Image, share: float, x: float, foot: float, size: int) -> tuple[Pixels, slice, slice]:
    """(h,w,4), the figure cut off at the frame, and the rows and columns where it stands."""
    box = max(int(size * share), 4)
    art = np.asarray(figure.resize((box, box), Image.Resampling.BOX), dtype=np.float32) / 255
    top, left = int(size * foot) - box, int(size * x - box / 2)
    rows, cols = slice(max(top, 0), min(top + box, size)), slice(max(left, 0), min(left + box, size))
    return art[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left], rows, cols


def _shadow(pixels: Pixels, x: float, foot: float, share: float, size: int) -> Pixels:
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size
    away = ((grid[None] - x) / (share * 0.55)) ** 2 + ((grid[:, None] - foot) / (share * 0.13)) ** 2
    return pixels * (1 - 0.5 * np.exp(-away * 1.2))[..., None]


def _colour(scene: "Scene", rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Vibrant with strong contrast; or washed out, or under one dominant colour."""
    grey = (pixels[..., :1] + pixels[..., 1:2] + pixels[..., 2:]) / 3  # a mean over three is slow in NumPy
    if scene.has("colour"):
        vivid = grey + (pixels - grey) * 1.15
        pixels = (vivid - 0.5) * 1.08 + 0.5
    elif rng.random() < 0.6:
        pixels = (grey + (pixels - grey) * 0.4 - 0.5) * 0.62 + 0.52
    else:
        cast = floats(rng.choice(((1.0, 0.72, 0.4), (0.5, 0.8, 0.95), (0.6, 0.9, 0.55))))
        pixels = grey * cast * 0.6 + pixels * cast * 0.35
    return pixels
