"""Measures how often PhotoRules prefers the better of two pictures of the simulated web, and keeps it in the package.

    python scripts/rules_accuracy.py

The rules are learned from nothing, so every world is held out; World(4) is one that no base and no judge saw.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from emu.judges import Judge
from emu.judges.photo_rules import PhotoRules
from emu.world import QUALITIES, Scene, World

PLACE = Path(__file__).parent.parent / "src/emu/demo/judges/photo-rules.json"


def accuracy(judge: Judge, world: World, count: int) -> dict[str, float]:
    """Quality -> share of `count` scenes that score higher with it than without; `any`: of pairs of two scenes."""
    scenes = [world.haystack(i) for i in range(count)]
    found = {}
    for number, quality in enumerate(QUALITIES):
        good, bad = (_scores(judge, [_with(scene, number, value) for scene in scenes]) for value in (True, False))
        found[quality] = float((good > bad).mean())
    scores, better = _scores(judge, scenes), np.array([sum(scene.good) for scene in scenes])
    gained, rose = np.sign(scores[::2] - scores[1::2]), np.sign(better[::2] - better[1::2])
    found["any"] = float((gained == rose)[rose != 0].mean())
    return {name: round(value, 3) for name, value in found.items()}


def _with(scene: Scene, number: int, value: bool) -> Scene:
    return replace(scene, good=tuple(value if i == number else other for i, other in enumerate(scene.good)))


def _scores(judge: Judge, scenes: list[Scene]) -> np.ndarray:
    pixels = np.stack([np.asarray(scene.render()) for scene in scenes])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return judge.score(images, [scene.caption for scene in scenes]).numpy()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4000, help="scenes")
    measured = accuracy(PhotoRules(), World(4), parser.parse_args().count)
    PLACE.write_text(json.dumps(measured, indent=1) + "\n")
    print(measured)
