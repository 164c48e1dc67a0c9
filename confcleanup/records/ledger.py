"""The record of every run and every deletion: what is not recorded is not deleted.

An SQLite database to which events are only ever appended. A deletion is two events: an intent, committed before the
request is sent, and an outcome after it. An intent without an outcome means that the program was cut off in between;
the next run looks at the vendor and writes the outcome. ``proof`` says how a change or a gap is found.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from ..errors import LedgerError
from ..lock import alone
from ..system import why_denied
from .entries import timestamp
from .proof import FILE, HEAD, ORIGIN, PRUNE, Chain, Event, HeadFile, Link, Proof, Row, row_of
from .queries import Queries

log = logging.getLogger(__name__)
VERSION = 2
TURNS = "ledger.lock"
"""The lock that opening and closing takes for a moment."""
LATE = 1.0
"""Seconds after which outcomes are written even if no intents follow."""
_SCHEMA = """
CREATE TABLE event (
  seq INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  hash TEXT NOT NULL,
  intent INTEGER,
  account TEXT GENERATED ALWAYS AS (json_extract(body, '$.account')) VIRTUAL
);
CREATE INDEX outcome_of ON event (intent) WHERE intent IS NOT NULL;
CREATE INDEX by_kind ON event (kind, account);
CREATE TABLE anchor (seq INTEGER NOT NULL, hash TEXT NOT NULL);
INSERT INTO anchor VALUES (0, '%s');
"""
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS item_of ON event (account, json_extract(body, '$.id')) WHERE kind = 'intent'",
    """CREATE INDEX IF NOT EXISTS unknown_of ON event (account)
    WHERE kind = 'outcome' AND json_extract(body, '$.outcome') = 'unknown'""",
)
"""Ledgers of earlier releases get these when they are next written."""
INSERT = "INSERT INTO event (seq, kind, body, hash, intent) VALUES (?, ?, ?, ?, ?)"


class _Ticket(msgspec.Struct):
    """An event that waits for a commit, and the number it got there."""

    event: Event
    awaited: bool
    number: int | None = None


class Ledger(Queries):
    """One state folder's ledger. Threads and processes may write to it at the same time.

    Raises LedgerError if the file cannot be used, or is not the whole ledger that was left here. With ``whole=False``
    such a ledger is opened too, for people to read what there is; ``doubt`` then says what is wrong with it.
    """

    def __init__(self, folder: Path, *, writable: bool = True, whole: bool = True) -> None:
        self.path = folder / FILE
        self._head_file = HeadFile(folder)
        self._chain = Chain(self.path)
        self.doubt: str | None = None
        self._writable = False
        self._lock = threading.Lock()
        self._queue_lock = threading.Lock()
        self._queue: list[_Ticket] = []
        self._written = 0.0
        with self._usable():
            if writable:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with alone(folder / TURNS) if writable else nullcontext():  # half a ledger is not for other processes
                self._require_content(writable)
                if writable:
                    self.path.touch(mode=0o600)
                    self._db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=30)
                else:
                    self._db = self._read_only()
                try:
                    self._open(writable)
                    if self.doubt and whole:
                        raise LedgerError(self.doubt)
                except BaseException:  # an interrupt too must not leave the file held; it is raised again
                    self._db.close()
                    raise

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether a state folder holds a ledger, or should hold one."""
        return any((folder / name).exists() for name in (FILE, HEAD, f"{FILE}-wal"))

    @classmethod
    def require(cls, folder: Path) -> None:
        """Raises LedgerError if a state folder holds no ledger, and nothing shows that it should."""
        if not cls.exists(folder):
            raise LedgerError(
                f"there is no ledger in {folder}; nothing was ever deleted with this state folder, or it was removed"
            )

    def _require_content(self, writable: bool) -> None:
        """Raises LedgerError if the ledger is missing or empty although there was one, or is to be read."""
        if self.path.exists() and self.path.stat().st_size:
            return
        is_what = "is empty" if self.path.exists() else "is missing"
        journal = self.path.with_name(f"{FILE}-wal")
        signs = [sign for sign in (self._head_file.path, journal) if sign.exists() and sign.stat().st_size]
        if signs:
            raise LedgerError(
                f"the ledger {self.path} {is_what}, but {signs[0].name} beside it shows that there was one; restore it "
                f"from a backup, or remove {' and '.join(sign.name for sign in signs)} to begin a new history"
            )
        if not writable:
            raise LedgerError(
                f"the ledger {self.path} {is_what}; restore it from a backup if a run was ever made with this folder"
            )
        if self.path.exists():
            log.warning("the ledger %s is empty; a new history begins", self.path)

    def _open(self, writable: bool) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise LedgerError(
                f"{self.path} was written by a newer confcleanup (ledger version {version}); update this one"
            )
        self._headed = self._head_file.read() is not None
        if not writable:
            self.doubt = self._doubt_now()
            self._find_marks()
            return
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if version == 0:
            with self._transaction():
                for statement in (_SCHEMA % ORIGIN).split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")
        for index in _INDEXES:
            self._db.execute(index)
        if doubt := self._doubt_now():
            self.doubt = doubt
            return
        if not self._headed:
            self._db.execute("DROP TABLE IF EXISTS mark")
        self._find_marks()
        # a write now shows a full disk or a read-only folder before anything is deleted
        with self._transaction():
            self._db.execute("UPDATE anchor SET seq = seq")
            if version == 1:
                self._adopt()
                self._db.execute(f"PRAGMA user_version = {VERSION}")
        self._seq, self._hash = self._chain.head(self._db)
        self._writable = True
        self._head_file.save((self._seq, self._hash))

    def _find_marks(self) -> None:
        """Finds out whether there are marks. Without the file beside it, this may be an older ledger: none counts."""
        found = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'mark'").fetchone()
        self.has_marks = bool(found) and self._headed

    def _adopt(self) -> None:
        """Records where the ledger begins if an older release pruned it, which wrote no event of that."""
        seq, stored = self._chain.anchor(self._db)
        if seq:
            self._insert_prune(1, seq, stored, datetime.now(UTC), before=None)

    def close(self) -> None:
        """Closes the file."""
        try:
            if self._writable:
                self._save_head()
        finally:
            self._db.close()

    def _save_head(self) -> None:
        """Records how far the ledger is written, by whichever process. A failure is a warning."""
        try:
            with self._lock, self._usable(), alone(self.path.with_name(TURNS)):
                self._head_file.save(self._chain.head(self._db))
        except LedgerError as error:
            log.warning("%s is not up to date: %s", self._head_file.path, error)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Writing -----------------------------------------------------------------------------------

    def append(self, *events: Event) -> list[int]:
        """Writes events, and everything gathered before them, in one durable commit; the events' numbers.

        Threads that come while another one is writing share the next commit. Raises LedgerError if that one
        failed, whichever thread made it.
        """
        tickets = [_Ticket(event, awaited=True) for event in events]
        with self._queue_lock:
            self._queue += tickets
        with self._lock:
            if any(ticket.number is None for ticket in tickets) or not tickets:
                self._write_queue()
        numbers = [ticket.number for ticket in tickets if ticket.number is not None]
        if len(numbers) < len(tickets):
            raise LedgerError(f"the ledger {self.path} could not be written; what cannot be recorded is not deleted")
        return numbers

    def gather(self, event: Event) -> None:
        """Keeps an event for the next commit; makes one itself if the last was more than a second ago."""
        with self._queue_lock:
            self._queue.append(_Ticket(event, awaited=False))
        if time.monotonic() - self._written > LATE:
            self.append()

    @contextmanager
    def writing(self, table: str = "") -> Iterator[sqlite3.Connection]:
        """A durable commit of marks, which are no events; ``table`` makes theirs. Raises LedgerError."""
        with self._lock, self._usable(), self._transaction():
            if table:
                self._db.execute(table)
            yield self._db
        self.has_marks = True

    def _write_queue(self) -> None:
        with self._queue_lock:
            batch, self._queue = self._queue, []
        rows: list[Row] = []
        try:
            with self._usable(), self._transaction():
                seq, last = self._head_now()
                for ticket in batch:
                    rows.append(row_of(seq + 1, last, ticket.event))
                    seq, last = rows[-1][0], rows[-1][3]
                self._db.executemany(INSERT, rows)
        except LedgerError:
            with self._queue_lock:  # who waits gets an error; the rest is tried again with the next commit
                self._queue = [ticket for ticket in batch if not ticket.awaited] + self._queue
            raise
        for ticket, row in zip(batch, rows, strict=True):
            ticket.number = row[0]
        self._seq, self._hash, self._written = seq, last, time.monotonic()

    def _head_now(self) -> Link:
        """The last event, within a transaction; another process may have written it.

        Raises LedgerError if what this process wrote is not in the ledger any more.
        """
        head = self._chain.head(self._db)
        if head[0] < self._seq or (head[0] == self._seq and head[1] != self._hash):
            raise LedgerError(f"{self.path}: entry {self._seq}, which this run wrote, is missing or another one")
        return head

    def prune(self, before: datetime, at: datetime) -> int:
        """Takes out the oldest events, as far as all are older than ``before``; returns how many. ``at`` is now.

        What stays is still provably whole: a new event, in the same commit, records where the chain begins now.
        Raises LedgerError, and removes nothing, if an entry that would be removed was altered.
        """
        with self._lock, self._usable():
            with self._snapshot() as db:  # other processes can write as long as the entries are only read
                first, _ = anchor = self._chain.anchor(db)
                last = self._chain.prunable(db, before)
            with self._transaction():
                if last == anchor or anchor != self._chain.anchor(self._db):  # or another process just did it
                    return 0
                written = self._insert_prune(first + 1, *last, at, before=before)
                self._db.execute("DELETE FROM event WHERE seq <= ?", last[:1])
                self._db.execute("UPDATE anchor SET seq = ?, hash = ?", last)
            self._seq, self._hash = written
        return last[0] - first

    def _insert_prune(self, first: int, last: int, stored: str, at: datetime, before: datetime | None) -> Link:
        """Writes the event that records what is taken out, within a transaction; its number and hash.

        Without ``before``, an older release did it and recorded nothing more.
        """
        seq, head = self._chain.head(self._db)
        count = last - first + 1
        body = {"at": timestamp(at), "first": first, "last": last, "count": count, "hash": stored}
        row = row_of(seq + 1, head, (PRUNE, {**body, "before": timestamp(before)}, None))
        self._db.execute(INSERT, row)
        return row[0], row[3]

    # Reading -----------------------------------------------------------------------------------

    def verify(self) -> Proof:
        """Recomputes every hash. Raises LedgerError at the first that is wrong, or if the ledger is not whole."""
        written = self._head_file.read()  # before the ledger is looked at, as it may grow meanwhile
        with self._snapshot() as db:
            return self._chain.verify(db, written)

    def _doubt_now(self) -> str | None:
        """Why this is not the ledger that was left here; None if it is, as far as its two ends show."""
        written = self._head_file.read()  # before the ledger is looked at, as it may grow meanwhile
        self._db.execute("BEGIN")
        try:
            return self._chain.doubt(self._db, written)
        finally:
            self._db.execute("ROLLBACK")

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own, so that reading all of the ledger does not hold up those who write."""
        with self._usable(), closing(self._read_only()) as db:
            db.execute("BEGIN")
            yield db

    def _read_only(self) -> sqlite3.Connection:
        where = f"file:{quote(os.fsencode(self.path.absolute()))}?mode=ro"
        return sqlite3.connect(where, uri=True, check_same_thread=False, isolation_level=None, timeout=30)

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._lock, self._usable():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:  # half a commit is undone whatever ended it, an interrupt too; it is raised again
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Turns what SQLite or the disk raises into a LedgerError."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"the ledger cannot be used, and what cannot be recorded is not deleted: {_why(self.path, error)}"
            ) from None


def _why(path: Path, error: sqlite3.Error | OSError) -> str:
    """What is wrong with the file, in the words that its folder, its owner or the disk give."""
    if isinstance(error, OSError):
        return why_denied(path, error, own=path.parent)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest tells which system call it was
    number = {sqlite3.SQLITE_CANTOPEN: errno.EACCES, sqlite3.SQLITE_READONLY: errno.EACCES}
    number |= {sqlite3.SQLITE_PERM: errno.EACCES, sqlite3.SQLITE_FULL: errno.ENOSPC}
    return (
        why_denied(path, OSError(number[code], str(error)), own=path.parent) if code in number else f"{path}: {error}"
    )
