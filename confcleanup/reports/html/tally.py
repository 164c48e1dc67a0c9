"""What went and what stayed, counted as it passes by: by account, rule, fate and age.

Memory grows with the number of rules, not with that of items; of items only the first few are held.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from ...filter import Reason, Rule
from ...items import Outcome
from ...plan import Plan, Watcher
from ...worklist import Entry
from .picture import slot

ROWS = 200
"""Items shown of each account."""
ROWS_IN_ALL = 1000
EXAMPLES = 3
"""Kept items shown for each account and reason."""


class Fate(StrEnum):
    """What becomes of an item, as far as the page tells it. LEFT: selected, but still there."""

    GOES = "goes"
    GONE = "gone"
    LEFT = "left"
    YOUNG = "young"
    OTHER = "other"


BANDS = (timedelta(0), *(timedelta(days) for days in (1, 7, 30, 90, 365)))
BAND_NAMES = (
    *("not over yet", "under a day", "1 to 7 days", "7 to 30 days", "30 to 90 days"),
    *("90 days to a year", "over a year", "age not known"),
)


def band(age: timedelta | None) -> int:
    """The place of an age in BAND_NAMES."""
    return len(BAND_NAMES) - 1 if age is None else bisect_right(BANDS, age)


class Key(NamedTuple):
    """What items are counted by."""

    account: str
    rule: str
    fate: Fate
    band: int


class Sum(msgspec.Struct):
    """So many items, and the bytes of those whose size the vendor tells."""

    count: int = 0
    sized: int = 0
    size: int = 0

    def add(self, other: Sum) -> None:
        self.count, self.sized, self.size = self.count + other.count, self.sized + other.sized, self.size + other.size


class Line(NamedTuple):
    """One row of a table of sums."""

    goes: Sum
    gone: Sum
    left: Sum
    stays: Sum


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


def row(account: str, entry: Entry) -> Row:
    """A selected or kept item as the page lists it."""
    item, decision = entry.item, entry.decision
    said = entry.error or decision.reason
    ended = decision.ended_at or item.ended_at
    title, outcome = item.title or "", str(entry.outcome or "")
    return Row(account, decision.rule, item.what, item.id, title, ended, said, item.size_bytes, outcome)


class Sums(msgspec.Struct):
    """Sums of items by Key, and the tables that can be made of them."""

    by_key: defaultdict[Key, Sum] = msgspec.field(default_factory=lambda: defaultdict(Sum))

    def add(self, key: Key, size: int | None) -> None:
        found = self.by_key[key]
        found.count += 1
        if size is not None:
            found.sized, found.size = found.sized + 1, found.size + size

    def table(self, *columns: str) -> dict[tuple[Hashable, ...], Line]:
        """A line for each combination of these columns of Key that occurs, in the order they were met."""
        lines: dict[tuple[Hashable, ...], Line] = {}
        for key, found in self.by_key.items():
            label = tuple(getattr(key, column) for column in columns)
            line = lines.setdefault(label, Line(Sum(), Sum(), Sum(), Sum()))
            getattr(line, key.fate if key.fate in line._fields else "stays").add(found)
        return lines

    def total(self) -> Line:
        return self.table().get((), Line(Sum(), Sum(), Sum(), Sum()))


class Tally(Watcher):
    """Counts kept items while a run sees them, and the selected ones when it is over. Thread-safe.

    ``rules`` are by account and name. ``now`` is when the run begins.
    """

    def __init__(self, rules: Mapping[tuple[str, str], Rule], now: datetime) -> None:
        self.rules, self.now = rules, now
        self.sums = Sums()
        self.bars: defaultdict[tuple[str, str], Counter[tuple[int, Fate]]] = defaultdict(Counter)
        self.examples: defaultdict[tuple[str, Reason], list[Row]] = defaultdict(list)
        self.rows: dict[str, list[Row]] = {}
        self.bad: list[Row] = []
        self._lock = threading.Lock()

    def kept(self, account: str, entry: Entry) -> None:
        why = entry.decision.why
        with self._lock:
            self._count(account, entry, Fate.YOUNG if why is Reason.TOO_YOUNG else Fate.OTHER)
            if len(examples := self.examples[account, why]) < EXAMPLES:
                examples.append(row(account, entry))

    def take(self, plan: Plan, mode: str) -> None:
        """Counts what a plan selected, by what became of it, and holds the first rows."""
        room = min(ROWS, ROWS_IN_ALL - sum(map(len, self.rows.values())))
        self.rows[plan.account] = [row(plan.account, entry) for entry in plan.selected.first(room)]
        for entry in plan.selected:
            self._count(plan.account, entry, _fate(plan, entry, mode))
            if entry.outcome in (Outcome.FAILED, Outcome.UNKNOWN) and len(self.bad) < ROWS:
                self.bad.append(row(plan.account, entry))

    def fullest(self, most: int) -> list[tuple[str, str]]:
        """The accounts and rules with the most items, in the order of the config."""
        chosen = sorted(self.bars, key=lambda name: -self.bars[name].total())[:most]
        return [name for name in self.rules if name in chosen]

    def _count(self, account: str, entry: Entry, fate: Fate) -> None:
        item, decision = entry.item, entry.decision
        when = decision.ended_at or item.ended_at or item.started_at or item.created_at
        self.sums.add(Key(account, decision.rule, fate, band(self.now - when if when else None)), item.size_bytes)
        if when and (rule := self.rules.get((account, decision.rule))):
            place = slot(when, rule.cutoff, self.now, due=decision.why is Reason.DUE, young=fate is Fate.YOUNG)
            self.bars[account, rule.name][place, fate] += 1


def _fate(plan: Plan, entry: Entry, mode: str) -> Fate:
    if entry.outcome is Outcome.DELETED or (entry.outcome is None and mode == "plan" and not plan.refusals):
        return Fate.GOES
    return Fate.GONE if entry.outcome is Outcome.GONE else Fate.LEFT
