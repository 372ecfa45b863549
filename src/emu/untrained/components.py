"""One component from what the config says of it: loaded by its name, or made untrained."""

import inspect
from pathlib import Path
from typing import Any

import diffusers
import transformers
from diffusers.configuration_utils import ConfigMixin
from torch import nn
from transformers import CLIPTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, T5Tokenizer

from emu import folders, named
from emu.bundled import resolve
from emu.errors import UserError, first_line
from emu.parts.tokenizer import clip_tokenizer, t5_tokenizer
from emu.shapes import ComponentConfig

CLASS = "_class_name"  # as in diffusers' own configs: of another class than the pipeline's constructor names
FROM_TOKENIZER = ("vocab_size", "max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")


def loaded(name: str, given: str, kinds: tuple[Any, ...], *, weights: bool = True) -> Any:
    """The component `name` from a folder of its own, out of a pipeline's folder, or from the hub.

    Without `weights` a network is made as its config says, and only that is read.
    """
    kind: Any = kinds[0]
    if not isinstance(kind, type) or not hasattr(kind, "from_pretrained"):
        raise UserError(f"components.{name} {given}: a {_kind(kind)} is not loaded by name; give its config")
    path = Path(resolve(given))
    # A name of the hub may be that of the component or that of a pipeline.
    places = [""] if path.is_dir() else ["", name]
    if (path / folders.INDEX).is_file():
        places = [name]
    failure = ""
    for subfolder in places:
        try:
            return _read(kind, str(path), subfolder=subfolder, weights=weights)
        except (OSError, ValueError) as error:
            failure = failure or first_line(error)
    raise UserError(f"components.{name} {given}: holds no {kind.__name__} ({failure})")


def _read(kind: Any, path: str, *, subfolder: str, weights: bool) -> Any:
    if weights or not issubclass(kind, nn.Module):
        return kind.from_pretrained(path, subfolder=subfolder)
    if issubclass(kind, PreTrainedModel):
        return kind(kind.config_class.from_pretrained(path, subfolder=subfolder))
    return kind.from_config(kind.load_config(path, subfolder=subfolder))


def learned_tokenizer(name: str, given: ComponentConfig, kinds: tuple[Any, ...], captions: list[str]) -> Any:
    """A tokenizer of the pipeline's class whose entries are the captions' words."""
    if not captions:
        raise UserError(f"components.{name}: is learned from captions; name some with --captions")
    if CLIPTokenizer in kinds:
        _refuse_unknown(name, given, {"vocab_size", "max_length"})
        return clip_tokenizer(captions, **given)
    if T5Tokenizer in kinds:
        _refuse_unknown(name, given, set())
        return t5_tokenizer(captions)
    raise UserError(f"components.{name}: no {_kind(kinds[0])} is learned here; give a folder or a hub name")


def untrained(name: str, given: ComponentConfig, kinds: tuple[Any, ...], tokenizer: Any) -> Any:
    """A network or scheduler as its config says; a text encoder takes what it reads from its tokenizer."""
    given = dict(given)
    kind = _class(name, given.pop(CLASS, None), kinds)
    if issubclass(kind, PreTrainedModel):
        return kind(_text_config(name, given, kind, tokenizer))
    _refuse_unknown(name, given, set(inspect.signature(kind.__init__).parameters) - {"self"})
    try:
        return kind(**given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"components.{name}: {kind.__name__}: {' '.join(str(error).split())}") from error


def _class(name: str, class_name: str | None, kinds: tuple[Any, ...]) -> Any:
    if class_name is None:
        kind = kinds[0]
        if not isinstance(kind, type) or not issubclass(kind, (ConfigMixin, PreTrainedModel)):
            raise UserError(f"components.{name}: say which by {CLASS}, such as {CLASS}: DDIMScheduler")
        return kind
    libraries = {"diffusers": diffusers, "transformers": transformers}
    kind = next((found for one in libraries.values() if (found := getattr(one, class_name, None))), None)
    if "." in class_name:
        kind = named.find(class_name, object, where=f"components.{name}.{CLASS}", like="DDIMScheduler")
    if not (isinstance(kind, type) and issubclass(kind, (ConfigMixin, PreTrainedModel))):
        raise UserError(f"components.{name}.{CLASS} {class_name}: no component of {' or '.join(libraries)}")
    return kind


def _text_config(
    name: str, given: ComponentConfig, kind: type[PreTrainedModel], tokenizer: PreTrainedTokenizerBase | None
) -> PreTrainedConfig:
    config_class: Any = kind.config_class
    default = config_class()
    _refuse_unknown(name, given, set(default.to_dict()) | set(config_class.attribute_map))
    read = {} if tokenizer is None else {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": tokenizer.model_max_length,
        **{key: getattr(tokenizer, key) for key in FROM_TOKENIZER[2:]},
    }  # fmt: skip
    own = {key: value for key, value in read.items() if hasattr(default, key)}
    config: PreTrainedConfig = config_class(**{**own, **given})
    return config


def _refuse_unknown(name: str, given: ComponentConfig, known: set[str]) -> None:
    if unknown := sorted(set(given) - known):
        raise UserError(
            f"components.{name}.{unknown[0]}: no such setting; there are {', '.join(sorted(known)) or 'none'}"
        )


def _kind(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))
