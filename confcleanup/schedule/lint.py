"""What a crontab line does, in words, and what is wrong with it. ``now`` carries the time zone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice, pairwise, takewhile

import msgspec
from cronsim import CronSim, CronSimError

SHORTCUTS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS = (
    *(("minute", 60, "hour"), ("hour", 24, "day"), ("day of the month", 31, "month")),
    *(("month", 12, "year"), ("day of the week", 7, "week")),
)
OFTEN = 12
"""Runs in an hour from which on a line is taken for a mistake."""
DAY = timedelta(days=1)
PROGRAM = r"(.*[/\\])?(confcleanup|python[0-9.]*)(\.exe)?|.*\.(py|sh|php|pl|js)"
SHELL = r"\w+=.*|cd|test|\[|exec|export|[;&|()]+"
PATH_OPTIONS = ("-c", "--config", "--state", "--plan")


class Finding(msgspec.Struct, frozen=True):
    """What a line does: in words, its next runs, and what to change."""

    words: str
    runs: list[datetime]
    warnings: list[str]


def lint(line: str, now: datetime, *, user: bool = False) -> Finding:
    """Reads one line of a crontab; ``user``: of the system's, where a user name stands before the command.

    Raises ValueError, with a message for people, if it is none.
    """
    fields, command = _split(line, user)
    if fields == ["@reboot"]:
        return Finding("At every start of the machine", [], [*_command(command)])
    schedule = CronSim(" ".join(fields), now)
    runs = list(islice(schedule, 5))
    often = len(schedule.minutes) > OFTEN
    return Finding(schedule.explain(), runs, [*_times(fields, runs, now, often=often), *_command(command)])


def _split(line: str, user: bool) -> tuple[list[str], str]:
    if line.strip()[:1] in ("", "#") or re.match(r"\s*\w+\s*=", line):
        raise ValueError("this line starts nothing: it is empty, a comment or a variable")
    first = line.split()[0]
    count = 1 if first.startswith("@") else 5
    words = line.split(maxsplit=count + user)
    if len(words) < count + user + 1:
        raise ValueError("this is no line of a crontab: five fields (minute, hour, day, month, weekday) and a command")
    fields = SHORTCUTS.get(first.lower(), first.lower()).split() if count == 1 else words[:5]
    try:
        if fields != ["@reboot"]:
            CronSim(" ".join(fields), datetime(2000, 1, 1))  # noqa: DTZ001  # only to see whether it can be read
    except CronSimError as error:
        raise ValueError(f"cron refuses {' '.join(fields)!r}, or never runs it: {str(error).lower()}") from None
    return fields, words[-1]


def _times(fields: list[str], runs: list[datetime], now: datetime, *, often: bool) -> Iterator[str]:
    _, hour, day, _, weekday = fields
    if not runs:
        yield "it never runs: there is no such day"
        return
    if often:
        count = sum(1 for _ in _on_day(fields, runs[0].date()))
        yield (
            f"{count:,} runs on {runs[0]:%A}, {runs[0].day} {runs[0]:%B}: the first field is the minute, the second "
            'the hour; for one run write numbers there. Sundays at 03:30 are "30 3 * * 0"'
        )
    if not day.startswith("*") and not weekday.startswith("*"):
        yield "the day of the month and the day of the week are both given: it runs when either fits, not when both do"
    if re.search(r"\bLW?\b|\dL|#", f"{day} {weekday}", re.IGNORECASE):
        yield "L and # are not known to every cron, and not to Debian's"
    for (name, size, whole), field in zip(FIELDS, fields, strict=True):
        step = re.search(r"/([0-9]+)", field)
        if step and size % int(step[1]):
            yield f"/{step[1]} in the field {name} begins anew with each {whole}, so the last gap is shorter"
    if not hour.startswith("*") and (odd := _odd_clock(fields, now)):
        yield (
            f"on {odd:%Y-%m-%d} the clocks change, and {odd:%H:%M} happens never or twice: Debian's cron runs it once, "
            "others not at all or twice; choose another hour"
        )


def _on_day(fields: list[str], day: date) -> Iterator[datetime]:
    """The runs of one day, on a clock that is never changed."""
    start = datetime.combine(day, time())
    runs = CronSim(" ".join(fields), start - timedelta(minutes=1))
    return takewhile(lambda run: run < start + DAY, runs)


def _odd_clock(fields: list[str], now: datetime) -> datetime | None:
    """The first run within a year whose time on the clock happens never or twice."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(366):
        day = midnight + number * DAY
        if day.utcoffset() != (day + DAY).utcoffset():
            for run in _on_day(fields, day.date()):
                if run.replace(tzinfo=now.tzinfo).utcoffset() != run.replace(tzinfo=now.tzinfo, fold=1).utcoffset():
                    return run
    return None


def _command(command: str) -> Iterator[str]:
    if re.search(r"(?<!\\)%", command):
        yield "cron cuts a command at its first % and hands it the rest as input: write \\%"
    if "/dev/null" in command:
        yield "its output is thrown away, and with it every reason why nothing was deleted: let cron mail it, or >>FILE"
    if re.search(r"(\|\||;)\s*(true|:|exit 0)\s*$", command):
        yield "its exit status is thrown away: leave out the end of the line"
    try:
        words = _shell_words(command.replace("\\%", "%"))
    except ValueError:
        yield "a quotation mark is not closed"
        return
    programs = [word for word in words if re.fullmatch(PROGRAM, word)]
    programs = programs or [word for word in words if not re.fullmatch(SHELL, word)][:1]
    paths = [after for word, after in pairwise(words) if word in PATH_OPTIONS and _ours(words)]
    for word in dict.fromkeys([*programs, *paths]):
        if not word.startswith(("/", "~/", "$HOME/")):
            yield f"{word} is no absolute path: cron starts in another folder, and its PATH is short"
    if _ours(words) and "run" in words and not {"--yes", "-y", "--dry-run"} & set(words):
        yield "run without --yes: nobody is there to confirm, so it deletes nothing and ends with status 3"


def _shell_words(command: str) -> list[str]:
    reader = shlex.shlex(command, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    reader.commenters = ""
    return list(reader)


def _ours(words: list[str]) -> bool:
    return any(re.fullmatch(r"(.*[/\\])?confcleanup(\.exe)?", word) for word in words)
