"""What was reported of an account, so that the same finding is not reported every night.

The folder ``reported`` in the state folder has a small file for each account of which something was reported, and for
each choice of rules, as jobs with ``--rule`` see different findings. Runs of the same account and rules do not go side
by side, so each file has one writer; it is replaced as a whole. A file that is lost, damaged or cannot be written costs
nothing but a report more. It has no titles, ids or secrets: a finding is a keyed hash, with a key for each file.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)
FOLDER = "reported"


class Report(msgspec.Struct, frozen=True):
    """When a finding was reported: the first time, the last time, and the count it then had."""

    kind: str
    first: datetime
    last: datetime
    count: int = 1


class _Content(msgspec.Struct):
    """What is in a file: for each way of reporting the reports, by the marks of the findings."""

    key: str = msgspec.field(default_factory=lambda: secrets.token_hex(32))
    ways: dict[str, dict[str, Report]] = msgspec.field(default_factory=dict)


class Reported:
    """What was reported of one account by one way (``output``, ``messages``), by marks.

    ``account`` is empty for the run as a whole. ``chosen`` are the rules named with ``--rule``; for the run as a whole
    the accounts too.
    """

    def __init__(self, state: Path, account: str, chosen: Iterable[str], way: str) -> None:
        scope = hashlib.sha256(repr((account, sorted(chosen))).encode("utf-8", "surrogatepass")).hexdigest()
        self._path = state / FOLDER / f"{scope[:16]}.json"
        self._way = way
        content = self._read()
        self._key = content.key
        self.reports: Mapping[str, Report] = content.ways.get(way, {})

    def mark(self, identity: str) -> str:
        """The keyed hash under which a finding is remembered."""
        return hmac.new(self._key.encode(), identity.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]

    def save(self, reports: Mapping[str, Report]) -> bool:
        """Remembers these reports in place of the ones that were read; whether that worked."""
        if reports == self.reports:
            return True
        content = self._read()
        content.key = self._key
        content.ways[self._way] = dict(reports)
        try:
            self._write(content)
        except OSError as error:
            log.info("what was reported is not remembered: %s", error)
            return False
        return True

    def _read(self) -> _Content:
        """The content of the file; an empty one, with a new key, if there is none that can be read."""
        with suppress(OSError, ValueError, msgspec.MsgspecError):
            return msgspec.json.decode(self._path.read_bytes(), type=_Content)
        return _Content()

    def _write(self, content: _Content) -> None:
        if not any(content.ways.values()):
            self._path.unlink(missing_ok=True)
            return
        self._path.parent.mkdir(exist_ok=True, mode=0o700)
        beside = self._path.with_suffix(f".{os.getpid()}")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(content))
        beside.replace(self._path)
