"""`emu plan`: what a run will do and cost. It reads headers, captions and component configs, and loads no weight.

emu plan -c latent/sdxl --data.root my/needles
"""

import logging
import math
from collections import Counter
from typing import Any

from torch import nn

from emu import captions, named
from emu.blocks import recompute
from emu.data import CuratedData
from emu.fit import Settings
from emu.footprint import footprint, gathered
from emu.outline import Outline, count
from emu.quality.recipe import RECIPE_PASSES
from emu.resume import rule_of
from emu.sharding import FSDP2, LARGE

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
        memory(outline, settings),
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
    together = at_once(config)
    wanted, given = int(config.quality.batch), int(config.trainer.accumulate_grad_batches)
    return wanted if given == 1 and wanted % together == 0 else together * given


def at_once(config: Any) -> int:
    """Pictures that all devices take together."""
    return int(config.data.batch_size) * number_of_devices(config)


def number_of_devices(config: Any) -> int:
    """Of all nodes together; "auto" is known only where it runs, and counts as one."""
    devices = config.trainer.devices
    number = len(devices) if isinstance(devices, list) else int(devices) if str(devices).isdigit() else 1
    return number * int(config.trainer.num_nodes)


def memory(outline: Outline, settings: Settings) -> str:
    """At most, on each device: all of it, or its share of what `emu.sharding` shards."""
    config, data, frozen = settings.config, settings.datamodule, outline.frozen()
    height, width = max((picture.bucket for picture in data.train_pictures), key=math.prod)
    among = shards(config)
    step, encoding = step_memory(outline, config, (height, width), among)
    base = frozen.get(outline.model.slot, 0)  # what an adapter stands beside is sharded as it is
    state = 4 * FLOAT32 * outline.trained() // max(1, among)
    still = FLOAT32 * (sum(frozen.values()) - base + base // max(1, among))
    parts = ", ".join(f"{name} {number / 1e6:,.1f} M" for name, number in frozen.items())
    return (
        f"memory: {amount(state + still + max(step, encoding))} on each device at most, while it trains\n"
        f"  {amount(state)} for {outline.trained() / 1e6:,.1f} M trained parameters in float32 (weights, average, two "
        f"moments of AdamW{f', a share of {among}' if among else ''})\n"
        f"  {amount(still)} for what is frozen ({parts})\n"
        f"  {amount(step)} for gradients and what {int(config.data.batch_size)} pictures of {height}x{width} keep for "
        f"the way back; {amount(encoding)} to encode them, where there is no cache\n"
        "  beside that: what CUDA takes for itself, and drawing at checks (data.sample_batch_size)"
    )


def step_memory(outline: Outline, config: Any, size: tuple[int, int], among: int) -> tuple[float, float]:
    """Bytes of a device for a training step beside weights and moments, and to encode a batch; `among` as `shards`."""
    network, strategy, weights = outline.model.backbone, config.trainer.strategy, FLOAT32 * outline.trained()
    if getattr(outline.model, "gradient_checkpointing", False):
        recompute(network)
    # What FSDP2 computes in bfloat16 by itself is about what autocast does.
    half = "bf16" in str(config.trainer.precision) or (among > 0 and strategy.init_args.compute_dtype == "bfloat16")
    found = footprint(outline, batch=int(config.data.batch_size), size=size, autocast=half)
    step = found.step
    if among:
        step += weights // among - weights + gathered(network, reshards=reshards(network, strategy), half=half)
    elif number_of_devices(config) > 1 and not getattr(strategy, "init_args", {}).get("gradient_as_bucket_view"):
        step += weights  # DDP's own copy of the gradients
    if config.trainer.accelerator != "cpu":  # where AdamW works on all weights at once, and needs as much again for it
        step = max(step, 2 * weights // max(1, among))
    return step, found.encoding


def reshards(network: nn.Module, strategy: Any) -> bool:
    """As `emu.sharding.FSDP2` decides."""
    given: bool | None = strategy.init_args.reshard_after_forward
    return count(network) > LARGE if given is None else given


def shards(config: Any) -> int:
    """Devices that hold one copy of the weights together, as `emu.sharding` parts them; 0 where each has its own."""
    strategy = config.trainer.strategy
    if not named.leads_to(getattr(strategy, "class_path", ""), FSDP2):
        return 0
    return int(strategy.init_args.shard or number_of_devices(config) // int(config.trainer.num_nodes))


def disk(settings: Settings, outline: Outline) -> str:
    """Checkpoints, pictures and, where one is made, the cache."""
    data, config = settings.datamodule, settings.config
    checkpoints = (2 + config.checkpoint.keep) * 4 * FLOAT32 * outline.trained()
    rounds = 1 + -(-rule_of(config).max_steps // config.quality.check_every)
    drawn = rounds * len(data.prompt_rows) * PNG * config.data.resolution**2
    picture, caption = outline.cached(config.data.resolution, config.data.resolution)
    texts = set(data.captions()) | {""}
    cache = len(data.train_pictures + data.held_out_pictures) * picture + len(texts) * caption
    return (
        f"disk: {amount(checkpoints)} for best.ckpt, the {config.checkpoint.keep} newest checkpoints and the one "
        "that is being written (weights, average, two moments each)\n"
        f"  {amount(drawn)} for the pictures of all checks, at most\n"
        f"  {amount(cache)} for the cache of `emu encode`, where --data.cache is given"
    )


def amount(size: float) -> str:
    """Bytes as a person reads them."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
