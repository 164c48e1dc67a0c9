"""A provider in memory, for tests of what stands above the providers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from confcleanup.deadline import Deadline
from confcleanup.errors import LedgerError
from confcleanup.filter import Rule
from confcleanup.http.client import Permit
from confcleanup.items import Item, Kind, Outcome, Result, State
from confcleanup.providers.base import Provider, Source
from confcleanup.settings.tables import AccountSettings, RuleSettings
from confcleanup.settings.values import Pace

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CUTOFF = NOW - timedelta(days=30)


def one_rule(account: str) -> str:
    """An emulator's account with one rule in place of its samples: nothing is written that could fit nothing."""
    head, _, rest = account.partition("\n[[")
    return f'{head}\n[[{rest.partition("]]")[0]}]]\nwhat = "conferences"\nolder_than = "30 days"\n'


class FakeRule(RuleSettings, frozen=True, kw_only=True):
    """A rule without keys of its own."""


class Fake(Provider):
    """Holds items; every method can be made to fail by a hook that gets the item (or None for listing)."""

    name = "fake"
    title = "a provider in memory"
    settings_type = AccountSettings
    sources = {
        "things": Source("things that change", FakeRule, recheck=True),
        "files": Source("things that do not", FakeRule),
        "heaps": Source("things deleted by the heap", FakeRule, batch=3),
    }

    def __init__(self, *items: Item, stop: Deadline | None = None) -> None:
        super().__init__(SimpleNamespace(rate=Pace(0, 1), concurrency=4), stop or Deadline(), lambda: NOW)
        self.held: dict[str, Item] = {item.id: item for item in items}
        self.listing: list[Item] = list(items)
        self.before_list: Callable[[], None] = lambda: None
        self.before_look: Callable[[Item], None] = lambda item: None
        self.before_delete: Callable[[Item], None] = lambda item: None
        self.after_delete: Callable[[Item], None] = lambda item: None
        self.calls: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self.http: Any = SimpleNamespace(
            skew=None, sent=0, busy=0.0, close=lambda: None, together=lambda _: nullcontext()
        )

    def list_items(self, what: str, rules: Sequence[Rule]) -> Iterator[Item]:
        for item in self.listing:
            if item.what == what:
                yield item
        self.before_list()

    def get(self, item: Item) -> Item | None:
        self.stop.check()
        with self._lock:
            self.calls.append(("look", item.id))
        self.before_look(item)
        return self.held.get(item.id)

    def delete(self, items: Sequence[Item], permit: Permit) -> list[Result]:
        assert isinstance(permit, Permit)
        return [self._delete(item) for item in items]

    def _delete(self, item: Item) -> Result:
        self.stop.check()
        with self._lock:
            self.calls.append(("delete", item.id))
        self.before_delete(item)
        there = self.held.pop(item.id, None)
        self.listing = [listed for listed in self.listing if listed.id != item.id or not there]
        self.after_delete(item)
        return Result(Outcome.DELETED if there else Outcome.GONE)

    def sent(self, id: str) -> int:
        """How many times the deletion of an item was asked for."""
        return self.calls.count(("delete", id))


class Memory:
    """A record in memory: what was intended, in order, and how each ended."""

    def __init__(self) -> None:
        self.intended: list[tuple[str, str]] = []
        self.finished: dict[int, Result] = {}
        self.trouble: LedgerError | None = None
        self._lock = threading.Lock()

    def intend(self, deletions: Sequence[tuple[Item, str]], facts: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        if self.trouble:
            raise self.trouble
        with self._lock:
            first = len(self.intended)
            self.intended += [(item.id, rule) for item, rule in deletions]
            return list(range(first, len(self.intended)))

    def finish(self, intent: int, result: Result) -> None:
        self.finished[intent] = result

    def flush(self) -> None:
        """Nothing waits."""


def thing(id: str, *, days: float = 40, what: str = "things", **more: Any) -> Item:
    """A one-time item that ended so many days before NOW."""
    end = NOW - timedelta(days=days)
    fields: dict[str, Any] = {"kind": Kind.ONE_TIME, "state": State.ENDED, "tags": (), "title": f"Title of {id}"}
    fields |= {"started_at": end - timedelta(hours=1), "ended_at": end}
    return Item(what, id, **(fields | more))


def rule(what: str = "things", **more: Any) -> Rule:
    """A rule of 30 days."""
    return Rule(**({"name": "old", "what": what, "cutoff": CUTOFF, "age": "30 days"} | more))
