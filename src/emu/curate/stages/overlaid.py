"""Words in a picture: how many there are, and how much of it they cover."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from emu.cores import cores
from emu.curate.picture import Picture
from emu.curate.stage import Row, Stage
from emu.curate.stages import onnx

SHORTEST = 4  # letters of a line that others can be like
SLOPE = 0.02  # a degree


class Overlaid(Stage):
    """What OCR reads (rapidocr, its models come with the package): words, and their boxes' share of the area.

    One word alone is no overlay, whatever it covers: detectors see one in a pattern now and then, and a sign has one. A
    line counts where it lies level, as what is laid over a picture does; signs and books lie as they were seen.

    `repeats` is how often a line is read whose letters, four or more, are those of others or part of them: a text laid
    over a picture again and again is a watermark as a rule.

    Args:
        confidence: lines that are read with less do not count.
        side: the short side in pixels that larger pictures are scaled down to: by default the least that the detector
            takes as it is, whose memory and time grow with every pixel. 0 for none.
    """

    name = "overlaid"
    columns = {"words": "int64", "text_area": "float64", "repeats": "int64"}
    packages = {"rapidocr": "ocr", "onnxruntime": "ocr"}
    shared = True

    def __init__(self, confidence: float = 0.7, side: int = 736) -> None:
        self.confidence, self.side = confidence, side

    @cached_property
    def engine(self) -> Any:
        from rapidocr import RapidOCR
        from rapidocr.inference_engine.onnxruntime import main

        runtime: Any = main
        runtime.SessionOptions = onnx.options  # its own settings have no words for these
        threads = min(self.threads, cores())  # it passes over more than there are
        return RapidOCR(params={"Global.log_level": "error", "EngineConfig.onnxruntime.intra_op_num_threads": threads})

    def measure(self, picture: Picture) -> Row:
        pixels = np.asarray(within(picture.small(self.side or 0), self.side or 0))
        found = self.engine(np.ascontiguousarray(pixels[..., ::-1]))  # it takes blue first
        if found.boxes is None:
            return {"words": 0, "text_area": 0.0, "repeats": 0}
        read = [i for i, score in enumerate(found.scores) if score >= self.confidence]
        boxes = {i: np.asarray(found.boxes[i], dtype=float) for i in read}
        words = {i: len(found.txts[i].split()) for i in read if level(boxes[i])}
        area = sum(polygon(boxes[i]) for i in words) if sum(words.values()) > 1 else 0.0
        share = min(1.0, area / (pixels.shape[0] * pixels.shape[1]))
        return {"words": sum(words.values()), "text_area": share, "repeats": repeats([found.txts[i] for i in read])}


def within(image: Image.Image, side: int) -> Image.Image:
    """The picture, its short side no longer than `side`; 0 for as it is."""
    short = min(image.size)
    if not side or short <= side:
        return image
    width, height = (round(length * side / short) for length in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def level(corners: "np.typing.NDArray[np.float64]") -> bool:
    """Whether the upper and the lower edge of a line, (4,2) from its upper left corner on, run along the picture's."""
    upper, lower = corners[1] - corners[0], corners[2] - corners[3]
    return all(abs(y) <= max(abs(x) * SLOPE, 2.0) for x, y in (upper, lower))


def repeats(lines: Sequence[str]) -> int:
    """Of the line that is read most often: how many there are like it, itself among them; parts of it count."""
    letters = [text for text in ("".join(filter(str.isalnum, line.lower())) for line in lines) if len(text) >= SHORTEST]
    return max((sum(one in other or other in one for other in letters) for one in letters), default=0)


def polygon(corners: "np.typing.NDArray[np.float64]") -> float:
    """The area of (n,2) corners in order: the shoelace formula."""
    x, y = corners.T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)
