"""Mistyped flags and keys are answered in a blink, before anything heavy is imported.

What passes here is checked again, with its types, by the parser of `emu fit`; a model of the user's own is left to it.
"""

from collections.abc import Iterator
from os.path import isfile  # False of a name that no file can have, where `Path` raises
from pathlib import Path
from typing import Any

from emu.class_paths import signatures, trust
from emu.errors import UserError, closest
from emu.storage.documents import parse, read_mapping
from emu.storage.shapes import Config
from emu.training.stages import require_keys

# In a wheel the configs lie in the package, in a checkout two folders up.
CONFIGS = [Path(__file__).parent / "configs", Path(__file__).parents[2] / "configs"]
OTHERS = ("curate", "new", "review", "studies")  # folders of those that commands of their own take
SECTIONS = ("trainer", "model", "data", "quality", "checkpoint", "stages")
WITHOUT_VALUE = ("help", "print_config")
OWN = {"config", "seed_everything", "ckpt_path", "resume", *WITHOUT_VALUE}


def check(args: list[str]) -> list[str]:
    """The arguments of `emu fit`, every `-c NAME` made `--config=PATH` of a file that exists.

    Raises UserError for a flag, or a key of a config, that no class takes.
    """
    flags = [(key, str(find_config(value)) if key == "config" else value) for key, value in pairs(args)]
    configs = {value: read_mapping(Path(value), keys=SECTIONS) for key, value in flags if key == "config"}
    for path, document in configs.items():
        for class_path in class_paths(document):
            trust.require(class_path, where=f"{path}:")
    known = known_keys([*chosen_models(flags, configs)])
    for path, document in configs.items():
        for key in keys(document):
            require(key, known, message=f"{path}: unknown key {key}")
    for key, _ in flags:
        require(key, known, message=f"unknown flag --{key}", prefix="--")
    staged = [(path, document["stages"]) for path, document in configs.items() if "stages" in document]
    staged += [("--stages", parse(value, where="--stages")) for key, value in flags if key == "stages"]
    for path, stages in staged:
        for key in require_keys(stages, path=path, flags=[key for key, _ in flags]):
            require(key, known, message=f"{path}: stages: unknown key {key}")
    return [f"--{key}" if key in WITHOUT_VALUE and not value else f"--{key}={value}" for key, value in flags]


def pairs(args: list[str]) -> Iterator[tuple[str, str]]:
    """`-c a --b.c 1 --d=2` -> ("config", "a"), ("b.c", "1"), ("d", "2"); raises UserError for a word of no flag."""
    words = iter(args)
    for word in words:
        if word != "-c" and not word.startswith("--"):
            raise UserError(f"{word!r} belongs to no flag; a config is given as -c {word}")
        flag, equals, value = word.lstrip("-").partition("=")
        if not equals and flag not in WITHOUT_VALUE:
            value = next(words, "--")
            if value.startswith("--"):
                raise UserError(f"{word} needs a value")
        yield "config" if flag == "c" else flag, value


def find_config(name: str, *, of: str | None = None) -> Path:
    """A path as it is, or the name of a bundled config such as `latent/tiny`; raises UserError for neither.

    Args:
        of: the command, of those in `OTHERS`, whose configs are named where this one is not there; else those of a run.
    """
    candidates = [Path(name), *(folder / f"{name.removesuffix('.yaml')}.yaml" for folder in CONFIGS)]
    found = next((path for path in candidates if isfile(path)), None)
    if found is None:
        bundled = {str(path.relative_to(folder))[:-5] for folder in CONFIGS for path in folder.glob("*/*.yaml")}
        kinds = {each: each.partition("/")[0] for each in sorted(bundled)}
        names = [each for each, kind in kinds.items() if (kind == of if of else kind not in OTHERS)]
        beside = [str(path) for pattern in ("*.yaml", "*.yml") for path in _folder_of(name).glob(pattern)]
        otherwise = f"; bundled are {', '.join(names)}"
        raise UserError(f"-c {name}: no such file" + closest(name, [*beside, *names], otherwise=otherwise))
    return found


def _folder_of(name: str) -> Path:
    """Where a file of that name would lie; the name may be one that no file can have."""
    return Path(name.replace("\0", "")).parent


def keys(document: Config, *, inside: str = "") -> Iterator[str]:
    """`{"data": {"root": ...}}` -> "data.root"; one level deep, two for the model's init_args."""
    for key, value in document.items():
        if isinstance(value, dict) and f"{inside}{key}" in (*SECTIONS, "model.init_args"):
            yield from keys(value, inside=f"{inside}{key}.")
        else:
            yield f"{inside}{key}"


def class_paths(document: Any) -> Iterator[str]:
    """Every `class_path` in a config, wherever it stands."""
    if isinstance(document, dict):
        if isinstance(document.get("class_path"), str):
            yield document["class_path"]
        document = list(document.values())
    for value in document if isinstance(document, list) else ():
        yield from class_paths(value)


def chosen_models(flags: list[tuple[str, str]], configs: dict[str, Config]) -> Iterator[str]:
    """The class paths that the configs and the command line name."""
    for document in configs.values():
        if isinstance(document.get("model"), dict) and "class_path" in document["model"]:
            yield str(document["model"]["class_path"])
    yield from (value for key, value in flags if key in ("model", "model.class_path"))


def known_keys(models: list[str]) -> set[str]:
    """Every key that is taken; what lies under one of them is the parser's to check."""
    known = OWN | {f"{section}.{name}" for section, taken in signatures.sections().items() for name in taken}
    taken = [signatures.model(class_path) for class_path in models]
    if not taken or None in taken:
        return known | {"model"}
    names = {name for signature in taken if signature for name in signature}
    return known | {f"model.{form}{name}" for form in ("init_args.", "") for name in names} | {
        "model.class_path", "model.dict_kwargs", "model.help"
    }  # fmt: skip


def require(key: str, known: set[str], *, message: str, prefix: str = "") -> None:
    """Raises UserError unless the key, or what it lies under, is known."""
    parts = key.removesuffix("+").split(".")
    if key in SECTIONS or any(".".join(parts[:n]) in known for n in range(1, len(parts) + 1)):
        return
    raise UserError(message + closest(key, sorted(known), prefix=prefix, otherwise="; see emu fit --help"))
