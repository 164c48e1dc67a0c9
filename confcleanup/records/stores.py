"""Where archived files are kept: a folder on this machine, or S3-compatible storage."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, cast

from ..errors import ArchiveError, ConfcleanupError
from ..redact import harmless, redact
from ..system import CANNOT, install, may_run, mode_of, reachable, sync_folder, why_denied
from .media import HEAD

NAMES = 400
"""Room for the longest names under an archive's folder."""
SCRATCH = ".confcleanup"
"""Begins the names of scratch folders, in which files are prepared; machine, process and a random part follow."""
ABANDONED = 86400
"""Seconds. A scratch folder in which nothing was written for so long belongs to no running run."""
_SCRATCH = re.compile(rf"{re.escape(SCRATCH)}-([0-9a-f]{{8}})-([0-9]+)-\w+")
_MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


class NotOurs(ArchiveError):
    """What lies in an archive is not exactly what this program wrote there."""


class Store(Protocol):
    """Where archived files are kept, under relative names with forward slashes."""

    def scratch(self) -> AbstractContextManager[Path]:
        """A folder to prepare files in, which is removed with its content."""

    def put(self, source: Path, name: str, digest: str) -> None:
        """Stores a file from ``scratch``, completely or not at all. It may be moved."""

    def read(self, name: str) -> bytes | None:
        """A small file's content; None if it is not there."""

    def digest(self, name: str) -> str | None:
        """The SHA-256 of a stored file; None if it is not there."""

    def head(self, name: str) -> bytes:
        """The first bytes of a stored file."""

    def names(self, folder: str) -> list[str]:
        """What lies in a folder; nothing if it is not there.

        Raises NotOurs if anything but files does, or if a link leads to it.
        """

    def remove(self, name: str) -> None:
        """Removes a file."""

    def close(self, folder: str) -> None:
        """Removes an empty folder, durably."""

    def check(self) -> list[str]:
        """What this store cannot guarantee, in words. Raises if files cannot be stored. Leaves nothing behind."""


def private(path: Path) -> BinaryIO:
    """A new file that only its owner can read. The mode is set on creation, as some mounts cannot change it later."""
    return cast(BinaryIO, open(path, "wb", opener=partial(os.open, mode=0o600)))  # Path has no opener


def flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


class _Scratch:
    """Scratch folders, one for each item, in a folder that runs may share."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._swept = False
        self._lock = threading.Lock()

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new folder, which is removed with its content."""
        own = f"{SCRATCH}-{_MACHINE}-{os.getpid()}-"
        with tempfile.TemporaryDirectory(dir=self._root, prefix=own, ignore_cleanup_errors=True) as made:
            with self._lock:
                if not self._swept:
                    self._sweep(Path(made))
                    self._swept = True
            yield Path(made)

    def _sweep(self, own: Path) -> None:
        """Removes the scratch folders of killed runs. What cannot be removed does no harm.

        If a run that still uses one loses it, its copy fails and the item stays.
        """
        now = own.stat().st_mtime  # by the clock of the disk
        for folder in self._root.iterdir():
            if folder != own and (found := _SCRATCH.fullmatch(folder.name)):
                with suppress(OSError):
                    ended = found[1] == _MACHINE and not may_run(int(found[2]))
                    if ended or now - max(path.lstat().st_mtime for path in (folder, *folder.iterdir())) > ABANDONED:
                        shutil.rmtree(folder)


class Folder:
    """A folder on this machine. A file is written to a scratch folder in it, flushed to the disk, then renamed."""

    def __init__(self, root: Path) -> None:
        self._root = reachable(root, NAMES)
        self._scratch = _Scratch(self._root)

    def scratch(self) -> AbstractContextManager[Path]:
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._scratch.folder()

    def put(self, source: Path, name: str, digest: str) -> None:
        target = self._root / PurePosixPath(name)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            source.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy_across(source, target)
        if not _flushed(target.parent) and self.digest(name) != digest:
            raise ArchiveError(f"{target} does not read back as it was written")

    def check(self) -> list[str]:
        there = _nearest(self._root)
        with tempfile.NamedTemporaryFile(dir=there, prefix=f"{SCRATCH}-check-") as file:
            file.write(b"\0")
            open_to_others = (mode_of(file.fileno()) or 0) & 0o077
        weak = [] if _flushed(there) else ["cannot flush a folder to the disk, so every file is read back instead"]
        if open_to_others:
            weak.append("cannot keep others on this machine from reading what is in it; see how it is mounted")
        return weak

    def names(self, folder: str) -> list[str]:
        if not self._root.is_dir():
            raise ArchiveError(f"there is no folder {self._root}")
        place = self._root
        for part in PurePosixPath(folder).parts:
            place /= part
            if not os.path.lexists(place):
                return []
            if not stat.S_ISDIR(place.lstat().st_mode):
                raise NotOurs(f"{place} is not a folder but a link or a file")
        entries = list(os.scandir(place))
        if odd := [entry.name for entry in entries if not entry.is_file(follow_symlinks=False)]:
            raise NotOurs(f"{harmless(odd[0])} is a link or a folder")
        return [entry.name for entry in entries]

    def remove(self, name: str) -> None:
        (self._root / PurePosixPath(name)).unlink()

    def close(self, folder: str) -> None:
        place = self._root / PurePosixPath(folder)
        with suppress(FileNotFoundError):
            place.rmdir()
        _flushed(place.parent)

    def head(self, name: str) -> bytes:
        with (self._root / PurePosixPath(name)).open("rb") as file:
            return file.read(HEAD)

    def read(self, name: str) -> bytes | None:
        path = self._root / PurePosixPath(name)
        return path.read_bytes() if path.is_file() else None

    def digest(self, name: str) -> str | None:
        path = self._root / PurePosixPath(name)
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_across(source: Path, target: Path) -> None:
    """Copies a file to another disk, on which a folder of the archive may be mounted."""
    beside = target.with_name(f".{target.name}.partial")
    with source.open("rb") as read, private(beside) as write:
        shutil.copyfileobj(read, write, 1024 * 1024)
        flush(write)
    beside.replace(target)


def _flushed(folder: Path) -> bool:
    """Makes renames in a folder durable; False if the mount does not support that."""
    try:
        sync_folder(folder)
    except OSError as error:
        if error.errno not in CANNOT:
            raise
        return False
    return True


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def try_folder(folder: Path) -> None:
    """Raises OSError if files cannot be written to a folder, or it cannot be made. Leaves nothing behind."""
    with tempfile.TemporaryFile(dir=_nearest(folder)) as file:
        file.write(b"\0")


class Remote:
    """S3-compatible or other storage that fsspec knows. Its credentials come from its own environment."""

    def __init__(self, target: str) -> None:
        try:
            import fsspec

            with archive_errors(target):
                self._files, root = fsspec.core.url_to_fs(target)
        except (ImportError, ValueError) as error:
            raise ArchiveError(f"{target} needs an extra: {install('s3')} ({error})") from None
        self._root = str(root).rstrip("/")
        self._scratch = _Scratch(Path(tempfile.gettempdir()))

    def scratch(self) -> AbstractContextManager[Path]:
        return self._scratch.folder()

    def put(self, source: Path, name: str, digest: str) -> None:
        target = f"{self._root}/{name}"
        self._files.put_file(str(source), target)
        self._files.invalidate_cache()
        if self._files.info(target)["size"] != source.stat().st_size:
            raise ArchiveError(f"{name} arrived with another size than it was sent with")

    def check(self) -> list[str]:
        self._files.info(self._root.partition("/")[0])  # the bucket
        return []

    def names(self, folder: str) -> list[str]:
        self._files.invalidate_cache()
        try:
            found = self._files.ls(f"{self._root}/{folder}", detail=True)
        except FileNotFoundError:
            return []
        if any(entry["type"] != "file" for entry in found):
            raise NotOurs("there is a folder in it")
        return [str(entry["name"]).rpartition("/")[2] for entry in found]

    def remove(self, name: str) -> None:
        self._files.rm_file(f"{self._root}/{name}")

    def close(self, folder: str) -> None:
        if left := self.names(folder):
            raise ArchiveError(f"{len(left)} files are still there")

    def head(self, name: str) -> bytes:
        with self._files.open(f"{self._root}/{name}", "rb") as file:
            first: bytes = file.read(HEAD)
        return first

    def read(self, name: str) -> bytes | None:
        try:
            content: bytes = self._files.cat_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        return content

    def digest(self, name: str) -> str | None:
        try:
            with self._files.open(f"{self._root}/{name}", "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None


@contextmanager
def archive_errors(target: str) -> Iterator[None]:
    """Turns whatever a disk or a remote storage raises into an ArchiveError."""
    try:
        yield
    except ConfcleanupError:
        raise
    # Each of fsspec's storages raises its own classes (botocore's are no OSError), which cannot be named here
    # without importing what only some have installed. It is raised again as ArchiveError, and the item stays.
    except Exception as error:  # noqa: BLE001  # fsspec's storages share no base class; raised again as ArchiveError
        why = str(error)[:200]
        if isinstance(error, OSError) and error.errno and "://" not in target:
            why = why_denied(Path(error.filename or target), error)
        raise ArchiveError(f"the archive {redact(target)} cannot be used: {redact(why)}") from None
