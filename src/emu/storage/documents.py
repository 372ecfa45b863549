"""YAML as people write it: the one reader of configs, plans and values of flags.

Numbers are read as `emu fit`'s parser reads them, not by YAML 1.1, to which `2e-2` is text. Keys are text as they are
written. Whatever would be half read is refused instead: a key given twice, a node that holds itself.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import yaml

from emu.errors import UserError, closest, is_text
from emu.storage.shapes import Config

MOST = 100_000  # values, aliases counted each time: nine lines of aliases make a billion
FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:e[-+]?[0-9]+)?|\.[0-9][0-9_]*(?:e[-+]?[0-9]+)?|[0-9][0-9_]*e[-+]?[0-9]+|\.inf)"
    r"|\.nan",
    re.IGNORECASE,
)
TEXT, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
OTHERS = ("tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")  # a date stays text
PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")}


def read_mapping(path: Path, *, keys: Iterable[str]) -> Config:
    """The mapping in a YAML file. UserError: it cannot be read, or is no mapping; the message then names `keys`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a YAML file: {error}") from None
    document = parse(text, where=str(path))
    if not isinstance(document, dict):
        raise UserError(f"{path}: has to be a mapping with the keys {', '.join(keys)}")
    return document


def require_known(given: Iterable[str], known: Collection[str], *, where: str) -> None:
    """UserError, which begins with `where`, at the first key that is not known."""
    for key in given:
        if key not in known:
            near = closest(key, known, otherwise=f"; it has {', '.join(known)}")
            raise UserError(f"{where}: unknown key {key}{near}")


def parse(text: str, *, where: str) -> Any:
    """What a YAML text says; `where` begins the UserError of one that says nothing clear."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _require_plain(node, {}, [])
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:  # the latter of `!!int x`
        raise UserError(f"{where}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError(f"{where}: lists or mappings lie too deep in each other") from None


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag not in OTHERS]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(OTHERS[0], re.compile(rf"^(?:{FLOAT.pattern})$", re.IGNORECASE), list("-+.0123456789"))


def _require_plain(node: yaml.Node, sizes: dict[int, int], inside: list[yaml.Node]) -> int:
    """How many values a node holds, in all; makes its keys text. `inside` are the nodes that it lies in."""
    if id(node) in sizes:
        return sizes[id(node)]
    line = node.start_mark.line + 1
    if node.tag not in PLAIN:
        raise yaml.YAMLError(f"line {line}: {node.tag.removeprefix('tag:yaml.org,2002:')} is no kind of value here")
    if isinstance(node, yaml.ScalarNode) and not is_text(node.value):
        raise yaml.YAMLError(f"line {line}: half of a character, which no file takes")
    if node in inside:
        raise yaml.YAMLError(f"line {line}: what an alias names holds that alias")
    inside.append(node)
    if isinstance(node, yaml.MappingNode):
        _name_keys(node)
        below = [value for _, value in node.value]
    else:
        below = node.value if isinstance(node, yaml.SequenceNode) else []
    size = 1 + sum(_require_plain(each, sizes, inside) for each in below)
    inside.pop()
    if size > MOST:
        raise yaml.YAMLError(f"line {line}: more than {MOST:,} values, aliases counted each time")
    sizes[id(node)] = size
    return size


def _name_keys(node: yaml.MappingNode) -> None:
    names = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.YAMLError(f"line {key.start_mark.line + 1}: a key has to be text")
        if key.tag == MERGE:
            continue
        if key.value in names:
            raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key {key.value} stands there twice")
        names.add(key.value)
        key.tag = TEXT
