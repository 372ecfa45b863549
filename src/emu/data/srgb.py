"""Decoded pixels of any mode -> sRGB with 8 bits a channel, transparency laid on white."""

import functools
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

BITS, PHOTOMETRIC, PLANES, SAMPLES = 258, 262, 284, 339  # TIFF tags
WHITE_IS_ZERO, SEPARATE, SIGNED = 0, 2, 2  # values of the latter three
SCREEN = 2.2  # of gAMA, whose 1/2.2 stands for a picture as screens show it
NEGLIGIBLE = 0.05  # deviation from that, as libpng has it

Numbers = NDArray[Any]


def unreadable(image: Image.Image) -> str | None:
    """Why a picture that is opened and not yet decoded would come out wrong; None if it would not."""
    if image.mode == "F":
        return "floating-point pixels, whose range is not known"
    if image.format != "TIFF":
        return None
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    raw = any(tile[0] == "raw" for tile in image.tile)  # type: ignore[attr-defined]
    if raw and tags.get(PLANES) == SEPARATE and _first(tags.get(BITS), 8) > 8:
        return "16 bits in separate planes, of which Pillow makes noise; save it compressed, or pixel by pixel"
    return None


def to_srgb(image: Image.Image) -> Image.Image:
    """A decoded picture in mode RGB."""
    colour, alpha = _parted(image)
    profile = image.info.get("icc_profile")
    rgb = _by_profile(colour, profile) if profile else _in(_by_gamma(colour, image), "RGB")
    if alpha is None:
        return rgb
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=alpha)
    return white


def _parted(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Any mode -> colour in L, RGB or CMYK with 8 bits a channel, and the transparency apart."""
    if image.mode.startswith("I"):
        return _from_integers(image)
    if image.has_transparency_data:
        rgba = _in(_with_eight_bits(image), "RGBA")
        return rgba.convert("RGB"), rgba.getchannel("A")
    return (image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")), None


def _from_integers(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Greys of more than 8 bits, which Pillow's own conversion clips instead of scaling."""
    values = np.asarray(image)
    white, inverted = 65535, False  # of PNG; PPM is scaled to it by Pillow
    if image.format == "TIFF":
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        bits, signed = int(_first(tags.get(BITS), 16)), _first(tags.get(SAMPLES), 1) == SIGNED
        values = values.view(np.uint32) if values.dtype == np.int32 and not signed else values
        white, inverted = 2 ** (bits - signed) - 1, _first(tags.get(PHOTOMETRIC), 1) == WHITE_IS_ZERO
    grey = values.astype(np.float32)  # copied once, and changed in place
    np.multiply(grey, 255 / white, out=grey)
    np.clip(np.rint(grey, out=grey), 0, 255, out=grey)
    eight = grey.astype(np.uint8)
    clear = image.info.get("transparency")
    alpha = Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)) if isinstance(clear, int) else None
    return Image.fromarray(255 - eight if inverted else eight), alpha


def _with_eight_bits(image: Image.Image) -> Image.Image:
    """A colour that stands for clear in a PNG of 16 bits a channel is cut to 8 bits, as its pixels were."""
    clear = image.info.get("transparency")
    if image.format == "PNG" and isinstance(clear, tuple) and max(clear) > 255:
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    return image


def _first(tag: Any, otherwise: int) -> Any:
    return otherwise if tag is None else tag[0] if isinstance(tag, tuple) else tag


def _in(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)  # Pillow's own copies what is in the mode already


def _by_gamma(colour: Image.Image, image: Image.Image) -> Image.Image:
    """A PNG's gAMA is heeded where it says neither sRGB nor has a profile, as by browsers."""
    gamma = image.info.get("gamma")
    if not gamma or "srgb" in image.info or colour.mode not in ("L", "RGB") or abs(gamma * SCREEN - 1) < NEGLIGIBLE:
        return colour
    curve = [round(255 * (value / 255) ** (1 / (gamma * SCREEN))) for value in range(256)]
    return colour.point(curve * len(colour.getbands()))


def _by_profile(colour: Image.Image, profile: bytes) -> Image.Image:
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if embedded.profile.xcolor_space.strip() == "GRAY":
            colour = _in(colour, "L")
        converted = ImageCms.profileToProfile(colour, embedded, _srgb(), outputMode="RGB")
    except (
        OSError,
        ImageCms.PyCMSError,
    ):  # a broken profile, or one of another colour space: as untagged, like browsers
        return colour.convert("RGB")
    assert converted is not None  # None is returned only for conversion in place
    return converted


@functools.cache
def _srgb() -> Any:
    return ImageCms.createProfile("sRGB")
