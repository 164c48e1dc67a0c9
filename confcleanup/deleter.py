"""The deleter: from a plan to the outcome of each deletion.

The only place where a ``Permit`` is made, so the only place from which anything can be deleted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from .errors import AccessRefused, Ambiguous, LedgerError, ProviderError, Stopped
from .http import Permit
from .items import Item, Outcome, Result
from .pace import Stop
from .plan import MISREAD, Plan, Watcher
from .providers.base import Provider, Restored
from .redact import harmless
from .selected import Entry
from .selection import Announcement, Rule, choose, difference

if TYPE_CHECKING:
    from .archive import Archive

log = logging.getLogger(__name__)


class Record(Protocol):
    """Where deletions are recorded. What cannot be recorded raises, and is not deleted."""

    def intend(self, deletions: Sequence[tuple[Item, str]]) -> list[int]:
        """Durably records that these items, each with its rule, are about to be deleted; a number for each."""

    def finish(self, intent: int, result: Result) -> None:
        """Records what became of an intent."""

    def flush(self) -> None:
        """Makes every outcome durable."""


def carry_out(
    plan: Plan,
    provider: Provider,
    rules: Sequence[Rule],
    now: datetime,
    watcher: Watcher,
    record: Record,
    *,
    concurrency: int,
    stop: Stop,
    archives: Mapping[str, Archive] = MappingProxyType({}),
) -> None:
    """Deletes what the plan selected, and notes the outcome of each item in the plan and in the record.

    ``archives`` are by the names of the rules that ask for them. Returns when every item has an outcome;
    what was not begun when the run was stopped is deferred.
    """
    watcher.planned(plan.account, plan.due)
    deleter = _Deleter(plan, provider, rules, now, watcher, record, archives, stop)
    workers = [threading.Thread(target=deleter.work, name=f"{plan.account}-{n}") for n in range(concurrency - 1)]
    for worker in workers[: max(0, plan.due - 1)]:
        try:
            worker.start()
        except RuntimeError as error:
            log.warning("%s: fewer deletions at once than concurrency allows: %s", plan.account, error)
            break
    deleter.work()
    for worker in workers:
        if worker.ident:
            worker.join()
    deleter.close()
    plan.error = plan.error or plan.selected.trouble
    cutoffs = {rule.name: rule.cutoff for rule in rules}
    for entry in plan.selected.ended(Outcome.CHANGED, Outcome.FAILED, Outcome.UNKNOWN):
        plan.stuck.note(entry, cutoffs[entry.decision.rule])
    plan.warnings[:] = dict.fromkeys(plan.warnings + provider.warnings)


class _Deleter:
    """The state that the threads of one account share while they delete."""

    def __init__(
        self,
        plan: Plan,
        provider: Provider,
        rules: Sequence[Rule],
        now: datetime,
        watcher: Watcher,
        record: Record,
        archives: Mapping[str, Archive],
        stop: Stop,
    ) -> None:
        self._plan = plan
        self._provider = provider
        self._rules = rules
        self._now = now
        self._watcher = watcher
        self._record = record
        self._archives = archives
        self._stop = stop
        self._permit = Permit()
        self._groups = _groups(plan.selected.due(), provider)
        self._begun: dict[int, Entry] = {}
        self._lock = threading.Lock()
        self._halted = False
        self._announcements = {rule.name: rule.live.announcement for rule in rules if rule.live}

    def work(self) -> None:
        """Takes groups until there are none, or until the account has to be left."""
        while (group := self._next()) is not None:
            try:
                self._stop.check()
                self._note(group, self._group(group))
            except Stopped:
                return
            except LedgerError as error:
                self._halt(str(error))
            except Exception as error:  # a fault of a provider's: what was sent must not pass for untried
                log.debug("a fault while deleting", exc_info=True)
                self._halt(f"a fault in the program or a provider: {type(error).__name__}")
                why = f"a fault in the program or a provider: {type(error).__name__}"
                for entry in group:
                    if entry.outcome is None:
                        sent = entry.intent is not None
                        self._plan.selected.settle(entry, Result(Outcome.UNKNOWN if sent else Outcome.FAILED, why))

    def _note(self, group: list[Entry], results: list[Result]) -> None:
        for entry, result in zip(group, results, strict=True):
            self._plan.selected.settle(entry, result)
        for entry, result in zip(group, results, strict=True):
            self._watcher.done(self._plan.account, entry)
            if entry.intent is not None:
                self._record.finish(entry.intent, result)
                self._begun.pop(entry.intent)

    def close(self) -> None:
        """Gives everything that was not tried its outcome, and makes the record durable."""
        try:
            for intent, entry in self._begun.items():
                self._record.finish(intent, Result(entry.outcome or Outcome.DEFERRED, entry.error))
            self._record.flush()
        except LedgerError as error:
            self._halt(str(error))
        self._plan.selected.defer()

    def _next(self) -> list[Entry] | None:
        try:
            with self._lock:
                return None if self._halted else next(self._groups, None)
        except LedgerError as error:
            self._halt(str(error))
            return None

    def _halt(self, why: str) -> None:
        with self._lock:
            self._halted = True
            self._plan.error = self._plan.error or why

    def _group(self, group: list[Entry]) -> list[Result]:
        """Prepares, records and deletes a group; whatever goes wrong becomes the result of its items.

        Raises Stopped if nothing was sent, LedgerError if the group could not be recorded.
        """
        prepared = [self._caught(self._prepare, entry) for entry in group]
        ready = [entry for entry, found in zip(group, prepared, strict=True) if found is None]
        if not ready:
            return [found for found in prepared if found]
        numbers = self._record.intend([(entry.item, entry.decision.rule) for entry in ready])
        for entry, number in zip(ready, numbers, strict=True):
            entry.intent = number
            self._begun[number] = entry
        sent = iter(self._send(ready))
        return [found or next(sent) for found in prepared]

    def _caught(self, step: Callable[[Entry], Result | None], entry: Entry) -> Result | None:
        """A step with one item; what it raises becomes the item's result."""
        try:
            return step(entry)
        except AccessRefused as error:
            self._halt(str(error))
            return Result(Outcome.FAILED, str(error))
        except Ambiguous as error:
            return Result(Outcome.UNKNOWN, str(error))
        except ProviderError as error:
            return Result(Outcome.FAILED, str(error))
        except MISREAD as error:
            log.debug("an answer could not be read", exc_info=True)
            known = Outcome.FAILED if entry.intent is None else Outcome.UNKNOWN
            return Result(known, f"an answer could not be read ({type(error).__name__})")

    def _prepare(self, entry: Entry) -> Result | None:
        """Looks again where the source asks for it, and archives. None means: ready to be deleted."""
        item = entry.item
        source = self._provider.sources[item.what]
        if source.recheck:
            found = self._look_again(entry)
            said = self._announcements.get(entry.decision.rule)
            if said and item.live and isinstance(found, Item):
                found = self._announce(entry, found, said)
            if isinstance(found, Result):
                return found
            item = found
        if archive := self._archives.get(entry.decision.rule):
            archive.keep(self._plan.account, item, self._provider.fetch(item) if source.media else ())
        return None

    def _look_again(self, entry: Entry) -> Item | Result:
        """The item as it is now, or what came of it if it must not be deleted any more."""
        fresh = self._provider.look(entry.item)
        if fresh is None:
            return Result(Outcome.GONE)
        why = self._no_longer(entry, fresh)
        return Result(Outcome.CHANGED, why) if why else fresh

    def _announce(self, entry: Entry, item: Item, said: Announcement) -> Item | Result:
        """Has the end of a live room announced, waits, and looks again, as another room may have its name by then.

        What was not announced is not ended, unless the rule says so.
        """
        self._stop.check(said.wait.total_seconds())
        try:
            self._provider.announce(item, said, self._permit)
        except AccessRefused:
            raise
        except ProviderError as error:
            found = self._look_again(entry)
            if isinstance(found, Item) and not said.optional:
                return Result(Outcome.FAILED, f"its end could not be announced, so it was not ended: {error}")
            if isinstance(found, Item):
                name = harmless(item.id)
                self._plan.warnings.append(
                    f'the end of "{name}" could not be announced; ending it all the same: {error}'
                )
            return found
        self._stop.wait(said.wait.total_seconds())
        return self._look_again(entry)

    def _no_longer(self, entry: Entry, fresh: Item) -> str | None:
        """Why an item must not be deleted any more, now that it was looked at again; None if it still must."""
        decision = choose(fresh, self._rules, self._now)
        return difference(entry.item, fresh) or (None if decision.delete else decision.reason)

    def _send(self, ready: list[Entry]) -> list[Result]:
        """Asks for the deletion of recorded entries; a result for each."""
        if self._provider.sources[ready[0].item.what].batch == 1:
            found = [self._caught(self._delete, entry) for entry in ready]
        else:
            batch: list[Result] = []
            failed = self._caught(lambda _: batch.extend(self._provider.delete(_items(ready), self._permit)), ready[0])
            found = list(batch) if failed is None else [failed] * len(ready)
        return [result or Result(Outcome.UNKNOWN, "the provider gave no result") for result in found]

    def _delete(self, entry: Entry) -> Result:
        """Deletes one item. An unanswered DELETE is resolved by looking, then repeated at most once."""
        try:
            return self._provider.delete([entry.item], self._permit)[0]
        except Ambiguous as error:
            why = str(error)
        if resolved := self._resolve(entry, why):
            return resolved
        try:
            again = self._provider.delete([entry.item], self._permit)[0]
            return Result(Outcome.DELETED) if again.outcome is Outcome.GONE else again
        except Ambiguous as error:
            why = str(error)
        except Stopped:
            return Result(Outcome.FAILED, f"{why}; it was still there when looked at")
        return self._resolve(entry, why) or Result(Outcome.FAILED, f"{why}; it was still there when looked at")

    def _resolve(self, entry: Entry, why: str) -> Result | None:
        """After a DELETE without a clear answer: what is there now. None means: still there, unchanged."""
        log.info("looking at %s %s again: %s", entry.item.what, entry.item.id, why)
        with self._stop.finishing():
            try:
                fresh = self._provider.look(entry.item)
            except (ProviderError, Stopped, *MISREAD) as error:
                return Result(Outcome.UNKNOWN, f"{why}; looking again failed: {error}")
        if fresh is None:
            return Result(Outcome.DELETED)
        if fresh.live and fresh.live.run_time is None:
            return Result(Outcome.UNKNOWN, f"{why}; the room cannot be told from a new one of its name")
        if reason := self._no_longer(entry, fresh):
            return Result(Outcome.CHANGED, f"{why}; then: {reason}")
        return None


def _items(entries: Sequence[Entry]) -> list[Item]:
    return [entry.item for entry in entries]


def _groups(selected: Iterable[Entry], provider: Provider) -> Iterator[list[Entry]]:
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


def restore(provider: Provider, saved: Mapping[str, Any]) -> Restored:
    """Creates an archived item anew. Raises ProviderError."""
    return provider.restore(saved, Permit())


def settle(provider: Provider, left_open: Sequence[tuple[int, Item]], record: Record, stop: Stop) -> list[str]:
    """Finds out what became of deletions that an earlier run began and did not finish. Only looks.

    What cannot be found out now stays open for the next run; returns that, in words. Raises LedgerError.
    """
    trouble = []
    for intent, item in left_open:
        try:
            stop.check()
            fresh = provider.look(item)
        except Exception as error:  # a fault of a provider's too: it must not cost the others their report
            log.debug("an open deletion could not be looked at", exc_info=True)
            trouble.append(
                f"what became of {item.what} {harmless(item.id)}, begun by an earlier run, is not known: {error}"
            )
            continue
        record.finish(intent, _settled(item, fresh))
    record.flush()
    return trouble


def _settled(item: Item, fresh: Item | None) -> Result:
    if fresh is None or (fresh.live and fresh.live.run_time is not None and difference(item, fresh)):
        return Result(Outcome.DELETED, "found gone by the next run; the one that asked for it was cut off")
    if fresh.live and fresh.live.run_time is None:
        return Result(Outcome.UNKNOWN, "the run was cut off, and the room cannot be told from a new one of its name")
    return Result(Outcome.FAILED, "the run was cut off; it was still there when the next run looked")
