"""A copy before the deletion: the item's JSON and its media, checked, in a folder or in S3-compatible storage.

Each item gets a folder of its own; its ``SHA256SUMS`` is written last, so a folder that has one is
complete, and ``sha256sum -c SHA256SUMS`` in it proves it. Only then may the item be deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from .errors import ArchiveError, ConfcleanupError
from .items import Item, Media
from .redact import redact
from .system import install, reachable, sync_folder

SUMS = "SHA256SUMS"
NAMES = 400
"""Room for the longest names under an archive's folder."""
_PRIVATE = re.compile(r"passw|passcode|token|secret|credential|ur[il]s?$|link|(^|_)pin$", re.IGNORECASE)
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


class Store(Protocol):
    """Where archived files are kept, under relative names with forward slashes."""

    def put(self, source: Path, name: str) -> None:
        """Keeps a file, whole or not at all."""

    def read(self, name: str) -> bytes | None:
        """A small file's content; None if it is not there."""

    def digest(self, name: str) -> str | None:
        """The SHA-256 of a kept file; None if it is not there."""

    def check(self) -> None:
        """Raises if files cannot be kept here. Leaves nothing behind."""


class Archive:
    """One archive. Raises ArchiveError for whatever keeps a copy from being safe."""

    def __init__(self, target: str) -> None:
        self._store: Store = Remote(target) if "://" in target else Folder(Path(target).expanduser())
        self.target = target.rstrip("/")

    def check(self) -> None:
        """Raises ArchiveError if nothing could be kept here, as far as that can be told without leaving a trace."""
        with _trouble(self.target):
            self._store.check()

    def keep(self, account: str, item: Item, media: Iterable[Media]) -> str:
        """Copies an item and its media, unless a complete copy is there already; the name of its folder."""
        folder = place(account, item)
        with _trouble(self.target):
            described = json.dumps(_described(item), indent=1, sort_keys=True, default=str).encode()
            same = self._store.digest(f"{folder}/item.json") == hashlib.sha256(described).hexdigest()
            if same and self._complete(folder):
                return folder
            with tempfile.TemporaryDirectory(prefix="confcleanup-") as scratch:
                sums = dict(self._copy(Path(scratch), folder, described, media))
                lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
                self._put(Path(scratch), folder, SUMS, lines.encode())
        return folder

    def find(self, account: str, item: Item) -> tuple[str, dict[str, Any]] | None:
        """Where the complete copy of an item lies, and its JSON; None if there is none."""
        folder = place(account, item)
        with _trouble(self.target):
            content = self._store.read(f"{folder}/item.json") if self._complete(folder) else None
        return (f"{self.target}/{folder}", json.loads(content)) if content else None

    def _complete(self, folder: str) -> bool:
        sums = self._store.read(f"{folder}/{SUMS}")
        entries = [line.split("  ", 1) for line in (sums or b"").decode().splitlines()]
        return bool(entries) and all(self._store.digest(f"{folder}/{name}") == digest for digest, name in entries)

    def _copy(self, scratch: Path, folder: str, described: bytes, media: Iterable[Media]) -> Iterator[tuple[str, str]]:
        yield "item.json", self._put(scratch, folder, "item.json", described)
        for number, file in enumerate(media, 1):
            name = f"{number:02}-{safe(file.name)}"
            local = scratch / "media"
            digest = _download(file, local)
            self._store.put(local, f"{folder}/{name}")
            yield name, digest

    def _put(self, scratch: Path, folder: str, name: str, content: bytes) -> str:
        local = scratch / "text"
        local.write_bytes(content)
        self._store.put(local, f"{folder}/{name}")
        return hashlib.sha256(content).hexdigest()


def _download(file: Media, local: Path) -> str:
    """Streams a file to disk and checks it against what the vendor says of it; its SHA-256."""
    digest, size = hashlib.sha256(), 0
    with file.open as chunks, local.open("wb") as out:
        for chunk in chunks:
            out.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        out.flush()
        os.fsync(out.fileno())
    if size == 0:
        raise ArchiveError(f"the download of {file.name!r} is empty")
    if file.size is not None and size != file.size:
        raise ArchiveError(f"the download of {file.name!r} has {size} bytes, the vendor says {file.size}")
    if file.sha256 and digest.hexdigest() != file.sha256.lower():
        raise ArchiveError(f"the download of {file.name!r} does not have the SHA-256 that the vendor gives")
    return digest.hexdigest()


class Folder:
    """A folder on this machine. A file is written beside its place, flushed to the disk, and renamed."""

    def __init__(self, root: Path) -> None:
        self._root = reachable(root, NAMES)

    def put(self, source: Path, name: str) -> None:
        target = self._root / PurePosixPath(name)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = target.with_name(f".{target.name}.partial")
        with source.open("rb") as read, beside.open("wb") as write:
            shutil.copyfileobj(read, write, 1024 * 1024)
            write.flush()
            os.fsync(write.fileno())
        beside.chmod(0o600)
        beside.replace(target)
        sync_folder(target.parent)

    def check(self) -> None:
        try_folder(self._root)

    def read(self, name: str) -> bytes | None:
        path = self._root / PurePosixPath(name)
        return path.read_bytes() if path.is_file() else None

    def digest(self, name: str) -> str | None:
        path = self._root / PurePosixPath(name)
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def try_folder(folder: Path) -> None:
    """Raises OSError if files cannot be written in a folder, or it cannot be made. Leaves nothing behind."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    with tempfile.TemporaryFile(dir=there) as file:
        file.write(b"\0")


class Remote:
    """S3-compatible or other storage that fsspec knows. Its credentials come from its own environment."""

    def __init__(self, target: str) -> None:
        try:
            import fsspec

            with _trouble(target):
                self._files, root = fsspec.core.url_to_fs(target)
        except (ImportError, ValueError) as error:
            raise ArchiveError(f"{target} needs an extra: {install('s3')} ({error})") from None
        self._root = str(root).rstrip("/")

    def put(self, source: Path, name: str) -> None:
        target = f"{self._root}/{name}"
        self._files.put_file(str(source), target)
        self._files.invalidate_cache()
        if self._files.info(target)["size"] != source.stat().st_size:
            raise ArchiveError(f"{name} arrived with another size than it was sent with")

    def check(self) -> None:
        self._files.info(self._root.partition("/")[0])  # the bucket

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


def place(account: str, item: Item) -> str:
    """The folder of an item, relative to the archive: account, source, month of its end, id, and what tells it
    from another item that had the same id at another time.
    """
    month = f"{item.ended_at or item.created_at or item.started_at:%Y-%m}" if _dated(item) else "undated"
    times = " ".join(
        f"{when:%Y%m%dT%H%M%S}" if when else "-" for when in (item.started_at, item.ended_at, item.created_at)
    )
    own = hashlib.sha256(times.encode()).hexdigest()[:8]
    return "/".join([safe(account), safe(item.what), month, f"{safe('-'.join([*item.address, item.id]))}-{own}"])


def _dated(item: Item) -> bool:
    return bool(item.ended_at or item.created_at or item.started_at)


def safe(name: str) -> str:
    """A file name that stays where it is put, on every system; what had to be changed gets a hash of the original."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:80].strip(". ")
    if plain and plain == name and not _RESERVED.fullmatch(plain):
        return plain
    return f"{plain or 'x'}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


def _described(item: Item) -> Mapping[str, Any]:
    return {
        "what": item.what,
        "id": item.id,
        "address": item.address,
        "kind": item.kind,
        "title": item.title,
        "owner": item.owner,
        "tags": item.tags,
        "started_at": item.started_at,
        "ended_at": item.ended_at,
        "vendor": without_private(item.raw),
    }


def without_private(thing: Any) -> Any:
    """A vendor's object without passwords, tokens and links to join; other text without known secrets."""
    if isinstance(thing, Mapping):
        return {key: without_private(value) for key, value in thing.items() if not _PRIVATE.search(str(key))}
    if isinstance(thing, (list, tuple)):
        return [without_private(value) for value in thing]
    return redact(thing) if isinstance(thing, str) else thing


@contextmanager
def _trouble(target: str) -> Iterator[None]:
    """Turns whatever a disk or a remote storage raises into an ArchiveError."""
    try:
        yield
    except ConfcleanupError:
        raise
    # Each of fsspec's storages raises classes of its own (botocore's are no OSError), which cannot be named here
    # without importing what only some have installed. It is raised again as ArchiveError, and the item stays.
    except Exception as error:  # noqa: BLE001  # storages raise classes of their own; raised again, the item stays
        raise ArchiveError(f"the archive {redact(target)} cannot be used: {redact(str(error))[:200]}") from None
