"""Walking through a vendor's pages to a proven end: never ending early, never looping.

A list is complete, or it failed. Rows are told apart by ``key``; a row seen before is left out.
A row that stands twice on one page counts twice towards the vendor's total, because vendors count so.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from .errors import ProviderError
from .scratch import database

Row = dict[str, Any]
SEEN = "INSERT OR IGNORE INTO seen VALUES (?)"
WIDE = sys.hash_info.width >= 64


class Page(msgspec.Struct, frozen=True):
    """One page: its rows, the vendor's count of all rows, and whether the vendor calls it the last.

    ``total`` is None only where the vendor gives no count.
    """

    rows: Sequence[Row]
    total: int | None
    last: bool = False


class Seen:
    """Texts that were seen, by their 64-bit hashes; a list may have millions, so many of them lie on the disk.

    That two of a million texts share a hash happens once in thirty million runs; one is then taken for seen, the
    list does not add up and the account is left alone.
    """

    IN_MEMORY = 10_000

    def __init__(self) -> None:
        self._few: set[int] = set()
        self._db: sqlite3.Connection | None = None

    def add(self, text: str) -> bool:
        """Adds a text; whether it is new. Raises ProviderError if the disk is full."""
        mark = hash(text) if WIDE else int.from_bytes(_digest(text), "big", signed=True)
        if self._db is None and len(self._few) < self.IN_MEMORY:
            new = mark not in self._few
            self._few.add(mark)
            return new
        try:
            return self._on_disk().execute(SEEN, (mark,)).rowcount == 1
        except sqlite3.Error as error:
            raise ProviderError(f"the list is too long for the temporary folder ({error}); see TMPDIR") from None

    def _on_disk(self) -> sqlite3.Connection:
        if self._db is None:
            table = "CREATE TABLE seen (mark INTEGER PRIMARY KEY)"
            self._db = database(self, 2048, "PRAGMA journal_mode = OFF", table, "BEGIN")
            self._db.executemany(SEEN, ((mark,) for mark in self._few))
            self._few.clear()
        return self._db


def _digest(text: str) -> bytes:
    """Instead of ``hash``, which is too short for this on 32-bit machines."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


class Walk:
    """The state of one walk: what was seen, and how many rows count towards the total."""

    def __init__(self, key: Callable[[Row], str]) -> None:
        self._key = key
        self._seen = Seen()
        self.counted = 0
        self.total: int | None = None

    def take(self, page: Page) -> list[Row]:
        """The rows of a page that are new."""
        fresh: dict[str, Row] = {}
        for row in page.rows:
            key = self._key(row)
            if key in fresh:
                self.counted += 1
            elif self._seen.add(key):
                fresh[key] = row
        self.counted += len(fresh)
        self.total = page.total
        return list(fresh.values())

    @property
    def complete(self) -> bool:
        """Whether as many rows were seen as the vendor counts."""
        return self.total is not None and self.counted >= self.total

    def require_complete(self) -> None:
        """Raises ProviderError if the vendor counts more rows than it has shown."""
        if self.total is not None and not self.complete:
            raise ProviderError(
                f"the list is not complete: the vendor counts {self.total}, its pages showed {self.counted}"
            )


def by_offset(fetch: Callable[[int], Page], key: Callable[[Row], str]) -> Iterator[Row]:
    """Rows of a list asked for by record offset. Raises ProviderError unless it ends complete."""
    yield from _walk(fetch, Walk(key), 0, lambda offset, page: offset + len(page.rows))


def by_page(fetch: Callable[[int], Page], key: Callable[[Row], str], first: int = 1) -> Iterator[Row]:
    """Rows of a list asked for by page number. Raises ProviderError unless it ends complete."""
    yield from _walk(fetch, Walk(key), first, lambda number, _: number + 1)


def by_page_from_0_or_1(fetch: Callable[[int], Page], key: Callable[[Row], str]) -> Iterator[Row]:
    """As ``by_page``, for a vendor whose first page may be 0 or 1: page 0 is asked for if rows are missing."""
    walk = Walk(key)
    yield from _rows(fetch, walk, 1, lambda number, _: number + 1)
    if walk.total is not None and not walk.complete:
        yield from walk.take(fetch(0))
    walk.require_complete()


def _walk(fetch: Callable[[int], Page], walk: Walk, start: int, advance: Callable[[int, Page], int]) -> Iterator[Row]:
    yield from _rows(fetch, walk, start, advance)
    walk.require_complete()


def _rows(fetch: Callable[[int], Page], walk: Walk, start: int, advance: Callable[[int, Page], int]) -> Iterator[Row]:
    position = start
    while True:
        page = fetch(position)
        fresh = walk.take(page)
        yield from fresh
        if not page.rows or page.last or walk.complete:
            return
        if not fresh:
            raise ProviderError("the vendor repeats a page; its list cannot be trusted")
        position = advance(position, page)
