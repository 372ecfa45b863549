"""Faults that people would see, planted on photographs at three strengths each, for `benchmarks/curate_real.py`."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Rng = np.random.Generator
FONT = "DejaVuSans.ttf"  # of Pillow's search path, or its own font


@dataclass(frozen=True)
class Fault:
    """A kind of fault: which stage is there for it, its three strengths, and how it is planted.

    plant: photograph, strength, generator -> the file; or a new caption where the caption is the fault.
    """

    stage: str
    strengths: tuple[float, float, float]
    plant: Callable[[Image.Image, float, Rng], bytes]


def stored(image: Image.Image, quality: int = 92) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def blur(image: Image.Image, percent: float, rng: Rng) -> bytes:
    """A Gaussian whose deviation is so many per cent of the short side."""
    return stored(image.filter(ImageFilter.GaussianBlur(percent / 100 * min(image.size))))


def compressed(image: Image.Image, quality: float, rng: Rng) -> bytes:
    return stored(image, int(quality))


def compressed_and_shifted(image: Image.Image, quality: float, rng: Rng) -> bytes:
    """Cropped by a few pixels and saved well again: the blocks are seen, but not where the file's own grid is."""
    spoilt = Image.open(io.BytesIO(stored(image, int(quality))))
    left, top = (int(n) for n in rng.integers(1, 8, 2))
    return stored(spoilt.crop((left, top, *image.size)))


def exposed(image: Image.Image, stops: float, rng: Rng) -> bytes:
    """So many stops more light, in linear light, clipped."""
    encoded = np.arange(256) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    lit = np.clip(linear * 2**stops, 0, 1)
    table = np.where(lit <= 0.0031308, 12.92 * lit, 1.055 * lit ** (1 / 2.4) - 0.055)
    return stored(image.point((table * 255).round().astype(int).tolist() * 3))


def framed(image: Image.Image, percent: float, rng: Rng) -> bytes:
    """A border of one colour on all sides, so many per cent of the short side wide."""
    width = round(percent / 100 * min(image.size))
    colour = [(0, 0, 0), (255, 255, 255), (40, 60, 50)][rng.integers(3)]
    around = Image.new("RGB", (image.width + 2 * width, image.height + 2 * width), colour)
    around.paste(image, (width, width))
    return stored(around)


def noisy(image: Image.Image, levels: float, rng: Rng) -> bytes:
    grain = np.asarray(image, dtype=np.float32) + rng.standard_normal((*image.size[::-1], 3), dtype=np.float32) * levels
    return stored(Image.fromarray(grain.clip(0, 255).astype(np.uint8)))


def lettering(height: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.truetype(FONT, max(int(height), 8))
    except OSError:
        return ImageFont.load_default(max(int(height), 8))


def signed(image: Image.Image, percent: float, rng: Rng) -> bytes:
    """A name in a corner, its letters so many per cent of the short side high."""
    image = image.copy()
    font, text = lettering(percent / 100 * min(image.size)), "\u00a9 Jane Miller"
    x, y = image.width * 0.97, image.height * (0.97 if rng.integers(2) else 0.06)
    ImageDraw.Draw(image).text((x, y), text, "white", font, anchor="rs", stroke_width=1, stroke_fill="black")
    return stored(image)


def watermarked(image: Image.Image, opacity: float, rng: Rng) -> bytes:
    """A word laid over it again and again, so many per cent opaque."""
    layer = Image.new("RGBA", image.size)
    draw, font = ImageDraw.Draw(layer), lettering(0.05 * min(image.size))
    step = min(image.size) // 4
    for row, y in enumerate(range(step // 2, image.height, step)):
        for x in range(step // 2 * (row % 2), image.width, step * 2):
            draw.text((x, y), "stockphoto", (255, 255, 255, round(2.55 * opacity)), font)
    return stored(Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB"))


def meme(image: Image.Image, lines: float, rng: Rng) -> bytes:
    """Large letters at the bottom; at the top too from two lines on."""
    image = image.copy()
    draw, size = ImageDraw.Draw(image), 0.09 * min(image.size)
    words = ["ONE DOES NOT SIMPLY", "LOOK AT ALL THESE THINGS", "NOBODY EXPECTED THAT"][: int(lines)]
    for number, text in enumerate(words):
        y = [image.height - 1.3 * size, 0.3 * size, 1.5 * size][number]
        font = lettering(min(size, size * image.width / draw.textlength(text, lettering(size)) * 0.9))
        draw.text(
            (image.width / 2, y), text, "white", font, anchor="ma", stroke_width=int(size / 12), stroke_fill="black"
        )
    return stored(image)


def tiny(image: Image.Image, side: float, rng: Rng) -> bytes:
    scale = side / min(image.size)
    return stored(image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS))


def stretched(image: Image.Image, aspect: float, rng: Rng) -> bytes:
    """A strip of it."""
    height = min(image.height, round(image.width / aspect))
    top = (image.height - height) // 2
    return stored(image.crop((0, top, image.width, top + height)))


def truncated(image: Image.Image, share: float, rng: Rng) -> bytes:
    whole = stored(image)
    return whole[: int(share * len(whole))]


def scaled(image: Image.Image, share: float, rng: Rng) -> bytes:
    """A sound copy with fewer pixels, or with more that say nothing."""
    size = (round(image.width * share), round(image.height * share))
    return stored(image.resize(size, Image.Resampling.LANCZOS))


def unspoilt(image: Image.Image, strength: float, rng: Rng) -> bytes:
    """The caption is the fault."""
    return stored(image)


FAULTS = {
    "truncated": Fault("readable", (0.9, 0.6, 0.3), truncated),
    "tiny": Fault("shape", (400, 256, 128), tiny),
    "extreme aspect": Fault("shape", (2.5, 3.5, 5), stretched),
    "junk caption": Fault("caption", (0, 1, 2), unspoilt),
    "foreign caption": Fault("language", (0, 1, 2), unspoilt),
    "frame": Fault("borders", (4, 8, 12), framed),
    "blur": Fault("technical", (0.4, 0.7, 1), blur),
    "compression": Fault("technical", (12, 8, 5), compressed),
    "compression, shifted": Fault("technical", (12, 8, 5), compressed_and_shifted),
    "over-exposure": Fault("technical", (1.5, 2, 3), exposed),
    "noise": Fault("technical", (12, 20, 30), noisy),
    "signature": Fault("overlaid", (2, 3, 5), signed),
    "watermark": Fault("overlaid", (15, 25, 40), watermarked),
    "meme": Fault("overlaid", (1, 2, 3), meme),
    "scaled copy": Fault("duplicates", (0.7, 0.5, 1.5), scaled),
    "recompressed copy": Fault("duplicates", (75, 60, 45), compressed),
}
JUNK = ["IMG_{number}.jpg", "click here https://example.org/{number}", "buy buy buy buy now now"]


def opened(path: Path) -> Image.Image:
    """Upright, RGB, on white."""
    from emu.data.pictures import decode

    return decode(lambda: path.open("rb"), max_pixels=100_000_000)
