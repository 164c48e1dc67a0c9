"""A service and its timer for systemd."""

from __future__ import annotations

import re
import shlex

from . import WEEKDAYS, Job, When
from .template import fill

UNITS = "/etc/systemd/system"
MAIL = "confcleanup-mail@.service"


def service(job: Job) -> str:
    """The unit that runs once."""
    env = ["/usr/bin/env"] if re.search(r"[\"'\\$]", job.command[0]) else []  # systemd starts no program of such a name
    values = {
        "system/confcleanup.service": f"system/{job.name}.service",
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
        "system/confcleanup.timer": f"system/{job.name}.timer",
        "on Sundays at 03:30": str(job.when),
        "Sun *-*-* 03:30:00 Europe/Berlin": f"{on_calendar(job.when)} {job.zone}",
        "900": str(job.delay),
    }
    return fill("confcleanup.timer", values)


def mail(address: str) -> str:
    """The unit that mails what a run printed, for every service by its name."""
    return fill(MAIL, {"you@example.com": _command_word(address)})


def units(job: Job, address: str) -> dict[str, str]:
    """All of them, by the names of their files."""
    return {
        f"{job.name}.service": service(job),
        f"{job.name}.timer": timer(job),
        MAIL: mail(address),
    }


def commands(job: Job, folder: str | None) -> list[str]:
    """What installs them, as root; ``folder`` is where the files are, None if they were printed."""
    files = [f"{folder or '.'}/{name}" for name in (f"{job.name}.service", f"{job.name}.timer", MAIL)]
    return [
        *([] if folder == UNITS else [shlex.join(["install", "-m", "644", *files, UNITS])]),
        shlex.join(["install", "-d", "-m", "700", "-o", job.user, job.state]),
        f"systemctl daemon-reload && systemctl enable --now {job.name}.timer",
        f"systemctl start {job.name}.service; journalctl -u {job.name}.service   # to try it at once",
    ]


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
