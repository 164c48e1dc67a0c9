"""A line for crontab(5)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from . import Job


def crontab(job: Job, *, before: Sequence[str] = (), mail: str | None = None, log: str | None = None) -> str:
    """The line with what belongs above it; ``before`` are words that lower the priority and limit the time.

    Raises ValueError for a path that a crontab cannot carry.
    """
    kept = f" >>{shlex.quote(log)} 2>&1" if log else ""
    command = shlex.join([*before, *job.command]) + kept
    if any(mark in command + (mail or "") for mark in "\\\n\r"):
        raise ValueError("a crontab cannot carry a backslash or a line break in a path")
    lines = [
        f"# confcleanup: {job.when}, by this machine's clock. Install with: crontab -e",
        f"# What it prints goes to {'the log' if log else 'you by mail'}; with -q that is trouble only.",
        *(f"# Set {name} here or use {{ file = … }}: cron does not read your profile." for name in job.variables),
        *([f"MAILTO={mail}"] if mail else []),
        f"{job.when.cron()}  {command.replace('%', chr(92) + '%')}",
    ]
    return "\n".join(lines) + "\n"
