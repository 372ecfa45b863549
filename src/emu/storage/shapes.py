"""The shapes of the JSON documents in run folders and curated folders, for `emu.storage.records` to read them by.

What a key means stands in docs/architecture.md. Documents of older runs lack what is `NotRequired`.
"""

from typing import Any, NotRequired, TypedDict

Config = dict[str, Any]
"""A whole config as YAML gives it, as it stands in a file: nothing in it has been checked yet."""

ComponentConfig = dict[str, Any]
"""What the `config.json` of one of a pipeline's components says."""

Arguments = dict[str, Any]
"""Keyword arguments of a call to a pipeline, by the pipeline's own names."""

Row = dict[str, Any]
"""A row of a user's file: columns of any name, cells of any type."""


class Sample(TypedDict):
    """A line of samples.jsonl; further columns are the prompt file's."""

    file: str
    prompt: str
    seed: int
    sampler: NotRequired[Arguments]


class Scored(TypedDict):
    """A line of scores.jsonl; every further column is a number, which the reader checks."""

    file: str


class Card(TypedDict):
    """A judge, with whatever else it says of itself."""

    name: str
    tie: float
    family: NotRequired[str]


class PipelineIndex(TypedDict):
    """model_index.json of a pipeline folder; beside the class its components."""

    _class_name: str


class ShippedStage(TypedDict):
    """A stage in the stages.json of an exported cascade; `emu.exporting.draw` says what each is for."""

    folder: str
    pipeline: NotRequired[str | None]
    arguments: Arguments
    left_out: Arguments
    not_there: NotRequired[Arguments]
    attributes: NotRequired[Arguments]
    modules: NotRequired[list[str]]
    factor: int
    sized: bool


class ModelConfig(TypedDict):
    """The model of a config."""

    class_path: str
    init_args: NotRequired[Config | None]


class RunConfig(TypedDict):
    """config.yaml, of which only this is read without the parser of `emu fit`."""

    model: ModelConfig
    data: NotRequired[Config | None]
    trainer: NotRequired[Config | None]
