"""What TrueConf's answers say of a conference: API v3 and v4, and the schedule of a Room.

Sources: the pages that ``trueconf.py`` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ..items import Item, Kind, State
from .base import cannot_read, given, instant, whole, why_undeletable

LONGEST = 10 * 366 * 86400
"""Seconds. No conference is believed to be planned for longer."""
SECOND = timedelta(seconds=1)
NO_TIMES = (None, None, None)
# The server gives the type of a schedule as a number, and v4 also as a word; either may come, so both are known.
_SCHEDULE = {
    "-1": Kind.ROOM,
    "none": Kind.ROOM,
    "0": Kind.RECURRING,
    "week": Kind.RECURRING,
    "1": Kind.ONE_TIME,
    "once": Kind.ONE_TIME,
}
_STATE = {"stopped": State.ENDED, "running": State.RUNNING}


def conference(row: Mapping[str, Any]) -> Item:
    """A conference of API v3 or v4, or of a Room's schedule, as an ``Item``.

    ``unreadable`` says what cannot be read. The lists of v4 and of a Room have no ``tags``: those are not known.
    """
    ident, tags = row.get("id"), row.get("tags")
    undeletable = why_undeletable(ident)
    kind, start, end, doubt = _schedule(row)
    state = _STATE.get(str(row.get("state")))
    if state is None:
        state, doubt = State.UNKNOWN, f"its state is {row.get('state')!r}"
    if tags is not None and not (isinstance(tags, list) and set(map(type, tags)) <= {str}):
        tags, kind, doubt = None, Kind.UNKNOWN, "its tags cannot be read"
    return Item(
        what="conferences",
        id=ident if isinstance(ident, str) else "",
        kind=kind,
        state=state,
        title=given(row.get("topic")),
        owner=given(row.get("owner")),
        tags=tuple(tags) if tags is not None else None,
        started_at=start,
        ended_at=end,
        created_at=instant(row.get("created_at")),
        unreadable=doubt,
        undeletable=undeletable,
        unsendable=undeletable is not None,
        raw=row,
    )


def _schedule(row: Mapping[str, Any]) -> tuple[Kind, datetime | None, datetime | None, str | None]:
    """Kind, start, end, and what cannot be read. Only one-time conferences have an end that counts.

    A schedule that says two things is of an unknown kind: nobody knows which of them is true.
    """
    schedule = row.get("schedule")
    fields: Mapping[str, Any] = schedule if isinstance(schedule, dict) else {}
    named = [place[name] for place, name in ((row, "schedule_type"), (fields, "type")) if name in place] or [None]
    kinds = {_SCHEDULE.get(str(name)) if type(name) in (int, str) else None for name in named}
    start, duration = instant(fields.get("start_time")), whole(fields.get("duration"))
    if len(kinds) > 1:
        return Kind.UNKNOWN, start, None, f"it has two types of schedule ({named[0]!r} and {named[1]!r})"
    kind = kinds.pop()
    if kind is None:
        return Kind.UNKNOWN, start, None, f"its schedule has the unknown type {named[0]!r}"
    if kind is Kind.ROOM:
        return (Kind.UNKNOWN, start, None, "it has no schedule, and yet a start_time") if start else (kind, *NO_TIMES)
    if kind is Kind.ONE_TIME and _some_days(fields.get("days")):
        return Kind.UNKNOWN, start, None, f"it happens once, and yet on days of the week ({fields['days']!r})"
    if start is None or duration is None or not 0 < duration <= LONGEST:
        missing = "start_time" if start is None else "duration"
        return kind, start, None, cannot_read(missing, fields.get(missing))
    if kind is Kind.RECURRING:
        return kind, start, None, None
    try:
        end = start + SECOND * duration
    except OverflowError:
        return kind, start, None, "its end lies beyond the calendar"
    stated = fields.get("end_time")
    if stated is None or stated == "":
        return kind, start, end, None
    given_end = instant(stated)
    if given_end is None:
        return kind, start, None, cannot_read("end_time", stated)
    return kind, start, max(end, given_end), None


def _some_days(days: object) -> bool:
    """Whether days of the week are named: by name, or in a Room's list of seven numbers."""
    return any(days) if isinstance(days, list) else bool(days)
