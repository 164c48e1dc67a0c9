"""What was found in one account, what is to go, and in the end what became of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from .filter import UNDECIDED, Decision, Reason
from .guards import Listed
from .items import Item, Outcome
from .redact import harmless
from .unmet import Unmet
from .worklist import Entry, Worklist

log = logging.getLogger(__name__)
SHOWN = 5
"""So many items that are recorded as deleted and listed again are named in warnings."""
STUCK_FOR = timedelta(days=1)


class Group(StrEnum):
    """What a decision means for an item, in the order in which people are shown the groups."""

    GOES = "delete"
    WAITS = "notice"
    STAYS = "keep"


def group_of(decision: Decision) -> Group:
    """The group in which people are shown an item of this decision."""
    if decision.goes_at:
        return Group.WAITS
    return Group.GOES if decision.delete else Group.STAYS


class Stuck(msgspec.Struct):
    """Items that stay although they are older than their rule by a day, for a reason that will not pass by itself.

    ``since`` is the oldest known time of ``oldest``; None if nothing about its age can be read.
    """

    count: int = 0
    oldest: Entry | None = None
    since: datetime | None = None

    def told(self) -> str:
        """How many there are, in words."""
        items, need = ("item", "needs") if self.count == 1 else ("items", "need")
        return f"stuck: {self.count} {items} older than the rule {need} manual action"

    def note(self, entry: Entry, cutoff: datetime) -> None:
        """Counts an entry if it is that old, or if nobody can tell."""
        item = entry.item
        since = item.ended_at or item.started_at or item.created_at
        if not item.live and (since is None or since < cutoff - STUCK_FOR):
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Counts an entry."""
        item = entry.item
        since = item.ended_at or item.started_at or item.created_at
        self.count += 1
        if self.oldest is None or (since is not None and (self.since is None or since < self.since)):
            self.oldest, self.since = entry, since


class Copy(msgspec.Struct):
    """A copy in an archive whose time is over. ``deletion`` is the number of the ledger's entry about its item.

    ``begun`` is the number of the entry that says that its removal was begun. ``outcome``: ``removed``, ``kept`` (by a
    hold or a rule), ``changed`` (it is not as this program wrote it, and stays) or ``failed``.
    """

    rule: str
    item: Item
    deleted_at: datetime
    target: str
    folder: str
    deletion: int
    begun: int | None = None
    outcome: str | None = None
    error: str | None = None


class Copies(msgspec.Struct):
    """An account's copies whose time is over: how many may go, the first of them, and what stays.

    ``kept``: by holds and rules. ``changed``: not as this program wrote them. ``errors`` are sentences.
    """

    count: int = 0
    due: list[Copy] = msgspec.field(default_factory=list)
    kept: int = 0
    changed: int = 0
    errors: list[str] = msgspec.field(default_factory=list)

    @property
    def removed(self) -> int:
        """How many were removed."""
        return sum(copy.outcome == "removed" for copy in self.due)


class Plan(msgspec.Struct):
    """What was found in one account, what is to go, and in the end what became of it.

    ``error``: the account could not be listed, or stopped early. ``refusals``: guards.
    ``cause``: what makes it the same error in another run, if its text does not.
    ``attention``: those of the warnings and notices on which a person has to act; False: to be reported once only.
    ``backlog``: how many items were left a week ago, if runs left some ever since and there are no fewer now.
    ``recorded``: what the ledger has as deleted or gone and is listed again, by key, and when that was recorded.
    ``lists`` are how many were listed of each source; ``which`` says in words which items ``listed`` counts.
    ``unmet``: what is written to keep or to select items and fits nothing that is listed; ``notices`` say so.
    ``busy``: another run is cleaning it, so this one left it alone; ``error`` says who.
    ``unlisted``: the parts of it that could not be listed, and why; nothing of them is selected.
    ``seconds``: about how long a run takes; ``runs``: in how many of max_runtime it is done.
    ``waiting``: what goes when its notice is over, at the earliest ``goes_from``. ``news`` of these were not announced
    before; if they are ``marked``, ``told`` of them now are, and ``untold`` says why others are not. ``reliable``: the
    sources in which marks may be made and taken off.
    """

    account: str
    provider: str
    listed: int = 0
    selected: Worklist = msgspec.field(default_factory=Worklist)
    kept: Counter[Reason] = msgspec.field(default_factory=Counter)
    overdue: list[Entry] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)
    refusals: list[str] = msgspec.field(default_factory=list)
    error: str | None = None
    unlisted: list[str] = msgspec.field(default_factory=list)
    failed: bool = False
    busy: bool = False
    stuck: Stuck = msgspec.field(default_factory=lambda: Stuck())
    recorded: dict[tuple[str, ...], datetime] = msgspec.field(default_factory=dict)
    seconds: float = 0.0
    runs: int = 1
    lists: dict[str, Listed] = msgspec.field(default_factory=dict)
    which: str = "listed"
    unmet: Unmet | None = None
    notices: list[str] = msgspec.field(default_factory=list)
    attention: dict[str, bool] = msgspec.field(default_factory=dict)
    cause: str = ""
    backlog: int | None = None
    copies: Copies = msgspec.field(default_factory=Copies)
    waiting: Worklist = msgspec.field(default_factory=Worklist)
    news: int = 0
    marked: bool = False
    told: int = 0
    untold: str | None = None
    goes_from: datetime | None = None
    reliable: frozenset[str] = frozenset()

    def forget(self) -> None:
        """Forgets what was found to go or to wait."""
        self.selected.clear()
        self.waiting.clear()
        self.news, self.goes_from, self.reliable = 0, None, frozenset()

    def count(self, outcome: Outcome) -> int:
        """How many of the selected items ended this way."""
        return self.selected.count(outcome)

    @property
    def due(self) -> int:
        """How many are selected and have no outcome yet."""
        return self.selected.count(None)

    @property
    def undecided(self) -> int:
        """Items kept because something about them could not be read."""
        return sum(self.kept[why] for why in UNDECIDED)

    @property
    def status(self) -> str:
        """``failed``, ``refused``, ``partial`` or ``ok``, as in the contract."""
        if self.failed:
            return "failed"
        if self.refusals:
            return "refused"
        open_ends = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.DEFERRED)
        undone = self.error or self.copies.errors or self.unlisted or self.overdue or self.untold
        return "partial" if undone or any(map(self.count, open_ends)) else "ok"

    @property
    def undone(self) -> bool:
        """Whether something that was asked for is not done, so that a person has to look."""
        left_open = self.count(Outcome.FAILED) or self.count(Outcome.UNKNOWN)
        undone = self.error or self.copies.errors or self.unlisted or self.overdue or self.untold
        return bool(undone or self.recorded or left_open)

    @property
    def doubtful(self) -> bool:
        """Whether something of the account could not be listed or judged."""
        return bool(self.failed or self.unlisted or self.undecided or self.warnings)

    def note_recorded(self, entries: Iterable[Entry], recorded: Mapping[tuple[str, ...], datetime]) -> None:
        """Names those of some entries that are recorded as deleted and are listed again."""
        for entry in entries:
            if not (when := recorded.get(entry.item.key)):
                continue
            if len(self.recorded) < SHOWN:
                what = f"{entry.item.what} {harmless(entry.item.id)} ({harmless(entry.item.title or 'no title')})"
                self.warn(f"{what}: recorded as deleted on {when:%Y-%m-%d}, still there")
            elif len(self.recorded) == SHOWN:
                self.warnings.append("and others that are recorded as deleted, and still there")
            self.recorded[entry.item.key] = when
            self.stuck.add(entry)

    def warn(self, *warnings: str) -> None:
        """Adds warnings on which a person has to act."""
        self.warnings += warnings
        self.attention |= dict.fromkeys(warnings, True)

    @property
    def left(self) -> dict[str, int]:
        """How many of the listed items of each source are certainly still there."""
        away = self.selected.by_source(Outcome.DELETED, Outcome.GONE, Outcome.UNKNOWN)
        return {what: listed.count - away[what] for what, listed in self.lists.items()}


class Watcher:
    """Told as things happen, from several threads. What it is given it may show, not change."""

    def listed(self, account: str, count: int) -> None:
        """So many items of an account are listed by now."""

    def kept(self, account: str, entry: Entry) -> None:
        """An item stays; nothing else remembers it."""

    def planned(self, account: str, count: int) -> None:
        """So many items of an account are about to be deleted."""

    def done(self, account: str, entry: Entry) -> None:
        """An item's outcome is known."""


class Both(Watcher):
    """Passes everything on to several watchers."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def listed(self, account: str, count: int) -> None:
        for watcher in self._watchers:
            watcher.listed(account, count)

    def kept(self, account: str, entry: Entry) -> None:
        for watcher in self._watchers:
            watcher.kept(account, entry)

    def planned(self, account: str, count: int) -> None:
        for watcher in self._watchers:
            watcher.planned(account, count)

    def done(self, account: str, entry: Entry) -> None:
        for watcher in self._watchers:
            watcher.done(account, entry)
