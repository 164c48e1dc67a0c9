"""Keep what is selected in a private database on disk, so that memory does not grow with its number."""

from __future__ import annotations

import pickle
import sqlite3
import threading
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from .errors import LedgerError
from .filter import HANGS_UP, Decision
from .items import Item, Live, Outcome, Result

PREPARE = (
    "PRAGMA cache_size = -1024",  # KiB of memory for an account's selected items
    "PRAGMA journal_mode = OFF",  # nothing is rolled back: after an error the database is dropped
    "BEGIN",
)
AT_ONCE = 250
"""Entries read, or looked up in the ledger, with one query."""
ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(tuple[Item, Decision])
TABLE = """
CREATE TABLE entry (number INTEGER PRIMARY KEY, key TEXT UNIQUE, what TEXT, body BLOB, outcome TEXT, error BLOB)
"""
PLACES = """
CREATE TABLE place (number INTEGER PRIMARY KEY, keeper INTEGER, key TEXT, within BLOB, earliest REAL, latest REAL,
UNIQUE (keeper, key))
"""
STAND = """
INSERT INTO place (keeper, key, within, earliest, latest) VALUES (?, ?, ?, ?, ?) ON CONFLICT (keeper, key) DO UPDATE SET
earliest = CASE WHEN within = excluded.within THEN min(earliest, excluded.earliest) END,
latest = CASE WHEN within = excluded.within THEN max(latest, excluded.latest) ELSE 9e999 END
"""
"""An item in several rows has one place, by its earliest end, and is judged by its latest. If its rows name several
groups, it stays and has no place in any."""
NEWEST = """
INSERT INTO newest SELECT entry.number FROM (SELECT key, latest, nth_value(earliest, ?) OVER (PARTITION BY within
ORDER BY earliest DESC ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last FROM place WHERE keeper = ?)
AS judged CROSS JOIN entry ON entry.key = judged.key
WHERE (judged.last IS NULL OR judged.latest >= judged.last) AND entry.outcome IS NULL
"""
"""``last`` has the last place of a group; it is null if there are fewer items. What ended together with it stays."""
ADD = "INSERT OR IGNORE INTO entry (key, what, body, outcome, error) VALUES (?, ?, ?, ?, ?)"
BY_SOURCE = "SELECT what, outcome, count(*) FROM entry GROUP BY what, outcome"
STILL = "; it was still there when looked at"
"""How the error of an item ends that was found after its deletion had been asked for."""


class Entry(msgspec.Struct):
    """An item, what was decided, and what became of it. ``number`` is its place among the selected.

    ``live`` is a live room as it was looked at last. ``announced``: whether its end was announced to the people in it;
    None if its rule asks for no announcement.
    """

    item: Item
    decision: Decision
    outcome: Outcome | None = None
    error: str | None = None
    number: int | None = None
    intent: int | None = None
    live: Live | None = None
    announced: bool | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What is recorded of the decision: why the item goes, and of a live room whom that disconnects."""
        if not (live := self.live or self.item.live):
            return {"reason": self.decision.reason}
        reason = self.decision.reason.partition(HANGS_UP)[0]
        return {"reason": reason, "people": live.members, "announced": self.announced}

    def ended_account(self, error: str | None) -> bool:
        """Whether it failed for the reason for which its whole account was left, which is ``error``."""
        return bool(error and self.error) and str(error).endswith(str(self.error).removesuffix(STILL))


class Place(NamedTuple):
    """That an item counts in a group of a rule with ``keep_last``, whose number is ``keeper``, and when it ended."""

    keeper: int
    item: Item
    group: str
    ended: float


class Worklist:
    """The selected items of an account in the order of the listing, each once. Thread-safe.

    Iterating gives copies; ``settle`` stores what became of an item. Raises LedgerError if the disk is full: the
    items are then dropped, rather than shown with a wrong outcome, ``error`` says why, and the counts stay true.
    The database has no name; SQLite keeps it in memory while it is small, then in a file that ends with the program.
    """

    def __init__(self) -> None:
        self.error: str | None = None
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._counts: Counter[Outcome | None] = Counter()

    def __len__(self) -> int:
        return self._counts.total()

    def __iter__(self) -> Iterator[Entry]:
        return self._where("1")

    def count(self, outcome: Outcome | None) -> int:
        """How many ended this way; None: how many have no outcome yet."""
        return self._counts[outcome]

    def by_source(self, *outcomes: Outcome | None) -> Counter[str]:
        """How many ended in one of these ways (None: have no outcome yet), by the source they were listed from."""
        with self._used() as db:
            rows = db.execute(BY_SOURCE).fetchall() if db else []
        found: Counter[str] = Counter()
        for what, outcome, count in rows:
            found[what] += count if outcome in outcomes else 0
        return found

    def due(self) -> Iterator[Entry]:
        """What has no outcome yet."""
        return self._where("outcome IS NULL")

    def ended(self, *outcomes: Outcome) -> Iterator[Entry]:
        """What ended in one of these ways."""
        return self._where("outcome IN ({})".format(", ".join(f"'{outcome}'" for outcome in outcomes)))

    def first(self, count: int) -> list[Entry]:
        """The first few."""
        return list(islice(self, count))

    def extend(self, entries: Iterable[Entry]) -> None:
        """Adds entries, except those whose items are there already."""
        with self._used():
            for outcome, group in groupby(entries, attrgetter("outcome")):
                rows = [_row(entry) for entry in group]  # before any is stored, as one of them may not be storable
                self._counts[outcome] += self._opened().executemany(ADD, rows).rowcount

    def stand(self, places: Iterable[Place]) -> None:
        """Notes places in groups, selected or not."""
        rows = [(p.keeper, repr(p.item.key), _coded(p.group), p.ended, p.ended) for p in places]
        if rows:
            with self._used():
                self._opened().executemany(STAND, rows)

    def rewrite(self, entries: Sequence[Entry]) -> None:
        """Stores the decisions of entries anew."""
        with self._used():
            self._opened().executemany(
                "UPDATE entry SET body = ? WHERE number = ?", [(_packed(e.item, e.decision), e.number) for e in entries]
            )

    def drop(self, entries: Sequence[Entry]) -> None:
        """Forgets entries without an outcome."""
        with self._used():
            self._opened().executemany("DELETE FROM entry WHERE number = ?", [(entry.number,) for entry in entries])
            self._counts[None] -= len(entries)

    def fail(self, numbers: Sequence[int], why: str) -> None:
        """Notes why nothing came of entries so far."""
        with self._used():
            self._opened().executemany(
                "UPDATE entry SET error = ? WHERE number = ?", [(_coded(why), number) for number in numbers]
            )

    def newest(self, keeper: int, count: int) -> Iterator[Entry]:
        """Of what has no outcome yet, all that fewer than ``count`` items of its group ended after."""
        with self._used() as db:
            if db is None:
                return
            db.execute("CREATE TEMP TABLE IF NOT EXISTS newest (number INTEGER PRIMARY KEY)")
            db.execute("DELETE FROM newest")
            db.execute(NEWEST, (count, keeper))
        yield from self._where("number IN (SELECT number FROM newest)")

    @property
    def last(self) -> tuple[int, int]:
        """The numbers of the newest entry and the newest place; 0 without any."""
        numbers = "SELECT (SELECT coalesce(max(number), 0) FROM entry), (SELECT coalesce(max(number), 0) FROM place)"
        with self._used() as db:
            return db.execute(numbers).fetchone() if db else (0, 0)

    def forget(self, after: tuple[int, int]) -> None:
        """Forgets the entries and places whose numbers are larger than these."""
        self._remove("number > ?", after[0])
        with self._used() as db:
            if db is not None:
                db.execute("DELETE FROM place WHERE number > ?", after[1:])

    def withdraw(self, item: Item) -> int | None:
        """Forgets the entry of an item; its number, or None if there was none."""
        return self._remove("key = ?", repr(item.key))

    def _remove(self, condition: str, value: int | str) -> int | None:
        """Removes entries; the largest of their numbers."""
        found: list[tuple[str | None, int, int]] = []
        with self._used() as db:
            if db is not None:
                counted = f"SELECT outcome, count(*), max(number) FROM entry WHERE {condition} GROUP BY outcome"  # noqa: S608  # all from this class
                found = db.execute(counted, (value,)).fetchall()
                db.execute(f"DELETE FROM entry WHERE {condition}", (value,))  # noqa: S608  # all from this class
            for outcome, count, _ in found:
                self._counts[Outcome(outcome) if outcome else None] -= count
        return max((number for *_, number in found), default=None)

    def settle(self, entry: Entry, result: Result) -> None:
        """Stores what became of an entry. If that fails, it is still counted, because it has happened."""
        before, entry.outcome, entry.error = entry.outcome, result.outcome, result.error
        with suppress(LedgerError), self._used() as db:
            if db is not None:
                (stored,) = db.execute("SELECT outcome FROM entry WHERE number = ?", (entry.number,)).fetchone()
                before = stored and Outcome(stored)
                row = (entry.outcome, _coded(entry.error), entry.number)
                db.execute("UPDATE entry SET outcome = ?, error = ? WHERE number = ?", row)
            elif not self.error:
                raise LookupError("an entry that was never selected")
        with self._lock:
            self._counts[before] -= 1
            self._counts[entry.outcome] += 1

    def defer(self) -> None:
        """Marks everything without an outcome as left for a later run."""
        with suppress(LedgerError), self._used() as db:
            if db is not None:
                db.execute("UPDATE entry SET outcome = ? WHERE outcome IS NULL", (Outcome.DEFERRED,))
        with self._lock:
            self._counts[Outcome.DEFERRED] += self._counts.pop(None, 0)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._drop()
            self._counts.clear()

    def _opened(self) -> sqlite3.Connection:
        """The database; any thread may use it, one at a time."""
        if self.error:
            raise LedgerError(self.error)
        if self._db is None:
            self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            weakref.finalize(self, self._db.close)
            for statement in (*PREPARE, TABLE, PLACES):
                self._db.execute(statement)
        return self._db

    def _drop(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db = None

    @contextmanager
    def _used(self) -> Iterator[sqlite3.Connection | None]:
        """The database, if there is one, for this thread alone."""
        with self._lock:
            try:
                yield self._db
            except (sqlite3.Error, MemoryError) as error:
                self._drop()
                full = isinstance(error, sqlite3.Error)
                why = f"({error}); set TMPDIR to a folder with room" if full else "(out of memory)"
                self.error = f"the temporary file for what is selected cannot be used {why}"
                raise LedgerError(self.error) from None

    def _where(self, condition: str) -> Iterator[Entry]:
        """Entries in their order, a few at a time, so that they may be settled in between."""
        query = (
            f"SELECT number, body, outcome, error FROM entry WHERE number > ? AND {condition} "  # noqa: S608  # all from this class
            f"ORDER BY number LIMIT {AT_ONCE}"
        )
        last = 0
        while True:
            with self._used() as db:
                rows = db.execute(query, (last,)).fetchall() if db else []
            for number, body, outcome, error in rows:
                yield Entry(*_unpacked(body), outcome and Outcome(outcome), _decoded(error), number)
            if len(rows) < AT_ONCE:
                return
            last = rows[-1][0]


def _row(entry: Entry) -> tuple[str, str, bytes, str | None, bytes | None]:
    item = entry.item
    return repr(item.key), item.what, _packed(item, entry.decision), entry.outcome, _coded(entry.error)


def _packed(item: Item, decision: Decision) -> bytes:
    """An item and a decision as bytes: msgpack, in a third of pickle's time; pickle for what msgpack cannot take."""
    try:
        return b"m" + ENCODER.encode((item, decision))
    except (OverflowError, TypeError, UnicodeError):
        return b"p" + pickle.dumps((item, decision))


def _unpacked(body: bytes) -> tuple[Item, Decision]:
    if body.startswith(b"m"):
        return DECODER.decode(body[1:])
    item, decision = pickle.loads(body[1:])  # noqa: S301  # this process wrote it, and nobody else can
    return item, decision


def _coded(text: str | None) -> bytes | None:
    """Text for the database, which does not take the lone surrogates that vendors may send."""
    return None if text is None else text.encode("utf-8", "surrogatepass")


def _decoded(text: bytes | None) -> str | None:
    return None if text is None else text.decode("utf-8", "surrogatepass")
