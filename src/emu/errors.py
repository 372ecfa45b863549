"""What a user can mend. The command line prints it as one line and leaves with exit code 2."""


class UserError(Exception):
    """Names the flag or the file, and says what to do about it."""


def printable(text: str) -> str:
    """One line that a terminal shows as it stands: what moves the cursor or turns text around is spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))
