"""What Huawei Cloud Meeting's rows mean: recordings and past meetings as items, and when meetings ended.

Source: the pages that ``huawei.py`` names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from ..errors import AccessDenied, ProviderError
from ..http.paging import Row, twice
from ..items import Item, Kind, State
from .base import LONGEST_LENGTH, OUTAGES, aliases, cannot_read, given, instant, is_outage, text, whole, why_undeletable
from .huawei_lists import SPAN, Window, windows

MINUTE = timedelta(minutes=1)
LATEST = datetime.max.replace(tzinfo=UTC)
MEBIBYTE = 1024 * 1024
PRIVATE = re.compile(r".*(password|pwd|joinUri|url|token).*", re.IGNORECASE)
"""Names of fields that open a meeting or a recording: passwordEntry, guestJoinUri, chairJoinUri, url, playUrl ..."""
_UUID = re.compile(r"[0-9a-f]{32}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}(:\d{2})?")
AGES_OUT = "no API deletes the record of a past meeting; it ages out by itself"
STATES = ("available", "isDecodeFinish")
NUMBERS = ("confID", "conferenceID", "vmrConferenceID")
"""The meeting's number, which people know and which is used again: its name differs from list to list."""


def id_mistake(ident: str) -> str | None:
    """Why no request may carry a recording's id."""
    return None if _UUID.fullmatch(ident) else f"its confUUID {ident!r} is not 32 hexadecimal digits (0-9, a-f)"


Rows = Callable[[Window, bool], Iterator[Row]]
"""The rows of the history in one window, listed strictly or not."""


class History(NamedTuple):
    """When the meetings of the history ended, by confUUID; None where it does not tell.

    ``unread`` has the error of each window that could not be listed, by the window's begin.
    """

    ends: Mapping[str, datetime | None]
    unread: Mapping[int, ProviderError]

    def require(self, window: Window, now: datetime) -> None:
        """Raise ProviderError unless the ends are known of the meetings that a window's recordings may be of."""
        for begins in (window.first, window.first - SPAN):
            if error := self.unread.get(begins):
                known = Window.at(begins, now)
                raise ProviderError(f"the history of meetings {known} cannot be listed: {error}") from error


def read_history(rows: Rows, since: datetime, now: datetime) -> History:
    """The history, window by window, the newest first.

    Raises AccessDenied, and any other ProviderError once the server did not answer for several windows in a row.
    """
    ends: dict[str, datetime | None] = {}
    unread: dict[int, ProviderError] = {}
    read = outages = 0
    for window in windows(since, now):
        try:
            found = twice(partial(_ends_in, rows, window))
        except ProviderError as error:
            # A 403 for one window of several is about its age: the history forgets, and older ones may be refused.
            if isinstance(error, AccessDenied) and not (read and error.status == 403):
                raise
            outages += is_outage(error)
            if outages >= OUTAGES:
                raise
            unread[window.first] = error
            continue
        read, outages = read + 1, 0
        for ident, end in found.items():
            ends[ident] = _later(end, ends.get(ident, end))
    return History(ends, unread)


def _ends_in(rows: Rows, window: Window, strict: bool) -> dict[str, datetime | None]:
    """The ends of the meetings in one window. Of a meeting that stands twice, the later counts."""
    ends: dict[str, datetime | None] = {}
    for row in rows(window, strict):
        if ident := text(row.get("confUUID")):
            end = moment(row.get("endTime")) if _destroyed(row) else None
            ends[ident] = _later(end, ends.get(ident, end))
    return ends


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two ends of one meeting; None if one of them is not known."""
    return max(one, other) if one and other else None


def together(items: Sequence[Item]) -> Item:
    """One item for the rows of one confUUID: over and due when the last of them is, and as large as all of them."""
    if len(items) == 1:
        return items[0]
    unclear = next((item for item in items if item.state is not State.ENDED or item.ended_at is None), None)
    last = unclear or max(items, key=lambda item: item.ended_at or LATEST)
    sizes = [item.size_bytes for item in items]
    size = sum(size or 0 for size in sizes) if None not in sizes else None
    return replace(last, size_bytes=size, raw={**last.raw, "rows": [item.raw for item in items]})


def recording(row: Mapping[str, Any], window: Window, ends: Mapping[str, datetime | None]) -> Item:
    """A recording as an ``Item``; ``ends`` are the ends of the meetings in the history, by confUUID.

    It ended a minute after ``startTime`` (whole minutes, UTC) + ``rcdTime`` (seconds), or with its meeting if
    that was later (meeting_21_0048, meeting_21_0051).
    """
    ident = row.get("confUUID")
    start, length = moment(row.get("startTime")), whole(row.get("rcdTime"))
    end, doubt = _ended(row, start, length, ends)
    state = State.ENDED
    if row.get("available") is not True:
        state, doubt = State.INCOMPLETE, "not available"
    elif row.get("isDecodeFinish") is not True:
        state, doubt = State.INCOMPLETE, "still being transcoded"
    size = whole(row.get("rcdSize"))
    undeletable = why_undeletable(ident, id_mistake, name="confUUID")
    return Item(
        what="recordings",
        id=ident if isinstance(ident, str) else "",
        kind=Kind.RECORDING,
        state=state,
        title=given(row.get("subject")),
        owner=given(row.get("scheduserName")),
        # The API knows no tags, so that nothing carries one.
        tags=(),
        started_at=start,
        ended_at=end,
        # In whole MB; 0 stands for less than one.
        size_bytes=size * MEBIBYTE if size and size > 0 else None,
        unreadable=doubt,
        undeletable=undeletable,
        unsendable=undeletable is not None,
        locator=(str(window.first),),
        aliases=aliases(row, *NUMBERS),
        raw=public(row),
    )


def _ended(
    row: Mapping[str, Any], start: datetime | None, length: int | None, ends: Mapping[str, datetime | None]
) -> tuple[datetime | None, str | None]:
    """When a recording ended, or why that is not known."""
    if start is None:
        return None, cannot_read("startTime", row.get("startTime"))
    if length is None or not 0 < length <= LONGEST_LENGTH:
        return None, cannot_read("rcdTime", row.get("rcdTime"))
    end = start + timedelta(seconds=length) + MINUTE
    met = ends.get(str(row.get("confUUID")), end)
    return (max(end, met), None) if met else (None, "the history does not tell when its meeting ended")


def meeting(row: Mapping[str, Any], window: Window) -> Item:
    """A meeting of the history as an ``Item`` (meeting_21_0051). No API deletes one."""
    ident = row.get("confUUID")
    end = moment(row.get("endTime"))
    return Item(
        what="meetings",
        id=ident if isinstance(ident, str) else "",
        kind=Kind.MEETING,
        state=State.ENDED if _destroyed(row) else State.RUNNING,
        title=given(row.get("subject")),
        owner=given(row.get("scheduserName")),
        # The API knows no tags, so that nothing carries one.
        tags=(),
        started_at=moment(row.get("startTime")),
        ended_at=end,
        unreadable=None if end else cannot_read("endTime", row.get("endTime")),
        undeletable=AGES_OUT,
        locator=(str(window.first),),
        aliases=aliases(row, *NUMBERS),
        raw=public(row),
    )


def _destroyed(row: Mapping[str, Any]) -> bool:
    """Whether a row of the history is over, as all of them should be."""
    return row.get("conferenceState") in (None, "Destroyed")


def moment(value: object) -> datetime | None:
    """``YYYY-MM-DD HH:MM``, which is UTC whatever ``timeZoneID`` says; None for anything else.

    The zone follows from the documented samples: their ranges, and the UTC clock inside their confUUIDs, fit
    only if the text is UTC (meeting_21_0048, meeting_21_0051).
    """
    when = instant(value, UTC) if isinstance(value, str) and _TIME.fullmatch(value) else None
    return when if when and when.year >= 2000 else None


def public(value: Any) -> Any:
    """A vendor's object without passwords, join links and play addresses, at any depth."""
    if isinstance(value, Mapping):
        return {name: public(part) for name, part in value.items() if not PRIVATE.fullmatch(str(name))}
    return [public(part) for part in value] if isinstance(value, list) else value
