"""Walking through a vendor's pages to a proven end: never ending early, never looping.

A list is complete, or it failed. It ends where the vendor says that it ends; the vendor's count only checks.
Rows are told apart by ``key``. A row whose key was seen before comes as ``Repeated``, so that whoever judges rows can
judge it too: it may say something else than the first one.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from ..errors import AccessDenied, HttpError, ProviderError

Row = dict[str, Any]
T = TypeVar("T")


class Unsteady(ProviderError):
    """A list that does not add up, or whose pages shifted while they were read. To list it once more may help."""


class Repeated(Row):
    """A row whose key was seen before in the same list."""


class Page(msgspec.Struct, frozen=True):
    """One page: its rows, the vendor's count of all rows, and whether the vendor calls it the last.

    ``total`` is None only where the vendor gives no count, ``last`` where it does not say which page is the last.
    """

    rows: Sequence[Row]
    total: int | None
    last: bool | None = None


class SeenKeys:
    """The keys of a list, remembered as 63-bit numbers, because a list may have a million rows.

    A plain set of a million texts takes 93 MiB, of numbers 67; these arrays take 25. That two of a million keys share
    a number happens once in ten million lists: one row is then taken for a repetition of another, as which it is kept.
    """

    BUCKETS = 1 << 16

    def __init__(self) -> None:
        self._buckets: defaultdict[int, array[int]] = defaultdict(partial(array, "q"))

    def add(self, key: str) -> bool:
        """Adds a key; whether it is new."""
        # Two hashes, because one has 32 bits on a small machine: too few for a list of some thousand rows.
        mark = (hash(key) ^ hash(key + "#") << 31) & (1 << 63) - 1
        bucket = self._buckets[mark % self.BUCKETS]
        if mark in bucket:
            return False
        bucket.append(mark)
        return True


class Pagination:
    """The state of one walk: how many rows were shown, and how many of them differ.

    ``strict``: a page that shows new rows beside some of an earlier page is an error, because a row that appeared or
    vanished may have shifted the pages. Otherwise such rows are taken for the vendor's own. A count that becomes
    smaller is always an error: the rows behind one that vanished move up, and one of them is never shown.
    """

    def __init__(self, key: Callable[[Row], str], *, strict: bool = False) -> None:
        self._key = key
        self._strict = strict
        self._seen = SeenKeys()
        self._longest = self._size = 0
        self._ragged = False
        self._earlier = 0
        self._shown = 0
        self.unique = 0
        self.total: int | None = None

    def take(self, page: Page, *, overlaps: bool = False) -> Generator[Row, None, int]:
        """The rows of a page, and in the end how many of them are new.

        ``overlaps``: the page may show what others showed; that is left out, does not count, and is no error.
        """
        here: set[str] = set()
        twins = earlier = 0
        for row in page.rows:
            key = self._key(row)
            if self._seen.add(key):
                here.add(key)
                yield row
            elif key in here:
                twins += 1
                yield Repeated(row)
            elif not overlaps:
                earlier += 1
                yield Repeated(row)
        fresh, size = len(here), len(page.rows)
        # A page of known rows alone is an earlier page once more, unless it is a shorter one, at the end.
        earlier = earlier if fresh or size < self._longest else 0
        if self._strict and earlier:
            raise Unsteady("the vendor's pages shifted while they were read: some rows came twice")
        if size and not overlaps:
            self._ragged |= bool(self._longest) and not self._size == self._longest >= size
            self._longest, self._size = max(self._longest, size), size
        if page.total is not None and self.total is not None and page.total < self.total:
            raise Unsteady("the vendor's list became shorter while it was read, so a row may have been skipped")
        self._earlier += earlier
        self._shown += fresh + twins
        self.unique += fresh
        self.total = page.total
        return fresh

    @property
    def shown(self) -> int:
        """How many rows were shown. Those of earlier pages count only if all pages but the last have one size.

        Otherwise they may be there because a page lacks rows, so that the next one begins too early.
        """
        return self._shown if self._ragged else self._shown + self._earlier

    @property
    def complete(self) -> bool:
        """Whether as many rows were shown as the vendor counts. A row that stands twice counts twice."""
        return self.total is not None and self.shown >= self.total

    @property
    def ended(self) -> bool:
        """Whether as many different rows were shown as the vendor counts, so that no more need to be asked for."""
        return self.total is not None and self.unique >= self.total

    def require_complete(self) -> None:
        """Raises Unsteady if the vendor counts more rows than it has shown."""
        if self.total is not None and not self.complete:
            raise Unsteady(f"the list is not complete: the vendor counts {self.total}, its pages showed {self.shown}")


def by_offset(fetch: Callable[[int], Page], key: Callable[[Row], str], *, strict: bool = False) -> Iterator[Row]:
    """Rows of a list asked for by record offset. Raises ProviderError unless it ends complete."""
    yield from _walk(fetch, Pagination(key, strict=strict), 0, lambda offset, page: offset + len(page.rows))


def by_page(
    fetch: Callable[[int], Page], key: Callable[[Row], str], first: int = 1, *, strict: bool = False
) -> Iterator[Row]:
    """Rows of a list asked for by page number. Raises ProviderError unless it ends complete."""
    yield from _walk(fetch, Pagination(key, strict=strict), first, lambda number, _: number + 1)


def by_page_from_0_or_1(
    fetch: Callable[[int], Page], key: Callable[[Row], str], *, strict: bool = False
) -> Iterator[Row]:
    """As ``by_page``, for a vendor whose first page may be 0 or 1: page 0 is asked for if rows are missing."""
    walk = Pagination(key, strict=strict)
    yield from rows_of_pages(fetch, walk, 1, lambda number, _: number + 1)
    if walk.total is not None and not walk.complete and (page := _page_0(fetch)):
        yield from walk.take(page, overlaps=True)
    walk.require_complete()


def _page_0(fetch: Callable[[int], Page]) -> Page | None:
    """Page 0; None where the vendor has none."""
    try:
        return fetch(0)
    except HttpError as error:
        if error.status not in (400, 404, 422):
            raise
        return None


def _walk(
    fetch: Callable[[int], Page], walk: Pagination, start: int, advance: Callable[[int, Page], int]
) -> Iterator[Row]:
    yield from rows_of_pages(fetch, walk, start, advance)
    walk.require_complete()


def rows_of_pages(
    fetch: Callable[[int], Page], walk: Pagination, start: int, advance: Callable[[int, Page], int]
) -> Iterator[Row]:
    """The rows of page after page to the last one. Whether they are all is for the caller to judge."""
    position = start
    while True:
        page = fetch(position)
        fresh = yield from walk.take(page)
        if page.last or not page.rows or (page.last is None and walk.ended):
            return
        if not fresh:
            if walk.complete:
                return
            raise Unsteady("the vendor repeats a page; its list cannot be trusted")
        position = advance(position, page)


def twice(listing: Callable[[bool], T]) -> T:
    """What a listing gives that is told whether to be strict: strict, and if that is unsteady, once more without."""
    try:
        return listing(True)
    except Unsteady:
        return listing(False)


class Sizes:
    """The page sizes that were refused: where the largest one is not documented, the vendor's own default applies."""

    def __init__(self) -> None:
        self._refused: set[tuple[str, tuple[str, str]]] = set()

    def ask(self, size: tuple[str, str], ask: Callable[[list[tuple[str, str]]], T], *, first: bool, of: str = "") -> T:
        """Asks for a page of this size (the parameter's name and value); for one without a size if that is refused.

        Only the ``first`` page of a list may be refused its size. ``of``: the kind of list, where there are several;
        what one refuses says nothing of another. Raises HttpError.
        """
        if (of, size) in self._refused:
            return ask([])
        try:
            return ask([size])
        except HttpError as error:
            if not first or error.status not in (400, 422) or isinstance(error, AccessDenied):
                raise
        found = ask([])
        self._refused.add((of, size))
        return found
