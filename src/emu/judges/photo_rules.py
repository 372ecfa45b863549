"""Photographic rules of thumb: exposure, contrast, colour and sharpness, read off the pixels by four formulas.

Nothing is learned, so nothing can be learned wrongly from people's votes, and nothing of what is in a picture is seen.
It ships as a second opinion that costs nothing, beside a judge that does see.
"""

import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from emu.bundled import resolve
from emu.judges.judge import Card, Judge, versions

LONGEST = 256  # pixels of the longer side: what is sharp depends on how large it is shown
LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709, on the stored values
EXPOSURE_SPREAD = 0.2  # sigma of Mertens et al. 2007
FULL_CONTRAST = 0.25  # standard deviation of luma; a picture half black and half white has 0.5
FULL_COLOUR = 82.0  # "highly colourful" of Hasler and Suesstrunk 2003, on 8-bit values
BLUR_TAPS = 9  # of the low-pass filter of Crete et al. 2007
SHA256 = "30b4f6acae4d079ac71f87ba03dae06eefe01a5c8d96e3c5387ad4c8eef63ab2"
"""Names these rules in cards, as a hash does weights: of this file when they last changed what they say of a picture.

A test holds what they say; scores of other rules have to bear another name.
"""
ACCURACY = "emu://judges/photo-rules.json"  # measured by scripts/rules_accuracy.py


class PhotoRules(Judge):
    """The mean of four rules, 0 to 1: exposure, contrast, colourfulness, sharpness. The prompt does not count.

    It prefers bright, colourful, contrasty, busy pictures: a night, a fog, a pale palette or a blurred background is
    held against a picture, noise and garish colour are not. It may reject, and must never select alone. Its held-out
    accuracy is how often it prefers the better of two pictures of the simulated web: of one scene with and without a
    quality, and of two scenes with another number of them. It is right on focus, colour and lighting, a coin on
    composition, and wrong on background.
    """

    name = "photo-rules"
    reads_prompts = False
    family = "rules"
    tie = 0.01

    def score(self, images: Tensor, prompts: list[str]) -> Tensor:
        return torch.stack([torch.stack(list(rules(image).values())).mean() for image in images])

    def describe(self) -> Card:
        accuracy = json.loads(Path(resolve(ACCURACY)).read_text())
        return {
            "sha256": SHA256,
            "preprocessing": f"antialiased bilinear to at most {LONGEST} pixels a side, RGB in [0, 1]",
            "score": "mean of exposure, contrast, colourfulness and sharpness",
            "sources": "Mertens 2007; Peli 1990; Hasler and Suesstrunk 2003; Crete 2007",
            "versions": versions("torch"),
            **{f"held-out accuracy: {name}": value for name, value in accuracy.items()},
        }


def rules(image: Tensor) -> dict[str, Tensor]:
    """float (3,h,w) in [0,1] -> rule -> scalar in [0,1], higher is better."""
    scale = LONGEST / max(image.shape[-2:])
    image = image.float()
    if scale < 1:
        size = [max(1, round(side * scale)) for side in image.shape[-2:]]
        image = F.interpolate(image[None], size, mode="bilinear", antialias=True, align_corners=False)[0]
    luma = (image * image.new_tensor(LUMA).view(3, 1, 1)).sum(0)
    return {
        "exposure": exposure(luma),
        "contrast": (luma.std(correction=0) / FULL_CONTRAST).clamp(max=1),
        "colourfulness": (colourfulness(image) / FULL_COLOUR).clamp(max=1),
        "sharpness": 1 - blur(luma),
    }


def exposure(luma: Tensor) -> Tensor:
    """How near the mean of luma is to the middle: exp(-(mean - 0.5)^2 / 2 sigma^2), Mertens et al. 2007, sec. 3.1."""
    away = (luma.mean() - 0.5) / EXPOSURE_SPREAD
    return torch.exp(torch.square(away) / -2)


def colourfulness(image: Tensor) -> Tensor:
    """M3 of Hasler and Suesstrunk 2003, Measuring colourfulness in natural images: 0 is grey, 109 extremely colourful.

    M = sigma + 0.3 mu: lengths of the standard deviations and of the means of rg = R - G and yb = (R + G) / 2 - B.
    """
    red, green, blue = 255 * image
    opponents = torch.stack([red - green, (red + green) / 2 - blue]).flatten(1)
    found: Tensor = opponents.std(1, correction=0).norm() + 0.3 * opponents.mean(1).norm()
    return found


def blur(luma: Tensor) -> Tensor:
    """Crete et al. 2007, The blur effect: how little a further blur changes the steps between neighbours; 0 to 1.

    luma: (h,w). Of both directions the worse one counts; a picture without a step is blurred entirely.
    """
    found = []
    for plane in (luma, luma.T):
        blurred = F.avg_pool1d(F.pad(plane[:, None], (BLUR_TAPS // 2,) * 2, mode="replicate"), BLUR_TAPS, 1)[:, 0]
        steps, left = (each.diff(dim=1).abs() for each in (plane, blurred))
        lost = (steps - left).clamp(min=0)
        total = steps.sum()
        found.append(torch.where(total > 0, 1 - lost.sum() / total.clamp(min=1e-12), torch.ones_like(total)))
    return torch.stack(found).max()
