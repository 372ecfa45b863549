"""The shapes of the JSON documents in run folders and curated folders, for `emu.records` to read them by.

What a key means stands in docs/architecture.md. Documents of older runs lack what is `NotRequired`.
"""

from typing import Any, Literal, NotRequired, TypedDict

Interval = tuple[float, float]


class Sample(TypedDict):
    """A line of samples.jsonl; further columns are the prompt file's."""

    file: str
    prompt: str
    seed: int
    sampler: NotRequired[dict[str, Any]]


class Scored(TypedDict):
    """A line of scores.jsonl; every further column is a number, which the reader checks."""

    file: str


class Card(TypedDict):
    """A judge, with whatever else it says of itself."""

    name: str
    tie: float
    family: NotRequired[str]


class Win(TypedDict):
    """As `emu.statistics.WinRate`."""

    win: float
    tie: float
    lose: float
    ci95: Interval


class Rate(Win):
    """With the number of pairs."""

    n: int


class Net(TypedDict):
    """As `emu.statistics.NetRate`."""

    net: float
    ci95: Interval


class Measured(TypedDict):
    """As `emu.guards.Finding`."""

    guard: str
    sentence: str
    state: Literal["held", "unsure", "broken"]
    value: float
    ci95: Interval
    threshold: float
    unit: str
    kind: NotRequired[Literal["at_least", "at_most", "within"]]
    unchanged: NotRequired[float]
    parts: list[dict[str, Any]]


class NotMeasured(TypedDict):
    """As `emu.guards.Finding` where something is absent."""

    guard: str
    sentence: str
    state: Literal["not measured"]
    value: None
    ci95: None


class Check(TypedDict):
    """As `emu.quality.stopping.Check`."""

    step: int
    appeal: Rate | None
    faithfulness: Rate | None
    faithfulness_net: Net | None
    held_out_ratio: float | None
    guards: NotRequired[list[Measured | NotMeasured]]


class Quality(TypedDict):
    """quality.json."""

    name: NotRequired[str]
    model: NotRequired[str]
    best_step: NotRequired[int | None]
    stop_reason: NotRequired[str | None]
    checks: NotRequired[list[Check]]
    judges: NotRequired[dict[str, Card]]
    headline: NotRequired[dict[str, str]]
    versions: NotRequired[dict[str, str]]


class Tally(TypedDict):
    """What people said on a question."""

    majority: Win
    pooled: Win | None
    alpha: float | None


class Question(TypedDict):
    """Of raters above the attention bar, and of all."""

    kept: Tally | None
    all: Tally | None


class Rater(TypedDict):
    """A rater and a question."""

    question: str
    votes: int
    kept: bool


class Cast(TypedDict):
    """Votes on a pair."""

    after: int
    tie: int
    before: int


class Voted(TypedDict):
    """A pair of votes.json."""

    prompt: str
    seed: int
    key: str
    appeal: NotRequired[Cast]
    faithfulness: NotRequired[Cast]


class Votes(TypedDict):
    """votes.json."""

    questions: dict[str, Question]
    raters: list[Rater]
    pairs: list[Voted]


class PipelineIndex(TypedDict):
    """model_index.json of a pipeline folder; beside the class its components."""

    _class_name: str


class ModelConfig(TypedDict):
    """The model of a config."""

    class_path: str
    init_args: NotRequired[dict[str, Any] | None]


class RunConfig(TypedDict):
    """config.yaml, of which only this is read without the parser of `emu fit`."""

    model: ModelConfig
    data: NotRequired[dict[str, Any] | None]
    trainer: NotRequired[dict[str, Any] | None]
