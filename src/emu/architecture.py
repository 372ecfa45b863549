"""Architecture: what varies by model, and the diffusers pipeline that it holds.

Notable: the pipeline is held, not registered. Lightning sees two children: `backbone`, which trains, and `ema`, its
average, which sits in the pipeline's slot, so that whatever the pipeline draws or saves is the average's.
"""

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import lightning as L
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer

from emu import adapters, components, folders
from emu.adapters import Adapter
from emu.code import code_of, own_arguments
from emu.errors import UserError

Cond = dict[str, Tensor]
Sampler = dict[str, int | float | bool | str]

OURS = {
    "prompt",
    "negative_prompt",
    "generator",
    "height",
    "width",
    "num_images_per_prompt",
    "output_type",
    "return_dict",
}


class Architecture(L.LightningModule, ABC):
    """The half of `TextToImageModule` that knows pictures and prompts; the other half trains it."""

    pipeline_class: ClassVar[type[Any]]
    """The diffusers pipeline whose folders this architecture takes."""
    slot: ClassVar[str]
    """The pipeline's component that trains."""
    tokenizer_name: ClassVar[str] = "tokenizer"
    """The pipeline's component that decides how long a caption may be."""
    optional_parts: ClassVar[Sequence[str]] = ()
    """The pipeline's components that a folder may leave out, beside those that are never used."""
    reads_captions: ClassVar[bool] = True
    """Whether `loss` takes what `encode_prompts` makes of a picture's caption."""
    sampler_defaults: ClassVar[Mapping[str, int | float | bool | str]] = {}
    """Keyword arguments of the pipeline's call."""

    pipeline: Any  # a DiffusionPipeline, whose components diffusers does not type
    backbone: nn.Module
    ema: nn.Module

    def __init__(
        self, pretrained: str, *, resolution: int | None, sampler: Sampler | None, adapter: Adapter | None = None
    ) -> None:
        super().__init__()
        self.pretrained = pretrained
        self.resolution = resolution
        self.adapter = adapter
        self.sampler = {**self.sampler_defaults, **(sampler or {})}
        self._empty: Cond | None = None
        self._negative: Cond | None = None

    # ---- what varies by architecture

    @abstractmethod
    def encode_images(self, images: Tensor) -> Tensor:
        """float (b,3,h,w) in [-1,1] -> (b,...): what `loss` takes and a cache stores."""

    @abstractmethod
    def encode_prompts(self, prompts: list[str]) -> Cond:
        """Prompts -> names to tensors (b,...), of a fixed shape per prompt: what a cache stores.

        The names are the pipeline's own keywords, such as prompt_embeds. What is of varying length is padded, and a
        mask lies beside it; a name that the pipeline does not know stays with `loss` and the cache.
        """

    @abstractmethod
    def loss(self, x: Tensor, cond: Cond) -> Tensor:
        """What `encode_images` and `encode_prompts` gave -> (b,), drawing time and noise.

        `cond` also holds "size", int64 (b,6): original height and width, crop top and left, height and width.
        """

    def sample(
        self,
        cond: Cond,
        negative: Cond,
        seeds: Sequence[int] | Tensor,
        *,
        height: int | None = None,
        width: int | None = None,
    ) -> Tensor:
        """Draw one picture a prompt with the averaged weights: float32 (b,3,h,w) in [0,1].

        Args:
            cond: of `encode_prompts`.
            negative: of `encode_prompts` for what guidance leads away from, of one prompt or of b.
            seeds: int (b,); each picture has a generator of its own, so it does not depend on its batch.
            height: in pixels; `resolution` where None.
            width: in pixels; `resolution` where None.
        """
        pairs = {key: negative[key].expand_as(value) for key, value in cond.items() if key in negative}
        drawn = self.pipeline(
            **self.prompt_arguments(cond, pairs),
            generator=generators(seeds),
            height=height or self.resolution,
            width=width or self.resolution,
            output_type="pt",
            **self.sampler,
        )
        images: Tensor = drawn[0]  # `images` of most pipelines, `image` of some
        return images.float()

    def prompt_arguments(self, cond: Cond, negative: Cond) -> dict[str, Any]:
        """What the pipeline's call is given for b prompts and, of the same names, what guidance leads away from.

        `X` of `cond` as `X` and of `negative` as `negative_X`, where the call takes them.
        """
        named = cond | {f"negative_{key}": value for key, value in negative.items()}
        taken = self.call_parameters()
        # Some pipelines have a prompt or "" by default, and refuse it beside embeddings.
        texts = {key: None for key in ("prompt", "negative_prompt") if key in taken}
        return texts | {key: value for key, value in named.items() if key in taken}

    def plain_arguments(self, prompt: str) -> dict[str, Any]:
        """The pipeline's arguments by which its user draws `prompt` as `sample` does, but for seed and size."""
        negative = {"negative_prompt": ""} if "negative_prompt" in self.call_parameters() else {}
        return {"prompt": prompt, **negative, **self.sampler}

    @classmethod
    def call_parameters(cls) -> Mapping[str, inspect.Parameter]:
        """The arguments of the pipeline's call, by name."""
        return inspect.signature(cls.pipeline_class.__call__).parameters

    def call_backbone(self, *given: Any, **named: Any) -> Tensor:
        """The first output of the network that trains, called as diffusers' networks are."""
        output: Tensor = self.backbone(*given, **named, return_dict=False)[0]
        return output

    def load_pipeline(self) -> Any:
        """The folder's DiffusionPipeline, in float32; UserError where it is missing, damaged or of another kind."""
        folder = folders.locate(self.pretrained)
        self.check_class(folder)
        return self.build_pipeline(components.load_networks(folder, folders.read_index(folder)))

    def build_pipeline(self, networks: Mapping[str, nn.Module]) -> Any:
        """The folder's pipeline around its `networks`; a subclass refuses here what it cannot train, by UserError."""
        folder = folders.locate(self.pretrained)
        index = folders.read_index(folder)
        for name in components.required(self.pipeline_class) - components.used(index).keys() - {*self.optional_parts}:
            raise UserError(f"{folder / folders.INDEX}: names no {name}, and {type(self).__name__} needs one")
        left_out = components.left_out(self.pipeline_class, index)
        try:
            return self.pipeline_class.from_pretrained(folder, dtype=torch.float32, **{**left_out, **networks})
        except Exception as error:  # whatever diffusers makes of a damaged folder
            raise UserError(
                f"model.pretrained {self.pretrained}: no {self.pipeline_class.__name__} can be made of it "
                f"({components.first_line(error)}); {components.AGAIN}"
            ) from error

    def check_class(self, folder: Path) -> None:
        """Raise UserError where the folder holds another pipeline than this architecture's."""
        held = folders.read_index(folder)["_class_name"]
        if held != self.pipeline_class.__name__:
            raise UserError(
                f"model.pretrained {self.pretrained}: holds a {held}, and {type(self).__name__} takes "
                f"a {self.pipeline_class.__name__}; choose the architecture by its config (-c)"
            )

    @property
    def size_multiple(self) -> int:
        """Heights and widths in pixels are multiples of it."""
        return 1

    @property
    def max_tokens(self) -> int:
        """The longest caption in tokens, the special ones counted, that is not cut."""
        return int(self.tokenizer.model_max_length)

    def check_size(self, height: int, width: int) -> None:
        """Raise UserError where the model cannot take pictures of so many pixels."""
        multiple = self.size_multiple
        if min(height, width) < multiple or height % multiple or width % multiple:
            raise UserError(
                f"data.resolution: {type(self).__name__} takes sides that are multiples of {multiple} pixels, "
                f"not {height}x{width}"
            )

    # ---- frozen parts

    def configure_model(self) -> None:
        """Load the pipeline, once; called by Lightning, or by hand outside of it."""
        if "backbone" in self._modules:
            return
        self.pipeline = self.load_pipeline()
        self.pipeline.set_progress_bar_config(disable=True)
        for part in self.frozen_parts():
            part.requires_grad_(False).eval()
        self.backbone = getattr(self.pipeline, self.slot).requires_grad_(True).train()
        if self.adapter is not None:
            adapters.attach(self.backbone, self.adapter)
            adapters.leave_frozen_out(self)
        self.ema = adapters.twin(self.backbone).requires_grad_(False).eval()
        setattr(self.pipeline, self.slot, self.ema)
        self._check_sampler()
        if self.resolution is not None:
            self.check_size(self.resolution, self.resolution)

    def frozen_parts(self) -> list[nn.Module]:
        """The networks of the pipeline but for the one that trains."""
        parts = self.pipeline.components.items()
        return [part for name, part in parts if isinstance(part, nn.Module) and name != self.slot]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # The frozen parts are no children, and follow the module to its device and dtype here.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if recurse and "backbone" in self._modules:
            for part in self.frozen_parts():
                part._apply(fn)
        return self

    def train(self, mode: bool = True) -> Self:
        """As in torch, and the average stays in evaluation mode."""
        super().train(mode)
        if "ema" in self._modules:
            self.ema.eval()
        return self

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer that `tokenizer_name` names, read without any weights."""
        folder = folders.locate(self.pretrained)
        components.check(folder / self.tokenizer_name, components.used(folders.read_index(folder))[self.tokenizer_name])
        return AutoTokenizer.from_pretrained(folder / self.tokenizer_name)

    def in_template(self, prompt: str) -> str:
        """What the tokenizer is given for a prompt: the prompt itself, or what the model's template makes of it."""
        return prompt

    def token_counts(self, prompts: list[str]) -> list[int]:
        """Tokens of each prompt in its template, special ones counted, before any cut; above `max_tokens` it is cut."""
        texts = [self.in_template(prompt) for prompt in prompts]
        return [len(ids) for ids in self.tokenizer(text=texts, truncation=False, verbose=False)["input_ids"]]

    def fingerprint(self) -> str:
        """A short name of what `encode_*` depend on; not the picture size.

        The class, its code, how many tokens it reads, arguments of a user's own; frozen parts by content; the dtype.
        """
        folder = folders.locate(self.pretrained)
        named = components.used(folders.read_index(folder)).keys() - {self.slot, "scheduler"}
        parts = [folder / name for name in named if (folder / name).is_dir()]
        how = repr((code_of(type(self)), self.max_tokens, own_arguments(self), folders.content_hash(parts)))
        return f"{type(self).__name__.lower()}-float32-{hashlib.sha256(how.encode()).hexdigest()[:16]}"

    @torch.no_grad()
    def empty_prompt(self) -> Cond:
        """What `encode_prompts` gives for "", of one prompt; computed once."""
        if self._empty is None:
            self._empty = self.encode_prompts([""])
        return {key: value.to(self.device) for key, value in self._empty.items()}

    def encode_negatives(self, prompts: list[str]) -> Cond:
        """As `encode_prompts`, for what guidance leads away from; a model may put less around it."""
        return self.encode_prompts(prompts)

    @torch.no_grad()
    def negative_prompt(self) -> Cond:
        """What `encode_negatives` gives for "", of one prompt; computed once."""
        if self._negative is None:
            self._negative = self.encode_negatives([""])
        return {key: value.to(self.device) for key, value in self._negative.items()}

    # ---- in and out

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As in torch; UserError where the weights are of another architecture or adapter."""
        try:
            return super().load_state_dict(state_dict, strict=strict, assign=assign)
        except RuntimeError as error:
            raise UserError(
                f"the checkpoint does not fit {type(self).__name__} with model.pretrained {self.pretrained}: it holds "
                f"another architecture, or another model.adapter ({' '.join(str(error).split())[:200]}...)"
            ) from error

    def save_pipeline(self, folder: str | Path) -> None:
        """Write a folder that plain diffusers loads, whole or not at all: the base's own files and what was trained."""
        base = folders.locate(self.pretrained)
        with folders.replacing(Path(folder)) as target:
            folders.copy(base, target, trained=self.slot)
            self.write_changed(target)

    def write_changed(self, folder: Path) -> None:
        """Write into a copy of the base what differs from it: the averaged weights; in a subclass what it changed."""
        description = folder / self.slot / "config.json"
        as_published = description.read_bytes()
        network: Any = self.ema if self.adapter is None else adapters.merged(self.ema)
        network.save_pretrained(description.parent, safe_serialization=True, max_shard_size=components.ONE_FILE)
        description.write_bytes(as_published)

    def sampler_names(self) -> set[str]:
        """What `sampler` may set: arguments of the pipeline's call but for those that `sample` gives it."""
        return set(self.call_parameters()) - OURS

    def _check_sampler(self) -> None:
        for name in self.sampler:
            if name not in self.sampler_names():
                raise UserError(f"model.sampler.{name}: {type(self).__name__} has no such setting")


def generators(seeds: Sequence[int] | Tensor) -> list[torch.Generator]:
    """One a picture, on the CPU, so that a seed means the same on every device."""
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]
