"""Where each guard says that it is broken, and why there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of all guards. None stops a run by chance: the whole 95 % interval has to be beyond it.

    Args:
        drift: of the whole range that mean brightness, contrast or saturation may move. 0.05 is seen side by side; a
            curated set of clear light moved the demo's hazy bases by 0.17 at most (docs/compare.md); a quarter of all
            there is, no taste asks for.
        diversity: after / before that pictures of one prompt must differ by: with a tenth lost, seeds begin to repeat.
        held_out: times the held-out loss of step 0. It falls while a run goes well; a tenth above it, and the model
            explains the curated kind of picture worse than the base did.
        memorisation: percentage points of pictures that became copies.
        generality: points that faithfulness (win - lose) may fall in a category, as `quality.margin` for all prompts.
    """

    drift: float = 0.25
    diversity: float = 0.9
    held_out: float = 1.1
    memorisation: float = 5.0
    generality: float = 2.0
