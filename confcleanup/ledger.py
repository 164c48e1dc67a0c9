"""The record of every run and every deletion: what is not recorded is not deleted.

An SQLite database of events that are only ever appended. Each event carries the hash of the one
before, so that a change or a gap anywhere shows. A deletion is two events: an intent, committed
before the request is sent, and an outcome after it. An intent without an outcome means that the
program was cut off in between; the next run looks at the vendor and writes the outcome.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from .errors import LedgerError
from .items import Item, Kind, Live, Outcome, Result, State
from .redact import redact

FILE = "ledger.sqlite"
VERSION = 1
ORIGIN = "0" * 64
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


_ENCODER = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":"))
Event = tuple[str, Mapping[str, Any], int | None]
"""A kind, a body, and the number of the intent that the event answers."""


class _Ticket(msgspec.Struct):
    """An event that waits for a commit, and the number it got there."""

    event: Event
    awaited: bool
    number: int | None = None


class Ledger:
    """One state folder's ledger. Thread-safe. Raises LedgerError for whatever is wrong with the file."""

    def __init__(self, folder: Path, *, writable: bool = True) -> None:
        self.path = folder / FILE
        self._lock = threading.Lock()
        self._queue_lock = threading.Lock()
        self._queue: list[_Ticket] = []
        self._written = 0.0
        with self._trouble():
            if writable:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self.path.touch(mode=0o600)
                self._db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=30)
            else:
                self._db = self._read_only()
            try:
                self._open(writable)
            except BaseException:  # an interrupt too must not leave the file held; it is raised again
                self._db.close()
                raise

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether a state folder holds a ledger."""
        return (folder / FILE).is_file()

    def _open(self, writable: bool) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise LedgerError(
                f"{self.path} was written by a newer confcleanup (ledger version {version}); update this one"
            )
        if not writable:
            return
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if version == 0:
            with self._transaction():
                for statement in (_SCHEMA % ORIGIN).split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")
        self._seq, self._hash = self._head()
        # a write now shows a full disk or a read-only folder before anything is deleted
        with self._transaction():
            self._db.execute("UPDATE anchor SET seq = seq")

    def close(self) -> None:
        """Closes the file."""
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
            seq += 1
            kind, body, intent = ticket.event
            text = _ENCODER.encode(body)
            last = _chained(last, seq, kind, text, intent)
            rows.append((seq, kind, text, last, intent))
        try:
            with self._trouble(), self._transaction():
                self._db.executemany("INSERT INTO event (seq, kind, body, hash, intent) VALUES (?, ?, ?, ?, ?)", rows)
        except LedgerError:
            with self._queue_lock:  # who waits is told; what nobody waits for is tried again with the next commit
                self._queue = [ticket for ticket in batch if not ticket.awaited] + self._queue
            raise
        for ticket, row in zip(batch, rows, strict=True):
            ticket.number = row[0]
        self._seq, self._hash, self._written = seq, last, time.monotonic()

    def prune(self, before: datetime) -> int:
        """Takes out the oldest events, as far as all are older than ``before``; how many.

        Nothing from the first intent on that has no outcome among them. What stays is still provably whole:
        the chain then begins at the hash of the last event that was taken out. Raises LedgerError, and takes
        nothing out, where what would go is not as it was written.
        """
        with self._lock, self._trouble(), self._transaction():
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
            self._db.execute("DELETE FROM event WHERE seq <= ?", complete[:1])
            self._db.execute("UPDATE anchor SET seq = ?, hash = ?", complete)
        return int(complete[0] - first)

    # Reading -----------------------------------------------------------------------------------

    def open_intents(self, account: str) -> list[tuple[int, dict[str, Any]]]:
        """The deletions of an account that were begun and whose outcome nobody wrote: number and body."""
        found = self._rows(
            "SELECT seq, body FROM event AS e WHERE kind = 'intent' AND account = ? "
            "AND NOT EXISTS (SELECT 1 FROM event AS o WHERE o.intent = e.seq) ORDER BY seq",
            account,
        )
        return [(seq, json.loads(body)) for seq, body in found]

    def listings(self, account: str, count: int) -> list[dict[str, Any]]:
        """What the last runs found in an account, newest first."""
        found = self._rows(
            "SELECT body FROM event WHERE kind = 'listing' AND account = ? ORDER BY seq DESC LIMIT ?", account, count
        )
        return [json.loads(body) for (body,) in found]

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
                "SELECT i.body, o.body FROM event AS i LEFT JOIN event AS o ON o.intent = i.seq "
                "WHERE i.kind = 'intent' ORDER BY i.seq"
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

    def restores(self) -> Iterator[dict[str, Any]]:
        """Every restoration that was attempted, oldest first."""
        for event in self.events("restore"):
            yield {name: event.get(name) for name in RESTORE}

    def verify(self) -> tuple[int, str]:
        """Recomputes every hash; the number of events and the last hash. Raises LedgerError at the first wrong one."""
        with self._snapshot() as db:
            first, last = number, _ = anchor = self._anchor(db)
            for row in self._chain(db, anchor):
                number, last = row[0], row[3]
        return number - first, last

    # Within ------------------------------------------------------------------------------------

    def _head(self) -> tuple[int, str]:
        last: tuple[int, str] | None = self._db.execute(
            "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        return last or self._anchor(self._db)

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


def _moment(body: str) -> datetime:
    """When an event was recorded, by its body; the end of all time if that cannot be read."""
    try:
        fields = json.loads(body)
        return datetime.fromisoformat(
            next(fields[name] for name in ("intended_at", "finished_at", "at") if name in fields)
        )
    except (ValueError, TypeError, StopIteration):
        return datetime.max.replace(tzinfo=UTC)


class Journal:
    """One account's part of the ledger in one run. Thread-safe.

    An outcome is written together with the next intents, or a second later, so that being durable does
    not cost a disk's write per item. What a crash loses of that is looked up by the next run.
    """

    def __init__(
        self, ledger: Ledger, run: str, account: str, provider: str, clock: Callable[[], datetime], url: str = ""
    ) -> None:
        self._ledger = ledger
        self._head = {"run": run, "account": account, "provider": provider, "url": url}
        self._clock = clock

    def intend(self, deletions: Sequence[tuple[Item, str]]) -> list[int]:
        """Records that these items (each with its rule) are about to be deleted; their numbers. Durable on return."""
        at = _text(self._clock())
        bodies = ({**self._head, "rule": rule, "intended_at": at, **_body(item)} for item, rule in deletions)
        return self._ledger.append(*(("intent", body, None) for body in bodies))

    def finish(self, intent: int, result: Result) -> None:
        """Records what became of an intent; durable a little later."""
        error = redact(result.error) if result.error else None
        body = {"outcome": str(result.outcome), "error": error, "finished_at": _text(self._clock())}
        self._ledger.gather(("outcome", {**self._head, **body}, intent))

    def flush(self) -> None:
        """Makes every outcome durable."""
        self._ledger.append()

    def note(self, kind: str, **facts: object) -> None:
        """Records something else about the account in this run. Durable on return."""
        self._ledger.append((kind, {**self._head, "at": _text(self._clock()), **facts}, None))

    def left_open(self) -> list[tuple[int, Item]]:
        """Items whose deletion an earlier run of this account, at this address, began and never recorded the end of."""
        found = self._ledger.open_intents(self._head["account"])
        mine = ("provider", "url")
        return [(n, _item(body)) for n, body in found if all(body.get(key) == self._head[key] for key in mine)]


def _body(item: Item) -> dict[str, Any]:
    """What of an item is recorded: enough to name it, and to look at it again."""
    return {
        "what": item.what,
        "id": item.id,
        "title": redact(item.title) if item.title else item.title,
        "kind": str(item.kind),
        "started_at": _text(item.started_at),
        "ended_at": _text(item.ended_at),
        "created_at": _text(item.created_at),
        "size_bytes": item.size_bytes,
        "address": list(item.address),
        "aliases": list(item.aliases),
        "run_time": item.live.run_time.total_seconds() if item.live and item.live.run_time else None,
    }


def _item(body: Mapping[str, Any]) -> Item:
    run_time = body.get("run_time")
    return Item(
        what=body["what"],
        id=body["id"],
        kind=Kind(body["kind"]),
        state=State.UNKNOWN,
        title=body.get("title"),
        started_at=_instant(body.get("started_at")),
        ended_at=_instant(body.get("ended_at")),
        created_at=_instant(body.get("created_at")),
        live=Live(timedelta(seconds=run_time)) if run_time is not None else None,
        address=tuple(body.get("address", ())),
        aliases=tuple(body.get("aliases", ())),
    )


def _deletion(intent: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, Any]:
    known = {
        name: intent.get(name) for name in ("run", "account", "provider", "rule", "what", "id", "title", "ended_at")
    }
    known |= {"size_bytes": intent.get("size_bytes"), "intended_at": intent["intended_at"]}
    ends = {name: outcome.get(name) for name in ("finished_at", "outcome", "error")}
    known["aliases"] = intent.get("aliases", [])
    return {**known, **ends, "outcome": ends["outcome"] or str(Outcome.UNKNOWN)}


def _text(when: datetime | None) -> str | None:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
