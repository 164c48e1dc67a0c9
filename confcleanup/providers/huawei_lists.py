"""How Huawei Cloud Meeting lists: in windows of time, whose pages may be counted in two ways.

Source: the pages that ``huawei.py`` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..errors import ProviderError
from ..http.paging import Page, Pagination, Row, Unsteady
from .base import text

SPAN = 30 * 86_400_000
"""Milliseconds. How long a range may be is not documented; the examples ask for up to 31 days."""
FIRST = datetime(2019, 1, 1, tzinfo=UTC)
"""Recordings stay until somebody deletes them. Huawei's own examples go back to November 2019."""
SHORT_PAGE = 10
"""Fewer files are the last ones for certain. The vendor gives 20 unasked, and may cut a larger ``limit`` in silence."""
MOST_FILES = 10_000


class Window(NamedTuple):
    """A range of a list in Unix milliseconds, both ends included, on a fixed grid of ``SPAN``."""

    first: int
    last: int

    @classmethod
    def at(cls, first: int, now: datetime) -> Window:
        """The window that begins there; none reaches further than a day into the future."""
        return cls(first, min(first + SPAN - 1, _ms(now + timedelta(days=1))))

    def __str__(self) -> str:
        first, last = (datetime.fromtimestamp(edge / 1000, UTC) for edge in self)
        return f"from {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def windows(since: datetime, now: datetime) -> Iterator[Window]:
    """The windows from ``since`` to now, without gap or overlap, the newest first."""
    origin, newest = _ms(FIRST), _ms(now + timedelta(days=1))
    for first in range(origin + (newest - origin) // SPAN * SPAN, max(origin, _ms(since) - SPAN + 1) - 1, -SPAN):
        yield Window.at(first, now)


def _ms(when: datetime) -> int:
    return int(when.timestamp()) * 1000


def walk(fetch: Callable[[int], Page], *, strict: bool = False) -> Iterator[Row]:
    """Every row of a list. Raises ProviderError unless they are exactly as many as the vendor counts.

    ``offset`` counts records in today's pages of the documentation and pages in older ones. It is taken for
    a record; if that leaves rows out, it is taken for a page.
    """
    walked = Pagination(key_of, strict=strict)
    page = fetch(0)
    offset, number, size = 0, 0, len(page.rows)
    while (yield from walked.take(page)) and not walked.ended:
        offset += len(page.rows)
        page = fetch(offset)
    while size > 1 and not walked.complete:
        number += 1
        page = fetch(number)
        fresh = yield from walked.take(page, overlaps=True)
        # Every size-th page was seen under the first reading.
        if not page.rows or (not fresh and number % size):
            break
    if not walked.unique <= (walked.total or 0) <= walked.shown:
        counted = f"the vendor counts {walked.total}, its pages showed {walked.shown}"
        raise Unsteady(f"the list is not complete: {counted}")


def known_by(row: Row) -> str:
    """What an item is known by: the meeting's instance, as its confID is used again."""
    return text(row.get("confUUID")) or repr(row)


def key_of(row: Row) -> str:
    """What tells two rows apart: a meeting that was recorded twice has two rows with one confUUID."""
    return repr([row.get(name) for name in _TELLING]) if text(row.get("confUUID")) else repr(row)


_TELLING = ("confUUID", "startTime", "endTime", "rcdTime", "rcdSize", "decodeEndTime")


def files_of(ident: str, ask: Callable[[int], list[Row]]) -> Iterator[list[Row]]:
    """Every file of a recording once, page by page, as the tokens do not live long. Raises ProviderError for none.

    ``ask`` gives the files from an offset on. The answers have no count: after a page that may be full, more is asked
    for, until nothing new comes. As in ``walk``, ``offset`` may count records or pages, so that both are tried.
    """
    page = ask(0)
    if not page:
        raise ProviderError(f"the vendor names no file of the recording {ident}")
    files = _each_once(page)
    # A page that comes again may have new tokens, so an address tells files apart, unless several share one.
    tell = _address if len(set(map(_address, files))) == len(files) else _address_and_token
    known = set(map(tell, files))
    yield files
    for counts_records in (True, False) if len(page) >= SHORT_PAGE else ():
        offset = len(page) if counts_records else 1
        while True:
            more = ask(offset)
            fresh = [file for file in more if tell(file) not in known]
            if not fresh:
                break
            known.update(map(tell, fresh))
            if len(known) > MOST_FILES:
                raise ProviderError(f"the vendor's list of files of the recording {ident} does not end")
            yield _each_once(fresh)
            offset += len(more) if counts_records else 1


def _address(file: Row) -> object:
    return text(file.get("url"))


def _address_and_token(file: Row) -> object:
    return text(file.get("url")), text(file.get("token"))


def _each_once(files: Iterable[Row]) -> list[Row]:
    return list({_address_and_token(file): file for file in files}.values())
