"""The fault that is likely, by the first link that differs and how it differs, or by the laws that are broken."""

import math

import numpy as np

from emu.check.measure import Measured
from emu.check.prints import apart, cosine
from emu.check.rows import ROUNDED, SHUFFLED, THIRDS, TURNED, Row

BY_LINK = {
    "pictures": "it is shown other pictures: drawn at another size, or rendered by another Pillow or numpy",
    "tokens": "the tokenizer cuts captions otherwise",
    "captions": "the text encoder is another, or is given captions otherwise",
    "encoded pictures": "the autoencoder encodes otherwise, or is given pixels of another range",
    "conditions": "the network is given other conditions beside the picture",
    "network's answer": "the network computes otherwise: its weights, or the library's code of it",
    "first picture": "it learns as before and draws otherwise: the scheduler, its settings, or the decoder",
}
HELD = "the network answers as before and is held against something else: its sign, or the type of its prediction"
SIGN = "the sign of what the network answers is turned"


def likely(now: Measured, stored: Measured, rows: list[Row]) -> str | None:
    """What broke a model that was sound when it was stored; None where no row fails."""
    failed = next((row.what for row in rows if row.fails), None)
    if failed is None:
        return None
    if layer := zeroed(now, stored):
        return f"{layer} is all zeros, and was not"
    match failed:
        case "time":
            return _of_time(now, stored)
        case "noisy pictures":
            return _of_noise(now, stored)
        case "network's answer":
            answers = [[number for one in each.links[failed] for number in one] for each in (now, stored)]
            return SIGN if cosine(*answers) < -0.5 else BY_LINK[failed]
        case "early loss" | "middle loss" | "late loss":
            own, turned = np.mean(now.losses["own"], 1).tolist(), np.mean(stored.losses["turned"], 1).tolist()
            return SIGN if apart(own, turned) < ROUNDED.loss else HELD
    return BY_LINK.get(failed, f"the {failed} are others, though little comes of it here")


def zeroed(now: Measured, stored: Measured) -> str | None:
    """The first tensor that is all zeros and was not."""
    for name, part in stored.parts.items():
        for tensor, size in part.sizes.items():
            if size and name in now.parts and now.parts[name].sizes.get(tensor) == 0:
                return f"{name}: {tensor}"
    return None


def _of_time(now: Measured, stored: Measured) -> str:
    times = [[one[-1] if one else math.nan for one in each.links["time"]] for each in (now, stored)]
    if cosine(*times) < 0:
        return "the time that the network is given runs the other way"
    return "noise levels and times are others: the scheduler's shift or schedule"


def _of_noise(now: Measured, stored: Measured) -> str:
    """Where the time is given as before: of what is learned, the noise, or how they are mixed."""
    pairs = list(zip(now.links["noisy pictures"], stored.links["noisy pictures"], strict=True))
    if all(number.is_integer() for _, stored_print in pairs for number in stored_print):
        return "other tokens are masked: how many at which time (does it run the other way?), or the random numbers"
    by_time = [apart(*pair) for pair in pairs]
    if by_time[0] > 0.8 * max(by_time) and by_time[0] > by_time[-1]:
        return "what is learned has another scale or shift, most where there is little noise: the autoencoder's scaling"
    return "noise is added otherwise: the noise schedule, or the random numbers"


def changed_settings(now: Measured, stored: Measured) -> list[str]:
    """`vae: scaling_factor 0.18215 -> 0.13025`, of all that the configs of both say."""
    both = [(name, part.config, now.parts[name].config) for name, part in stored.parts.items() if name in now.parts]
    return [
        f"{name}: {key} {before[key]} -> {after[key]}"
        for name, before, after in both
        for key in sorted(before.keys() & after.keys())
        if before[key] != after[key]
    ]


def unlawful(now: Measured, rows: list[Row]) -> str | None:
    """What is likely where laws are broken and nothing is stored; None where none is."""
    failed = [row.what for row in rows if row.fails]
    if not failed:
        return None
    if TURNED in failed and np.mean(now.losses["turned"]) < np.mean(now.losses["zero"]):
        return f"{SIGN}, or the type of its prediction is another"
    if failed == [SHUFFLED]:
        return "captions tell it nothing: the text encoder or the tokenizer is not its own, or it was never trained"
    worse = [third for third in THIRDS if any(one.startswith(third) for one in failed)]
    if len(worse) < len(THIRDS):
        return (
            f"at {' and '.join(worse)} times alone it is worse than no answer: the time runs the other way, the shift "
            "or schedule is another, or the latents have another scale"
        )
    return "it is worse than no answer at all times: never trained, or weights, latents or predictions of another kind"
