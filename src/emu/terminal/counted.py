"""Numbers with what they count, in words, and names with their articles."""


def many(number: int, one: str, more: str | None = None) -> str:
    """`1 picture`, `2,000 pictures`; of (3, "picture is", "pictures are") `3 pictures are`.

    more: the words where it is not one; None for those of one with an s.
    """
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"


def an(name: str) -> str:
    """A class's name with its article: `an IFPipeline`, `a FluxPipeline`, `an SD3Transformer2DModel`."""
    spelled = name[:2].isupper() and name[0] in "FHLMNRSX"  # letter by letter
    return f"{'an' if spelled or name[0] in 'AEIO' else 'a'} {name}"


def amount(size: float) -> str:
    """Bytes as a person reads them."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
