"""What a scene stands before: sky, a horizon with what is on it, ground; and clutter where the scene has no quiet.

Drawn twice as large and reduced, which is the anti-aliasing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from emu.world.scene import Scene

Pixels = npt.NDArray[Any]  # floats in [0,1] or so; (h,w,3), (h,w,4) or broadcast to them
RGB = tuple[int, int, int]

GROUND: dict[str, tuple[RGB, RGB]] = {  # place -> (far, near)
    "beach": ((246, 226, 170), (226, 190, 124)),
    "meadow": ((148, 200, 96), (82, 150, 66)),
    "desert": ((240, 184, 112), (206, 132, 70)),
    "mountains": ((126, 160, 116), (84, 122, 84)),
    "city": ((150, 150, 158), (96, 98, 110)),
    "forest": ((104, 142, 84), (58, 98, 60)),
    "snow": ((250, 252, 255), (204, 218, 236)),
    "lake": ((112, 186, 206), (44, 116, 156)),
}
SKY: dict[str, tuple[RGB, RGB]] = {  # time -> (top, horizon)
    "morning": ((150, 196, 236), (255, 226, 206)),
    "noon": ((64, 148, 236), (190, 226, 250)),
    "sunset": ((104, 72, 152), (255, 160, 84)),
    "night": ((10, 14, 46), (46, 56, 110)),
}
TINT = {"morning": (1.0, 0.97, 0.93), "noon": (1.0, 1.0, 1.0), "sunset": (1.04, 0.86, 0.76), "night": (0.5, 0.55, 0.78)}


def floats(values: Any) -> Pixels:
    return np.asarray(values, dtype=np.float32)


def _ramp(far: RGB, near: RGB, rows: int) -> Pixels:
    steps = np.linspace(0, 1, max(rows, 1), dtype=np.float32)[:, None]
    return (floats(far) * (1 - steps) + floats(near) * steps) / 255


def background(scene: "Scene", rng: np.random.Generator, size: int) -> Pixels:
    """Sky, a horizon with what stands on it, ground; soft where the picture has depth."""
    large = size * 2
    horizon = int(large * rng.uniform(0.52, 0.62))
    rows = np.concatenate(
        [_ramp(*SKY[scene.time], horizon), _ramp(*GROUND[scene.place], large - horizon) * floats(TINT[scene.time])]
    )
    column = Image.fromarray((rows[:, None].clip(0, 1) * 255).astype(np.uint8))
    canvas = column.resize((large, large), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(canvas)
    _heavens(pen, scene.time, rng, large)
    _skyline(pen, scene, rng, large, horizon)
    canvas = canvas.reduce(2)
    if scene.has("background"):
        canvas = canvas.filter(ImageFilter.GaussianBlur(size / 64 * 0.7))  # a shallow depth of field
    return np.asarray(canvas, dtype=np.float32) / 255


def _heavens(pen: ImageDraw.ImageDraw, time: str, rng: np.random.Generator, large: int) -> None:
    x, y = large * rng.uniform(0.1, 0.9), large * (0.46 if time in ("sunset", "morning") else 0.14)
    radius = large * (0.09 if time == "sunset" else 0.06)
    if time == "night":
        for sx, sy in rng.random((14, 2)) * (large, large * 0.45):
            pen.ellipse((sx - 1, sy - 1, sx + 1, sy + 1), fill=(230, 232, 255))
    disc = {"night": (240, 240, 220), "sunset": (255, 226, 140), "noon": (255, 250, 214), "morning": (255, 240, 190)}[
        time
    ]
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=disc)


@dataclass(frozen=True)
class Layer:
    """One of the two layers that stand on the horizon at height `y` of a picture of `side` pixels, in `haze`.

    `xs` and `tall` (n,) say where something stands, and how tall it may be.
    """

    pen: ImageDraw.ImageDraw
    rng: np.random.Generator
    side: int
    y: int
    near: bool
    xs: Pixels
    tall: Pixels
    tint: Pixels
    haze: Pixels
    lit: RGB

    def ink(self, *rgb: int) -> RGB:
        """A colour in this light; the far layer is nearer to the sky's."""
        mix = 0.0 if self.near else 0.45
        r, g, b = ((floats(rgb) * self.tint) * (1 - mix) + self.haze * mix).clip(0, 255).astype(int)
        return int(r), int(g), int(b)


def _skyline(pen: ImageDraw.ImageDraw, scene: "Scene", rng: np.random.Generator, large: int, horizon: int) -> None:
    """What stands on the horizon, two layers deep."""
    tint, haze = floats(TINT[scene.time]), floats(SKY[scene.time][1])
    lit = (255, 222, 130) if scene.time in ("night", "sunset") else (190, 206, 226)
    for depth in range(2):
        xs = np.linspace(-0.05, 1.05, 6 + 3 * depth) * large + rng.uniform(-0.03, 0.03, 6 + 3 * depth) * large
        tall = rng.uniform(0.5, 1.0, len(xs)) * large * (1 - 0.35 * depth)
        STANDS[scene.place](Layer(pen, rng, large, horizon, depth == 1, xs, tall, tint, haze, lit))


def _mountains(on: Layer) -> None:
    rock, snow = on.ink(104, 112, 138), on.ink(244, 246, 252)
    for x, h in zip(on.xs[::2], on.tall[::2] * 0.42, strict=True):
        on.pen.polygon((x - h, on.y, x, on.y - h, x + h, on.y), fill=rock)
        on.pen.polygon((x - h * 0.3, on.y - h * 0.7, x, on.y - h, x + h * 0.3, on.y - h * 0.7), fill=snow)


def _city(on: Layer) -> None:
    wall = on.ink(92, 96, 122)
    for x, h in zip(on.xs, on.tall * 0.36, strict=True):
        on.pen.rectangle((x - on.side * 0.06, on.y - h, x + on.side * 0.06, on.y), fill=wall)
        for row in range(int(h // (on.side * 0.06))):
            on.pen.rectangle((x - 5, on.y - h + 4 + row * 8, x - 2, on.y - h + 7 + row * 8), fill=on.lit)


def _forest(on: Layer) -> None:
    leaf = on.ink(40, 92, 62)
    for x, h in zip(on.xs, on.tall * 0.36, strict=True):
        on.pen.polygon((x - h * 0.36, on.y, x, on.y - h, x + h * 0.36, on.y), fill=leaf)


def _hills(*rgb: int) -> "Callable[[Layer], None]":
    def draw(on: Layer) -> None:
        hill = on.ink(*rgb)
        for x, h in zip(on.xs[::3], on.tall[::3] * 0.3, strict=True):
            on.pen.ellipse((x - h * 2, on.y - h * 0.55, x + h * 2, on.y + h * 0.55), fill=hill)

    return draw


def _beach(on: Layer) -> None:
    if on.near:
        on.pen.rectangle((0, on.y - on.side * 0.13, on.side, on.y), fill=on.ink(36, 132, 186))


def _lake(on: Layer) -> None:
    if on.near:
        on.pen.rectangle((0, on.y - on.side * 0.05, on.side, on.y), fill=on.ink(74, 120, 84))
        glint = on.ink(206, 234, 240)
        for y in np.linspace(on.y + 6, on.side - 6, 5):
            x = on.side * on.rng.random()
            on.pen.line((x, y, x + on.side * 0.22, y), fill=glint, width=2)


STANDS = {
    "beach": _beach,
    "meadow": _hills(104, 172, 82),
    "desert": _hills(222, 152, 84),
    "mountains": _mountains,
    "city": _city,
    "forest": _forest,
    "snow": _hills(222, 232, 246),
    "lake": _lake,
}


def clutter(pixels: Pixels, rng: np.random.Generator, size: int) -> Pixels:
    """Distracting unimportant objects: bright scraps of every colour all over the frame."""
    canvas = Image.fromarray((pixels * 255).astype(np.uint8)).resize((size * 2, size * 2))
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(9, 15))):
        x, y, w, h = (rng.random(4) * (2, 2, 0.3, 0.3) + (-0.1, -0.1, 0.1, 0.1)) * size
        fill = tuple(int(c) for c in rng.integers(20, 236, 3))
        (pen.rectangle if rng.random() < 0.5 else pen.ellipse)((x, y, x + w, y + h), fill=fill)
    return np.asarray(canvas.reduce(2), dtype=np.float32) / 255
