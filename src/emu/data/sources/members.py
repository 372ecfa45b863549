"""Pictures with captions in files beside them: one set of rules for folders and for the members of tars.

`a.jpg` takes `a.json`, `a.txt` or `a.caption`, or `a.jpg.txt`. Where it has none, its key counts, which is what stands
before the first dot, as WebDataset has it: so `7.image.jpg` and `7.jpg` take `7.caption.txt`. What the user names is
taken before these: `de` is `7.de.txt`, or a field of `7.json`, and a .json that has others in its place is a fault.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emu.data.pictures import Opener
from emu.data.sources.columns import TEXTS, captions, cell_of, listed, named, texts_of
from emu.data.sources.entry import NOWHERE, Dropped, Fault, Item, Wanted, entry_or_fault
from emu.data.sources.kinds import COMPANIONS, LABELS, LISTS, NOTES, PICTURES, UNPACKED, UNREAD, hidden, suffix
from emu.storage.shapes import Row

LONGEST = 1_000_000  # bytes of a caption's file
HIDDEN = "a hidden file"
NONE = f"no caption beside it ({', '.join(f'.{kind}' for kind in COMPANIONS)})"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, or a tar.

    Args:
        title: put before a name in messages.
        opener: of a picture, by its name. ValueError: why it may not be opened.
        content: of a caption's file, at most so many bytes of it. ValueError or OSError: why there is none.
        subject: a caption for what has none of its own, from the folder's name.
        columns: of every picture.
    """

    title: str
    opener: Callable[[str], Opener]
    content: Callable[[str, int], bytes]
    subject: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


class Members:
    """The names in one place, and which of them belong together."""

    def __init__(self, names: Sequence[str], place: Place, wanted: Wanted) -> None:
        self.names, self.place, self.wanted = names, place, wanted
        self.kinds = {name: suffix(name) for name in names}
        texts = [name for name, kind in self.kinds.items() if kind in COMPANIONS and not hidden(name)]
        self.companions = {f"{stem(name)}.{self.kinds[name]}": name for name in texts}
        pictures = [name for name, kind in self.kinds.items() if kind in PICTURES and not hidden(name)]
        stems = {stem(name) for name in pictures}
        of = {name: stem(name).removesuffix(end) for name in pictures for end in LABELS if stem(name).endswith(end)}
        self.labels = {name: own for name, own in of.items() if own in stems}
        self.pictures = [name for name in pictures if name not in self.labels]
        self.by_stem, self.by_key = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
        for name in self.pictures:
            self.by_stem[stem(name)].append(name)
            self.by_key[key(name)].append(name)
        self.texts_by_key = defaultdict[str, list[str]](list)
        for name in sorted(texts):
            self.texts_by_key[key(name)].append(name)
        self.used: set[str] = set()

    def __iter__(self) -> Iterator[Item]:
        """Every picture in the order of the names; then what is there beside them and is not read."""
        for name in self.pictures:
            yield self._picture(name)
        for name in self.names:
            if why := self._unread(name):
                text = self.kinds[name] in (*COMPANIONS, *LISTS)
                yield Dropped(f"{self.place.title}{name}: {why}", captions=text)

    def _picture(self, name: str) -> Item:
        shown = self.place.title + name
        beside = self._own(name)
        if beside and name != (first := self._first(self.by_stem[stem(name)])):
            return Dropped(f"{shown}: {first} has the same name, and is the one that is read")
        if not beside:
            found = self._of_key(name)
            if not isinstance(found, list):
                return type(found)(f"{shown}: {found.message}")
            beside = found
        self.used.update(beside)
        try:
            texts, columns, origin = self._captions(beside)
            opener = self.place.opener(name)
        except (ValueError, OSError, RecursionError) as error:
            return Fault(f"{shown}: {error}")
        return entry_or_fault(shown, texts, opener, {**columns, **self.place.columns}, caption_from=origin)

    def _own(self, name: str) -> list[str]:
        """The files beside a picture that bear its name; the one that is wanted alone, where there is one."""
        asked = self.wanted.text_column
        wanted = (*(f"{asked}.{kind}" for kind in COMPANIONS), asked) if asked else ()
        for kinds in (wanted, COMPANIONS):
            places = [f"{bare}.{kind}" for kind in kinds for bare in (stem(name), name)]
            if found := [self.companions[place] for place in places if place in self.companions]:
                return found
        return []

    def _of_key(self, name: str) -> list[str] | Dropped | Fault:
        """The files of text of a picture's key, where it is the one that they are of."""
        own = key(name)
        texts = [text for text in self.texts_by_key[own] if stem(text) not in self.by_stem or stem(text) == own]
        if not texts:
            return []
        if own in self.by_stem and own != stem(name):
            return Dropped(f"beside {self.by_stem[own][0]}, which the caption is of")
        rivals = [other for other in self.by_key[own] if not self._own(other)]
        if (chosen := name if own == stem(name) else self._first(rivals, strict=True)) is None:
            fields = [ending(rival) for rival in rivals]
            return Fault(f"one caption for {', '.join(fields)}; name one of them, as data.image_column {fields[-1]}")
        if name != chosen:
            return Dropped(f"beside {chosen}, which the caption is of")
        asked = [text for text in texts if self._is_asked(text)]
        found = asked or [text for text in texts if stem(text) == own or _names_text(text)]
        if not found and len(texts) == 1 and own != stem(name):
            return texts
        if not found and self.wanted.captioned:
            fields = [ending(text) for text in texts]
            said = f"no caption of a usual name beside it, but {', '.join(fields)}"
            return Fault(f"{said}; name one, as data.text_column {stem(fields[0])}")
        return found

    def _first(self, rivals: Sequence[str], *, strict: bool = False) -> str | None:
        """Of pictures of one name or key: whose ending is wanted, the only one or, unless `strict`, the first."""
        asked = self.wanted.image_column
        chosen = [
            rival for rival in rivals if asked in (ending(rival), ending(rival).rpartition(".")[0], suffix(rival))
        ]
        if chosen or not strict or len(rivals) == 1:
            return (chosen or list(rivals))[0]
        return None

    def _is_asked(self, text: str) -> bool:
        return self.wanted.text_column in (ending(text), stem(ending(text)), suffix(text))

    def _captions(self, beside: Sequence[str]) -> tuple[tuple[str, ...], Row, str]:
        """(captions, what else a .json says, where the captions are from). ValueError: there is none."""
        columns, empty = Row(), False
        for name in beside:
            content = self.place.content(name, LONGEST + 1)
            if len(content) > LONGEST:
                raise ValueError(f"its caption's file is longer than {LONGEST:,} bytes")
            if suffix(name) == "json":
                texts, said = self._object(name, json.loads(content))
                columns |= said
            else:
                texts = self._lines(_decoded(content).strip())
            if texts and texts[0].strip():
                return texts, columns, f".{suffix(name)}"
            empty = empty or bool(texts)
        if self.place.subject is not None:
            return (self.place.subject,), columns, "the folder's name"
        if empty:
            return ("",), columns, "an empty file"
        if not self.wanted.captioned:
            return ("",), columns, NOWHERE
        raise ValueError(f"{beside[0]} has no caption; {listed(columns)}" if beside else NONE)

    def _object(self, name: str, row: Any) -> tuple[tuple[str, ...], Row]:
        """The captions of a .json, none where it has none, and what else it says. ValueError: not the wanted one."""
        if not isinstance(row, dict):
            return texts_of(row), {}
        try:
            column, texts = captions(row, None if self._is_asked(name) else self.wanted.text_column)
        except ValueError:
            if any(cell_of(row, name) is not None for name in named(row, TEXTS)):
                raise
            return (), row
        return texts, {name: value for name, value in row.items() if name != column}

    def _lines(self, text: str) -> tuple[str, ...]:
        lines = tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
        return lines if self.wanted.lines and lines else (text,)

    def _unread(self, name: str) -> str | None:
        """Why something that might be meant to be read is not; None for what nobody would expect to be."""
        kind, file = self.kinds[name], name.rpartition("/")[2]
        if kind in PICTURES:
            label = f"goes with {self.labels[name]}, as OneTrainer has it" if name in self.labels else None
            return HIDDEN if hidden(name) else label
        if kind in UNREAD and not hidden(name):
            remedy = "; unpack it" if kind in UNPACKED else "; save it by to_parquet" if kind == "arrow" else ""
            return f".{kind} is not read{remedy}"
        if kind in LISTS and not hidden(name):
            return "a table beside the pictures, not read; name it to read it, or call it metadata.jsonl or .csv"
        if kind in COMPANIONS and name not in self.used and key(name) not in self.by_key and not NOTES.match(file):
            return "no picture of that name"
        if not kind and not hidden(name) and not NOTES.match(file):
            return "its name has no ending"
        return None


def _names_text(text: str) -> bool:
    return stem(ending(text)).casefold() in TEXTS


def _decoded(content: bytes) -> str:
    """UTF-8, or UTF-16 as Notepad marks it. ValueError: neither."""
    try:
        return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("its caption is not UTF-8; save it again as that") from None


def stem(name: str) -> str:
    """`a/b.c.jpg` -> `a/b.c`."""
    return name.rpartition(".")[0]


def key(name: str) -> str:
    """`a/b.c.jpg` -> `a/b`."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def ending(name: str) -> str:
    """`a/b.c.jpg` -> `c.jpg`."""
    return name.rpartition("/")[2].partition(".")[2]
