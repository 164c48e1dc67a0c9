"""``--log-format json``: whatever is written to standard error becomes one JSON object a line.

Messages are formatted as JSON where they are logged. This is for the rest: prompts, usage errors, Python's warnings,
and what a library prints.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TextIO

from ..redact import redact


def asked_for(words: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, as far as that can be told before it is read."""
    chosen = ""
    for word, following in pairwise([*words, ""]):
        if word == "--":
            break
        if word == "--log-format":
            chosen = following
        elif word.startswith("--log-format="):
            chosen = word.partition("=")[2]
    return chosen == "json"


def entry(level: str, message: str, when: datetime | None = None, **about: str | None) -> str:
    """One message as a JSON object, with what it is about as far as that is known. Secrets are replaced."""
    import json  # here, as every start of the program would pay for it

    time = (when or datetime.now(UTC)).isoformat(timespec="milliseconds")
    line = {"time": time, "level": level, "message": redact(message)}
    return json.dumps(line | {name: value for name, value in about.items() if value})


class JsonLines(io.TextIOBase):
    """Standard error, of which each line is a JSON object. A prompt, which ends without a line, is one too."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.run: str | None = None
        self._rest = ""
        self._lock = threading.RLock()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def write(self, text: str, /) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._put(line)
        return len(text)

    def flush(self) -> None:
        with self._lock:
            self._put(self._rest)
            self._rest = ""
            self.stream.flush()

    def _put(self, line: str) -> None:
        if not line.strip():
            return
        if not _is_object(line):
            found = re.match(r"(error|warning): (?=\S)", line, re.IGNORECASE)
            level, rest = (found[1].lower(), line[found.end() :]) if found else ("info", line)
            line = entry(level, rest.strip(), run=self.run)
        self.stream.write(f"{line}\n")


def _is_object(line: str) -> bool:
    import json

    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def begin() -> None:
    """From now on each line of standard error is a JSON object."""
    if not isinstance(sys.stderr, JsonLines):
        sys.stderr = JsonLines(sys.stderr)
    warnings.showwarning = _show_warning


@contextlib.contextmanager
def standard_error() -> Iterator[None]:
    """Within it, each line of standard error is a JSON object."""
    before = sys.stderr, warnings.showwarning
    begin()
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr, warnings.showwarning = before


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    sys.stderr.write(entry("warning", f"{category.__name__}: {message}") + "\n")
