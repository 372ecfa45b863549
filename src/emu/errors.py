"""What a user can mend. The command line prints it as one line and leaves with exit code 2."""


class UserError(Exception):
    """Names the flag or the file, and says what to do about it."""
