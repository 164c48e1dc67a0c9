"""The deleter: from a plan to the outcome of each deletion.

The only place where a ``Permit`` is made, so the only place from which anything can be deleted. An outcome is what
the vendor's answer proves; ``follow_up`` finds out whatever that leaves open."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from .deadline import Deadline, Look
from .errors import DATA_ERRORS, AccessDenied, LedgerError, ProviderError, Stale, Stopped, fault
from .filter import Announcement, Rule
from .follow_up import FollowUp, no_longer
from .http.client import Permit
from .items import Item, Outcome, Result
from .outcomes import Answer, Claim, Record, claim_of, still, words
from .plan import Plan, Watcher
from .plan_review import NO_RULE, NOT_LISTED
from .providers.base import Provider, Restored, Source
from .redact import harmless
from .worklist import Entry

if TYPE_CHECKING:
    from .records.archive import Archive

log = logging.getLogger(__name__)
LOOKS = 4
"""So many times an item is looked at again because its request could not leave while the last look was fresh."""
ALL_ABSENT = 10
"""If so many first deletions are all answered with 404, something else is wrong than the items."""


class Deletion(msgspec.Struct, frozen=True):
    """What is to be deleted, and all that it takes.

    ``record`` is where each deletion is recorded before it is asked for. ``archives`` are by the names of the rules
    that ask for them.
    """

    plan: Plan
    provider: Provider
    rules: Sequence[Rule]
    now: datetime
    record: Record
    deadline: Deadline
    watcher: Watcher = msgspec.field(default_factory=Watcher)
    concurrency: int = 1
    archives: Mapping[str, Archive] = MappingProxyType({})


def carry_out(deletion: Deletion) -> None:
    """Deletes what the plan selected, and notes the outcome of each item in the plan and in the record.

    Returns when every item has an outcome; what was not begun when the run was stopped is deferred.
    """
    plan = deletion.plan
    deletion.watcher.planned(plan.account, plan.due)
    deleter = _Deleter(deletion)
    others = range(deletion.concurrency - 1)
    workers = [threading.Thread(target=deleter.work, name=f"{plan.account}-{n}") for n in others]
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
    plan.error = plan.error or plan.selected.error
    cutoffs = {rule.name: rule.cutoff for rule in deletion.rules}
    for entry in plan.selected.ended(Outcome.CHANGED, Outcome.FAILED, Outcome.UNKNOWN):
        # What made the run leave the account, or keep an item after all, is no fault of the item.
        theirs = entry.ended_account(plan.error) or (entry.error or "").startswith((NOT_LISTED, NO_RULE))
        if entry.item.key not in plan.recorded and not theirs:
            plan.stuck.note(entry, cutoffs[entry.decision.rule])
    plan.warnings[:] = dict.fromkeys(plan.warnings + deletion.provider.warnings)


class _Deleter:
    """The state that the threads of one account share while they delete."""

    def __init__(self, deletion: Deletion) -> None:
        self._plan = deletion.plan
        self._provider = deletion.provider
        self._rules = deletion.rules
        self._now = deletion.now
        self._watcher = deletion.watcher
        self._record = deletion.record
        self._archives = deletion.archives
        self._stop = deletion.deadline
        self._groups = _groups(self._plan.selected.due(), self._provider)
        self._begun: dict[int, Entry] = {}
        self._lock = threading.Lock()
        self._one_by_one = threading.Lock()
        self._halted = False
        self._answered = self._absent = 0
        self._follow_up = FollowUp(self._plan, self._provider, self._rules, self._now, self._stop)
        self._announcements = {rule.name: rule.live.announcement for rule in self._rules if rule.live}

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
                why = fault(error)
                self._halt(why)
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

    # Before the request -----------------------------------------------------------------------

    def _group(self, group: list[Entry]) -> list[Result]:
        """Prepares, records and deletes a group; whatever goes wrong becomes the result of its items.

        Raises Stopped if nothing was sent, LedgerError if the group could not be recorded.
        """
        source = self._provider.sources[group[0].item.what]
        prepared = [self._caught(self._prepare, entry) for entry in group]
        ready = [entry for entry, found in zip(group, prepared, strict=True) if not isinstance(found, Result)]
        with self._one_by_one if source.serial else nullcontext():
            ended = iter(self._delete(ready, source) if ready else ())
        return [found if isinstance(found, Result) else next(ended) for found in prepared]

    def _caught(self, step: Callable[[Entry], Item | Result | None], entry: Entry) -> Item | Result | None:
        """A step before an item's request; what it raises becomes the item's result."""
        try:
            return step(entry)
        except (ProviderError, *DATA_ERRORS) as error:
            return self._not_sent(error)

    def _not_sent(self, error: Exception) -> Result:
        """The result of an item for which this was raised before its request; a refused right ends the account."""
        if isinstance(error, AccessDenied):
            self._halt(str(error))
        log.debug("raised before the request", exc_info=error)
        return Result(Outcome.FAILED, words(error))

    def _prepare(self, entry: Entry) -> Item | Result | None:
        """Archives, and has the end of a live room announced. A result if that ends the matter."""
        source, item = self._provider.sources[entry.item.what], entry.item
        if archive := self._archives.get(entry.decision.rule):
            found = self._look_again(entry) if source.recheck else item
            if isinstance(found, Result):
                return found
            archive.keep(self._plan.account, found, self._provider.media(found) if source.media else ())
        said = self._announcements.get(entry.decision.rule)
        return self._announce(entry, said) if said and item.live else None

    def _look_again(self, entry: Entry) -> Item | Result:
        """The item as it is now, or what came of it if it must not be deleted any more."""
        return self._held_against(entry, self._provider.get(entry.item))

    def _held_against(self, entry: Entry, fresh: Item | None) -> Item | Result:
        if fresh is None:
            return Result(Outcome.GONE)
        entry.live = fresh.live
        why = no_longer(entry, fresh, self._rules, self._now)
        return Result(Outcome.CHANGED, why) if why else fresh

    def _announce(self, entry: Entry, said: Announcement) -> Result | None:
        """Has the end of a live room announced, and waits. It is looked at again after that.

        What was not announced is not ended, unless the rule says so.
        """
        self._stop.check(said.wait.total_seconds())
        for _ in range(LOOKS):
            with self._provider.http.together(2):
                look = Look()
                found = self._look_again(entry)
                if isinstance(found, Result):
                    return found
                try:
                    self._provider.announce(found, said, Permit(look))
                except Stale as error:
                    stale = str(error)
                    continue
                except AccessDenied:
                    raise
                except ProviderError as error:
                    return self._unannounced(entry, said, error)
            self._stop.wait(said.wait.total_seconds())
            entry.announced = True
            return None
        return Result(Outcome.FAILED, f"its end could not be announced, so it was not ended: {stale}")

    def _unannounced(self, entry: Entry, said: Announcement, error: ProviderError) -> Result | None:
        found = self._look_again(entry)
        if isinstance(found, Result):
            return found
        if not said.optional:
            return Result(Outcome.FAILED, f"its end could not be announced, so it was not ended: {error}")
        entry.announced = False
        name = harmless(entry.item.id)
        self._plan.warnings.append(f'the end of "{name}" could not be announced; ending it all the same: {error}')
        return None

    # The request ------------------------------------------------------------------------------

    def _delete(self, entries: list[Entry], source: Source) -> list[Result]:
        """Asks for the deletion of entries of one source, and finds out what came of it; a result for each."""
        answers = self._ask(entries, look=source.recheck)
        results = self._judge(entries, answers, source, again=False)
        repeat = [entry for entry in entries if results[entry.number] is None]
        if repeat:
            results |= self._repeat(repeat, source, answers)
        return [results[entry.number] or Result(Outcome.UNKNOWN) for entry in entries]

    def _repeat(
        self, entries: list[Entry], source: Source, before: Mapping[int | None, Answer]
    ) -> dict[int | None, Result | None]:
        """Asks once more for what was not clearly answered and is still there; each is looked at first."""
        try:
            answers = self._ask(entries, look=True)
        except Stopped:
            return {entry.number: Result(Outcome.FAILED, still(before[entry.number])) for entry in entries}
        # what is found gone now was there when it was asked for the first time
        ours = {
            number: Result(Outcome.DELETED) if isinstance(found, Result) and found.outcome is Outcome.GONE else found
            for number, found in answers.items()
        }
        return self._judge(entries, ours, source, again=True)

    def _ask(self, entries: Sequence[Entry], *, look: bool) -> dict[int | None, Answer]:
        """Sends one request for these entries, each looked at just before if ``look``; what came back, by number.

        A result stands for an entry that needs no request any more. A look that grew too old is repeated.
        """
        found: dict[int | None, Answer] = {}
        stale = ""
        for _ in range(LOOKS):
            waiting = [entry for entry in entries if entry.number not in found]
            with self._provider.http.together(len(waiting) + 1) if look else nullcontext():
                permit = Permit(Look() if look else None)
                found |= self._no_request_for(waiting) if look else {}
                waiting = [entry for entry in waiting if entry.number not in found]
                if not waiting:
                    return found
                self._intend(waiting)
                try:
                    results = self._provider.delete([entry.item for entry in waiting], permit)
                except Stale as error:
                    stale = str(error)
                    continue
                except (ProviderError, *DATA_ERRORS) as error:
                    return found | {entry.number: error for entry in waiting}
                missing = [Result(Outcome.UNKNOWN, "the provider gave no result")] * len(waiting)
                return found | {e.number: r for e, r in zip(waiting, [*results, *missing], strict=False)}
        return {entry.number: found.get(entry.number, Result(Outcome.FAILED, stale)) for entry in entries}

    def _no_request_for(self, entries: Sequence[Entry]) -> dict[int | None, Answer]:
        """Looks at entries; what came of those that must not be deleted any more, by number."""
        looked: dict[int | None, Item | Result | None]
        if self._provider.sources[entries[0].item.what].serial:
            try:
                there = self._provider.get_many([entry.item for entry in entries])
            except (ProviderError, *DATA_ERRORS) as error:
                return {entry.number: self._not_sent(error) for entry in entries}
            looked = {entry.number: self._held_against(entry, there.get(entry.item.key)) for entry in entries}
        else:
            looked = {entry.number: self._caught(self._look_again, entry) for entry in entries}
        return {number: found for number, found in looked.items() if isinstance(found, Result)}

    def _intend(self, entries: Sequence[Entry]) -> None:
        """Records what is about to be deleted, once. Raises LedgerError."""
        new = [entry for entry in entries if entry.intent is None]
        if not new:
            return
        going = [(entry.item, entry.decision.rule) for entry in new]
        numbers = self._record.intend(going, [entry.facts for entry in new])
        for entry, number in zip(new, numbers, strict=True):
            entry.intent = number
            self._begun[number] = entry

    # After the request ------------------------------------------------------------------------

    def _judge(
        self,
        entries: Sequence[Entry],
        answers: Mapping[int | None, Answer],
        source: Source,
        *,
        again: bool,
    ) -> dict[int | None, Result | None]:
        """What came of the deletion of entries: as proven by the answer, else by looking. None: to be repeated.

        ``again``: it was asked for before without a clear answer, so that nothing is told by a refusal.
        """
        results: dict[int | None, Result | None] = {}
        open_ends: list[tuple[Entry, Claim]] = []
        for entry in entries:
            answer = answers[entry.number]
            claim = self._counted(claim_of(answer), answer)
            settled = self._settled(entry, claim, answer, source, again=again)
            if settled:
                results[entry.number] = settled
            else:
                open_ends.append((entry, Claim.UNCLEAR if again and claim is Claim.REFUSED else claim))
        if open_ends:
            results |= self._follow_up.check(open_ends, answers, again=again, repeat=not (again or source.serial))
        return results

    def _counted(self, claim: Claim, answer: Answer) -> Claim:
        """Counts answers, and leaves an account whose first deletions are all answered with 404."""
        if isinstance(answer, Result) and answer.outcome in (Outcome.CHANGED, Outcome.FAILED, Outcome.GONE):
            return claim
        with self._lock:
            self._answered += 1
            self._absent += claim is Claim.ABSENT
            hopeless = self._answered == self._absent == ALL_ABSENT
        if hopeless:
            self._halt(
                f"the first {ALL_ABSENT} deletions were all answered with 404; check the account's url and rights"
            )
        return claim

    def _settled(self, entry: Entry, claim: Claim, answer: Answer, source: Source, *, again: bool) -> Result | None:
        """The result where the answer alone tells it, else None."""
        if isinstance(answer, AccessDenied):
            self._halt(str(answer))
        if entry.intent is None and isinstance(answer, Result):
            return answer
        doubted = source.confirmed or entry.item.key in self._plan.recorded
        if claim is Claim.DONE and not doubted:
            return Result(Outcome.DELETED)
        if claim is Claim.REFUSED and not again and not source.serial:
            return answer if isinstance(answer, Result) else Result(Outcome.FAILED, words(answer))
        return None


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
