"""When and how other programs start a run: what every scheduler's entry is made from. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

from ..cutoff import Period

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
HOUR = 3600
DAY = 24 * HOUR
LEAST = 5 * 60
CHOICES = 'write "week", "day", "month", a weekday, or a part of an hour or day: "15 minutes", "6 hours"'


class When(msgspec.Struct, frozen=True):
    """The clock times of a run. No ``hours`` means every hour; ``weekday`` 0 is Sunday."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...] = ()
    day: int | None = None
    weekday: int | None = None

    @classmethod
    def parse(cls, every: str, at: str) -> When:
        """Reads "week" and "03:30". Raises ValueError, with a message for people."""
        clock = re.fullmatch(r"\s*([01]?[0-9]|2[0-3]):([0-5][0-9])\s*", at)
        if not clock:
            raise ValueError(f"{at!r} is not a time of day; write for example 03:30")
        hour, minute = int(clock[1]), int(clock[2])
        word = every.strip().lower()
        for number, name in enumerate(WEEKDAYS):
            if word in (name, name[:3]):
                return cls((minute,), (hour,), weekday=number)
        try:
            period = Period.parse(word if word[:1].isdigit() else f"1 {word}")
        except ValueError:
            raise ValueError(f"{every!r}: {CHOICES}") from None
        if (period.months, period.days, period.seconds) == (1, 0, 0):
            return cls((minute,), (hour,), day=1)
        seconds = 0 if period.months else period.days * DAY + period.seconds
        if seconds in (DAY, 7 * DAY):
            return cls((minute,), (hour,), weekday=None if seconds == DAY else 0)
        if seconds >= HOUR and seconds % HOUR == 0 and DAY % seconds == 0:
            step = seconds // HOUR
            return cls((minute,), () if step == 1 else tuple(range(hour % step, 24, step)))
        if LEAST <= seconds < HOUR and seconds % 60 == 0 and HOUR % seconds == 0:
            step = seconds // 60
            return cls(tuple(range(minute % step, 60, step)))
        raise ValueError(f"{every!r}: {CHOICES}")

    @property
    def interval(self) -> timedelta:
        """How long it is from one run to the next, at least."""
        if len(self.minutes) > 1:
            return timedelta(hours=1) / len(self.minutes)
        return timedelta(days=1) / (len(self.hours) or 24)

    def cron(self) -> str:
        """The five fields of a crontab."""
        hours = ",".join(map(str, self.hours)) or "*"
        day, weekday = ("*" if field is None else field for field in (self.day, self.weekday))
        return f"{','.join(map(str, self.minutes))} {hours} {day} * {weekday}"

    def __str__(self) -> str:
        if len(self.minutes) > 1:
            return f"every {60 // len(self.minutes)} minutes"
        if len(self.hours) != 1:
            step = 24 // len(self.hours or range(24))
            return f"every {step} hours" if step > 1 else f"every hour at minute {self.minutes[0]}"
        clock = f"{self.hours[0]:02}:{self.minutes[0]:02}"
        if self.weekday is not None:
            return f"on {WEEKDAYS[self.weekday].title()}s at {clock}"
        return f"on the 1st of every month at {clock}" if self.day else f"daily at {clock}"


class Job(msgspec.Struct, frozen=True):
    """A run that is to be started: the whole command, when, and what it needs around it.

    ``limit`` is longer than the run's own ``max_runtime``: it is for a run that does not end by itself.
    ``zone`` is an IANA name; ``variables`` are the environment variables that hold secrets; ``folders`` are
    written to. ``name`` tells its entry from others of this machine.
    """

    command: tuple[str, ...]
    when: When
    limit: timedelta
    config: str
    state: str
    zone: str = "UTC"
    user: str = ""
    variables: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    name: str = "confcleanup"

    @property
    def seconds(self) -> int:
        """The time limit in seconds."""
        return int(self.limit.total_seconds())

    @property
    def delay(self) -> int:
        """Seconds by which a scheduler may start at random later, so that not all the world calls at half past."""
        return int(min(timedelta(minutes=15), self.when.interval / 10).total_seconds())
