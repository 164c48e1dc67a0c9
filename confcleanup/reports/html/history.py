"""Count past runs and their deletions while the ledger is read."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ...items import Outcome
from ...records.entries import told
from ...records.ledger import Ledger
from .tally import ROWS, Fate, Row, Sum, Sums

RUNS = 30
"""Past runs that the page shows."""
FATES = {Outcome.DELETED: Fate.GOES, Outcome.GONE: Fate.GONE}


class PastRun(msgspec.Struct):
    """One run, as the ledger recorded it.

    ``listed``: None if no account was listed. ``failed`` and ``unknown``: deletions with these outcomes.
    ``undone``: the accounts that were not finished, by status.
    """

    id: str
    at: datetime
    accounts: set[str] = msgspec.field(default_factory=set)
    listed: int | None = None
    deleted: Sum = msgspec.field(default_factory=Sum)
    gone: int = 0
    changed: int = 0
    failed: int = 0
    unknown: int = 0
    undone: dict[str, list[str]] = msgspec.field(default_factory=dict)


class Past:
    """All past runs, oldest first, the sums over them, and the last rows.

    ``accounts``: each account that was ever cleaned, with its provider and how its last run ended. ``bad``: items whose
    last deletion failed or has an unknown outcome. ``undone``: the newest records of accounts that were not finished.
    ``waiting``: of those, by account, the ones that no later run has finished.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.runs: dict[str, PastRun] = {}
        self.sums = Sums()
        self.rows: deque[Row] = deque(maxlen=ROWS)
        self.bad: dict[tuple[str, str, str], Row] = {}
        self.accounts: dict[str, dict[str, str]] = {}
        for deletion in ledger.deletions():
            self._add(deletion)
        for listing in ledger.events("listing"):
            run = self._run(listing, listing["at"])
            run.listed = (run.listed or 0) + listing["listed"]
        self.undone: deque[Mapping[str, Any]] = deque(maxlen=ROWS)
        self.waiting: dict[str, Mapping[str, Any]] = {}
        for end in ledger.events("end"):
            self._end(end)
        self.runs = dict(sorted(self.runs.items(), key=lambda item: item[1].at))

    @property
    def last(self) -> list[PastRun]:
        """The newest runs, the newest first."""
        return list(self.runs.values())[: -RUNS - 1 : -1]

    def _run(self, event: Mapping[str, Any], at: str) -> PastRun:
        found = self.runs.setdefault(event["run"], PastRun(event["run"], datetime.fromisoformat(at)))
        found.accounts.add(event["account"])
        self.accounts.setdefault(event["account"], {"provider": event["provider"], "status": "ok"})
        return found

    def _end(self, end: Mapping[str, Any]) -> None:
        run = self._run(end, end["at"])
        self.waiting.pop(end["account"], None)
        self.accounts[end["account"]]["status"] = end["status"]
        if end["status"] == "ok":
            return
        run.undone.setdefault(end["status"], []).append(end["account"])
        at = datetime.fromisoformat(end["at"])
        found = {**end, "at": at, "error": end.get("error") or "no reason was recorded"}
        self.undone.append(found)
        if not end["good"]:  # what max_runtime left over needs no attention
            self.waiting[end["account"]] = found

    def _add(self, deletion: Mapping[str, Any]) -> None:
        run, outcome, size = self._run(deletion, deletion["intended_at"]), deletion["outcome"], deletion["size_bytes"]
        ended = datetime.fromisoformat(text) if (text := deletion["ended_at"]) else None
        self.sums.add(deletion["account"], deletion["rule"], FATES.get(outcome, Fate.LEFT), size)
        if outcome == Outcome.DELETED:
            run.deleted.add(size)
        run.gone += outcome == Outcome.GONE
        run.changed += outcome == Outcome.CHANGED
        run.failed += outcome == Outcome.FAILED
        run.unknown += outcome == Outcome.UNKNOWN
        names = {name: deletion[name] for name in ("account", "rule", "what", "id")}
        said = {"title": deletion["title"] or "", "reason": told(deletion) or "no reason was recorded"}
        at = datetime.fromisoformat(deletion["intended_at"])
        row = Row(**names, **said, ended_at=ended, size=size, outcome=outcome, at=at)
        self.rows.append(row)
        self._note_bad(row._replace(reason=deletion["error"] or row.reason))

    def _note_bad(self, row: Row) -> None:
        """Remembers the newest items that need attention, each once, until a later run has dealt with them."""
        key = (row.account, row.what, row.id)
        self.bad.pop(key, None)
        if row.outcome in (Outcome.FAILED, Outcome.UNKNOWN):
            self.bad[key] = row
        if len(self.bad) > ROWS:
            del self.bad[next(iter(self.bad))]
