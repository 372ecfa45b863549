"""What would end a later stage ends the run before its first: settings that do not fit, shards that are not there."""

from collections.abc import Sequence

from jsonargparse import Namespace

from emu.data import CuratedData
from emu.data.buckets import Bucket
from emu.data.streams.shards import addresses
from emu.errors import UserError
from emu.training.stages import Stage

ROOT = "data.root"
OF_HELD_OUT = (ROOT, "data.image_column", "data.text_column", "data.caption_lines")


def look_ahead(stages: Sequence[Stage], configs: Sequence[Namespace]) -> set[Bucket]:
    """The shapes of pictures in all of `stages`, each with its parsed config. UserError: what would end one of them."""
    shapes: set[Bucket] = set()
    for stage, config in zip(stages, configs, strict=True):
        try:
            shapes.update(_shapes(stage, config))
        except UserError as error:
            raise UserError(f"stages: stage {stage.number}: {error}") from None
    return shapes


def _shapes(stage: Stage, config: Namespace) -> list[Bucket]:
    for key in stage.settings:
        if key not in config:
            raise UserError(f"{key} is not how the config spells it; write it out, as in model.init_args.noise_offset")
        if key in OF_HELD_OUT and config.data.held_out:
            raise UserError(f"{key}: another one holds out others (data.held_out); hold out none, or set it for all")
    data = CuratedData(**config.data.as_dict())
    if ROOT in stage.settings and data.options.stream:
        addresses(data.root)
    return data.options.buckets
