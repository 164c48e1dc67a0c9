"""``--log-file``: what happened, for schedulers that throw output away. In UTF-8, appended, secrets replaced.

The file is opened for each message, so it may be moved, rotated or deleted at any time, on Windows too.
"""

from __future__ import annotations

import logging
import os
import sys
from datetime import UTC, datetime

import click

from ..config.places import typed


class LogFile(logging.Handler):
    """Appends each message to a file that only its owner may read. A full disk ends the log, never the run."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = typed(path).absolute()
        self._broken = False
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._append("")
        except OSError as error:
            raise click.UsageError(f"--log-file: {path} cannot be written: {error.strerror}") from None

    def emit(self, record: logging.LogRecord) -> None:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        text = self.format(record)
        try:
            self._append(f"{text}\n" if text.startswith("{") else f"{when} {text}\n")
        except OSError as error:
            if not self._broken:
                sys.stderr.write(f"warning: the log file {self._path} cannot be written: {error.strerror}\n")
            self._broken = True

    def _append(self, text: str) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
