"""Scene -> picture: a background, a subject on it, and the five qualities, each good or bad on its own.

Backgrounds and subjects are drawn larger and reduced, which is the anti-aliasing; light, colour and focus are
arithmetic on the finished pixels. A 64 px picture costs a millisecond or two.
"""

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
SUBJECT_TINT = {
    "morning": (1.0, 0.98, 0.96),
    "noon": (1.0, 1.0, 1.0),
    "sunset": (1.02, 0.93, 0.88),
    "night": (0.84, 0.86, 0.95),
}


def render(scene: "Scene", size: int) -> Image.Image:
    """RGB, size x size pixels."""
    rng = np.random.default_rng(scene.seed)
    pixels = _background(scene, rng, size)
    if not scene.has("background"):
        pixels = _clutter(pixels, rng, size)
    pixels = _place(scene, rng, pixels, size)
    if not scene.has("lighting"):
        pixels = pixels * rng.uniform(0.38, 0.5) if rng.random() < 0.5 else pixels * 0.75 + rng.uniform(0.32, 0.42)
    pixels = _colour(scene, rng, pixels)
    picture = Image.fromarray((pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8))
    if not scene.has("focus"):
        picture = picture.filter(ImageFilter.GaussianBlur(size / 64 * rng.uniform(1.4, 2.0)))
    return picture


def floats(values: Any) -> Pixels:
    return np.asarray(values, dtype=np.float32)


def _ramp(far: RGB, near: RGB, rows: int) -> Pixels:
    steps = np.linspace(0, 1, max(rows, 1), dtype=np.float32)[:, None]
    return (floats(far) * (1 - steps) + floats(near) * steps) / 255


def _background(scene: "Scene", rng: np.random.Generator, size: int) -> Pixels:
    """Sky, a horizon with what stands on it, ground; soft where the picture has depth."""
    large = size * 2
    horizon = int(large * rng.uniform(0.52, 0.62))
    rows = np.concatenate(
        [_ramp(*SKY[scene.time], horizon), _ramp(*GROUND[scene.place], large - horizon) * floats(TINT[scene.time])]
    )
    canvas = Image.fromarray((np.repeat(rows[:, None], large, 1).clip(0, 1) * 255).astype(np.uint8))
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


def _skyline(pen: ImageDraw.ImageDraw, scene: "Scene", rng: np.random.Generator, large: int, horizon: int) -> None:
    """What stands on the horizon, two layers deep: the far one is nearer to the sky's colour."""
    tint, haze = floats(TINT[scene.time]), floats(SKY[scene.time][1])
    for depth, mix in enumerate((0.45, 0.0)):

        def ink(*rgb: int, mix: float = mix) -> RGB:
            r, g, b = ((floats(rgb) * tint) * (1 - mix) + haze * mix).clip(0, 255).astype(int)
            return int(r), int(g), int(b)

        xs = np.linspace(-0.05, 1.05, 6 + 3 * depth) * large + rng.uniform(-0.03, 0.03, 6 + 3 * depth) * large
        tall = rng.uniform(0.5, 1.0, len(xs)) * large * (1 - 0.35 * depth)
        match scene.place:
            case "mountains":
                for x, h in zip(xs[::2], tall[::2] * 0.42, strict=True):
                    pen.polygon((x - h, horizon, x, horizon - h, x + h, horizon), fill=ink(104, 112, 138))
                    pen.polygon(
                        (x - h * 0.3, horizon - h * 0.7, x, horizon - h, x + h * 0.3, horizon - h * 0.7),
                        fill=ink(244, 246, 252),
                    )
            case "city":
                for x, h in zip(xs, tall * 0.36, strict=True):
                    pen.rectangle((x - large * 0.06, horizon - h, x + large * 0.06, horizon), fill=ink(92, 96, 122))
                    for row in range(int(h // (large * 0.06))):
                        lit = (255, 222, 130) if scene.time in ("night", "sunset") else (190, 206, 226)
                        pen.rectangle((x - 5, horizon - h + 4 + row * 8, x - 2, horizon - h + 7 + row * 8), fill=lit)
            case "forest":
                for x, h in zip(xs, tall * 0.36, strict=True):
                    pen.polygon((x - h * 0.36, horizon, x, horizon - h, x + h * 0.36, horizon), fill=ink(40, 92, 62))
            case "meadow" | "snow" | "desert":
                hill = {"meadow": (104, 172, 82), "snow": (222, 232, 246), "desert": (222, 152, 84)}[scene.place]
                for x, h in zip(xs[::3], tall[::3] * 0.3, strict=True):
                    pen.ellipse((x - h * 2, horizon - h * 0.55, x + h * 2, horizon + h * 0.55), fill=ink(*hill))
            case "beach" if depth:
                pen.rectangle((0, horizon - large * 0.13, large, horizon), fill=ink(36, 132, 186))
            case "lake" if depth:
                pen.rectangle((0, horizon - large * 0.05, large, horizon), fill=ink(74, 120, 84))
                for y in np.linspace(horizon + 6, large - 6, 5):
                    x = large * rng.random()
                    pen.line((x, y, x + large * 0.22, y), fill=ink(206, 234, 240), width=2)
            case _:
                pass


def _clutter(pixels: Pixels, rng: np.random.Generator, size: int) -> Pixels:
    """Distracting unimportant objects: bright scraps of every colour all over the frame."""
    canvas = Image.fromarray((pixels * 255).astype(np.uint8)).resize((size * 2, size * 2))
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(9, 15))):
        x, y, w, h = (rng.random(4) * (2, 2, 0.3, 0.3) + (-0.1, -0.1, 0.1, 0.1)) * size
        fill = tuple(int(c) for c in rng.integers(20, 236, 3))
        (pen.rectangle if rng.random() < 0.5 else pen.ellipse)((x, y, x + w, y + h), fill=fill)
    return np.asarray(canvas.reduce(2), dtype=np.float32) / 255


def _place(scene: "Scene", rng: np.random.Generator, pixels: Pixels, size: int) -> Pixels:
    """The subject, well placed and lit from one side, its shadow on the ground; or off the frame, tiny or tilted."""
    from emu.world.scene import COLOURS
    from emu.world.subjects import subject

    share, x, foot, tilt = (
        rng.uniform(0.52, 0.62),
        rng.choice((0.4, 0.6)) + rng.uniform(-0.04, 0.04),
        rng.uniform(0.84, 0.9),
        0.0,
    )
    if not scene.has("composition"):
        match int(rng.integers(3)):
            case 0:
                x = float(rng.choice((rng.uniform(0.0, 0.08), rng.uniform(0.92, 1.0))))
            case 1:
                share, x, foot = rng.uniform(0.24, 0.3), rng.uniform(0.15, 0.85), rng.uniform(0.72, 0.96)
            case _:
                tilt = float(rng.choice((-1, 1))) * rng.uniform(24, 42)
    box = max(int(size * share), 4)
    figure = subject(scene.kind, COLOURS[scene.colour])
    figure = (figure.rotate(tilt, Image.Resampling.BILINEAR) if tilt else figure).resize(
        (box, box), Image.Resampling.BOX
    )
    top, left = int(size * foot) - box, int(size * x - box / 2)
    layer = np.zeros((size, size, 4), dtype=np.float32)
    rows, cols = slice(max(top, 0), min(top + box, size)), slice(max(left, 0), min(left + box, size))
    art = np.asarray(figure, dtype=np.float32) / 255
    layer[rows, cols] = art[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
    colour, alpha = layer[..., :3] * floats(SUBJECT_TINT[scene.time]), layer[..., 3:]
    if scene.has("lighting"):
        side = float(rng.choice((-1, 1)))
        fall = np.linspace(-1, 1, size, dtype=np.float32)[None, :, None] - floats(2 * x - 1)
        colour = colour * (1.0 + 0.55 * side * fall).clip(0.62, 1.22) + 0.05
        pixels = _shadow(pixels, x - 0.1 * side, foot, share, size)
    return pixels * (1 - alpha) + colour * alpha


def _shadow(pixels: Pixels, x: float, foot: float, share: float, size: int) -> Pixels:
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size
    away = ((grid[None] - x) / (share * 0.55)) ** 2 + ((grid[:, None] - foot) / (share * 0.13)) ** 2
    return pixels * (1 - 0.5 * np.exp(-away * 1.2))[..., None]


def _colour(scene: "Scene", rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Vibrant with strong contrast; or washed out, or under one dominant colour."""
    grey = pixels.mean(-1, keepdims=True)
    if scene.has("colour"):
        vivid = grey + (pixels - grey) * 1.15
        pixels = (vivid - 0.5) * 1.08 + 0.5
    elif rng.random() < 0.6:
        pixels = (grey + (pixels - grey) * 0.4 - 0.5) * 0.62 + 0.52
    else:
        cast = floats(rng.choice(((1.0, 0.72, 0.4), (0.5, 0.8, 0.95), (0.6, 0.9, 0.55))))
        pixels = grey * cast * 0.6 + pixels * cast * 0.35
    return pixels
