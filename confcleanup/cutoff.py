"""How old is old enough: periods such as "30 days", and the instant they lead back to. Pure.

Years, months, weeks and days are calendar units in a time zone: "1 month" before 31 March is the
last day of February at the same time on the clock. Hours, minutes and seconds are exact.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

import msgspec
from dateutil.relativedelta import relativedelta

_UNITS = {
    "years": ("y", "yr", "yrs", "year", "years"),
    "months": ("mo", "mon", "month", "months"),
    "weeks": ("w", "wk", "week", "weeks"),
    "days": ("d", "day", "days"),
    "hours": ("h", "hr", "hrs", "hour", "hours"),
    "minutes": ("min", "mins", "minute", "minutes"),
    "seconds": ("s", "sec", "secs", "second", "seconds"),
}
_UNIT_OF = {spelling: unit for unit, spellings in _UNITS.items() for spelling in spellings}
_PART = re.compile(r"\s*([0-9]{1,18})\s*([a-z]+)\s*(,|and\b)?", re.IGNORECASE)
_ISO = re.compile(
    r"P(?=.)(?:([0-9]{1,18})Y)?(?:([0-9]{1,18})M)?(?:([0-9]{1,18})W)?(?:([0-9]{1,18})D)?"
    r"(?:T(?=.)(?:([0-9]{1,18})H)?(?:([0-9]{1,18})M)?(?:([0-9]{1,18})S)?)?",
    re.IGNORECASE,
)
_EXAMPLES = 'write for example "30 days", "6 months", "36h" or "P30D"'
_MOST = 10**9


class Period(msgspec.Struct, frozen=True):
    """A length of time as a person wrote it. Never negative, and zero only where that was allowed."""

    months: int = 0
    days: int = 0
    seconds: int = 0
    text: str = ""

    @classmethod
    def parse(cls, text: str, *, zero: bool = False) -> Period:
        """Reads "30 days", "1 year 6 months", "36h" or ISO 8601's "P30D".

        Raises ValueError, with a message for people, for anything else, and for zero unless that is allowed.
        """
        parts = _iso_parts(text.strip()) or _worded_parts(text)
        if any(amount > _MOST for amount in parts.values()):
            raise ValueError(f"{text!r} is too long a time")
        period = cls(
            months=parts.get("years", 0) * 12 + parts.get("months", 0),
            days=parts.get("weeks", 0) * 7 + parts.get("days", 0),
            seconds=parts.get("hours", 0) * 3600 + parts.get("minutes", 0) * 60 + parts.get("seconds", 0),
            text=text.strip(),
        )
        if not (zero or period.months or period.days or period.seconds):
            raise ValueError(f"{text!r} must be more than zero")
        return period

    def exact(self) -> timedelta:
        """The period as an exact length, a day being 24 hours. Raises ValueError for months and years."""
        if self.months:
            raise ValueError(f"{self.text!r}: months and years have no fixed length here; use days or hours")
        try:
            return timedelta(days=self.days, seconds=self.seconds)
        except OverflowError:
            raise ValueError(f"{self.text!r} is too long a time") from None

    @property
    def least(self) -> int:
        """The fewest seconds it can last: a day has 24 hours, a month 28 days."""
        return (self.months * 28 + self.days) * 86400 + self.seconds

    @property
    def most(self) -> int:
        """The most seconds it can last, but for a change of the clocks: a month has 31 days."""
        return (self.months * 31 + self.days) * 86400 + self.seconds

    def __str__(self) -> str:
        return self.text


def _iso_parts(text: str) -> dict[str, int]:
    found = _ISO.fullmatch(text)
    if not found:
        return {}
    return {unit: int(amount) for unit, amount in zip(_UNITS, found.groups(), strict=True) if amount}


def _worded_parts(text: str) -> dict[str, int]:
    parts: dict[str, int] = {}
    position, dangling = 0, None
    while position < len(text.rstrip()):
        found = _PART.match(text, position)
        unit = _UNIT_OF.get(found[2].lower()) if found else None
        if not found or unit is None or unit in parts:
            raise ValueError(f"{text!r} is not a length of time; {_EXAMPLES}")
        parts[unit] = int(found[1])
        position = found.end()
        dangling = found[3]
    if not parts or dangling:
        raise ValueError(f"{text!r} is not a length of time; {_EXAMPLES}")
    return parts


def cutoff(now: datetime, period: Period, zone: tzinfo) -> datetime:
    """The instant ``period`` before ``now``, counted on the calendar of ``zone``; in UTC.

    A period of hours, minutes and seconds is exact, whatever the clock of ``zone`` did. Where a time on
    that clock happened twice or never, the earlier instant is taken, because an earlier cutoff keeps more.
    Raises ValueError if it lies before the calendar begins.
    """
    try:
        back = now.astimezone(UTC)
        if period.months or period.days:
            local = now.astimezone(zone).replace(tzinfo=None)
            back = localise(local - relativedelta(months=period.months, days=period.days), zone)
        return back - timedelta(seconds=period.seconds)
    except (OverflowError, ValueError):
        raise ValueError(f"{period.text!r} is too long a time") from None


def localise(naive: datetime, zone: tzinfo) -> datetime:
    """A time on the clock of ``zone`` as the instant in UTC; of two possible instants, the earlier."""
    return min(naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def parse_instant(text: str, zone: tzinfo) -> datetime:
    """Reads an RFC 3339 or ISO 8601 date or time; without an offset it is a time in ``zone``. In UTC.

    Raises ValueError, with a message for people, for anything else.
    """
    try:
        when = datetime.fromisoformat(text.strip())
        return localise(when, zone) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a date; write for example 2026-01-31 or 2026-01-31T18:00:00+01:00") from None


def humanize(length: timedelta) -> str:
    """A length of time for people, rounded down, in the largest unit of which it has two: "41 days", "36 hours"."""
    if length.days >= 2:
        return f"{length.days} days"
    seconds = max(0, int(length.total_seconds()))
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
