"""Copy an item before it is deleted: its JSON and its media, verified, to a folder or S3-compatible storage.

Each item gets a folder of its own; its ``SHA256SUMS`` is written last, so a folder that has one is
complete, and ``sha256sum -c SHA256SUMS`` in it proves it. Only then may the item be deleted.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import ArchiveError
from ..items import Item, Media
from ..redact import harmless, redact
from .media import HEAD, named, suffixes, too_small, what_else
from .stores import Folder, NotOurs, Remote, Store, archive_errors, flush, private

SUMS = "SHA256SUMS"
_PRIVATE = re.compile(r"passw|passcode|token|secret|credential|ur[il]s?$|link|(^|_)pin$", re.IGNORECASE)
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\\\0]+)")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


class Archive:
    """One archive. Raises ArchiveError if a copy cannot be made or verified."""

    def __init__(self, target: str) -> None:
        self._store: Store = Remote(target) if "://" in target else Folder(Path(target))
        self.target = target.rstrip("/")

    def check(self) -> list[str]:
        """What this archive cannot guarantee, in words.

        Raises ArchiveError if nothing could be stored here, as far as that can be checked without leaving files behind.
        """
        with archive_errors(self.target):
            return [f"the archive {self.target} {weakness}" for weakness in self._store.check()]

    def keep(self, account: str, item: Item, media: Iterable[Media]) -> str:
        """Copies an item and its media, unless a complete copy is there already; the name of its folder."""
        folder = item_folder(account, item)
        with archive_errors(self.target):
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
        with archive_errors(self.target):
            content = self._store.read(f"{folder}/item.json") if self._complete(folder) else None
        return (f"{self.target}/{folder}", json.loads(content)) if content else None

    def holds(self, folder: str) -> bool:
        """Whether there is a complete copy, or something else in its place."""
        with archive_errors(self.target):
            try:
                return SUMS in self._store.names(folder)
            except NotOurs:
                return True

    def proven(self, folder: str, *, begun: bool, thorough: bool) -> tuple[list[str], bytes | None]:
        """The files of a copy in the order in which to remove them, and its JSON. Raises NotOurs, ArchiveError.

        ``begun``: an earlier run began to remove it, so that files may be missing. ``thorough``: every file is read.
        """
        with archive_errors(self.target):
            found = set(self._store.names(folder))
            if begun and SUMS not in found:
                return [], None
            sums = self._store.read(f"{folder}/{SUMS}") or b""
            lines = [_LINE.fullmatch(line) for line in sums.decode("utf-8", "replace").splitlines()]
            listed = {line[2]: line[1] for line in lines if line}
            if len(listed) != len(lines) or "item.json" not in listed or SUMS in listed:
                raise NotOurs(f"{SUMS} is not as confcleanup wrote it")
            if odd := found - {*listed, SUMS}:
                raise NotOurs(f"{harmless(min(odd))} is not part of the copy")
            if not begun and (missing := listed.keys() - found):
                raise NotOurs(f"{harmless(min(missing))} is missing")
            names = sorted(found - {SUMS}, key=lambda name: (name == "item.json", name))
            for name in names if thorough else ["item.json"] if "item.json" in found else []:
                if self._store.digest(f"{folder}/{name}") != listed[name]:
                    raise NotOurs(f"{harmless(name)} was changed")
            described = self._store.read(f"{folder}/item.json") if "item.json" in found else None
            return [*names, SUMS], described

    def remove(self, folder: str, names: Iterable[str]) -> None:
        """Removes these files of a copy, then its folder. A crash leaves a rest that still has its sums."""
        with archive_errors(self.target):
            for name in names:
                self._store.remove(f"{folder}/{name}")
            self._store.close(folder)

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
        with private(local) as out:
            out.write(content)
            flush(out)
        self._store.put(local, f"{folder}/{name}", digest)
        return digest


def _download(file: Media, local: Path) -> tuple[str, tuple[str, ...]]:
    """Streams a file to disk and verifies it; its SHA-256, and the suffixes that fit its content.

    Raises ArchiveError if it is not what the vendor describes, or neither audio nor video.
    """
    digest, size, head = hashlib.sha256(), 0, b""
    with file.open as chunks, private(local) as out:
        for chunk in chunks:
            out.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            head += chunk[: HEAD - len(head)]
        flush(out)
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
