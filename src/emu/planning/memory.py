"""What a run holds in the memory of a device, all the time and at each kind of work, and in that of the host."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from emu import starts
from emu.class_paths import named
from emu.data import CuratedData
from emu.data.prompts import prompt_batches
from emu.errors import UserError, first_line
from emu.module.settings import SIDES
from emu.pipeline_folders import components
from emu.planning import footprint, moments
from emu.planning.footprint import Work
from emu.planning.outline import Outline, held, size
from emu.sharding import FSDP2, require_shardable
from emu.training.fit import Settings

STEP, DRAWING, ENCODING, UPDATE = "a step", "drawing", "encoding", "the optimizer"
AVERAGE, SAVING = "the average", "a checkpoint that is written in the background"


@dataclass(frozen=True)
class Whole:
    """Bytes of a run whose devices each hold all of it.

    Args:
        weights: of the network that trains, and of what an adapter stands beside.
        average: the averaged network's own part of them, `average_on_host` or not.
        kept: by the optimizer.
        frozen: of all other networks that are loaded; text encoders are not where there is a cache.
        gradients: of what trains.
        saved: by a checkpoint.
        work: beside all that, gradients too, at most at once, by kind of work.
        with_gradients: kinds of work at which gradients are there.
        together: what FSDP2 puts together for a moment, by kind of work.
        uncounted: kind of work -> why it could not be gone through.
    """

    weights: int
    average: int
    average_on_host: bool
    kept: int
    frozen: int
    gradients: int
    saved: int
    work: dict[str, int]
    with_gradients: set[str]
    together: dict[str, int]
    uncounted: dict[str, str]


@dataclass(frozen=True)
class Memory:
    """Bytes, on one device but for those of the host: `Whole` as the devices share it, gradients part of the work."""

    weights: int
    average: int
    kept: int
    frozen: int
    work: dict[str, int]
    host: dict[str, int]
    uncounted: dict[str, str]
    on_cpu: bool

    @property
    def busiest(self) -> str:
        """The kind of work that takes most."""
        return max(self.work, key=lambda kind: self.work[kind])

    @property
    def total(self) -> int:
        """At most at once; where the device is the host, what lies there too."""
        host = sum(self.host.values()) if self.on_cpu else 0
        return self.weights + self.average + self.kept + self.frozen + self.work[self.busiest] + host


def largest(settings: Settings) -> tuple[int, int]:
    """Height and width of the bucket that takes most."""
    data: CuratedData = settings.datamodule
    return max(data.shapes, key=math.prod)


def whole(outline: Outline, settings: Settings, *, known: Mapping[str, int] | None = None) -> Whole:
    """Of a run that is set up, at its largest pictures.

    `known`: kinds of work that take the same as in a run that was gone through before.
    """
    model = outline.model
    if shards(settings.config) > 1:
        require_shardable(model.backbone)
    trained, weights = list(model.trained_parameters()), held(model.backbone)
    average = held(model.backbone, model.ema) - weights
    optimizer = moments.cost(model.optimizer, trained, on_gpu=settings.config.trainer.accelerator != "cpu")
    gradients = sum(size(weight) for weight in trained)
    work = work_of(settings)
    found, uncounted = _counted(outline, settings, work, known or {})
    found[STEP] = max(0, found.get(STEP, 0) - gradients)
    return Whole(
        weights=weights,
        average=average,
        average_on_host=model.average_on_host,
        kept=optimizer.kept,
        frozen=held(
            *(one for one in outline.frozen().values() if not (settings.cache and components.is_encoder(type(one))))
        ),
        gradients=gradients,
        saved=gradients + average + optimizer.kept,  # a gradient is as large as its weight
        # The gradients are gone when the average follows.
        work=found | {UPDATE: max(optimizer.step, footprint.averaged(outline) - gradients)},
        with_gradients={STEP, UPDATE, *([ENCODING] if work.accumulates else [])},
        together=_together(outline, settings.config, half=work.half),
        uncounted=uncounted,
    )


def share(of: Whole, config: Any, *, among: int) -> Memory:
    """What one of `among` devices holds that share a copy; 1 for a device that has its own."""
    # DDP's buckets are there all the time. Gradients are views of them at most where none add up without travelling.
    buckets = of.gradients if among == 1 and number_of_devices(config) > 1 else 0
    views = buckets and _is_view(config.trainer.strategy) and effective_batch(config) <= at_once(config)
    gradients = 0 if views else of.gradients // among
    work = {}
    for kind, beside in of.work.items():
        together = of.together.get(kind, 0) if among > 1 else 0
        shared = beside // among if kind == UPDATE else beside
        work[kind] = shared + together + buckets + gradients * (kind in of.with_gradients)
    host = {AVERAGE: of.average // among} if of.average_on_host else {}
    return Memory(
        weights=of.weights // among,
        average=0 if of.average_on_host else of.average // among,
        kept=of.kept // among,
        frozen=of.frozen,
        work=work,
        host=host | ({} if config.checkpoint.blocking else {SAVING: of.saved // among}),
        uncounted=of.uncounted,
        on_cpu=config.trainer.accelerator == "cpu",
    )


def work_of(settings: Settings) -> Work:
    """What a device does at once while it trains."""
    config, sharded = settings.config, shards(settings.config) > 1
    autocast = str(config.trainer.precision).endswith("-mixed")
    return Work(
        batch=int(config.data.batch_size),
        size=largest(settings),
        autocast=autocast,
        # What FSDP2 computes in bfloat16 by itself is about what autocast does.
        half=autocast or (sharded and config.trainer.strategy.init_args.compute_dtype == "bfloat16"),
        accumulates=sharded or effective_batch(config) > at_once(config),
        apart=config.trainer.accelerator == "cpu",
    )


def _counted(
    outline: Outline, settings: Settings, work: Work, known: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, str]]:
    """Of each kind of work but the optimizer's: its bytes, or why they are not known."""
    kinds: dict[str, Callable[[], int]] = {STEP: lambda: footprint.step(outline, work)}
    if settings.cache is None:
        kinds[ENCODING] = lambda: footprint.encoding(outline, work)
    number, size = at_a_check(settings)
    if number:
        drawn = replace(work, batch=number, size=size)
        kinds[DRAWING] = lambda: footprint.drawing(outline, drawn)
    found = dict(known)
    uncounted: dict[str, str] = {}
    for kind, counted in kinds.items():
        if kind in known:
            continue
        try:
            found[kind] = counted()
        except UserError:
            raise
        except Exception as error:  # whatever a network says that decides by values which shapes do not have
            uncounted[kind] = first_line(error)
    return found, uncounted


def at_a_check(settings: Settings) -> tuple[int, tuple[int, int]]:
    """Of the pictures that are drawn at once, where they take most: how many, and their height and width; 0 of none."""
    batches = drawn_at_a_check(settings)
    return max(batches, key=lambda batch: batch[0] * math.prod(batch[1]), default=(0, (0, 0)))


def drawn_at_a_check(settings: Settings) -> list[tuple[int, tuple[int, int]]]:
    """The same of every batch of prompts, as their lines and the pictures that they start from have it."""
    side, model, found = int(settings.config.data.resolution), settings.model, []
    rows, at_most = settings.datamodule.prompt_rows, int(settings.config.data.sample_batch_size)
    for batch in prompt_batches(rows, batch_size=at_most, rank=0, world=1):
        height, width = (int(batch["settings"].get(name, side)) for name in SIDES)
        if model.starts_from_picture and (start := starts.size(batch["columns"][0])):
            height, width = model.enlarged(start[1], start[0])
        found.append((len(batch["prompt"]), (height, width)))
    return found


def _together(outline: Outline, config: Any, *, half: bool) -> dict[str, int]:
    """As `emu.sharding` parts a network; of the average nothing stays together."""
    network = outline.model.backbone
    reshards = bool(getattr(config.trainer.strategy, "init_args", {}).get("reshard_after_forward", True))
    step = footprint.gathered(network, reshards=reshards, half=half)
    return {STEP: step, DRAWING: footprint.gathered(network, reshards=True, half=half, gradients=False)}


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


def shards(config: Any) -> int:
    """Devices that hold one copy of the weights together, as `emu.sharding` parts them; 1 where each has its own."""
    strategy = config.trainer.strategy
    if not named.leads_to(getattr(strategy, "class_path", ""), FSDP2):
        return 1
    return int(strategy.init_args.shard or number_of_devices(config) // int(config.trainer.num_nodes))


def _is_view(strategy: Any) -> bool:
    """Whether DDP's gradients are its buckets, and no copies of them."""
    return bool(getattr(strategy, "init_args", {}).get("gradient_as_bucket_view"))
