"""What the parser refuses, in a line: the key, what was given, what it takes.

jsonargparse says so in a tree of all the types that it tried, whose innermost branch is the one that a user can mend.
"""

import re
import sys

from emu.class_paths import named, trust

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "list": "a list",
    "dict": "a mapping such as {KEY: VALUE}",
    "NoneType": "null",
}


def plain(message: str) -> str:
    """The parser's message as `--KEY VALUE: give ...`, or without the types that it tried where it says more."""
    if denied := re.search(r"Importing '(\S+)' is not allowed", " ".join(message.split())):
        return trust.refusal(denied.group(1))
    found = list(re.finditer(r'^.*Parser key "(.+?)":', message, re.MULTILINE))
    if not found or found[0].start():
        return f"{in_line(message)}; see emu fit --help"
    branch = below(message, found[-1])
    key = "--" + ".".join(one.group(1) for one in found)
    if abstract := re.search(r"but(?: (\S+))? is abstract.*?Given value: (.+?)$", message, re.DOTALL | re.MULTILINE):
        module, _, name = (abstract.group(1) or abstract.group(2)).strip().rpartition(".")
        kind = getattr(sys.modules.get(module), name, object)  # which the parser has imported
        return f"{key}: {named.lacking(kind) or in_line(branch)}"
    if of_class := re.search(r"Problem with given class_path '(.+?)':(.+?)(?=\n *- Expected|\Z)", branch, re.DOTALL):
        return f"{key}: {of_class.group(1)}: {in_line(of_class.group(2))}"
    given = re.search(r"(?:Got|Given) value: (.+?)(?:\. Got value: .*)?$", branch, re.MULTILINE)
    takes = list(filter(None, map(words, re.findall(r"Expected a (.+?)(?:\. Got value: .*)?$", branch, re.MULTILINE))))
    return f"{key} {given.group(1)}: give {' or '.join(takes)}" if given and takes else f"{key}: {in_line(branch)}"


def below(message: str, line: re.Match[str]) -> str:
    """What a message says further in than a line of it."""
    depth = len(line.group()) - len(line.group().lstrip())
    rest = message[line.end() :].splitlines()
    ends = (i for i, one in enumerate(rest[1:], 1) if one.strip() and len(one) - len(one.lstrip()) <= depth)
    return "\n".join(rest[: next(ends, None)])


def words(kind: str) -> str | None:
    """`typing.Literal['a', 'b']` -> `'a', 'b'`; None for a way of giving a value that is none of the key's."""
    if kind.startswith(("path but", "dot import")):
        return None
    if literal := re.fullmatch(r"typing\.Literal\[(.+)\]", kind):
        return literal.group(1).replace("'", "")
    name = re.sub(r"<class '(.+?)'>", r"\1", kind)
    return KINDS.get(name, name)


def in_line(text: str) -> str:
    """Without breaks, and a class by its name alone."""
    return re.sub(r"<class '(.+?)'>", r"\1", " ".join(text.split()))
