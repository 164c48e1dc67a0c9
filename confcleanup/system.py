"""What differs between operating systems, in one place: nothing else in the package may ask which one it is."""

from __future__ import annotations

import errno
import io
import ntpath
import os
import select
import signal
import socket
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path, PurePath  # which takes a tenth of starting ``--version``

    from _typeshed import ReadableBuffer

P = TypeVar("P", bound="PurePath")

POSIX = os.name == "posix"
INTERRUPTS = (signal.SIGINT,)
TERMINATIONS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGBREAK") if hasattr(signal, name))
"""What asks a program to end. Windows sends SIGBREAK for Ctrl-Break, a closed console, and a shutdown."""
HANGUPS = tuple(getattr(signal, name) for name in ("SIGHUP",) if hasattr(signal, name))
"""What a terminal sends when it closes, as at the end of an ssh session; ``nohup`` has it ignored."""
UNREAD = frozenset({errno.EPIPE, errno.EBADF} | (set() if POSIX else {errno.EINVAL}))
"""Why nothing can be written to a stream whose reader has left, or that was never open for writing."""
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


def on_read_only_mount(file: Path | int) -> bool:
    """Whether a file lies where nothing can be changed, not even a mode."""
    return POSIX and bool(os.statvfs(file).f_flag & os.ST_RDONLY)


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


def share(file: Path) -> int | None:
    """Takes a lock that others may share, but nobody can have alone, until the returned handle is closed.

    None where the system or the disk has no such lock. Raises BlockingIOError while somebody has it alone.
    """
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        there = file.exists()
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                return handle
        except OSError as error:
            os.close(handle)
            if error.errno not in CANNOT:
                raise
            if not there:  # where there are no locks, a file that is there stands for one
                file.unlink(missing_ok=True)
            return None
        os.close(handle)  # who had it alone has just removed the file


def allow_open_files(count: int) -> None:
    """Lets this process have so many files open, as far as the system allows; many have a limit of 256 or 1024."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def machine() -> str:
    """What all processes that share this system's memory have in common, in containers too; no others have it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123  # pathlib is slow to load
            return file.read().strip()
    except OSError:
        return socket.gethostname()


def why_denied(path: Path, error: OSError, *, own: Path | None = None) -> str:
    """Why the system refuses a file or a folder, whose it is, and what to do, for people.

    ``own`` is the program's own folder, if the path is that or in it: all of it should be one user's.
    """
    if error.errno == errno.ENOSPC:
        return f"the disk of {path} is full; free some space, then start again"
    if error.errno == errno.EROFS:
        return f"{path} is on a file system that is mounted read-only; mount it for writing, or name another place"
    if error.errno == errno.ENOENT:
        return f"there is no {path}; correct the path, or create it"
    if error.errno not in (errno.EACCES, errno.EPERM) or not POSIX:
        return f"{path}: {error.strerror or type(error).__name__}"
    at = _refusing(path)
    if _may(at, os.R_OK | os.W_OK):
        return f"{path}: {error.strerror}"  # something else than its mode: a security module, or the file's content
    owner, me = at.stat().st_uid, os.geteuid()
    whose = f"it belongs to {_user(owner)}" if at == path else f"{at} belongs to {_user(owner)}"
    what = f"{path}: permission denied, because {whose} (mode {stat.S_IMODE(at.stat().st_mode):o})"
    return f"{what} and this is {_user(me)}; {_way_in(at, path, own, _user(me), mine=owner == me)}"


def _way_in(at: Path, path: Path, own: Path | None, me: str, *, mine: bool) -> str:
    """What lets a user in where ``at`` refused. No command ever changes a folder that others may need, as /etc."""
    if mine:
        return f"run: {command_line(['chmod', 'u+rwX', str(at)])}"
    if own and at.is_relative_to(own):
        return f"run as root: {command_line(['chown', '-R', me, str(own)])}"
    if own and at == own.parent and _may_enter(at):
        return f"run as root: {command_line(['install', '-d', '-m', '700', '-o', me, str(own)])}"
    if at == path:
        return f"run as root: {command_line(['chown', me, str(at)])}"
    return f"use a folder that {me} may enter and write"


def _refusing(path: Path) -> Path:
    """What refuses a path: the topmost folder on the way that may not be entered, the path, or the folder it is in."""
    closed = (folder for folder in reversed(path.parents) if not _may_enter(folder))
    refused = next(closed, path)
    while not _may(refused, os.F_OK):
        refused = refused.parent
    return refused


def _may_enter(folder: Path) -> bool:
    return _may(folder, os.X_OK)


def _may(path: Path, how: int) -> bool:
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def _user(number: int) -> str:
    """A user's name, or the number where it has none, as in a container."""
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def may_run(process: int) -> bool:
    """Whether a process of this machine may still be there. False only where that is certain, which needs POSIX."""
    if POSIX:
        with suppress(PermissionError, OverflowError):
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                return False
    return True


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that was started in a session of its own, with all that it started and left behind there."""
    with suppress(ProcessLookupError, PermissionError):  # nothing is left of it; the second is macOS's word for that
        if POSIX:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def zone_name() -> str | None:
    """The IANA name of this machine's time zone, where the system tells it: TZ, or what /etc/localtime leads to."""
    from zoneinfo import ZoneInfo

    linked = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2] if POSIX else ""
    for name in (os.environ.get("TZ", "").removeprefix(":"), linked):
        with suppress(OSError, ValueError, KeyError):  # KeyError: ZoneInfoNotFoundError
            if name:
                return ZoneInfo(name).key
    return None


def install(extra: str) -> str:
    """The command that adds an extra to this installation: another pip would add it somewhere else."""
    return command_line([sys.executable, "-m", "pip", "install", f"confcleanup[{extra}]"])


def command_line(words: list[str]) -> str:
    """Words as they are typed into this system's shell."""
    import shlex
    import subprocess

    return shlex.join(words) if POSIX else subprocess.list2cmdline(words)


class _Lossy(io.RawIOBase):
    """Where a standard stream leads to. What cannot be written any more is lost, and ``trouble`` says why.

    A full disk, a reader that has left or a terminal that was closed must not keep a deletion from being recorded.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.trouble: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: ReadableBuffer, /) -> int:
        if self.trouble is None:
            try:
                while (count := self._raw.write(data)) is None:  # a pipe that does not block is full
                    select.select([], [self._raw], [], 1.0)
                return count
            except OSError as error:
                self.trouble = error
        return memoryview(data).nbytes


def standard_streams() -> None:
    """Makes standard output and error fit to be written to: in UTF-8, and never failing.

    A stream that is closed, or that ``pythonw.exe`` has not, leads nowhere from here on; it takes the place that the
    next file or connection would get, and with it whatever some library prints.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115  # it stays open to the end
        elif mode == "w":
            speak_utf8(stream)
            stream = _lossy(stream)
        setattr(sys, name, stream)


def _lossy(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    at_once = stream.line_buffering or stream.write_through
    raw: Any = getattr(stream.buffer, "raw", stream.buffer)  # without a buffer if PYTHONUNBUFFERED is set
    buffer = io.BufferedWriter(_Lossy(raw))
    return io.TextIOWrapper(buffer, stream.encoding, stream.errors, line_buffering=at_once)


def unwritten(stream: TextIO) -> str | None:
    """Why not everything could be written to a standard stream that somebody reads; None if it could."""
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    trouble = raw.trouble if isinstance(raw, _Lossy) else None
    if trouble is None or trouble.errno in UNREAD or (trouble.errno == errno.EIO and stream.isatty()):
        return None
    return trouble.strerror or type(trouble).__name__
