"""Writing a file that only its owner may read."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConfcleanupError


def write_private(path: Path, text: str) -> None:
    """Writes a new file with mode 0600, and its folder if need be. Never replaces a file.

    Raises ConfcleanupError if it exists or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise ConfcleanupError(f"{path} exists; it is left as it is") from None
    except OSError as error:
        raise ConfcleanupError(f"{path} cannot be written: {error.strerror}") from None


def require_writable(path: Path) -> None:
    """Raises ConfcleanupError if a file could not be written or replaced here; leaves nothing behind."""
    if path.is_dir():
        raise ConfcleanupError(f"{path} is a folder; give the name of a file in it")
    beside = path.with_name(f".{path.name}.{os.getpid()}.try")
    write_private(beside, "")
    beside.unlink()


def replace_private(path: Path, text: str) -> None:
    """Writes a file with mode 0600, or replaces it as a whole. Raises ConfcleanupError if that cannot be done."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    write_private(beside, text)
    try:
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfcleanupError(f"{path} cannot be written: {error.strerror}") from None
