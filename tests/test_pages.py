"""Every command of README.md and docs/ is one that emu takes, every link and every script named is there."""

import argparse
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from emu import flags
from emu.cli import CONFIGURED, parser
from emu.errors import UserError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
OF_THE_READER = re.compile(r"\b[A-Z]{3,}\b|\$|\.\.\.|\bmy_|\.yaml$")  # what a page leaves to who reads it
OF_OTHERS = {"--no-build-isolation", "--ntasks-per-node"}
OF_PROMPTS = {"--d", "--w", "--h", "--s", "--l", "--g", "--n"}  # in lines of a prompt file

page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path) -> Iterator[str]:
    """The lines of its code blocks, those that go on on the next line put together."""
    for _, block in BLOCK.findall(page.read_text()):
        yield from block.replace("\\\n", " ").splitlines()


def inline(page: Path) -> Iterator[str]:
    """What stands between single backticks."""
    for code in re.findall(r"`([^`]+)`", BLOCK.sub("", page.read_text())):
        yield " ".join(code.split())


def commands(lines: Iterator[str], first: str) -> Iterator[list[str]]:
    """The words of each line that runs `first`, without its comment and without `...` for what is left out."""
    for line in lines:
        words = shlex.split(line, comments=True) if line.strip().startswith(f"{first} ") else []
        if words[1:]:
            yield [word for before, word in pairwise(words) if word != "..." or before.startswith("--")]


def known_flags() -> set[str]:
    """Of all commands of plain arguments and all scripts, and the one that emu itself takes off before."""
    chosen = next(each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    own = {flag for command in chosen.choices.values() for flag in command._option_string_actions}
    scripts = [*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]
    return {"--trust", *own, *(flag for file in scripts for flag in re.findall(r'"(--[a-z-]+)"', file.read_text()))}


def require_flags(words: list[str]) -> None:
    """A command that is spoken of, not given whole: its flags and bundled configs. UserError for what is unknown."""
    keys = flags.known_keys([])
    for word, value in pairwise([*words, ""]):
        if word == "-c" and value and not OF_THE_READER.search(value):
            flags.find_config(value)
        elif word.startswith("--") and word not in known_flags() | OF_OTHERS:
            flags.require(word[2:].partition("=")[0], keys, message=f"unknown flag {word}")


def given(words: list[str]) -> list[str]:
    """The words of a configured command, without configs of the reader's own."""
    gone = {i for i, (flag, value) in enumerate(pairwise(words)) if flag == "-c" and OF_THE_READER.search(value)}
    return [word for i, word in enumerate(words) if i not in gone and i - 1 not in gone]


@page
def test_the_commands_of_a_page_are_taken_as_they_stand(page: Path) -> None:
    require_taken(page)


def require_taken(page: Path) -> None:
    """UserError for a command in a block of the page that emu does not take."""
    for words in commands(blocks(page), "emu"):
        words = [word for flag, word in pairwise(["", *words]) if "--trust" not in (flag, word)]
        if words[0] in CONFIGURED:
            flags.check(given(words[1:]))
        else:
            parser().parse_args(words)
            require_flags(words)


@page
def test_what_a_page_says_of_a_command_names_flags_and_configs_that_are_there(page: Path) -> None:
    names = {*CONFIGURED, *next(each for each in parser()._actions if each.choices).choices}
    for words in commands(inline(page), "emu"):
        assert words[0] in names | {"--help"}
        require_flags(words)
    for code in inline(page):
        if code.startswith(("--", "-c ")) and not OF_PROMPTS & set(code.split()):
            require_flags(code.split())


@page
def test_scripts_and_targets_that_a_page_names_are_there_and_know_their_flags(page: Path) -> None:
    lines = [*blocks(page), *inline(page)]
    for script, *words in commands(iter(lines), "python"):
        if script != "draw.py" and script != "-m":  # which an export writes
            text = (ROOT / script).read_text()
            assert [word for word in words if word.startswith("--") and f'"{word}"' not in text] == [], script
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [words for words in commands(iter(lines), "make") if words[0] not in targets and "=" not in words[0]] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target, _, anchor in re.findall(r"\]\(([^)#\s]*)(#?)([^)\s]*)\)", BLOCK.sub("", page.read_text())):
        if not target.startswith(("http:", "https:")):
            there = page.parent / target if target else page
            assert there.exists(), target
            assert not anchor or anchor in anchors(there), f"{target}#{anchor}"


@page
def test_the_tables_of_a_page_are_whole(page: Path) -> None:
    lines = ["", *BLOCK.sub("", page.read_text()).splitlines(), ""]
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        if line.startswith("|"):
            assert columns(line) == columns(before if before.startswith("|") else after), line
            assert before.startswith("|") or re.fullmatch(r"[|\s:-]+", after), f"no head: {line}"


def columns(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", line)))


@page
def test_the_files_of_this_repository_that_a_page_names_are_there(page: Path) -> None:
    tests = {path.name for path in (ROOT / "tests").rglob("*.py")}
    for name in inline(page):
        if re.fullmatch(r"(tests|benchmarks|scripts|src|examples)/[\w/.-]+", name):
            assert (ROOT / name).exists(), name
        elif re.fullmatch(r"test_\w+\.py", name):
            assert name in tests, name


def anchors(page: Path) -> set[str]:
    """The headings of a page as they are linked to: lower case, blanks as hyphens, no other sign."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("command", ["emu fit -c latent/tinny", "emu compare runs --ot x", "emu fit --data.rot x"])
def test_a_command_that_is_not_taken_is_found(command: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(f"```\n{command}\n```\n")
    with pytest.raises(UserError):
        require_taken(tmp_path / "page.md")
