"""What differs between operating systems, in one place: nothing else in the package may ask which one it is."""

from __future__ import annotations

import errno
import ntpath
import os
import signal
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from pathlib import Path, PurePath  # which takes a tenth of starting ``--version``

P = TypeVar("P", bound="PurePath")

POSIX = os.name == "posix"
INTERRUPTS = (signal.SIGINT,)
TERMINATIONS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGBREAK") if hasattr(signal, name))
"""What asks a program to end. Windows sends SIGBREAK for Ctrl-Break, a closed console, and a shutdown."""
MAX_PATH = 240
"""Windows takes longer ones (folders 248, files 260) only in the extended form, unless its registry says otherwise."""


def speak_utf8(stream: TextIO) -> None:
    """Printing never fails, and what is not a terminal gets UTF-8 whatever the code page.

    A terminal keeps its own encoding, and PYTHONIOENCODING is obeyed; there, what it lacks becomes an escape.
    """
    if not hasattr(stream, "reconfigure"):  # replaced by something simpler, or None, as under pythonw.exe
        return
    own = stream.isatty() or "PYTHONIOENCODING" in os.environ
    stream.reconfigure(encoding=stream.encoding if own else "utf-8", errors="backslashreplace")


def reachable(path: P, below: int = 0) -> P:
    """A path that can be opened however long it is; ``below`` is the room that names under it may take."""
    from pathlib import PureWindowsPath

    if not isinstance(path, PureWindowsPath):
        return path
    absolute = ntpath.abspath(path)
    if len(absolute) + below < MAX_PATH or absolute.startswith(("\\\\?\\", "\\\\.\\")):
        return path
    return type(path)("\\\\?\\UNC" + absolute[1:] if absolute.startswith("\\\\") else "\\\\?\\" + absolute)


def mode_of(file: Path | int) -> int | None:
    """Who may read and write a file, as POSIX tells it; None where access is ruled by lists, as on Windows."""
    return stat.S_IMODE(os.stat(file).st_mode) if POSIX else None  # noqa: PTH116  # Path knows no open file


CANNOT = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES})
"""How a mounted share (SMB, FUSE) says that it has no such call: to flush a folder, or to set a mode."""


def sync_folder(folder: Path) -> None:
    """Makes a rename durable; Windows has no such call and needs none. Raises OSError (see ``CANNOT``)."""
    if POSIX:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def may_run(process: int) -> bool:
    """Whether a process of this machine may still be there. False only where that is certain, which needs POSIX."""
    if POSIX:
        with suppress(PermissionError, OverflowError):
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                return False
    return True


def install(extra: str) -> str:
    """The command that adds an extra to this installation: another pip would add it somewhere else."""
    return command_line([sys.executable, "-m", "pip", "install", f"confcleanup[{extra}]"])


def command_line(words: list[str]) -> str:
    """Words as they are typed into this system's shell."""
    import shlex
    import subprocess

    return shlex.join(words) if POSIX else subprocess.list2cmdline(words)


def standard_streams() -> None:
    """``speak_utf8`` for standard output and error."""
    for stream in (sys.stdout, sys.stderr):
        speak_utf8(stream)
