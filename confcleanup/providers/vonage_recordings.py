"""What Vonage answers for a list of recordings, and for one of them, as pages and items.

Source: the API reference that ``vonage.py`` names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import ProviderError
from ..http.paging import Page, Row
from ..http.urls import unsendable
from ..items import Item, Kind, State
from .base import (
    EARLIEST,
    LONGEST_LENGTH,
    aliases,
    cannot_read,
    count_of,
    given,
    instant,
    rows_of,
    text,
    whole,
    why_undeletable,
)

APART = timedelta(days=1)
"""By more than this, two statements of a recording's end contradict each other."""
BEFORE_ALL = datetime.fromtimestamp(EARLIEST, UTC)


def is_number(ident: str) -> bool:
    """Whether an id is of ASCII digits alone, as this vendor's are."""
    return re.fullmatch("[0-9]+", ident) is not None


def id_mistake(ident: str) -> str | None:
    """Why no request may carry an id. Words such as ``export`` and ``jobs`` stand where ids stand."""
    return unsendable(ident) if is_number(ident) else f"its id {ident!r} is not a number"


def page_of(body: Mapping[str, Any], names: Sequence[str], number: int) -> Page:
    """A page of a list, read from the answer for page ``number``.

    The schema requires no property (API reference): ``_embedded`` is left out where nothing matches, and
    where ``total_items`` is missing, ``total_pages`` tells the end. Raises ProviderError for an answer that
    contradicts itself, or that shows neither rows nor that there are none.
    """
    total, pages = (
        count_of(body, name) if body.get(name) is not None else None for name in ("total_items", "total_pages")
    )
    rows = _embedded(body, names)
    silent = rows is None if pages is None else not rows and number <= pages
    if total is None and silent:
        raise ProviderError("the answer shows no rows, and does not say that there are none")
    if total is not None and len({text(row.get("id")) for row in rows or ()}) > total:
        raise ProviderError(f"the answer shows more rows than the {total} that it counts")
    return Page(rows or (), total, last=None if pages is None else number >= pages)


def _embedded(body: Mapping[str, Any], names: Sequence[str]) -> list[Row] | None:
    """The rows of an answer; None where it has no list of them. Raises ProviderError for any other shape."""
    embedded = body.get("_embedded")
    if not isinstance(embedded, dict | None):
        raise ProviderError("the answer's '_embedded' is not an object")
    present = [name for name in names if embedded and embedded.get(name) is not None]
    return rows_of(embedded or {}, *present) if present else None


def recording(row: Mapping[str, Any], what: str, locator: tuple[str, ...] = (), owner: str | None = None) -> Item:
    """A recording of either source (API reference) as an ``Item``. What cannot be read is said in ``unreadable``.

    ``owner`` is the name of the user in ``locator``; of company recordings, the extensions stand for it. Numbers are
    taken for texts, as the reference's own examples have them. No field tells whether a call is still being recorded.
    """
    ident = text(row.get("id"))
    undeletable = why_undeletable(ident or row.get("id"), id_mistake)
    start, end, doubt = _times(row)
    title = _title(row)
    return Item(
        what=what,
        id=ident or "",
        kind=Kind.RECORDING,
        state=State.ENDED,
        title=title,
        owner=owner or None if locator else _extensions(row),
        # The API knows no tags, so that a recording carries none.
        tags=(),
        started_at=start,
        ended_at=end,
        size_bytes=whole(row.get("file_size_in_bytes")),
        unreadable=doubt or (None if title else _between(row)),
        undeletable=undeletable,
        unsendable=undeletable is not None,
        locator=locator,
        aliases=aliases(row, "call_id"),
        raw=row,
    )


def _times(row: Mapping[str, Any]) -> tuple[datetime | None, datetime | None, str | None]:
    """Start, end, and what is not certain: the call ended at ``end``, or ``duration`` milliseconds after ``start``."""
    start, stated = _moment(row.get("start")), row.get("end")
    if start is None:
        return None, None, cannot_read("start", row.get("start"))
    by_length = _start_plus_duration(start, row.get("duration"))
    end = _moment(stated)
    if stated is None or stated == "":
        end, stated = by_length, row.get("duration")
    if end is None:
        return start, None, cannot_read("end", stated)
    if end < start:
        return start, None, "it ends before it begins"
    if by_length and by_length - end > APART:
        return start, by_length, "its duration leads to more than a day after its end, and counts"
    return start, end, None


def _start_plus_duration(start: datetime, duration: object) -> datetime | None:
    """None for a duration that is no length: a call that is still being recorded may show 0."""
    length = whole(duration)
    if length is None or not 0 < length <= LONGEST_LENGTH * 1000:
        return None
    try:
        return start + timedelta(milliseconds=length)
    except OverflowError:
        return None


def _moment(value: object) -> datetime | None:
    """A date and time with an offset, in UTC; not a bare number, nor a placeholder before the year 2000."""
    when = instant(value) if whole(value) is None else None
    return when if when and when >= BEFORE_ALL else None


def _title(row: Mapping[str, Any]) -> str | None:
    """Who called whom: ``ANA EXAMPLE (15550100001) to 15550100009``, or without a name that the vendor leaves empty.

    It is not known unless the name and both numbers were given: a hold could not be judged by the rest.
    """
    name, number, called = given(row.get("cnam")), text(row.get("caller_id")), text(row.get("dnis"))
    if name is None or number is None or called is None:
        return None
    return f"{name} ({number}) to {called}" if name else f"{number} to {called}"


def _between(row: Mapping[str, Any]) -> str:
    """What is known instead of a title, for people."""
    name, number, called = (text(row.get(field)) for field in ("cnam", "caller_id", "dnis"))
    caller = f"{name} ({number})" if name and number else name or number
    return f"who called whom is not known ({caller or 'unknown'} to {called or 'unknown'})"


def _extensions(row: Mapping[str, Any]) -> str | None:
    """The extensions of a company recording; none where the vendor says so, None where it says nothing readable.

    They come as ``extensions``, or as ``extension``, as a list or as a single one (the live and the India API).
    """
    stated = [value for name in ("extensions", "extension") if (value := row.get(name)) is not None]
    parts = [given(part) for value in stated for part in (value if isinstance(value, list) else [value])]
    if not stated or None in parts:
        return None
    return ",".join(dict.fromkeys(part for part in parts if part))
