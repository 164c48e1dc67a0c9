"""A service and its timer for systemd."""

from __future__ import annotations

import re

from . import WEEKDAYS, Job, When

SERVICE = """\
# /etc/systemd/system/confcleanup.service
[Unit]
Description=Delete ended conferences and old recordings (confcleanup)
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={user}
{environment}ExecStart={command}
# max_runtime ends a run before this does; SIGTERM then lets it finish and record what is under way
TimeoutStartSec={seconds}
TimeoutStopSec=120
Nice=10
IOSchedulingClass=idle
UMask=0077
ReadWritePaths={folders}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=true
PrivateDevices=true
ProtectClock=true
ProtectControlGroups=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
CapabilityBoundingSet=
LockPersonality=true
NoNewPrivileges=true
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
"""

TIMER = """\
# /etc/systemd/system/confcleanup.timer
# Once: install -d -m 700 -o {user} {state}
# Then: systemctl daemon-reload && systemctl enable --now confcleanup.timer
[Unit]
Description=Start confcleanup {when}

[Timer]
OnCalendar={calendar}
RandomizedDelaySec={delay}
Persistent=true

[Install]
WantedBy=timers.target
"""

ENVIRONMENT = "# mode 0600, holds {names}: NAME=value\nEnvironmentFile=/etc/confcleanup/environment\n"


def service(job: Job) -> str:
    """The unit that runs once."""
    environment = ENVIRONMENT.format(names=", ".join(job.variables)) if job.variables else ""
    env = ["/usr/bin/env"] if re.search(r"[\"'\\$]", job.command[0]) else []  # systemd starts no program of such a name
    command = " ".join(map(_command_word, [*env, *job.command]))
    folders = " ".join(_word(folder) for folder in dict.fromkeys([job.state, *job.folders]))
    return SERVICE.format(user=job.user, environment=environment, command=command, seconds=job.seconds, folders=folders)


def timer(job: Job) -> str:
    """The unit that starts it."""
    calendar = f"{on_calendar(job.when)} {job.zone}"
    return TIMER.format(user=job.user, state=_word(job.state), when=job.when, calendar=calendar, delay=job.delay)


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
