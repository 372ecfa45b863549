"""A user's own folders: of settings and of caches. In a container a user may have none, or a home that is another's."""

import os
from pathlib import Path


def settings() -> Path | None:
    """Where commands keep what a user has said once; None without a home."""
    return _own("XDG_CONFIG_HOME", ".config")


def caches() -> Path | None:
    """Where commands keep what can be made again; None without a home."""
    return _own("XDG_CACHE_HOME", ".cache")


def _own(variable: str, below: str) -> Path | None:
    home = os.path.expanduser("~")
    folder = os.environ.get(variable) or (None if home == "~" else os.path.join(home, below))  # `~`: it knows none
    return Path(folder) / "emu" if folder else None
