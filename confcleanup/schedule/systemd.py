"""A service and its timer for systemd."""

from __future__ import annotations

import re

from . import WEEKDAYS, Job, When
from .template import fill


def service(job: Job) -> str:
    """The unit that runs once."""
    env = ["/usr/bin/env"] if re.search(r"[\"'\\$]", job.command[0]) else []  # systemd starts no program of such a name
    values = {
        "User=confcleanup": f"User={job.user}",
        "/usr/bin/env confcleanup run --yes -q": " ".join(map(_command_word, [*env, *job.command])),
        "3600": str(job.seconds),
        "/var/lib/confcleanup": " ".join(_word(folder) for folder in dict.fromkeys([job.state, *job.folders])),
    }
    names, file = ", ".join(job.variables), "/etc/confcleanup/environment"
    lines = {"TRUECONF_SECRET": [names] if names else [], file: [file] if names else []}
    return fill("confcleanup.service", values, lines)


def timer(job: Job) -> str:
    """The unit that starts it."""
    values = {
        "-o confcleanup /var/lib/confcleanup": f"-o {job.user} {_word(job.state)}",
        "on Sundays at 03:30": str(job.when),
        "Sun *-*-* 03:30:00 Europe/Berlin": f"{on_calendar(job.when)} {job.zone}",
        "900": str(job.delay),
    }
    return fill("confcleanup.timer", values)


def on_calendar(when: When) -> str:
    """The clock times as systemd.time(7) writes them, without a time zone."""
    weekday = "" if when.weekday is None else f"{WEEKDAYS[when.weekday][:3].title()} "
    hours, minutes = (",".join(f"{number:02}" for number in part) or "*" for part in (when.hours, when.minutes))
    return f"{weekday}*-*-{f'{when.day:02}' if when.day else '*'} {hours}:{minutes}:00"


def _word(text: str) -> str:
    """One word of a unit file. Raises ValueError for a line break."""
    if re.search(r"[\n\r]", text):
        raise ValueError("a unit file cannot carry a line break in a path")
    text = text.replace("%", "%%")
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _command_word(text: str) -> str:
    """One word of a command line, where $ begins a variable."""
    return _word(text).replace("$", "$$")
