"""A task for the Windows Task Scheduler."""

from __future__ import annotations

import ntpath
import re
import subprocess
from datetime import datetime
from xml.sax.saxutils import escape

from . import WEEKDAYS, Job, When

TASK = """\
<?xml version="1.0"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Delete ended conferences and old recordings (confcleanup), {when}</Description>
  </RegistrationInfo>
  <Triggers>
    <CalendarTrigger>
      <Enabled>true</Enabled>
      <StartBoundary>{start}</StartBoundary>{repetition}
      <RandomDelay>PT{delay}S</RandomDelay>
      {calendar}
    </CalendarTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <LogonType>Password</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>true</RunOnlyIfNetworkAvailable>
    <ExecutionTimeLimit>PT{seconds}S</ExecutionTimeLimit>
    <Priority>8</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>C:\\Windows\\System32\\cmd.exe</Command>
      <Arguments>{arguments}</Arguments>
      <WorkingDirectory>{folder}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"""
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def task(job: Job, log: str, now: datetime) -> str:
    """The task's XML, in ASCII, so that no code page can spoil it; ``now`` is the machine's local time.

    cmd.exe keeps the output, and passes the exit status on. Raises ValueError for a path it cannot carry.
    """
    if bad := re.search(r'[%"\n\r]', "".join([*job.command, log])):
        raise ValueError(f"a task cannot carry {bad[0]!r} in a path or name")
    command = " ".join(f'"{word}"' if re.search(r"[^\w:./\\-]", word, re.ASCII) else word for word in job.command)
    when = job.when
    start = now.replace(hour=(when.hours or (0,))[0], minute=when.minutes[0], second=0, microsecond=0, tzinfo=None)
    text = TASK.format(
        when=when,
        start=start.isoformat(),
        repetition=_repetition(when),
        calendar=_calendar(when),
        delay=job.delay,
        seconds=job.seconds,
        arguments=escape(f'/d /c "{command} >> "{log}" 2>&1"'),
        folder=escape(ntpath.dirname(job.config)),
    )
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")


def command_line(file: str) -> str:
    """The command that takes the task in; it asks for the password."""
    return subprocess.list2cmdline(
        ["schtasks", "/Create", "/TN", "confcleanup", "/XML", file, "/RU", "DOMAIN\\account", "/RP", "*"]
    )


def _repetition(when: When) -> str:
    if len(when.minutes) == len(when.hours) == 1:
        return ""
    minutes = int(when.interval.total_seconds()) // 60
    return f"\n      <Repetition><Interval>PT{minutes}M</Interval><Duration>P1D</Duration></Repetition>"


def _calendar(when: When) -> str:
    if when.weekday is not None:
        day = f"<{WEEKDAYS[when.weekday].title()} />"
        return f"<ScheduleByWeek><DaysOfWeek>{day}</DaysOfWeek><WeeksInterval>1</WeeksInterval></ScheduleByWeek>"
    if when.day:
        months = "".join(f"<{month} />" for month in MONTHS)
        days = f"<DaysOfMonth><Day>{when.day}</Day></DaysOfMonth>"
        return f"<ScheduleByMonth>{days}<Months>{months}</Months></ScheduleByMonth>"
    return "<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay>"
