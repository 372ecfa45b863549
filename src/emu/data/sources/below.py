"""The one rule for names that a set gives to its files: they lie below the set's folder, links and all."""

from pathlib import Path, PurePosixPath, PureWindowsPath


def below(folder: Path, name: str) -> Path:
    """The file that a set in `folder` calls `name`. ValueError: why it may not be opened, or is none."""
    path = folder / name
    try:
        if _climbs(name) or (Path(name).is_absolute() and not path.resolve().is_relative_to(folder.resolve())):
            raise ValueError(f"{name!r} leads out of the folder; name files below it")
        if not path.is_file():
            raise ValueError(f"no such file {path}")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{name} is a link out of the folder; copy the file, or name its folder as data.root")
    except (OSError, RuntimeError) as error:  # a name that no file can have, or links in a circle
        raise ValueError(f"no such file ({error})") from None
    return path


def _climbs(name: str) -> bool:
    """Whether a name goes up, or to another drive, here or where it was written."""
    return any(path.drive or ".." in path.parts for path in (PurePosixPath(name), PureWindowsPath(name)))
