"""A line for crontab(5)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from . import Job
from .template import fill


def crontab(job: Job, *, before: Sequence[str] = (), mail: str | None = None, log: str | None = None) -> str:
    """The line with what belongs above it; ``before`` are words that lower the priority and limit the time.

    Raises ValueError for a path that a crontab cannot carry.
    """
    kept = f" >>{shlex.quote(log)} 2>&1" if log else ""
    command = shlex.join([*before, *job.command]) + kept
    if any(mark in command + (mail or "") for mark in "\\\n\r"):
        raise ValueError("a crontab cannot carry a backslash or a line break in a path")
    values = {
        "on Sundays at 03:30": str(job.when),
        "you by mail": "the log" if log else "you by mail",
        "30 3 * * 0": job.when.cron(),
        # cron ends a command at its first %, unless a backslash is before it
        "/usr/bin/env confcleanup run --yes -q": command.replace("%", r"\%"),
    }
    return fill(
        "confcleanup.crontab", values, {"TRUECONF_SECRET": job.variables, "you@example.com": [mail] if mail else []}
    )
