"""The paper's recipe as figures, and a plain sentence where a run is far from them (arXiv 2309.15807, section 3.4)."""

from emu.terminal.counted import many

RECIPE_BATCH = 64
RECIPE_PASSES = 480  # 15,000 steps at most, of 64 pictures, over about 2,000


def batch_warning(batch: int) -> str | None:
    """A warning where `batch`, the pictures per optimizer step, is at least twice or at most half the recipe's."""
    if not _far(batch, RECIPE_BATCH):
        return None
    return (
        f"an optimizer step sees {many(batch, 'picture')}, the recipe's {RECIPE_BATCH}: leave quality.batch at that "
        "and set data.batch_size to a divisor of it, or accept a different recipe"
    )


def passes_warning(steps: float, *, steps_an_epoch: int) -> str | None:
    """A warning where `steps` show each picture at least twice or at most half as often as the recipe does."""
    passes = steps / steps_an_epoch
    if not _far(passes, RECIPE_PASSES):
        return None
    return (
        f"{steps:,.0f} steps show each picture {passes:,.1f} times, the recipe {RECIPE_PASSES} times at most, which "
        f"would be --quality.max_steps {RECIPE_PASSES * steps_an_epoch}"
    )


def _far(value: float, recipe: float) -> bool:
    return not recipe / 2 < value < recipe * 2
