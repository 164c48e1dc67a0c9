"""Vobiz' call recordings: what a row of the list means.

Sources: the pages that ``vobiz.py`` names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

from ..http.paging import Row
from ..http.urls import unsendable
from ..items import Item, Kind, State
from ..redact import harmless
from .base import aliases, cannot_read, instant, milliseconds, text, whole, why_undeletable

_RECORDING_ID = re.compile(r"[A-Za-z0-9_-]+")
UNFINISHED = timedelta(days=1)
"""For so long after it was added, a recording without an end is taken for one that is still being made."""
APART = timedelta(days=1)
"""By more than this, two statements of a recording's age contradict each other."""
LATEST_ZONE = timezone(timedelta(hours=-12))
"""Where a time without an offset is the latest."""
LONGEST_STORED = 3660
"""Days. No recording is believed to have been stored for longer."""


def id_mistake(ident: str) -> str | None:
    """Why no request may carry a recording's id; ``BulkDelete`` stands where ids stand."""
    if not _RECORDING_ID.fullmatch(ident) or ident.casefold() == "bulkdelete" or unsendable(ident):
        return f"{harmless(ident)!r} cannot be sent as a recording's id"
    return None


def key_of(row: Row) -> str:
    ident = row.get("recording_id")
    return ident if isinstance(ident, str) and ident else repr(row)


def recording(row: Mapping[str, Any], now: datetime) -> Item:
    """A recording (recording/recording-object) as an ``Item``. What cannot be read is said in ``unreadable``.

    ``conference_name`` is null or empty for ordinary calls. ``now`` (aware UTC) tells which may be unfinished.
    """
    ident, added = row.get("recording_id"), _moment(row.get("add_time"))
    end, doubt = _ended(row, added, now)
    unfinished = row.get("recording_end_ms") is None and added is not None and now - added < UNFINISHED
    if unfinished:
        doubt = "it has no recording_end_ms and was added less than a day ago, so it may still be recorded"
    title, undeletable = _title(row), why_undeletable(ident, id_mistake)
    return Item(
        what="recordings",
        id=ident if isinstance(ident, str) else "",
        kind=Kind.RECORDING,
        state=State.INCOMPLETE if unfinished else State.ENDED,
        title=title,
        # Nobody can tag a recording here, so it carries no tag. Whose it is, Vobiz does not tell.
        tags=(),
        started_at=milliseconds(row.get("recording_start_ms")),
        ended_at=end,
        created_at=added,
        unreadable=doubt or (None if title else _between(row)),
        undeletable=undeletable,
        unsendable=undeletable is not None,
        aliases=aliases(row, "call_uuid", "conference_uuid"),
        raw=row,
    )


def _ended(row: Mapping[str, Any], added: datetime | None, now: datetime) -> tuple[datetime | None, str | None]:
    """The end, and why it is not certain: ``recording_end_ms``, else ``add_time``, without which no end is believed.

    The milliseconds are text with decimals, or null (recording/recording-object). Where another statement of its age
    is later by more than a day, that one counts: some of the vendor's texts mix UTC and local time.
    """
    if added is None:
        return None, cannot_read("add_time", row.get("add_time"))
    stated, start = row.get("recording_end_ms"), milliseconds(row.get("recording_start_ms"))
    name, end = ("add_time", added) if stated is None else ("recording_end_ms", milliseconds(stated))
    if end is None:
        return None, cannot_read("recording_end_ms", stated)
    if stated is not None and start and end < start:
        return None, "it ends before it begins"
    stored = _stored_since(row, now, end)
    others = {"add_time": added, "recording_start_ms": start, "recording_storage_duration": stored}
    said = {other: when for other, when in others.items() if when and when - end > APART}
    if said:
        latest = max(said, key=lambda other: said[other])
        return said[latest], f"its {latest} is more than a day later than its {name}, and counts"
    return end, None


def _stored_since(row: Mapping[str, Any], now: datetime, end: datetime) -> datetime | None:
    """The latest time to which ``recording_storage_duration`` may lead, if that contradicts the end.

    It counts days since the creation. The end of that day stays the same from one look to the next.
    """
    days = whole(row.get("recording_storage_duration"))
    if days is None or not 0 <= days <= LONGEST_STORED or now - timedelta(days=days) - end <= APART:
        return None
    return datetime.combine((now - timedelta(days=days - 1)).date(), time.min, UTC)


def _moment(value: object) -> datetime | None:
    """A date and time; not a bare number, which ``add_time`` never is. Without an offset, the latest it may mean."""
    timed = isinstance(value, str) and ":" in value and whole(value) is None
    return instant(value, LATEST_ZONE) if timed else None


def _title(row: Mapping[str, Any]) -> str | None:
    """The conference's name; of a call, which has null or nothing there, who called whom.

    It is not known unless both numbers are: a hold on a caller's number could not be judged by the other one.
    """
    name = row.get("conference_name", False)
    caller, called = text(row.get("from_number")), text(row.get("to_number"))
    if name is None or name == "":
        return f"{caller} to {called}" if caller and called else None
    return text(name)


def _between(row: Mapping[str, Any]) -> str:
    """What is known instead of a title, for people."""
    caller, called = (text(row.get(name)) or "unknown" for name in ("from_number", "to_number"))
    return f"who called whom is not known ({caller} to {called})"


def hidden(oldest: datetime, cutoff: datetime, now: datetime) -> str | None:
    """A warning where the oldest recording of a whole list is younger than the cutoff by far, so that none is due.

    Vobiz resembles Plivo, which lists the last 7 days unless it is asked otherwise; how to ask Vobiz is not
    documented. A gap of a quarter of the rule's age tells this from an account with few calls.
    """
    if oldest - cutoff <= max(APART, (now - cutoff) / 4):
        return None
    since = f"the oldest one that it lists was added on {oldest:%Y-%m-%d}, and the rules ask for those before"
    return f"Vobiz may list only recent recordings and hide older ones: {since} {cutoff:%Y-%m-%d}; check its console"
