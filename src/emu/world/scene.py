"""What is in a picture and how well it is taken: scenes, their captions, and the two streams they come from."""

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from emu.world.picture import render
from emu.world.subjects import COLOURS, DRAWINGS

KINDS = tuple(DRAWINGS)
PLACES = {
    "beach": "on the beach",
    "meadow": "in a meadow",
    "desert": "in the desert",
    "mountains": "in the mountains",
    "city": "in the city",
    "forest": "in the forest",
    "snow": "in the snow",
    "lake": "by the lake",
}
TIMES = {"morning": "in the morning", "noon": "at noon", "sunset": "at sunset", "night": "at night"}

# The paper's annotation guideline, sec. 3.3, plus the focus its introduction names.
QUALITIES = ("composition", "lighting", "colour", "background", "focus")

UNSEEN_KINDS = ("boat", "mushroom", "tent", "duck")  # never among the needles: prompts with them show generality

GOOD_SHARE = 0.5  # of the haystack has each quality, independently: one picture in 32 has all five


@dataclass(frozen=True)
class Scene:
    """One picture before it is drawn. `good` says of each of QUALITIES whether the picture has it."""

    kind: str
    colour: str
    place: str
    time: str
    good: tuple[bool, ...]
    seed: int  # of everything that no caption tells: where things stand, and in which way a fault is a fault
    caption: str

    def render(self, size: int = 64) -> Image.Image:
        """RGB, size x size pixels. The same scene gives the same picture."""
        return render(self, size)

    def has(self, quality: str) -> bool:
        return self.good[QUALITIES.index(quality)]


class World:
    """Endless and seeded: picture `i` of a stream is the same whatever was drawn before it."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def haystack(self, index: int) -> Scene:
        """A picture as the web has it: each quality is a coin tossed."""
        rng = np.random.default_rng((self.seed, 0, index))
        return _scene(rng, KINDS, tuple(bool(g) for g in rng.random(len(QUALITIES)) < GOOD_SHARE))

    def needle(self, index: int) -> Scene:
        """A picture with all five qualities, and of no kind in UNSEEN_KINDS."""
        rng = np.random.default_rng((self.seed, 1, index))
        kinds = tuple(kind for kind in KINDS if kind not in UNSEEN_KINDS)
        return _scene(rng, kinds, (True,) * len(QUALITIES))

    def prompts(self, count: int, *, unseen: int) -> list[dict[str, str]]:
        """`count` distinct full captions, `unseen` of them of kinds that no needle shows; `group` says which.

        ValueError: there are not so many.
        """
        each = len(COLOURS) * len(PLACES) * len(TIMES)
        for asked, known in ((unseen, len(UNSEEN_KINDS)), (count - unseen, len(KINDS) - len(UNSEEN_KINDS))):
            if asked > known * each:
                raise ValueError(f"{asked:,} captions of {known} kinds are asked for; there are {known * each:,}")
        rng = np.random.default_rng((self.seed, 2))
        rows: dict[str, str] = {}
        while len(rows) < count:
            group = "unseen" if len(rows) < unseen else "seen"  # those come first
            kinds = UNSEEN_KINDS if group == "unseen" else tuple(k for k in KINDS if k not in UNSEEN_KINDS)
            scene = _scene(rng, kinds, (True,) * len(QUALITIES))
            rows[_full(scene.kind, scene.colour, scene.place, scene.time)] = group
        return [{"prompt": prompt, "group": group} for prompt, group in rows.items()]


def named(caption: str) -> dict[str, str]:
    """The attributes a caption names: a subset of kind, colour, place and time, each with its word."""
    words = set(re.findall(r"[a-z]+", caption.lower()))
    vocabulary = {"kind": KINDS, "colour": COLOURS, "place": PLACES, "time": TIMES}
    found = {name: [word for word in known if word in words] for name, known in vocabulary.items()}
    return {name: hits[0] for name, hits in found.items() if hits}


def _full(kind: str, colour: str, place: str, time: str) -> str:
    article = "an" if colour == "orange" else "a"
    return f"{article} {colour} {kind} {PLACES[place]} {TIMES[time]}"


def _scene(rng: np.random.Generator, kinds: tuple[str, ...], good: tuple[bool, ...]) -> Scene:
    kind, colour, place, time = (str(rng.choice(list(known))) for known in (kinds, COLOURS, PLACES, TIMES))
    seed = int(rng.integers(2**31))
    return Scene(kind, colour, place, time, good, seed, _caption(rng, kind, colour, place, time))


def _caption(rng: np.random.Generator, kind: str, colour: str, place: str, time: str) -> str:
    """Captions of the web: full ones, other word orders, and ones that leave something out."""
    full = _full(kind, colour, place, time)
    article = "an" if kind[0] in "aeiou" else "a"
    others = (
        f"{colour} {kind} {TIMES[time]} {PLACES[place]}",
        f"photo of {full}",
        f"{PLACES[place]} {TIMES[time]}, a {colour} {kind}".removeprefix(" "),
        f"{colour} {kind} {PLACES[place]}",
        f"{article} {kind} {PLACES[place]} {TIMES[time]}",
        f"{colour} {kind}",
    )
    return full if rng.random() < 0.55 else others[int(rng.integers(len(others)))]
