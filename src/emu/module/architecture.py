"""Architecture: what varies by model. How pictures and prompts are encoded, what is learned, how the pipeline draws."""

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor

from emu import answers, starts
from emu.batch import Cond, Sampler
from emu.class_paths.code import code_of, own_arguments
from emu.drawn import on_white
from emu.errors import UserError, closest
from emu.module import asked
from emu.module.sizes import Sized
from emu.pipeline_folders import components, folders
from emu.storage.shapes import Arguments

# The arguments of a pipeline's call that `sample` gives it.
TEXTS = ("prompt", "negative_prompt")
OURS = {*TEXTS, "num_images_per_prompt", "height", "width", "generator", "output_type", "return_dict"}


class Architecture(Sized, ABC):
    """The half of `TextToImageModule` that knows pictures and prompts; the other half trains it.

    Args:
        pretrained: as in `Sized`, like all that is not named here.
        sampler: keyword arguments of the pipeline's call over those in `sampler_defaults`, such as guidance_scale.
    """

    reads_captions: ClassVar[bool] = True
    """Whether `loss` takes what `encode_prompts` makes of a picture's caption."""
    sampler_defaults: ClassVar[Mapping[str, int | float | bool | str]] = {}
    """Keyword arguments of the pipeline's call."""
    beyond_plain: ClassVar[frozenset[str]] = frozenset()
    """Settings of `sampler` that the plain pipeline does not have; an export is proved without them."""
    draws_alone: ClassVar[bool] = False
    """Whether the pipeline's call takes one picture at a time."""

    def __init__(self, pretrained: str, *, sampler: Sampler | None = None, **kwargs: Any) -> None:
        super().__init__(pretrained, **kwargs)
        self.sampler: Sampler = {**self.sampler_defaults, **(sampler or {})}
        self._negative: Cond | None = None

    # ---- what it learns from

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

    def encode(self, prompts: list[str], *, negative: bool = False) -> Cond:
        """`encode_prompts` or `encode_negatives` in float32, its last bits not depending on the batch."""
        with self.as_held():
            parts = [asked.prompts(self, list(some), negative=negative) for some in self.apart(prompts)]
        for part in parts[1:]:
            asked.alike(self, parts[0], part)
        return in_float32({key: torch.cat([part[key] for part in parts]) for key in parts[0]})

    def encode_pictures(self, images: Tensor) -> Tensor:
        """`encode_images`, its last bits not depending on the batch."""
        with self.pictures_as_held():
            return torch.cat([asked.pictures(self, some) for some in self.apart(images)])

    def as_held(self) -> AbstractContextManager[Any]:
        """Inside, text encoders compute in what they are held in, whatever a run computes in: so `emu encode` does.

        Rounding apart, some of them overflow in float16.
        """
        return torch.autocast(self.device.type, enabled=False)

    def pictures_as_held(self) -> AbstractContextManager[Any]:
        """The same for `encode_images`, where encoders are held in float32.

        Where they are not, memory and speed are what was asked for: an autoencoder, which is held in float32 always,
        then computes as the run does.
        """
        return self.as_held() if self.encoders_dtype == "float32" else nullcontext()

    def apart(self, many: Any) -> Sequence[Any]:
        """On a CPU one by one, as `emu encode` does: the last bits of an encoding depend on how many go together."""
        return [many[i : i + 1] for i in range(len(many))] if self.device.type == "cpu" else [many]

    def fingerprint(self) -> str:
        """A short name of what `encode_*` depend on, but for the picture size.

        The class, its code, its template and how many tokens it reads, what a user's class adds to it, frozen parts by
        content, dtype.
        """
        folder = self.folder
        named = components.used(folders.read_index(folder)).keys() - {self.slot, "scheduler"}
        parts = [folder / name for name in named if (folder / name).is_dir()]
        text = self.in_template(""), self.max_tokens
        how = repr((code_of(type(self)), text, own_arguments(self), folders.content_hash(parts)))
        return f"{type(self).__name__.lower()}-{self.encoders_dtype}-{hashlib.sha256(how.encode()).hexdigest()[:16]}"

    # ---- how long captions may be

    @property
    def max_tokens(self) -> int:
        """The longest caption in tokens, the special ones counted, that is not cut."""
        return int(self.tokenizer.model_max_length)

    def in_template(self, prompt: str) -> str:
        """What the tokenizer is given for a prompt: the prompt itself, or what the model's template makes of it."""
        return prompt

    def token_counts(self, prompts: list[str]) -> list[int]:
        """How many tokens each prompt has, before any cut; above `max_tokens` it is cut."""
        return [len(ids) for ids in self.token_ids(prompts)]

    def token_ids(self, prompts: list[str]) -> list[list[int]]:
        """The tokens of each prompt in its template, special ones too, before any cut.

        A model without a tokenizer has this and `max_tokens` of its own.
        """
        texts = [self.in_template(prompt) for prompt in prompts]
        found: list[list[int]] = self.tokenizer(text=texts, truncation=False, verbose=False)["input_ids"]
        return found

    # ---- how it draws

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
            negative: of `encode_negatives`, of one prompt or of b.
            seeds: int (b,); each picture has a generator of its own, so it does not depend on its batch.
            height, width: in pixels; where None what `enlarged` says of the picture, without one `resolution`.
        """
        asked.alike(self, negative, {key: value for key, value in cond.items() if key in negative})
        pairs = {key: negative[key].expand_as(value) for key, value in cond.items() if key in negative}
        if self.starts_from_picture:
            height, width = self.enlarged(*cond["image"].shape[-2:], height=height, width=width)
        else:
            height, width = height or self.resolution, width or self.resolution
        if height and width:
            self.allow_size(self.pipeline, height, width)
        sides = self.size_arguments(height, width)
        at_once = 1 if self.draws_alone else len(seeds)
        drawn: list[Tensor] = []
        for start in range(0, len(seeds), at_once):
            some = slice(start, start + at_once)
            taken, away = ({key: value[some] for key, value in one.items()} for one in (cond, pairs))
            images = self.pipeline(
                **self.prompt_arguments(taken, away),
                generator=generators(seeds[some]),
                **sides,
                output_type="pt",
                **self.sampler,
            )[0]  # `images` of most pipelines, `image` of some
            drawn.append(on_white(images.float()))
        return torch.cat(drawn)

    def prompt_arguments(self, cond: Cond, negative: Cond) -> Arguments:
        """What the pipeline's call is given for b prompts and, of the same names, what guidance leads away from.

        `X` of `cond` as `X` and of `negative` as `negative_X`, where the call takes them.
        """
        named = cond | {f"negative_{key}": value for key, value in negative.items()}
        taken = self.call_parameters()
        if self.reads_captions and not cond.keys() & taken.keys() - {starts.COLUMN}:
            raise UserError(
                f"{answers.name_of(self)}.encode_prompts gave {', '.join(cond)}, and {self.pipeline_class.__name__}'s "
                "call takes none of them; give its own keywords, or say in prompt_arguments what it takes"
                f"{closest(next(iter(cond)), taken)}"
            )
        # Some pipelines have a prompt or "" by default, and refuse it beside embeddings.
        texts = {key: None for key in TEXTS if key in taken}
        return texts | {key: value for key, value in named.items() if key in taken}

    def plain_arguments(self, prompt: str) -> Arguments:
        """The pipeline's arguments by which its user draws `prompt` as `sample` does, but for seed and size."""
        negative = {"negative_prompt": ""} if "negative_prompt" in self.call_parameters() else {}
        return {"prompt": prompt, **negative, **self.plain_sampler(self.sampler)}

    @classmethod
    def plain_sampler(cls, sampler: Sampler) -> Sampler:
        """Of these settings what the plain pipeline has."""
        return {name: value for name, value in sampler.items() if name not in cls.beyond_plain}

    @classmethod
    def call_parameters(cls) -> Mapping[str, inspect.Parameter]:
        """The arguments of the pipeline's call, by name."""
        return inspect.signature(cls.pipeline_class.__call__).parameters

    def encode_negatives(self, prompts: list[str]) -> Cond:
        """As `encode_prompts`, for what guidance leads away from; a model may put less around it."""
        return self.encode_prompts(prompts)

    @torch.no_grad()
    def negative_prompt(self) -> Cond:
        """What `encode_negatives` gives for "", of one prompt; computed once."""
        if self._negative is None:
            self._negative = self.encode([""], negative=True)
        return {key: value.to(self.device) for key, value in self._negative.items()}

    @property
    def guides_above(self) -> float:
        """The guidance scale above which it is led away from a negative prompt; infinite where it never is."""
        return 1.0

    # ---- what it can draw

    def configure_model(self) -> None:
        """As `PipelineModule`'s; UserError where the pipeline takes no such settings or size."""
        super().configure_model()
        self.check_sampler()
        if self.resolution is not None:
            self.check_size(self.resolution, self.resolution)

    def sampler_names(self) -> set[str]:
        """What `sampler` may set: arguments of the pipeline's call but for those that `sample` gives it."""
        return set(self.call_parameters()) - OURS

    def check_sampler(self) -> None:
        """Raise UserError where `sampler` has a setting that the model does not know, or no number for one that is."""
        for name, value in self.sampler.items():
            if name not in self.sampler_names():
                raise UserError(f"model.sampler.{name}: {type(self).__name__} has no such setting")
            if self._is_number(name) and type(value) not in (int, float):
                raise UserError(f"model.sampler.{name} {value}: give a number")
            if name == "num_inference_steps" and isinstance(value, int | float) and value < 1:
                raise UserError(f"model.sampler.{name} {value}: give 1 or more")

    def _is_number(self, name: str) -> bool:
        """Whether a setting of `sampler` is one, by its default."""
        taken = self.call_parameters()
        default = self.sampler_defaults.get(name, taken[name].default if name in taken else None)
        return type(default) in (int, float) or name in self.beyond_plain


def in_float32(cond: Cond) -> Cond:
    """What encoders in bfloat16 made, as networks take it whatever they compute in; masks as they are."""
    return {key: value.float() if value.is_floating_point() else value for key, value in cond.items()}


def generators(seeds: Sequence[int] | Tensor) -> list[torch.Generator]:
    """One a picture, on the CPU, so that a seed means the same on every device."""
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]
