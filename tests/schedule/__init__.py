"""Entries for schedulers, each checked with what its own world has for that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from confcleanup.schedule import Job, When

COMMAND = ("/opt/confcleanup/bin/confcleanup", "-c", "/etc/confcleanup/config.toml", "--state", "/var/lib/confcleanup")
ODD = '/srv/Bücher & Töne/it\'s 100% "new" $HOME #1'
"""A path that says something else to every scheduler that is not told better."""


def job(*, every: str = "week", at: str = "03:30", command: tuple[str, ...] = COMMAND, **more: Any) -> Job:
    """A run on Sundays at 03:30, for an hour at most."""
    known: dict[str, Any] = {"config": "/etc/confcleanup/config.toml", "state": "/var/lib/confcleanup", "user": "root"}
    fields = known | {"zone": "Europe/Berlin"} | more
    return Job((*command, "run", "--yes", "-q"), When.parse(every, at), timedelta(hours=1), **fields)
