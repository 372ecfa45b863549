"""One component from what the config says of it: loaded by its name, or made untrained."""

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import transformers
from diffusers.configuration_utils import ConfigMixin
from torch import nn
from transformers import CLIPTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, T5Tokenizer

from emu.bundled import resolve
from emu.class_paths import named
from emu.errors import UserError, first_line
from emu.parts.tokenizer import clip_tokenizer, t5_tokenizer
from emu.pipeline_folders import folders, weight_files
from emu.storage.shapes import ComponentConfig

CLASS = "_class_name"  # as in diffusers' own configs: of another class than the pipeline's constructor names
PRETRAINED = "pretrained"  # what is loaded, where settings of ours stand beside it
Given = str | ComponentConfig
SHORTEST = 3  # tokens of a prompt: a word between its marks
FROM_TOKENIZER = ("vocab_size", "max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")


def loaded(name: str, given: Given, kinds: tuple[Any, ...], *, weights: bool = True) -> Any:
    """The component `name` from a folder of its own, out of a pipeline's folder, or from the hub.

    Without `weights` a network is made as its config says, and only that is read.
    """
    settings = {PRETRAINED: given} if isinstance(given, str) else {**given}
    given = str(settings.pop(PRETRAINED))
    kind = _class(name, settings.pop(CLASS), kinds) if CLASS in settings else kinds[0]
    if not isinstance(kind, type) or not hasattr(kind, "from_pretrained"):
        raise UserError(f"components.{name} {given}: a {_kind(kind)} is not loaded by name; give its config")
    _refuse_unknown(name, settings, _settings_of(kind))
    if issubclass(kind, PreTrainedTokenizerBase) and "max_length" in settings:
        settings["model_max_length"] = settings.pop("max_length")
    read = partial(_read, kind, settings=settings, weights=weights)
    path = Path(resolve(given))
    # A name of the hub may be that of the component or that of a pipeline.
    places = [""] if path.is_dir() else ["", name]
    if (path / folders.INDEX).is_file():
        places = [name]
    failure = ""
    for subfolder in places:
        try:
            return read(str(path), subfolder=subfolder)
        except Exception as error:  # whatever a library makes of a folder of another kind, or a damaged one
            failure = failure or first_line(error)
    raise UserError(f"components.{name} {given}: holds no {kind.__name__} ({failure})")


def _read(kind: Any, path: str, *, subfolder: str, settings: ComponentConfig, weights: bool) -> Any:
    if weights or not issubclass(kind, nn.Module):
        read = partial(weight_files.load, kind) if issubclass(kind, nn.Module) else kind.from_pretrained
        return read(path, subfolder=subfolder, **settings)
    if issubclass(kind, PreTrainedModel):
        return kind(kind.config_class.from_pretrained(path, subfolder=subfolder, **settings))
    return kind.from_config(kind.load_config(path, subfolder=subfolder), **settings)


def _settings_of(kind: Any) -> set[str]:
    """What may be said beside the name of what is loaded."""
    if issubclass(kind, PreTrainedTokenizerBase):
        return {"max_length"}
    if issubclass(kind, PreTrainedModel):
        return set(kind.config_class().to_dict())
    return set(inspect.signature(kind.__init__).parameters) - {"self"}


def learned_tokenizer(name: str, given: ComponentConfig, kinds: tuple[Any, ...], captions: list[str]) -> Any:
    """A tokenizer of the pipeline's class, or of the one that is named, whose entries are the captions' words."""
    if not captions:
        raise UserError(f"components.{name}: is learned from captions; name some with --captions")
    settings = {**given}
    if int(settings.get("max_length", SHORTEST)) < SHORTEST:
        raise UserError(f"components.{name}.max_length {settings['max_length']}: give {SHORTEST} or more tokens")
    kinds = (_class(name, settings.pop(CLASS), kinds),) if CLASS in settings else kinds
    if CLIPTokenizer in kinds:
        _refuse_unknown(name, settings, {"vocab_size", "max_length"})
        return clip_tokenizer(captions, **settings)
    if T5Tokenizer in kinds:
        _refuse_unknown(name, settings, {"max_length"})
        return t5_tokenizer(captions, **settings)
    raise UserError(f"components.{name}: no {_kind(kinds[0])} is learned here; give a folder or a hub name")


def untrained(name: str, given: ComponentConfig, kinds: tuple[Any, ...], tokenizer: Any) -> Any:
    """A network or scheduler as its config says; a text encoder takes what it reads from its tokenizer."""
    given = dict(given)
    kind = _class(name, given.pop(CLASS, None), kinds)
    if not issubclass(kind, PreTrainedModel):
        _refuse_unknown(name, given, set(inspect.signature(kind.__init__).parameters) - {"self"})
    try:
        if issubclass(kind, PreTrainedModel):
            return kind(_text_config(name, given, kind, tokenizer))
        return kind(**given)
    except UserError:
        raise
    except Exception as error:  # each class finds out in another way that its settings do not fit
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise UserError(f"components.{name}: {kind.__name__}: {said}") from error


def _class(name: str, class_name: str | None, kinds: tuple[Any, ...]) -> Any:
    if class_name is None:
        kind = kinds[0]
        if not isinstance(kind, type) or not issubclass(kind, (ConfigMixin, PreTrainedModel)):
            raise UserError(f"components.{name}: say which by {CLASS}, such as {CLASS}: DDIMScheduler")
        return kind
    class_name = str(class_name)  # whatever stands there
    libraries = {"diffusers": diffusers, "transformers": transformers}
    kind = next((found for one in libraries.values() if (found := getattr(one, class_name, None))), None)
    if "." in class_name:
        kind = named.find(class_name, object, where=f"components.{name}.{CLASS}", like="DDIMScheduler")
    if not (isinstance(kind, type) and issubclass(kind, (ConfigMixin, PreTrainedModel, PreTrainedTokenizerBase))):
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
