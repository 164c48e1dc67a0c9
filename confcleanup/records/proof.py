"""Prove that the ledger is the one that was left here: unaltered, and complete at both ends.

Each event carries the hash of the one before, so that a change or a gap anywhere shows. An event records what was
pruned, and so where the chain begins. A small file beside the ledger holds the number and the hash of an event that
was written: a ledger that is empty, cut off or older than that is not the one that was left here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import LedgerError

log = logging.getLogger(__name__)
FILE = "ledger.sqlite"
HEAD = "ledger.head"
"""The file that records how far the ledger was written. It may be behind the ledger, never ahead of it."""
COPY = "copy"
"""The kind of the events that record that the removal of a copy was begun."""
PRUNE = "prune"
"""The kind of the events that record what was pruned; the newest one says where the chain begins."""
ORIGIN = "0" * 64
_ENCODER = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":"))
Event = tuple[str, Mapping[str, Any], int | None]
"""A kind, a body, and the number of the intent that the event answers."""
Row = tuple[int, str, str, str, int | None]
"""An event as it is stored: number, kind, body, hash, intent."""
Link = tuple[int, str]
"""An event's number and hash."""


class Proof(NamedTuple):
    """What ``verify`` found: the number of events, the last one's hash, the numbers of the first and the last.

    ``pruned`` is the event that records what was taken out before the first; None if nothing was. ``headed``: the
    file beside the ledger agrees; False if there is none, so that nothing shows whether the end was cut off.
    """

    entries: int
    head: str
    first: int
    last: int
    pruned: Mapping[str, Any] | None
    headed: bool


class HeadFile:
    """The file beside the ledger that records how far it was written."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / HEAD

    def read(self) -> Link | None:
        """Number and hash of an event that was written; None if there is no file."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        found = re.fullmatch(rb"([0-9]{1,18}) ([0-9a-f]{64})\n", text)
        if not found:
            raise LedgerError(f"{self.path} was altered; remove it if the ledger beside it is whole")
        return int(found[1]), found[2].decode()

    def save(self, now: Link) -> None:
        """Records how far the ledger is written, by one process at a time, and never less far than before.

        If that fails, the file stays behind, as it does after a crash.
        """
        beside = self.path.with_name(f".{HEAD}.new")
        try:
            if (before := self.read()) and before[0] >= now[0]:
                return
            beside.unlink(missing_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(b"%d %s\n" % (now[0], now[1].encode()))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except (OSError, LedgerError) as error:
            log.warning("%s could not be written: %s", self.path, getattr(error, "strerror", None) or error)


class Chain:
    """The chain of events in the ledger at ``path``. Raises LedgerError where it is broken."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def anchor(self, db: sqlite3.Connection) -> Link:
        """The event before the first that is kept."""
        found: list[Link] = db.execute("SELECT seq, hash FROM anchor").fetchall()
        if len(found) != 1:
            raise LedgerError(f"{self.path}: the beginning of the chain is missing")
        return found[0]

    def head(self, db: sqlite3.Connection) -> Link:
        """The last event."""
        last: Link | None = db.execute("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        return last or self.anchor(db)

    def events(self, db: sqlite3.Connection, anchor: Link) -> Iterator[Row]:
        """Every event after the anchor. Raises LedgerError at the first that is missing or altered."""
        seq, last = anchor
        for row in db.execute("SELECT seq, kind, body, hash, intent FROM event ORDER BY seq"):
            number, kind, body, stored, intent = row
            if number != seq + 1:
                raise LedgerError(f"{self.path}: entries are missing between {seq} and {number}")
            last = chained(last, number, kind, body, intent)
            if last != stored:
                raise LedgerError(f"{self.path}: entry {number} was altered")
            seq = number
            yield row

    def doubt(self, db: sqlite3.Connection, written: Link | None) -> str | None:
        """Why the two ends show that this is not the ledger that was left here, and what to do; None if they agree.

        ``written`` is what the file beside it records, read before ``db`` looked at the ledger, which may grow
        meanwhile but never shrink.
        """
        (version,) = db.execute("PRAGMA user_version").fetchone()
        seq, stored = anchor = self.anchor(db)
        first, last = db.execute("SELECT (SELECT min(seq) FROM event), (SELECT max(seq) FROM event)").fetchone()
        pruned = pruned_event(db)
        begins = (pruned.get("last"), pruned.get("hash")) if pruned else (0, ORIGIN)
        anew = f"restore the ledger from a backup, or move {FILE} and {HEAD} away to begin a new history"
        if first is not None and first != seq + 1:
            return f"{self.path}: entries are missing between {seq} and {first}; {anew}"
        if anchor != begins and (version > 1 or pruned):
            return f"{self.path}: no entry says that those up to {seq} were pruned, so they are missing; {anew}"
        if written is None:
            return None
        if version == 1:
            return f"{self.path} is a ledger of an older release, but {HEAD} shows that a newer one was here; {anew}"
        number, head = written
        go_on = f"restore a ledger that has them, or remove {HEAD} to go on with what is left"
        if number > (last or seq):
            return f"{self.path}: it ends with entry {last or seq}, but {number} were written; {go_on}"
        found = stored if number == seq else _hash_of(db, number)
        if number >= seq and found != head:
            return f"{self.path}: entry {number} differs from the one that was written here; {go_on}"
        return None

    def verify(self, db: sqlite3.Connection, written: Link | None) -> Proof:
        """Recomputes every hash. Raises LedgerError at the first that is wrong, or if the ledger is not whole."""
        anchor = self.anchor(db)
        number, last = anchor
        for row in self.events(db, anchor):
            number, last = row[0], row[3]
        if doubt := self.doubt(db, written):
            raise LedgerError(doubt)
        pruned = pruned_event(db)
        if anchor[0] and not pruned:
            pruned = {"first": 1, "last": anchor[0], "at": None, "before": None}
        return Proof(number - anchor[0], last, anchor[0] + 1, number, pruned, written is not None)

    def prunable(self, db: sqlite3.Connection, before: datetime) -> Link:
        """The last of the oldest events that may be taken out; the anchor if none may.

        All up to it are older than ``before``, and every intent among them has its outcome among them.
        """
        complete = anchor = self.anchor(db)
        unanswered: set[int] = set()
        for seq, kind, body, stored, intent in self.events(db, anchor):
            if _recorded_at(body) >= before:
                break
            unanswered |= {seq} if kind in ("intent", COPY) else set()
            unanswered -= {intent}
            if not unanswered:
                complete = (seq, stored)
        return complete


def pruned_event(db: sqlite3.Connection) -> dict[str, Any] | None:
    """The newest event that records what was pruned; None if nothing ever was."""
    query = "SELECT body FROM event WHERE kind = ? AND account IS NULL ORDER BY seq DESC LIMIT 1"
    found = db.execute(query, (PRUNE,)).fetchone()
    try:
        fields = json.loads(found[0]) if found else None
    except ValueError:
        return {}
    return fields if fields is None or isinstance(fields, dict) else {}


def row_of(seq: int, before: str, event: Event) -> Row:
    """An event as it is stored. ``before`` is the hash of the event before it."""
    kind, body, intent = event
    text = _ENCODER.encode(body)
    return seq, kind, text, chained(before, seq, kind, text, intent), intent


def chained(before: str, seq: int, kind: str, body: str, intent: int | None) -> str:
    """The hash of an event. It covers the hash of the event before it."""
    return hashlib.sha256(f"{before}\n{seq}\n{kind}\n{intent or ''}\n{body}".encode()).hexdigest()


def _hash_of(db: sqlite3.Connection, seq: int) -> str | None:
    found = db.execute("SELECT hash FROM event WHERE seq = ?", (seq,)).fetchone()
    return str(found[0]) if found else None


def _recorded_at(body: str) -> datetime:
    """When an event was recorded. The latest possible time if that cannot be read, so that it is never pruned."""
    try:
        fields = json.loads(body)
        return datetime.fromisoformat(
            next(fields[name] for name in ("intended_at", "finished_at", "at") if name in fields)
        )
    except (ValueError, TypeError, StopIteration):
        return datetime.max.replace(tzinfo=UTC)
