"""The simulated web: endless captioned pictures of 64 px whose qualities, faults and attributes are known.

It stands in for what the paper had (billions of pictures, and people who know a good one): the haystack is mostly
mediocre, a needle has all five photographic qualities of the paper's guideline, and the truth of each is at hand.

    world = World(seed=0)
    scene = world.haystack(17)          # or world.needle(17)
    picture, caption = scene.render(), scene.caption
"""

from emu.world.scene import KINDS, PLACES, QUALITIES, TIMES, UNSEEN_KINDS, Scene, World, named
from emu.world.subjects import COLOURS

__all__ = ["COLOURS", "KINDS", "PLACES", "QUALITIES", "TIMES", "UNSEEN_KINDS", "Scene", "World", "named"]
