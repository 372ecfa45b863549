"""`emu plan`: what a run will do and cost. It reads headers, captions and component configs, and loads no weight.

emu plan -c latent/sdxl --data.root my/needles
"""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from emu.data import CuratedData
from emu.errors import first_line
from emu.module.settings import require_drawable
from emu.planning import cards
from emu.planning.memory import (
    DRAWING,
    ENCODING,
    STEP,
    UPDATE,
    Memory,
    Whole,
    at_a_check,
    drawn_at_a_check,
    effective_batch,
    largest,
    shards,
    share,
    whole,
)
from emu.planning.outline import Outline, count
from emu.quality.recipe import RECIPE_PASSES
from emu.terminal.counted import amount, many
from emu.training import captions
from emu.training.fit import Settings
from emu.training.resume import rule_of
from emu.training.stages import stages_of

PNG = 1.5  # bytes a pixel, about, of a photograph


def plan(args: list[str]) -> str:
    """The arguments of `emu fit` -> what it would do, a paragraph each. Raises UserError as `emu fit` would."""
    with quiet():  # the bucket plan is said below
        settings = Settings(args, command="plan")
        data: CuratedData = settings.datamodule
        data.setup("fit")
    outline = Outline(settings.model)
    for height, width in data.sizes:
        settings.model.check_size(height, width)
    require_drawable(settings.model, data.prompt_rows, where="data.prompts")
    of = whole(outline, settings)
    held = share(of, settings.config, among=shards(settings.config))
    paragraphs = [
        data.describe(),
        captions.describe(settings.model, data.captions()),
        terms(settings.model.licence),
        steps(settings),
        memory(outline, settings, held),
        disk(settings, outline, of),
    ]
    if settings.config.trainer.accelerator != "cpu":
        paragraphs.insert(5, cards.describe(args, settings, of, held))
    return "\n\n".join(paragraphs)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, Lightning says what it warns of alone; outside, what was to be said before."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)


def terms(licence: str | None) -> str:
    """Under which licence what is tuned will stay."""
    if licence is None:
        return "licence of the base: not said (model.licence); what is tuned stays under it"
    alone = "non-commercial" in licence.lower()
    return f"licence of the base, as the config says: {licence}; what is tuned stays under it" + (
        "\n  it allows no commercial use, of the tuned model neither" if alone else ""
    )


def steps(settings: Settings) -> str:
    """How many steps of how many pictures, and how often each picture is seen."""
    config, buckets = settings.config, Counter(picture.bucket for picture in settings.datamodule.train_pictures)
    batch, most = effective_batch(config), rule_of(config).max_steps
    checks = -(-most // config.quality.check_every)
    watched = (
        f"checks: at most {checks:,} and the one before, {many(len(settings.datamodule.prompt_rows), 'picture')} each"
    )
    if settings.datamodule.stream:
        stages = [f"  {stage}" for stage in stages_of(config.stages)]
        return "\n".join([f"steps: at most {most:,}, of {many(batch, 'picture')} in the last stage", *stages, watched])
    epoch, total = sum(-(-number // batch) for number in buckets.values()), buckets.total()
    seen = f"{most / epoch:,.0f}" if most >= epoch else f"{most / epoch:.1g}"
    lines = [
        f"steps: at most {most:,}, of up to {many(batch, 'picture')} of one shape ({total / epoch:,.3g} on average, "
        f"{many(epoch, 'step')} an epoch)",
        f"  each of {total:,} is seen {seen} time{'s' * (seen != '1')}; the recipe's {RECIPE_PASSES} would be "
        f"--quality.max_steps {RECIPE_PASSES * epoch}",
    ]
    if config.quality.appeal is None:
        lines.append(
            "  no judge of appeal watches (quality.appeal): nothing ends the run when pictures stop getting better"
        )
    return "\n".join([*lines, watched])


def memory(outline: Outline, settings: Settings, held: Memory) -> str:
    """At most, on each device: all of it, or its share of what `emu.sharding` shards."""
    config, among = settings.config, shards(settings.config)
    height, width = largest(settings)
    frozen = ", ".join(f"{name} {count(part) / 1e6:,.1f} M" for name, part in outline.frozen().items())
    lines = [
        f"memory: {amount(held.total)} on each device at most, at {held.busiest}",
        f"  {amount(held.weights)} for the network, of which {outline.trained() / 1e6:,.1f} M parameters train"
        + f" (a share of {among})" * (among > 1),
        f"  {amount(held.average)} for the average, {amount(held.kept)} for what the optimizer keeps",
        f"  {amount(held.frozen)} for what is frozen ({frozen})",
        "  and at different times",
    ]
    size, (drawn, sides) = f"of {height}x{width}", at_a_check(settings)
    pictures = many(config.data.batch_size, f"picture {size} keeps", f"pictures {size} keep")
    words = {
        STEP: f"gradients and what {pictures} for the way back",
        ENCODING: "to encode them, where there is no cache",
        DRAWING: f"{many(drawn, 'picture')} of {sides[0]}x{sides[1]} at a check",
        UPDATE: "gradients, the optimizer's step and the average's",
    }
    lines += [f"  {amount(held.work[kind])} for {kind}: {text}" for kind, text in words.items() if kind in held.work]
    lines += [f"  {kind} is not counted: {reason}" for kind, reason in held.uncounted.items()]
    lines += ["  beside that: what CUDA takes for itself, and the judges"]
    return "\n".join(lines + [f"  on the host {amount(size)} for {what}" for what, size in held.host.items()])


def disk(settings: Settings, outline: Outline, of: Whole) -> str:
    """Checkpoints, pictures and, where one is made, the cache."""
    data, config = settings.datamodule, settings.config
    rounds = 1 + -(-rule_of(config).max_steps // config.quality.check_every)
    drawn = rounds * PNG * sum(number * height * width for number, (height, width) in drawn_at_a_check(settings))
    kept = many(config.checkpoint.keep, "newest checkpoint")
    return (
        f"disk: {amount((2 + config.checkpoint.keep) * of.saved)} for best.ckpt, the {kept} "
        "and the one that is being written (weights, average, what the optimizer keeps)\n"
        f"  {amount(drawn)} for the pictures of all checks, at most\n{_cache(outline, data, config.data.resolution)}"
    )


def _cache(outline: Outline, data: CuratedData, resolution: int) -> str:
    try:
        picture, caption = outline.cached(resolution, resolution)
    except Exception as error:  # as in `emu.planning.memory`
        return f"  the cache of `emu encode` is not counted: {first_line(error)}"
    texts = set(data.captions()) | {""}
    size = len(data.train_pictures + data.held_out_pictures) * picture + len(texts) * caption
    return f"  {amount(size)} for the cache of `emu encode`, where --data.cache is given"
