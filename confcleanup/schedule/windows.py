"""A task for the Windows Task Scheduler."""

from __future__ import annotations

import ntpath
import re
import subprocess
from datetime import datetime
from xml.sax.saxutils import escape

from . import WEEKDAYS, Job, When
from .template import fill

PERCENT = (
    "{word} has a %, and the Task Scheduler and cmd.exe take what is between two for a variable; neither can "
    "be told not to. Rename it; or give a folder another name, and use that one: mklink /J C:\\confcleanup FOLDER"
)
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def task(job: Job, log: str, now: datetime) -> str:
    """The task's XML, in ASCII, so that no code page can spoil it; ``now`` is the machine's local time.

    cmd.exe keeps the output, and passes the exit status on. Raises ValueError for a path it cannot carry.
    """
    for word in (*job.command, log):
        if "%" in word:
            raise ValueError(PERCENT.format(word=word))
        if bad := re.search(r'["\n\r]', word):
            raise ValueError(f"a task cannot carry {bad[0]!r} in a path or name: {word!r}")
    command = " ".join(f'"{word}"' if re.search(r"[^\w:./\\-]", word, re.ASCII) else word for word in job.command)
    when = job.when
    start = now.replace(hour=(when.hours or (0,))[0], minute=when.minutes[0], second=0, microsecond=0, tzinfo=None)
    values = {
        "every 6 hours": str(when),
        "2026-03-01T03:30:00": start.isoformat(),
        "PT900S": f"PT{job.delay}S",
        "<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay>": _calendar(when),
        "PT3600S": f"PT{job.seconds}S",
        '"confcleanup run --yes -q"': escape(f'"{command} >> "{log}" 2>&1"'),
        r"C:\ProgramData\confcleanup": escape(ntpath.dirname(job.config)),
    }
    text = fill("confcleanup.xml", values, {"PT360M": _repetition(when)})
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")


def command_line(file: str, name: str) -> str:
    """The command that takes the task in; it asks for the password."""
    return subprocess.list2cmdline(
        ["schtasks", "/Create", "/TN", name, "/XML", file, "/RU", "DOMAIN\\account", "/RP", "*"]
    )


def _repetition(when: When) -> list[str]:
    """The interval of several runs a day; nothing for a single one."""
    if len(when.minutes) == len(when.hours) == 1:
        return []
    return [f"PT{int(when.interval.total_seconds()) // 60}M"]


def _calendar(when: When) -> str:
    if when.weekday is not None:
        day = f"<{WEEKDAYS[when.weekday].title()} />"
        return f"<ScheduleByWeek><DaysOfWeek>{day}</DaysOfWeek><WeeksInterval>1</WeeksInterval></ScheduleByWeek>"
    if when.day:
        months = "".join(f"<{month} />" for month in MONTHS)
        days = f"<DaysOfMonth><Day>{when.day}</Day></DaysOfMonth>"
        return f"<ScheduleByMonth>{days}<Months>{months}</Months></ScheduleByMonth>"
    return "<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay>"
