"""The record of every run and every deletion: what is not recorded is not deleted.

An SQLite database of events that are only ever appended. Each event carries the hash of the one
before, so that a change or a gap anywhere shows. A deletion is two events: an intent, committed
before the request is sent, and an outcome after it. An intent without an outcome means that the
program was cut off in between; the next run looks at the vendor and writes the outcome.

Both ends are proven too. Taking out the oldest events is an event itself, which says where the chain
begins now. Beside the ledger lies a small file with the number and the hash of an event that was
written: a ledger that is empty, cut off or older than that is not the one that was left here."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from ..errors import LedgerError
from ..items import Item, Outcome
from .entries import _deletion, _item, _text

log = logging.getLogger(__name__)
FILE = "ledger.sqlite"
HEAD = "ledger.head"
"""The file that knows how far the ledger was written. It may be behind the ledger, never ahead of it."""
VERSION = 2
PRUNE = "prune"
"""The kind of the events that say what was taken out, and so where the chain begins: the newest one counts."""
ORIGIN = "0" * 64
NOT_DONE = ("run", "account", "provider", "at", "status", "error")
RESTORE = ("run", "account", "provider", "what", "id", "new_id", "at", "error")
LATE = 1.0
"""Seconds after which outcomes are written even if no intents are."""
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
"""Ledgers of earlier releases get it when they are next written."""
AT_ONCE = 250
INSERT = "INSERT INTO event (seq, kind, body, hash, intent) VALUES (?, ?, ?, ?, ?)"
_ENCODER = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":"))
Event = tuple[str, Mapping[str, Any], int | None]
"""A kind, a body, and the number of the intent that the event answers."""


class Proof(NamedTuple):
    """What ``verify`` found: how many events there are, the last one's hash, the numbers of the first and the last.

    ``pruned`` is the event that says what was taken out before the first; None if nothing was. ``headed``: the
    file beside the ledger agrees; False if there is none, so that nothing shows whether the end was cut off.
    """

    entries: int
    head: str
    first: int
    last: int
    pruned: Mapping[str, Any] | None
    headed: bool


class _Ticket(msgspec.Struct):
    """An event that waits for a commit, and the number it got there."""

    event: Event
    awaited: bool
    number: int | None = None


class Ledger:
    """One state folder's ledger. Thread-safe. Raises LedgerError for whatever is wrong with the file.

    Also if it is not the whole ledger that was left here. ``whole=False`` opens such a one too, for people to read
    what there is: ``doubt`` says then what is wrong with it.
    """

    def __init__(self, folder: Path, *, writable: bool = True, whole: bool = True) -> None:
        self.path = folder / FILE
        self._head_file = folder / HEAD
        self.doubt: str | None = None
        self._writable = False
        self._lock = threading.Lock()
        self._queue_lock = threading.Lock()
        self._queue: list[_Ticket] = []
        self._written = 0.0
        with self._trouble():
            if writable:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
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
        """Raises LedgerError if a state folder holds no ledger and should hold none."""
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
        signs = [sign for sign in (self._head_file, journal) if sign.exists() and sign.stat().st_size]
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
        if not writable:
            self.doubt = self._doubt_now()
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
        # a write now shows a full disk or a read-only folder before anything is deleted
        with self._transaction():
            self._db.execute("UPDATE anchor SET seq = seq")
            if version == 1:
                self._adopt()
                self._db.execute(f"PRAGMA user_version = {VERSION}")
        self._seq, self._hash = self._head()
        self._writable = True
        self._save_head()

    def _adopt(self) -> None:
        """Records where a ledger begins that an older release pruned, which wrote no event of it."""
        seq, stored = self._anchor(self._db)
        if seq:
            self._insert_prune(1, seq, stored, datetime.now(UTC), before=None)

    def close(self) -> None:
        """Closes the file."""
        try:
            if self._writable:
                self._save_head()
        finally:
            self._db.close()

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

    def _write_queue(self) -> None:
        with self._queue_lock:
            batch, self._queue = self._queue, []
        seq, last = self._seq, self._hash
        rows = []
        for ticket in batch:
            rows.append(_row(seq + 1, last, ticket.event))
            seq, last = rows[-1][0], rows[-1][3]
        try:
            with self._trouble(), self._transaction():
                self._db.executemany(INSERT, rows)
        except LedgerError:
            with self._queue_lock:  # who waits is told; what nobody waits for is tried again with the next commit
                self._queue = [ticket for ticket in batch if not ticket.awaited] + self._queue
            raise
        for ticket, row in zip(batch, rows, strict=True):
            ticket.number = row[0]
        self._seq, self._hash, self._written = seq, last, time.monotonic()

    def prune(self, before: datetime, at: datetime) -> int:
        """Takes out the oldest events, as far as all are older than ``before``; how many. ``at`` is now.

        Nothing from the first intent on that has no outcome among them. What stays is still provably whole:
        the chain then begins at the hash of the last event that was taken out, and a new event at its end says so,
        in the same commit. Raises LedgerError, and takes nothing out, where what would go is not as it was written.
        """
        with self._lock, self._trouble():
            with self._transaction():
                first, _ = anchor = self._anchor(self._db)
                unanswered: set[int] = set()
                complete = anchor
                for row in self._chain(self._db, anchor):
                    seq, kind, body, stored, intent = row
                    if _moment(body) >= before:
                        break
                    unanswered |= {seq} if kind == "intent" else set()
                    unanswered -= {intent}
                    if not unanswered:
                        complete = (seq, stored)
                if complete == anchor:
                    return 0
                written = self._insert_prune(first + 1, *complete, at, before=before)
                self._db.execute("DELETE FROM event WHERE seq <= ?", complete[:1])
                self._db.execute("UPDATE anchor SET seq = ?, hash = ?", complete)
            self._seq, self._hash = written
        return int(complete[0] - first)

    def _insert_prune(
        self, first: int, last: int, stored: str, at: datetime, before: datetime | None
    ) -> tuple[int, str]:
        """Writes the event that says what is taken out, within a transaction; its number and hash.

        Without ``before`` an older release did it, of which nothing more is known.
        """
        seq, head = self._head()
        body = {
            "at": _text(at),
            "first": first,
            "last": last,
            "count": last - first + 1,
            "hash": stored,
            "before": _text(before),
        }
        row = _row(seq + 1, head, (PRUNE, body, None))
        self._db.execute(INSERT, row)
        return row[0], row[3]

    # Reading -----------------------------------------------------------------------------------

    def open_intents(self, account: str) -> list[tuple[int, dict[str, Any]]]:
        """The deletions of an account that were begun and whose outcome nobody wrote: number and body."""
        found = self._rows(
            "SELECT seq, body FROM event AS e WHERE kind = 'intent' AND account = ? "
            "AND NOT EXISTS (SELECT 1 FROM event AS o WHERE o.intent = e.seq) ORDER BY seq",
            account,
        )
        return [(seq, json.loads(body)) for seq, body in found]

    def unknown_outcomes(self, account: str, since: str) -> list[tuple[int, dict[str, Any]]]:
        """The deletions of an account whose outcome was not known at last, recorded since a time (RFC 3339, UTC)."""
        found = self._rows(
            "SELECT i.seq, i.body FROM event AS o JOIN event AS i ON i.seq = o.intent "
            "WHERE o.kind = 'outcome' AND json_extract(o.body, '$.outcome') = 'unknown' AND o.account = ? "
            "AND json_extract(o.body, '$.finished_at') >= ? "
            "AND NOT EXISTS (SELECT 1 FROM event AS later WHERE later.intent = o.intent AND later.seq > o.seq) "
            "ORDER BY i.seq",
            account,
            since,
        )
        return [(seq, json.loads(body)) for seq, body in found]

    def selections(self, account: str, rules: str, count: int) -> list[int]:
        """How many items the last runs of these rules selected in an account, newest first; without refused runs."""
        found = self._rows(
            "SELECT json_extract(body, '$.selected') FROM event WHERE kind = 'listing' AND account = ? "
            "AND json_extract(body, '$.rules') = ? AND NOT json_extract(body, '$.refused') ORDER BY seq DESC LIMIT ?",
            account,
            rules,
            count,
        )
        return [selected for (selected,) in found]

    def left(self, account: str, what: str, scope: str) -> int | None:
        """How many items the last run that listed this scope of a source left there; None if no run did.

        Without those whose deletion was begun since, by runs of other rules or by one that was cut off.
        """
        found = self._rows(
            "SELECT seq, one.value FROM event, json_each(body, '$.left') AS one "
            "WHERE kind = 'listing' AND account = ? AND one.key = ? ORDER BY seq DESC LIMIT 1",
            account,
            scope,
        )
        if not found:
            return None
        ((seq, left),) = found
        ((begun,),) = self._rows(
            "SELECT count(*) FROM event WHERE kind = 'intent' AND account = ? AND seq > ? "
            "AND json_extract(body, '$.what') = ?",
            account,
            seq,
            what,
        )
        return max(0, int(left) - int(begun))

    def last_end(self, account: str, *, good: bool = False) -> dict[str, Any] | None:
        """How the last run ended in an account; with ``good``, the last run that did all that was asked of it."""
        found = self._rows(
            "SELECT body FROM event WHERE kind = 'end' AND account = ? AND json_extract(body, '$.good') >= ? "
            "ORDER BY seq DESC LIMIT 1",
            account,
            int(good),
        )
        return json.loads(found[0][0]) if found else None

    def deletions(self) -> Iterator[dict[str, Any]]:
        """Every deletion that was attempted, oldest first, as the contract's JSON object."""
        with self._snapshot() as db:
            for intent, outcome in db.execute(
                "SELECT i.body, o.body FROM event AS i LEFT JOIN event AS o "
                "ON o.seq = (SELECT max(seq) FROM event WHERE intent = i.seq) "
                "WHERE +i.kind = 'intent' ORDER BY i.seq"  # without the index, which has them in another order
            ):
                deletion = _deletion(json.loads(intent), json.loads(outcome) if outcome else {})
                if deletion["outcome"] != Outcome.DEFERRED:
                    yield deletion

    def events(self, kind: str) -> Iterator[dict[str, Any]]:
        """Every event of a kind, oldest first."""
        with self._snapshot() as db:
            for (body,) in db.execute("SELECT body FROM event WHERE kind = ? ORDER BY seq", (kind,)):
                yield json.loads(body)

    def deleted(self, account: str, ident: str) -> Item | None:
        """The item of this id that was last deleted in an account."""
        found = self._rows(
            "SELECT i.body FROM event AS i JOIN event AS o ON o.intent = i.seq "
            "WHERE i.kind = 'intent' AND i.account = ? AND json_extract(i.body, '$.id') = ? "
            "AND json_extract(o.body, '$.outcome') IN ('deleted', 'gone') ORDER BY i.seq DESC LIMIT 1",
            account,
            ident,
        )
        return _item(json.loads(found[0][0])) if found else None

    def recorded(self, account: str, ids: Sequence[str]) -> Iterator[tuple[dict[str, Any], str]]:
        """What is recorded as deleted or gone under these ids: the intent's body, and when. Oldest first."""
        for some in (ids[at : at + AT_ONCE] for at in range(0, len(ids), AT_ONCE)):
            marks = ", ".join("?" * len(some))
            found = self._rows(
                "SELECT i.body, json_extract(o.body, '$.finished_at') "  # noqa: S608  # it adds question marks alone
                "FROM event AS i JOIN event AS o ON o.intent = i.seq "
                f"WHERE i.kind = 'intent' AND i.account = ? AND json_extract(i.body, '$.id') IN ({marks}) "
                "AND json_extract(o.body, '$.outcome') IN ('deleted', 'gone') ORDER BY i.seq",
                account,
                *some,
            )
            yield from ((json.loads(body), at) for body, at in found)

    def restores(self) -> Iterator[dict[str, Any]]:
        """Every restoration that was attempted, oldest first."""
        for event in self.events("restore"):
            yield {name: event.get(name) for name in RESTORE}

    def not_done(self) -> Iterator[dict[str, Any]]:
        """Every end of a run in an account where not everything was done that was asked, oldest first."""
        for event in self.events("end"):
            if event["status"] != "ok":
                yield {name: event.get(name) for name in NOT_DONE}

    def verify(self) -> Proof:
        """Recomputes every hash. Raises LedgerError at the first that is wrong, or if the ledger is not whole."""
        written = self._written_head()
        with self._snapshot() as db:
            anchor = self._anchor(db)
            number, last = anchor
            for row in self._chain(db, anchor):
                number, last = row[0], row[3]
            if doubt := self._doubt(db, written):
                raise LedgerError(doubt)
            pruned = self._pruned(db)
            if anchor[0] and not pruned:
                pruned = {"first": 1, "last": anchor[0], "at": None, "before": None}
        return Proof(number - anchor[0], last, anchor[0] + 1, number, pruned, written is not None)

    # Within ------------------------------------------------------------------------------------

    def _head(self) -> tuple[int, str]:
        last: tuple[int, str] | None = self._db.execute(
            "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        return last or self._anchor(self._db)

    def _doubt_now(self) -> str | None:
        """The doubt there is now. What was written is read first: the ledger may grow meanwhile, never shrink."""
        written = self._written_head()
        self._db.execute("BEGIN")
        try:
            return self._doubt(self._db, written)
        finally:
            self._db.execute("ROLLBACK")

    def _doubt(self, db: sqlite3.Connection, written: tuple[int, str] | None) -> str | None:
        """What shows, at the two ends, that this is not the ledger that was left here, and what to do; or None.

        ``written`` was read before ``db`` looked at the ledger.
        """
        (version,) = db.execute("PRAGMA user_version").fetchone()
        seq, stored = anchor = self._anchor(db)
        first, last = db.execute("SELECT (SELECT min(seq) FROM event), (SELECT max(seq) FROM event)").fetchone()
        pruned = self._pruned(db)
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
            return f"{self.path}: entry {number} is another one than was written here; {go_on}"
        return None

    def _pruned(self, db: sqlite3.Connection) -> dict[str, Any] | None:
        """The newest event that says what was taken out; None if nothing ever was."""
        query = "SELECT body FROM event WHERE kind = ? AND account IS NULL ORDER BY seq DESC LIMIT 1"
        found = db.execute(query, (PRUNE,)).fetchone()
        try:
            fields = json.loads(found[0]) if found else None
        except ValueError:
            return {}
        return fields if fields is None or isinstance(fields, dict) else {}

    def _written_head(self) -> tuple[int, str] | None:
        """Number and hash of an event that was written, by the file beside the ledger; None if there is no file."""
        try:
            text = self._head_file.read_bytes()
        except FileNotFoundError:
            return None
        found = re.fullmatch(rb"([0-9]{1,18}) ([0-9a-f]{64})\n", text)
        if not found:
            raise LedgerError(f"{self._head_file} is not as it was written; remove it if the ledger beside it is whole")
        return int(found[1]), found[2].decode()

    def _save_head(self) -> None:
        """Writes how far the ledger is written by now, unless that is known. A failure leaves it behind, as a crash."""
        now = (self._seq, self._hash)
        beside = self._head_file.with_name(f".{HEAD}.{os.getpid()}")
        try:
            if self._written_head() == now:
                return
            beside.unlink(missing_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(b"%d %s\n" % (now[0], now[1].encode()))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._head_file)
        except (OSError, LedgerError) as error:
            log.warning("%s could not be written: %s", self._head_file, getattr(error, "strerror", None) or error)

    def _anchor(self, db: sqlite3.Connection) -> tuple[int, str]:
        """Number and hash of the event before the first that is kept."""
        found: list[tuple[int, str]] = db.execute("SELECT seq, hash FROM anchor").fetchall()
        if len(found) != 1:
            raise LedgerError(f"{self.path}: the beginning of the chain is missing")
        return found[0]

    def _chain(
        self, db: sqlite3.Connection, anchor: tuple[int, str]
    ) -> Iterator[tuple[int, str, str, str, int | None]]:
        """Every event after the anchor: number, kind, body, hash, intent. Raises LedgerError at the first wrong one."""
        seq, last = anchor
        for row in db.execute("SELECT seq, kind, body, hash, intent FROM event ORDER BY seq"):
            number, kind, body, stored, intent = row
            if number != seq + 1:
                raise LedgerError(f"{self.path}: entries are missing between {seq} and {number}")
            last = _chained(last, number, kind, body, intent)
            if last != stored:
                raise LedgerError(f"{self.path}: entry {number} is not as it was written")
            seq = number
            yield row

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own that sees the ledger as it is now, to read all of it without holding anybody up."""
        with self._trouble(), closing(self._read_only()) as db:
            db.execute("BEGIN")
            yield db

    def _read_only(self) -> sqlite3.Connection:
        where = f"file:{quote(os.fsencode(self.path.absolute()))}?mode=ro"
        return sqlite3.connect(where, uri=True, check_same_thread=False, isolation_level=None, timeout=30)

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._lock, self._trouble():
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
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"the ledger {self.path} cannot be used ({error}); what cannot be recorded is not deleted"
            ) from None


def _chained(before: str, seq: int, kind: str, body: str, intent: int | None) -> str:
    return hashlib.sha256(f"{before}\n{seq}\n{kind}\n{intent or ''}\n{body}".encode()).hexdigest()


def _hash_of(db: sqlite3.Connection, seq: int) -> str | None:
    found = db.execute("SELECT hash FROM event WHERE seq = ?", (seq,)).fetchone()
    return str(found[0]) if found else None


def _row(seq: int, before: str, event: Event) -> tuple[int, str, str, str, int | None]:
    """An event as it is stored: number, kind, body, hash, intent. ``before`` is the hash of the one before."""
    kind, body, intent = event
    text = _ENCODER.encode(body)
    return seq, kind, text, _chained(before, seq, kind, text, intent), intent


def _moment(body: str) -> datetime:
    """When an event was recorded, by its body; the end of all time if that cannot be read."""
    try:
        fields = json.loads(body)
        return datetime.fromisoformat(
            next(fields[name] for name in ("intended_at", "finished_at", "at") if name in fields)
        )
    except (ValueError, TypeError, StopIteration):
        return datetime.max.replace(tzinfo=UTC)
