"""Writing a file that only its owner may read."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConfcleanupError
from ..system import why_denied


def write_private(path: Path, text: str, *, called: Path | None = None) -> None:
    """Writes a new file with mode 0600, and its folder if need be. Never replaces a file.

    Raises ConfcleanupError if it exists or cannot be written; ``called`` is the name that it has for people.
    """
    name = called or path
    if path.parent.exists() and not path.parent.is_dir():
        raise ConfcleanupError(f"{name} cannot be written: {path.parent} is a file, not a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise ConfcleanupError(f"{name} exists; it was not changed") from None
    except OSError as error:
        raise ConfcleanupError(f"{name} cannot be written: {why_denied(path.parent, error)}") from None


def same_file(path: Path, other: Path | None) -> bool:
    """Whether both exist and are one file, whatever they are called."""
    return other is not None and path.exists() and other.exists() and path.samefile(other)


def require_writable(path: Path, config: Path | None) -> None:
    """Raises ConfcleanupError if a file could not be written here, or is the config; leaves nothing behind."""
    if path.is_dir():
        raise ConfcleanupError(f"{path} is a folder; give the name of a file in it")
    if same_file(path, config):
        raise ConfcleanupError(f"{path} is the config file; it was not changed")
    beside = path.with_name(f".{path.name}.{os.getpid()}.try")
    write_private(beside, "", called=path)
    beside.unlink()


def replace_private(path: Path, text: str) -> None:
    """Writes a file with mode 0600, or replaces it as a whole. Raises ConfcleanupError if that cannot be done."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    if beside.parent.is_dir():
        beside.unlink(missing_ok=True)
    write_private(beside, text, called=path)
    try:
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfcleanupError(f"{path} cannot be written: {why_denied(path.parent, error)}") from None
