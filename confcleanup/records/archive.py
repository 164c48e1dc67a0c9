"""Copy an item before it is deleted: its JSON and its media, verified, to a folder or S3-compatible storage.

Each item gets a folder of its own; its ``SHA256SUMS`` is written last, so a folder that has one is
complete, and ``sha256sum -c SHA256SUMS`` in it proves it. Only then may the item be deleted.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, cast

from ..errors import ArchiveError, ConfcleanupError
from ..items import Item, Media
from ..redact import redact
from ..system import CANNOT, install, may_run, mode_of, reachable, sync_folder, why_denied
from .media import HEAD, named, suffixes, too_small, what_else

SUMS = "SHA256SUMS"
NAMES = 400
"""Room for the longest names under an archive's folder."""
_PRIVATE = re.compile(r"passw|passcode|token|secret|credential|ur[il]s?$|link|(^|_)pin$", re.IGNORECASE)
SCRATCH = ".confcleanup"
"""Begins the names of scratch folders, in which files are prepared; machine, process and a random part follow."""
ABANDONED = 86400
"""Seconds. A scratch folder in which nothing was written for so long belongs to no running run."""
_SCRATCH = re.compile(rf"{re.escape(SCRATCH)}-([0-9a-f]{{8}})-([0-9]+)-\w+")
_MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


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

    def check(self) -> list[str]:
        """What this store cannot guarantee, in words. Raises if files cannot be stored. Leaves nothing behind."""


class Archive:
    """One archive. Raises ArchiveError if a copy cannot be made or verified."""

    def __init__(self, target: str) -> None:
        self._store: Store = Remote(target) if "://" in target else Folder(Path(target))
        self.target = target.rstrip("/")

    def check(self) -> list[str]:
        """What this archive cannot guarantee, in words.

        Raises ArchiveError if nothing could be stored here, as far as that can be checked without leaving files behind.
        """
        with _archive_errors(self.target):
            return [f"the archive {self.target} {weakness}" for weakness in self._store.check()]

    def keep(self, account: str, item: Item, media: Iterable[Media]) -> str:
        """Copies an item and its media, unless a complete copy is there already; the name of its folder."""
        folder = item_folder(account, item)
        with _archive_errors(self.target):
            described = json.dumps(_described(item), indent=1, sort_keys=True, default=str).encode()
            same = self._store.digest(f"{folder}/item.json") == hashlib.sha256(described).hexdigest()
            if same and self._complete(folder) and self._recognised(folder):
                return folder
            with self._store.scratch() as scratch:
                sums = dict(self._copy(scratch, folder, described, media))
                lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
                self._put(scratch, folder, SUMS, lines.encode())
        return folder

    def find(self, account: str, item: Item) -> tuple[str, dict[str, Any]] | None:
        """Where the complete copy of an item lies, and its JSON; None if there is none."""
        folder = item_folder(account, item)
        with _archive_errors(self.target):
            content = self._store.read(f"{folder}/item.json") if self._complete(folder) else None
        return (f"{self.target}/{folder}", json.loads(content)) if content else None

    def _complete(self, folder: str) -> bool:
        entries = self._entries(folder)
        return bool(entries) and all(self._store.digest(f"{folder}/{name}") == digest for digest, name in entries)

    def _recognised(self, folder: str) -> bool:
        """Whether all media of a copy are recognised as such; an older release may have made it without that check."""
        files = [name for _, name in self._entries(folder) if name != "item.json"]
        return all(suffixes(self._store.head(f"{folder}/{name}")) for name in files)

    def _entries(self, folder: str) -> list[list[str]]:
        sums = self._store.read(f"{folder}/{SUMS}")
        return [line.split("  ", 1) for line in (sums or b"").decode().splitlines()]

    def _copy(self, scratch: Path, folder: str, described: bytes, media: Iterable[Media]) -> Iterator[tuple[str, str]]:
        yield "item.json", self._put(scratch, folder, "item.json", described)
        for number, file in enumerate(media, 1):
            local = scratch / "media"
            digest, fitting = _download(file, local)
            name = f"{number:02}-{named(safe(file.name), fitting)}"
            self._store.put(local, f"{folder}/{name}", digest)
            yield name, digest

    def _put(self, scratch: Path, folder: str, name: str, content: bytes) -> str:
        local, digest = scratch / "text", hashlib.sha256(content).hexdigest()
        with _private(local) as out:
            out.write(content)
            _flush(out)
        self._store.put(local, f"{folder}/{name}", digest)
        return digest


def _download(file: Media, local: Path) -> tuple[str, tuple[str, ...]]:
    """Streams a file to disk and verifies it; its SHA-256, and the suffixes that fit its content.

    Raises ArchiveError if it is not what the vendor describes, or neither audio nor video.
    """
    digest, size, head = hashlib.sha256(), 0, b""
    with file.open as chunks, _private(local) as out:
        for chunk in chunks:
            out.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            head += chunk[: HEAD - len(head)]
        _flush(out)
    fitting = suffixes(head)
    if size == 0:
        raise ArchiveError(f"the download of {file.name!r} is empty")
    if not fitting:
        raise ArchiveError(f"the download of {file.name!r} is neither audio nor video but {what_else(head)}")
    if file.size is not None and size != file.size:
        raise ArchiveError(f"the download of {file.name!r} has {size} bytes, the vendor says {file.size}")
    if too_small(size, file.duration):
        raise ArchiveError(f"the download of {file.name!r} has {size} bytes, too few for {file.duration:.0f} seconds")
    if file.sha256 and digest.hexdigest() != file.sha256.lower():
        raise ArchiveError(f"the download of {file.name!r} does not have the SHA-256 that the vendor gives")
    return digest.hexdigest(), fitting


def _private(path: Path) -> BinaryIO:
    """A new file that only its owner can read. The mode is set on creation, as some mounts cannot change it later."""
    return cast(BinaryIO, open(path, "wb", opener=partial(os.open, mode=0o600)))  # Path has no opener


def _flush(file: BinaryIO) -> None:
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
    with source.open("rb") as read, _private(beside) as write:
        shutil.copyfileobj(read, write, 1024 * 1024)
        _flush(write)
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

            with _archive_errors(target):
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


def item_folder(account: str, item: Item) -> str:
    """The folder of an item, relative to the archive: account, source, month of its end, id, and a hash of its times.

    The hash distinguishes it from another item that had the same id at another time.
    """
    month = f"{item.ended_at or item.created_at or item.started_at:%Y-%m}" if _dated(item) else "undated"
    times = " ".join(
        f"{when:%Y%m%dT%H%M%S}" if when else "-" for when in (item.started_at, item.ended_at, item.created_at)
    )
    own = hashlib.sha256(times.encode()).hexdigest()[:8]
    return "/".join([safe(account), safe(item.what), month, f"{safe('-'.join([*item.locator, item.id]))}-{own}"])


def _dated(item: Item) -> bool:
    return bool(item.ended_at or item.created_at or item.started_at)


def safe(name: str) -> str:
    """A file name that is valid on every system; a name that had to be changed gets a hash of the original."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:80].strip(". ")
    if plain and plain == name and not _RESERVED.fullmatch(plain):
        return plain
    return f"{plain or 'x'}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


def _described(item: Item) -> Mapping[str, Any]:
    return {
        "what": item.what,
        "id": item.id,
        "address": item.locator,
        "kind": item.kind,
        "title": item.title,
        "owner": item.owner,
        "tags": item.tags,
        "started_at": item.started_at,
        "ended_at": item.ended_at,
        "vendor": without_private(item.raw),
    }


def without_private(thing: Any) -> Any:
    """A vendor's object without passwords, tokens and links to join; known secrets in other text are replaced."""
    if isinstance(thing, Mapping):
        return {key: without_private(value) for key, value in thing.items() if not _PRIVATE.search(str(key))}
    if isinstance(thing, (list, tuple)):
        return [without_private(value) for value in thing]
    return redact(thing) if isinstance(thing, str) else thing


@contextmanager
def _archive_errors(target: str) -> Iterator[None]:
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
