"""What a subject looks like: a line of shapes a kind in subjects.txt, in a unit box that stands on its bottom edge.

A shape is a letter, numbers and a tone. P polygon (x y ...), E ellipse and R rectangle (x0 y0 x1 y1), S pie slice (x0
y0 x1 y1 start end in degrees, clockwise from three o'clock), L line (width x y ...). Tones: m the named colour, d
darker, l lighter, and fixed ones: k ink, w white, g glass, b wood, y lamp light, n leaf.
"""

from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw

BOX = 160  # drawn this large, then reduced: the reduction is the anti-aliasing

COLOURS = {
    "red": (214, 48, 44),
    "orange": (240, 136, 36),
    "yellow": (246, 208, 52),
    "green": (62, 162, 72),
    "blue": (52, 104, 214),
    "purple": (136, 72, 176),
    "pink": (244, 138, 176),
    "white": (240, 238, 232),
}
FIXED = {
    "k": (38, 34, 46),
    "w": (250, 250, 246),
    "g": (176, 220, 240),
    "b": (124, 84, 52),
    "y": (255, 214, 110),
    "n": (72, 148, 76),
}

DRAWINGS = dict(line.split(": ") for line in (Path(__file__).parent / "subjects.txt").read_text().splitlines())


def tones(colour: tuple[int, int, int]) -> dict[str, tuple[int, int, int]]:
    """The named colour, its shade and its light, beside the fixed tones. RGB 0-255."""
    dark, light = (tuple(int(c * f + o) for c in colour) for f, o in ((0.62, 0), (0.6, 100)))
    return {"m": colour, "d": dark, "l": light, **FIXED}  # type: ignore[dict-item]


@cache
def shapes(kind: str) -> tuple[tuple[str, tuple[float, ...], str], ...]:
    """The drawing of `kind` as (letter, numbers, tone)."""
    parts = [shape.split() for shape in DRAWINGS[kind].split(";")]
    return tuple((letter, tuple(float(n) for n in numbers), tone) for letter, *numbers, tone in parts)


@cache
def subject(kind: str, colour: tuple[int, int, int]) -> Image.Image:
    """RGBA picture of BOX x BOX pixels, transparent around the subject; shared between calls: copy it to change it."""
    picture = Image.new("RGBA", (BOX, BOX), (*tones(colour)["d"], 0))
    pen, ink = ImageDraw.Draw(picture), tones(colour)
    for letter, numbers, tone in shapes(kind):
        fill = ink[tone]
        scaled = [BOX * n for n in numbers]
        match letter:
            case "P":
                pen.polygon(scaled, fill=fill)
            case "E":
                pen.ellipse(scaled, fill=fill)
            case "R":
                pen.rectangle(scaled, fill=fill)
            case "S":
                pen.pieslice(scaled[:4], numbers[4], numbers[5], fill=fill)
            case "L":
                pen.line(scaled[1:], fill=fill, width=round(scaled[0]), joint="curve")
    return picture
