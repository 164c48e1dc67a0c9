"""One account, from its listing to the outcome of each deletion.

``make_plan`` only reads. ``carry_out`` is the only place where a ``Permit`` is made, so it is the only
place from which anything can be deleted.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from .errors import AccessRefused, Ambiguous, ProviderError, Stopped, Unsendable
from .guards import Limits, objections
from .http import Permit, Stop
from .items import Item, Outcome, Result
from .providers.base import Provider
from .selection import UNDECIDED, Decision, Rule, Why, choose, difference

log = logging.getLogger(__name__)

MISREAD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What goes wrong inside a provider when a vendor's data is odder than it expected."""


@dataclass(slots=True)
class Entry:
    """An item, what was decided, and what became of it."""

    item: Item
    decision: Decision
    outcome: Outcome | None = None
    error: str | None = None


@dataclass(slots=True)
class Plan:
    """What was found in one account, what is to go, and in the end what became of it.

    ``error``: the account could not be listed, or had to be left before its end. ``refusals``: guards.
    """

    account: str
    provider: str
    listed: int = 0
    selected: list[Entry] = field(default_factory=list)
    kept: Counter[Why] = field(default_factory=Counter)
    overdue: list[Entry] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    error: str | None = None
    failed: bool = False

    def count(self, outcome: Outcome) -> int:
        """How many of the selected items ended this way."""
        return sum(entry.outcome is outcome for entry in self.selected)

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
        return "partial" if self.error or any(map(self.count, open_ends)) else "ok"

    @property
    def undone(self) -> bool:
        """Whether something that was asked for is not done, so that a person has to look."""
        return bool(self.error or self.overdue or self.count(Outcome.FAILED) or self.count(Outcome.UNKNOWN))

    def defer(self) -> None:
        """Marks everything that was not tried as left to a later run."""
        for entry in self.selected:
            entry.outcome = entry.outcome or Outcome.DEFERRED


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


def make_plan(
    name: str, provider: Provider, rules: Sequence[Rule], limits: Limits, now: datetime, watcher: Watcher
) -> Plan:
    """Lists an account completely and decides about every item. A listing that fails selects nothing."""
    plan = Plan(name, provider.name)
    try:
        for what in dict.fromkeys(rule.what for rule in rules):
            _take(plan, provider.items(what, [rule for rule in rules if rule.what == what]), rules, now, watcher)
    except (ProviderError, Stopped) as error:
        _fail(plan, str(error))
    except MISREAD as error:
        log.debug("the listing of %s could not be read", name, exc_info=True)
        _fail(plan, f"an answer of the provider could not be read ({type(error).__name__}); please report this")
    plan.warnings += provider.warnings
    if not plan.failed:
        plan.refusals += objections(plan.listed, len(plan.selected), provider.http.skew, limits)
    return plan


def _take(plan: Plan, items: Iterator[Item], rules: Sequence[Rule], now: datetime, watcher: Watcher) -> None:
    chosen = {entry.item.key for entry in plan.selected}
    for item in items:
        decision = choose(item, rules, now)
        entry = Entry(item, decision)
        plan.listed += 1
        if not decision.delete:
            plan.kept[decision.why] += 1
            if decision.overdue:
                plan.overdue.append(entry)
            watcher.kept(plan.account, entry)
        elif item.key not in chosen:
            chosen.add(item.key)
            plan.selected.append(entry)
        if plan.listed % 100 == 0:
            watcher.listed(plan.account, plan.listed)
    watcher.listed(plan.account, plan.listed)


def _fail(plan: Plan, why: str) -> None:
    plan.failed, plan.error = True, why
    plan.selected.clear()


def carry_out(
    plan: Plan,
    provider: Provider,
    rules: Sequence[Rule],
    now: datetime,
    watcher: Watcher,
    *,
    concurrency: int,
    stop: Stop,
) -> None:
    """Deletes what the plan selected, and notes the outcome of each item in the plan.

    Returns when every item has an outcome; what was not begun when the run was stopped is deferred.
    """
    watcher.planned(plan.account, len(plan.selected))
    deleter = _Deleter(plan, provider, rules, now, watcher, stop)
    workers = [threading.Thread(target=deleter.work, name=f"{plan.account}-{n}") for n in range(concurrency - 1)]
    for worker in workers[: max(0, len(plan.selected) - 1)]:
        worker.start()
    deleter.work()
    for worker in workers:
        if worker.ident:
            worker.join()
    plan.defer()
    plan.warnings[:] = dict.fromkeys(plan.warnings + provider.warnings)


class _Deleter:
    """The state that the threads of one account share while they delete."""

    def __init__(
        self, plan: Plan, provider: Provider, rules: Sequence[Rule], now: datetime, watcher: Watcher, stop: Stop
    ) -> None:
        self._plan = plan
        self._provider = provider
        self._rules = rules
        self._now = now
        self._watcher = watcher
        self._stop = stop
        self._permit = Permit()
        self._groups = _groups(plan.selected, provider)
        self._lock = threading.Lock()
        self._halted = False

    def work(self) -> None:
        """Takes groups until there are none, or until the account has to be left."""
        while (group := self._next()) is not None:
            try:
                self._stop.check()
                results = self._group(group)
            except Stopped:
                return
            for entry, result in zip(group, results, strict=True):
                entry.outcome, entry.error = result.outcome, result.error
                self._watcher.done(self._plan.account, entry)

    def _next(self) -> list[Entry] | None:
        with self._lock:
            return None if self._halted else next(self._groups, None)

    def _halt(self, why: str) -> None:
        with self._lock:
            self._halted = True
            self._plan.error = self._plan.error or why

    def _group(self, group: list[Entry]) -> list[Result]:
        """Deletes a group; whatever goes wrong becomes the result of its items. Raises Stopped if nothing was sent."""
        try:
            if len(group) == 1:
                return [self._one(group[0])]
            return self._provider.delete([entry.item for entry in group], self._permit)
        except AccessRefused as error:
            self._halt(str(error))
            why = str(error)
        except (ProviderError, Unsendable) as error:
            why = str(error)
        except MISREAD as error:
            log.debug("an answer could not be read", exc_info=True)
            return [Result(Outcome.UNKNOWN, f"the answer could not be read ({type(error).__name__})")] * len(group)
        return [Result(Outcome.FAILED, why)] * len(group)

    def _one(self, entry: Entry) -> Result:
        """Looks again where the source asks for it, deletes, and resolves an unknown outcome by looking."""
        source = self._provider.sources[entry.item.what]
        if source.recheck and (found := self._look(entry)):
            return found
        try:
            return self._provider.delete([entry.item], self._permit)[0]
        except Ambiguous as error:
            first = str(error)
        if resolved := self._resolve(entry, first):
            return resolved
        try:
            return self._provider.delete([entry.item], self._permit)[0]
        except Ambiguous as error:
            last = str(error)
        except Stopped:
            return Result(Outcome.FAILED, f"{first}; it was still there when looked at")
        return self._resolve(entry, last) or Result(Outcome.FAILED, f"{last}; it was still there when looked at")

    def _look(self, entry: Entry) -> Result | None:
        """What makes a deletion needless or wrong, seen just before it; None if it is still right."""
        fresh = self._provider.look(entry.item)
        if fresh is None:
            return Result(Outcome.GONE)
        change = difference(entry.item, fresh)
        decision = choose(fresh, self._rules, self._now)
        if change or not decision.delete:
            return Result(Outcome.CHANGED, change or decision.reason)
        return None

    def _resolve(self, entry: Entry, why: str) -> Result | None:
        """After a DELETE without a clear answer: what is there now. None means: still there, unchanged."""
        log.info("looking at %s %s again: %s", entry.item.what, entry.item.id, why)
        with self._stop.finishing():
            try:
                fresh = self._provider.look(entry.item)
            except (ProviderError, *MISREAD) as error:
                return Result(Outcome.UNKNOWN, f"{why}; looking again failed: {error}")
        if fresh is None:
            return Result(Outcome.DELETED)
        if fresh.live and fresh.live.run_time is None:
            return Result(Outcome.UNKNOWN, f"{why}; the room cannot be told from a new one of its name")
        change = difference(entry.item, fresh)
        decision = choose(fresh, self._rules, self._now)
        if change or not decision.delete:
            return Result(Outcome.CHANGED, f"{why}; then: {change or decision.reason}")
        return None


def _groups(selected: Sequence[Entry], provider: Provider) -> Iterator[list[Entry]]:
    """The selected entries in groups of one source, as large as one request may be."""
    group: list[Entry] = []
    for entry in selected:
        size = provider.sources[entry.item.what].batch
        if group and (group[0].item.what != entry.item.what or len(group) >= size):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group
