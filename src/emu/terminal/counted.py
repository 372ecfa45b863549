"""Numbers with what they count, in words."""


def many(number: int, one: str, more: str | None = None) -> str:
    """`1 picture`, `2,000 pictures`; of (3, "picture is", "pictures are") `3 pictures are`.

    more: the words where it is not one; None for those of one with an s.
    """
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"
