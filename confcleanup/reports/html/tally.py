"""Count what is deleted and what is kept, by account and rule, for the web page.

Memory grows with the number of rules, not of items: only the first few items of each account are kept.
"""

from __future__ import annotations

import threading
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from ...items import Outcome
from ...plan import Group, Plan, Watcher, group_of
from ...worklist import Entry

ROWS = 200
"""Selected items shown for each account."""
ROWS_IN_ALL = 1000


class Fate(StrEnum):
    """What becomes of an item; each is a field of ``Line``. LEFT: selected, but still there."""

    GOES = "goes"
    GONE = "gone"
    LEFT = "left"
    STAYS = "stays"


class Sum(msgspec.Struct):
    """A number of items, and the bytes of those whose size the vendor reports."""

    count: int = 0
    sized: int = 0
    size: int = 0

    def add(self, size: int | None) -> None:
        self.merge(Sum(1, size is not None, size or 0))

    def merge(self, other: Sum) -> None:
        self.count, self.sized, self.size = self.count + other.count, self.sized + other.sized, self.size + other.size


class Line(msgspec.Struct):
    """One row of the table of sums."""

    goes: Sum = msgspec.field(default_factory=Sum)
    gone: Sum = msgspec.field(default_factory=Sum)
    left: Sum = msgspec.field(default_factory=Sum)
    stays: Sum = msgspec.field(default_factory=Sum)

    def merge(self, other: Line) -> None:
        for fate in Fate:
            getattr(self, fate).merge(getattr(other, fate))


class Sums(msgspec.Struct):
    """Sums of items by account and rule, in the order in which these first occurred."""

    rules: dict[tuple[str, str], Line] = msgspec.field(default_factory=dict)

    def add(self, account: str, rule: str, fate: Fate, size: int | None) -> None:
        getattr(self.rules.setdefault((account, rule), Line()), fate).add(size)

    def forget(self, account: str) -> None:
        """Removes the sums of an account."""
        self.rules = {names: line for names, line in self.rules.items() if names[0] != account}

    def accounts(self) -> dict[str, Line]:
        """The sums of each account."""
        found: dict[str, Line] = {}
        for (account, _), line in self.rules.items():
            found.setdefault(account, Line()).merge(line)
        return found

    def total(self) -> Line:
        """The sums over all accounts."""
        found = Line()
        for line in self.rules.values():
            found.merge(line)
        return found


class Row(NamedTuple):
    """One item as the page lists it."""

    account: str
    rule: str
    what: str
    id: str
    title: str
    ended_at: datetime | None
    reason: str
    size: int | None
    outcome: str
    owner: str = ""
    at: datetime | None = None


def row(account: str, entry: Entry) -> Row:
    """A selected item as the page lists it."""
    item, decision = entry.item, entry.decision
    said = entry.error or decision.reason
    ended = decision.ended_at or item.ended_at
    title, outcome = item.title or "", str(entry.outcome or "")
    names = (account, decision.rule, item.what, item.id, title)
    return Row(*names, ended, said, item.size_bytes, outcome, item.owner or "")


class Tally(Watcher):
    """Counts kept items while a run sees them, and the selected ones when it has finished. Thread-safe."""

    def __init__(self) -> None:
        self.sums = Sums()
        self.rows: dict[Group, dict[str, list[Row]]] = {group: {} for group in Group}
        self.bad: list[Row] = []
        self._lock = threading.Lock()

    def kept(self, account: str, entry: Entry) -> None:
        with self._lock:
            self.sums.add(account, entry.decision.rule, Fate.STAYS, entry.item.size_bytes)

    def take(self, plan: Plan, mode: str) -> None:
        """Counts what a plan selected, by what became of it, and keeps the first rows."""
        if plan.failed:  # what was seen before the listing failed says nothing about the account
            self.sums.forget(plan.account)
        room = min(ROWS, ROWS_IN_ALL - sum(len(rows) for group in self.rows.values() for rows in group.values()))
        for entry in (*plan.selected.first(room), *plan.waiting.first(room)):
            self.rows[group_of(entry.decision)].setdefault(plan.account, []).append(row(plan.account, entry))
        for entry in plan.waiting:
            self.sums.add(plan.account, entry.decision.rule, Fate.STAYS, entry.item.size_bytes)
        for entry in plan.selected:
            self.sums.add(plan.account, entry.decision.rule, _fate(plan, entry, mode), entry.item.size_bytes)
            if entry.outcome in (Outcome.FAILED, Outcome.UNKNOWN) and len(self.bad) < ROWS:
                self.bad.append(row(plan.account, entry))


def _fate(plan: Plan, entry: Entry, mode: str) -> Fate:
    if entry.outcome is Outcome.DELETED or (entry.outcome is None and mode == "plan" and not plan.refusals):
        return Fate.GOES
    return Fate.GONE if entry.outcome is Outcome.GONE else Fate.LEFT
