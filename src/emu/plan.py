"""`emu plan`: what a run will do and cost. It reads headers, captions and component configs, and loads no weight.

emu plan -c latent/sdxl --data.root my/needles
"""

import logging
from collections import Counter
from typing import Any

from emu import captions
from emu.data import CuratedData
from emu.fit import Settings
from emu.outline import Outline
from emu.quality.recipe import RECIPE_PASSES
from emu.resume import rule_of

FLOAT32 = 4  # bytes
PNG = 1.5  # bytes a pixel, about, of a photograph


def plan(args: list[str]) -> str:
    """The arguments of `emu fit` -> what it would do, a paragraph each. Raises UserError as `emu fit` would."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # the bucket plan is said below
    settings = Settings(args, command="plan")
    data: CuratedData = settings.datamodule
    data.setup("fit")
    outline = Outline(settings.model)
    for height, width in {picture.bucket for picture in data.train_pictures + data.held_out_pictures}:
        settings.model.check_size(height, width)
    described = captions.describe(settings.model, data.captions())
    paragraphs = [
        data.describe(),
        described,
        steps(settings),
        memory(outline, settings.config),
        disk(settings, outline),
    ]
    return "\n\n".join(paragraphs)


def steps(settings: Settings) -> str:
    """How many steps of how many pictures, and how often each picture is seen."""
    config, buckets = settings.config, Counter(picture.bucket for picture in settings.datamodule.train_pictures)
    batch, most = effective_batch(config), rule_of(config).max_steps
    epoch = sum(-(-number // batch) for number in buckets.values())  # steps: one is of one bucket
    checks = -(-most // config.quality.check_every)
    return (
        f"steps: at most {most:,} of up to {batch} pictures; each of {buckets.total():,} is seen {most / epoch:,.0f} "
        f"times (the recipe: {RECIPE_PASSES}), {epoch:,} steps an epoch\n"
        f"checks: at most {checks:,} and the one before, {len(settings.datamodule.prompt_rows):,} pictures each"
    )


def effective_batch(config: Any) -> int:
    """Pictures an optimizer step, as QualityTuning arranges it: `quality.batch` where the devices can share it."""
    at_once = int(config.data.batch_size) * number_of_devices(config)
    wanted, given = int(config.quality.batch), int(config.trainer.accumulate_grad_batches)
    return wanted if given == 1 and wanted % at_once == 0 else at_once * given


def number_of_devices(config: Any) -> int:
    """Of all nodes together; "auto" is known only where it runs, and counts as one."""
    devices = config.trainer.devices
    number = len(devices) if isinstance(devices, list) else int(devices) if str(devices).isdigit() else 1
    return number * int(config.trainer.num_nodes)


def memory(outline: Outline, config: Any) -> str:
    """On each device: all of it, or its share of what `emu.sharding` shards."""
    trained, frozen = outline.trained(), outline.frozen()
    strategy, nodes = config.trainer.strategy, int(config.trainer.num_nodes)
    sharded = str(getattr(strategy, "class_path", "")).endswith("FSDP2")
    # As it shards by itself: a copy of the weights a node.
    among = (strategy.init_args.shard or number_of_devices(config) // nodes) if sharded else 1
    parts = ", ".join(f"{name} {count / 1e6:,.1f} M" for name, count in frozen.items())
    return (
        f"memory: {amount(5 * FLOAT32 * trained / among)} on each device for {trained / 1e6:,.1f} M trained parameters "
        f"in float32 (weights, gradients, average, two moments of AdamW{f', a share of {among}' if sharded else ''})\n"
        f"  {amount(FLOAT32 * sum(frozen.values()))} for what is frozen ({parts})\n"
        "  and activations, which grow with data.batch_size and are not estimated"
    )


def disk(settings: Settings, outline: Outline) -> str:
    """Checkpoints, pictures and, where one is made, the cache."""
    data, config = settings.datamodule, settings.config
    checkpoints = (1 + config.checkpoint.keep) * 4 * FLOAT32 * outline.trained()
    rounds = 1 + -(-rule_of(config).max_steps // config.quality.check_every)
    drawn = rounds * len(data.prompt_rows) * PNG * config.data.resolution**2
    picture, caption = outline.cached(config.data.resolution, config.data.resolution)
    texts = set(data.captions()) | {""}
    cache = len(data.train_pictures + data.held_out_pictures) * picture + len(texts) * caption
    return (
        f"disk: {amount(checkpoints)} for best.ckpt and the {config.checkpoint.keep} newest checkpoints (weights, "
        "average, two moments each)\n"
        f"  {amount(drawn)} for the pictures of all checks, at most\n"
        f"  {amount(cache)} for the cache of `emu encode`, where --data.cache is given"
    )


def amount(size: float) -> str:
    """Bytes as a person reads them."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
