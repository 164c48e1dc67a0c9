"""Walking through a vendor's pages to a proven end: never ending early, never looping.

A list is complete, or it failed. Rows are told apart by ``key``; a row seen before is left out.
A row that stands twice on one page counts twice towards the vendor's total, because vendors count so.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections.abc import Callable, Collection, Generator, Iterator
from typing import Any

import msgspec

from .errors import ProviderError

Row = dict[str, Any]
WIDE = sys.hash_info.width >= 64


class Page(msgspec.Struct, frozen=True):
    """One page: its rows, the vendor's count of all rows, and whether the vendor calls it the last.

    ``total`` is None only where the vendor gives no count.
    """

    rows: Collection[Row]
    total: int | None
    last: bool = False


class Seen:
    """Texts that were seen, by their 64-bit hashes: an open-addressing table, at most two thirds full.

    A set of numbers would take five times the memory, a database eight times the time. Ten thousand texts take 128 KiB,
    43 thousand 512 KiB, 1.4 million 16 MiB; from there on it doubles.
    That two of a million texts share a hash happens once in thirty million runs; one is then taken for seen, the
    list does not add up and the account is left alone.
    """

    SIZES = (1 << 14, 1 << 16, 1 << 21)

    def __init__(self) -> None:
        self._slots = array("q", [0]) * self.SIZES[0]
        self._free = self.SIZES[0] * 2 // 3

    def add(self, text: str) -> bool:
        """Adds a text; whether it is new."""
        mark = (hash(text) if WIDE else int.from_bytes(_digest(text), "big", signed=True)) or 1
        slots = self._slots
        last = len(slots) - 1
        at = mark & last
        while found := slots[at]:
            if found == mark:
                return False
            at = (at + 1) & last
        slots[at] = mark
        self._free -= 1
        if not self._free:
            self._grow()
        return True

    def _grow(self) -> None:
        old = self._slots
        size = next((size for size in self.SIZES if size > len(old)), 2 * len(old))
        self._slots, self._free = array("q", [0]) * size, size * 2 // 3
        for mark in filter(None, old):
            at = mark & (size - 1)
            while self._slots[at]:
                at = (at + 1) & (size - 1)
            self._slots[at] = mark
            self._free -= 1


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

    def take(self, page: Page) -> Generator[Row, None, int]:
        """The rows of a page that are new, and in the end how many they were."""
        here: set[str] = set()
        for row in page.rows:
            key = self._key(row)
            if self._seen.add(key):
                here.add(key)
                yield row
            elif key in here:
                self.counted += 1
        self.counted += len(here)
        self.total = page.total
        return len(here)

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
        fresh = yield from walk.take(page)
        if not page.rows or page.last or walk.complete:
            return
        if not fresh:
            raise ProviderError("the vendor repeats a page; its list cannot be trusted")
        position = advance(position, page)
