"""Walking through a vendor's pages to a proven end: never ending early, never looping.

A list is complete, or it failed. Rows are told apart by ``key``; a row seen before is left out.
A row that stands twice on one page counts twice towards the vendor's total, because vendors count so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from .errors import ProviderError

Row = dict[str, Any]


class Page(msgspec.Struct, frozen=True):
    """One page: its rows, the vendor's count of all rows, and whether the vendor calls it the last.

    ``total`` is None only where the vendor gives no count.
    """

    rows: Sequence[Row]
    total: int | None
    last: bool = False


class Seen:
    """Texts that were seen, by their 64-bit hashes in a tenth of the memory of a set: a list may have millions.

    That two of a million texts share a hash happens once in thirty million runs; one is then taken for seen, the
    list does not add up and the account is left alone.
    """

    BUCKETS, WIDTH = 1 << 16, 6

    def __init__(self) -> None:
        self._buckets = [b""] * self.BUCKETS

    def add(self, text: str) -> bool:
        """Adds a text; whether it is new."""
        rest, place = divmod(hash(text) & (1 << 64) - 1, self.BUCKETS)
        mark, bucket = rest.to_bytes(self.WIDTH, "little"), self._buckets[place]
        at = bucket.find(mark)
        while at % self.WIDTH and at >= 0:
            at = bucket.find(mark, at + 1)
        if at < 0:
            self._buckets[place] = bucket + mark
        return at < 0


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
