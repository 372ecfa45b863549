"""Columns under their usual names, and what a cell holds as captions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

TEXTS = ("text", "caption", "captions", "prompt", "txt", "sentence", "sentences", "description", "alt", "alt_text")
STORED = ("image", "picture", "img", "jpg", "jpeg", "png", "webp")
NAMES = ("file_name", "filename", "file", "image_path", "file_path", "filepath", "path", "image_url", "url")
INSIDE = ("text", "caption", "raw", "value", "en")  # of a struct that holds one caption, such as COCO's sentences


def named(columns: Iterable[str], usual: Sequence[str]) -> list[str]:
    """The columns that bear one of the usual names, in any case, the likeliest first."""
    folded: dict[str, list[str]] = {}
    for column in columns:
        folded.setdefault(column.casefold(), []).append(column)
    return [column for name in usual for column in folded.get(name, ())]


def cell_of(row: Mapping[str, Any], column: str) -> Any:
    """A column, or a field of a struct as `caption.en`; None where there is none."""
    if column in row:
        return row[column]
    outer, dot, inner = column.partition(".")
    within = row.get(outer) if dot else None
    return cell_of(within, inner) if isinstance(within, Mapping) else None


def captions(row: Mapping[str, Any], wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """(column, captions) of the wanted column, or of the first usual one that has any.

    A text with a list `captions` beside it that holds it too stands for all of them: so `emu curate` writes several.
    ValueError: why there is none.
    """
    found = [wanted] if wanted else named(row, TEXTS)
    held = [(column, cell) for column in found if (cell := cell_of(row, column)) is not None]
    if not held:
        empty = [f"its {column} is empty" for column in found if column in row]
        why = empty[0] if empty else f"no caption under {wanted or 'text or another usual name'}"
        raise ValueError(f"{why}; {listed(row)}")
    column, cell = held[0]
    beside = row.get("captions")
    if isinstance(beside, list) and cell in beside:
        return column, (cell, *(other for other in texts_of(beside) if other != cell))
    return column, texts_of(cell)


def texts_of(cell: Any) -> tuple[str, ...]:
    """The captions that a cell holds: a text, a struct with one, or a list of these. ValueError: none of them."""
    if not isinstance(cell, list):
        return (_text(cell),)
    found = [_text(one) for one in cell if one is not None]
    if not found:
        raise ValueError("its list of captions is empty")
    return tuple(dict.fromkeys(text for text in found if text.strip())) or ("",)


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Mapping) and cell:
        inside = [cell[column] for column in named(cell, INSIDE) if isinstance(cell[column], str)]
        if inside:
            return str(inside[0])
        fields = [str(name) for name in cell]
        raise ValueError(f"its caption is a struct of {', '.join(fields)}; name one, as caption.{fields[0]}")
    raise ValueError(f"its caption is not text but {cell!r:.60}")


def without_bytes(schema: Any) -> list[str]:
    """The columns of pyarrow's `schema` but for those of bytes, however deep: of a row's other pictures and videos.

    A row is in memory for as long as its picture is in the set, and goes into the manifest as text.
    """
    return [field.name for field in schema if not _holds_bytes(field.type)]


def _holds_bytes(kind: Any) -> bool:
    inner = [kind.field(i).type for i in range(kind.num_fields)]  # of structs, lists and maps
    return "binary" in str(kind) if not inner else any(map(_holds_bytes, inner))


def listed(columns: Iterable[str]) -> str:
    """`there are a, b, c`, for messages."""
    names = ", ".join(map(str, columns))
    return f"there are {names:.300}" if names else "there are none"
