"""What was found in one account and what is to go: listing, selection, guards. Only reads."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from math import ceil

import msgspec
from msgspec.structs import replace

from . import estimate
from .errors import AccessRefused, ConfcleanupError, LedgerError, ProviderError, Stopped
from .guards import BLIND, NOTHING_PAST, Limits, Listed, Past, objections
from .items import Item, Kind, Outcome
from .paging import Repeated, Unsteady
from .providers.base import OUTAGES, Part, Provider, is_outage
from .redact import harmless
from .selected import Entry, Selected
from .selection import UNDECIDED, Decision, Rule, Why, another_room, choose, digest, protection_of
from .unmet import Unmet

log = logging.getLogger(__name__)

MISREAD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What goes wrong inside a provider when a vendor's data is odder than it expected."""


SHOWN = 5
"""So many items that are recorded as deleted and listed again are named in warnings."""
STUCK_FOR = timedelta(days=1)
NOT_THERE = "the server does not have it (any more)"
HELD_BACK = 500
"""Up to so many kept items of a part are told when the part is complete, so that what is dropped is not told."""


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


class Plan(msgspec.Struct):
    """What was found in one account, what is to go, and in the end what became of it.

    ``error``: the account could not be listed, or had to be left before its end. ``refusals``: guards.
    ``recorded``: what the ledger has as deleted or gone and is listed again, by key, and when that was recorded.
    ``lists`` are how many were listed of each source; ``which`` says in words which items ``listed`` counts.
    ``unmet``: what is written to keep or to select items and fits nothing that is listed; ``notices`` say so.
    ``unlisted``: the parts of it that could not be listed, and why; nothing of them is selected.
    ``seconds``: about how long a run takes; ``runs``: in how many of max_runtime it is done.
    """

    account: str
    provider: str
    listed: int = 0
    selected: Selected = msgspec.field(default_factory=Selected)
    kept: Counter[Why] = msgspec.field(default_factory=Counter)
    overdue: list[Entry] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)
    refusals: list[str] = msgspec.field(default_factory=list)
    error: str | None = None
    unlisted: list[str] = msgspec.field(default_factory=list)
    failed: bool = False
    stuck: Stuck = msgspec.field(default_factory=lambda: Stuck())
    recorded: dict[tuple[str, ...], datetime] = msgspec.field(default_factory=dict)
    seconds: float = 0.0
    runs: int = 1
    lists: dict[str, Listed] = msgspec.field(default_factory=dict)
    which: str = "listed"
    unmet: Unmet | None = None
    notices: list[str] = msgspec.field(default_factory=list)

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
        undone = self.error or self.unlisted or self.overdue or any(map(self.count, open_ends))
        return "partial" if undone else "ok"

    @property
    def undone(self) -> bool:
        """Whether something that was asked for is not done, so that a person has to look."""
        left_open = self.count(Outcome.FAILED) or self.count(Outcome.UNKNOWN)
        return bool(self.error or self.unlisted or self.overdue or self.recorded or left_open)

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
                self.warnings.append(f"{what}: recorded as deleted on {when:%Y-%m-%d}, still there")
            elif len(self.recorded) == SHOWN:
                self.warnings.append("and others that are recorded as deleted, and still there")
            self.recorded[entry.item.key] = when
            self.stuck.add(entry)

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


def make_plan(
    name: str,
    provider: Provider,
    rules: Sequence[Rule],
    limits: Limits,
    now: datetime,
    watcher: Watcher,
    past: Past = NOTHING_PAST,
    reviewed: Review | None = None,
) -> Plan:
    """Lists an account part by part and decides about every item. Of a part that fails nothing is selected.

    Where no part could be listed, or access is refused, the account has failed.
    With a ``reviewed`` plan nothing is selected that is not in it and unchanged.
    """
    plan, parts = Plan(name, provider.name), set[str]()
    protection = protection_of(rules)
    rules = [replace(rule, protection=protection) for rule in rules]
    unmet = Unmet(rules)
    sources = {rule.what: [other for other in rules if other.what == rule.what] for rule in rules}
    try:
        complete = _Listing(plan, provider, rules, now, watcher, reviewed, unmet).sources()
        if reviewed:
            plan.selected.extend(reviewed.never_seen(rules, now, complete))
        _estimate(plan, provider, limits)
    except (ProviderError, Stopped, LedgerError) as error:
        _fail(plan, str(error))
    except MISREAD as error:
        log.debug("the listing of %s could not be read", name, exc_info=True)
        _fail(plan, f"an answer of the provider could not be read ({type(error).__name__}); please report this")
    plan.warnings += provider.warnings
    if plan.failed:
        return plan
    if not plan.unlisted:
        unmet.reach = {what: provider.reach(what, speaking) for what, speaking in sources.items()}
        plan.unmet = unmet
        plan.notices += unmet.warnings()
    for what, speaking in sources.items():
        source = provider.sources[what]
        part, count, lasting = source.asked_for(provider.settings, speaking), plan.lists[what].count, source.deletes
        # A list that lacks a part is shorter for that reason: it says nothing about what the last run left.
        lasting = lasting and not source.passing and what in complete
        plan.lists[what] = Listed(count, whole=not part, lasting=lasting)
        parts.add(part)
    plan.which = (parts.pop() if len(parts) == 1 else "") or "listed"
    if provider.http.sent and provider.http.skew is None:
        plan.warnings.append(BLIND)
    due = plan.selected.by_source(None)
    plan.lists = {what: replace(listed, selected=due[what]) for what, listed in plan.lists.items()}
    plan.refusals += objections(plan.lists, provider.http.skew, limits, past)
    return plan


class Review:
    """A reviewed plan of one account, held against what is listed now.

    ``digests`` and ``items`` are by the items' keys: what each looked like, and enough of it to name it.
    """

    def __init__(self, digests: Mapping[tuple[str, ...], str], items: Mapping[tuple[str, ...], Item]) -> None:
        self._digests = digests
        self._items = items
        self._unseen = dict(items)
        self._lately: list[tuple[str, ...]] = []

    def begin(self) -> None:
        """From here on, what is seen may have to be taken back."""
        self._lately.clear()

    def take_back(self) -> None:
        """What was seen since the last beginning was not seen."""
        self._unseen |= {key: self._items[key] for key in self._lately}

    def judge(self, entry: Entry) -> Entry:
        """The entry as it stands after the review: as it was, kept, or selected as ``changed``."""
        item, decision = entry.item, entry.decision
        planned = self._digests.get(item.key)
        if self._unseen.pop(item.key, None):
            self._lately.append(item.key)
        if planned is None:
            reason = "it is not in the reviewed plan"
            return (
                entry if not decision.delete else Entry(item, Decision(False, Why.NOT_REVIEWED, reason, decision.rule))
            )
        if not decision.delete:
            changed = replace(decision, delete=True)
            return Entry(item, changed, Outcome.CHANGED, f"no rule selects it any more: {decision.reason}")
        if planned != digest(item) or another_room(self._items[item.key], item):
            return Entry(item, decision, Outcome.CHANGED, "it is not as it was when the plan was made")
        return entry

    def never_seen(self, rules: Sequence[Rule], now: datetime, complete: Collection[str]) -> list[Entry]:
        """What the plan names and the listing does not. That it is gone would be a guess: it was not asked for.

        ``complete`` are the sources that were listed without a gap; what is missing in another may lie in the gap.
        """
        decision = Decision(True, Why.DUE, "it is in the reviewed plan", rules[0].name)
        return [
            Entry(item, decision, Outcome.CHANGED, "it is not listed any more")
            for item in self._unseen.values()
            if item.what in complete
        ]


@contextmanager
def _its_own_fault() -> Iterator[None]:
    """Whatever a provider raises becomes a ProviderError: it fails its own part, not the report of all the others."""
    try:
        yield
    except ConfcleanupError:
        raise
    except MISREAD as error:
        log.debug("an answer could not be read", exc_info=True)
        why = f"an answer of the provider could not be read ({type(error).__name__}); please report this"
        raise ProviderError(why) from error
    except Exception as error:
        log.debug("a fault while listing", exc_info=True)
        raise ProviderError(f"a fault in the program or a provider: {type(error).__name__}") from error


def judged(
    provider: Provider, item: Item, rules: Sequence[Rule], now: datetime
) -> tuple[Item, Decision, Sequence[int]]:
    """A listed item, what the rules make of it, and the places of the marks that protect it.

    If it would go but for something that is not known of it, it is looked at where that may tell more. Then the item is
    as it was seen there. Raises AccessRefused, Stopped.
    """
    protection = protection_of(rules)
    fits = protection.fitting(item)
    decision = choose(item, rules, now, fits)
    if decision.why is not Why.NOT_KNOWN or not provider.sources[item.what].details:
        return item, decision, fits
    try:
        with _its_own_fault():
            fresh = provider.look(item)
        if fresh and fresh.key != item.key:
            raise ProviderError("the answer is about something else")
    except (AccessRefused, Stopped):
        raise
    except ConfcleanupError as error:
        return item, replace(decision, reason=f"{decision.reason}; looking at it failed: {error}"), fits
    seen = fresh or replace(item, undeletable=NOT_THERE)
    fits = protection.fitting(seen)
    return seen, choose(seen, rules, now, fits), fits


class _Mark(msgspec.Struct):
    """How a plan stood before a part was listed."""

    listed: int
    kept: Counter[Why]
    overdue: int
    stuck: Stuck
    selected: int
    warnings: int


class _Listing:
    """One account being listed, part by part. What a part added to the plan is dropped if the part fails."""

    def __init__(
        self,
        plan: Plan,
        provider: Provider,
        rules: Sequence[Rule],
        now: datetime,
        watcher: Watcher,
        reviewed: Review | None,
        unmet: Unmet,
    ) -> None:
        self._plan = plan
        self._provider = provider
        self._rules = rules
        self._named = {rule.name: rule for rule in rules}
        self._unmet = unmet
        self._now = now
        self._watcher = watcher
        self._reviewed = reviewed
        self._failed: dict[str, list[str]] = {}
        self._listed = 0
        self._outages = 0

    def sources(self) -> set[str]:
        """Lists every source; those that were listed without a gap. Raises what fails the account as a whole."""
        try:
            complete = {what for what in dict.fromkeys(rule.what for rule in self._rules) if self._source(what)}
        finally:
            why = [": ".join(filter(None, [", ".join(names), error])) for error, names in self._failed.items()]
            self._plan.unlisted = why if self._listed else []
        if why and not self._listed:
            raise ProviderError("; ".join(why))
        return complete

    def _source(self, what: str) -> bool:
        """Lists the parts of a source; whether none failed. What concerns the whole account is raised."""
        gaps, before = 0, self._plan.listed
        for part in self._parts(what):
            try:
                if self._outages >= OUTAGES:
                    raise ProviderError("not asked for, because the server did not answer for the parts before")
                self._part(part)
                self._listed, self._outages = self._listed + 1, 0
            except ProviderError as error:
                if isinstance(error, AccessRefused) and not (self._listed and error.status == 403):
                    raise
                self._outages += is_outage(error)
                gaps += 1
                log.info("%s: %s could not be listed: %s", self._plan.account, part.name or what, error)
                only = not part.name and len({rule.what for rule in self._rules}) == 1
                self._failed.setdefault(str(error), []).append("" if only else part.name or what)
        self._plan.lists[what] = Listed(self._plan.listed - before)
        return not gaps

    def _parts(self, what: str) -> Iterator[Part]:
        """The parts of a source. If the provider cannot tell them, one that fails for that reason."""
        try:
            yield from self._provider.parts(what, [rule for rule in self._rules if rule.what == what])
        except Exception as error:  # noqa: BLE001  # what it means is judged where the part is listed
            yield Part("", partial(_fails, error))

    def _part(self, part: Part) -> None:
        """Lists a part; once more if its list is unsteady. Raises ProviderError and leaves nothing of it behind."""
        for first in (True, False):
            mark = self._begin()
            self._provider.strict = first
            try:
                self._take(_listed(part), mark)
                return
            except ProviderError as error:
                self._drop(mark)
                if not (first and isinstance(error, Unsteady)):
                    raise
                log.info("%s: %s; listing it once more", self._plan.account, error)
            finally:
                self._provider.strict = False

    def _begin(self) -> _Mark:
        plan = self._plan
        if self._reviewed:
            self._reviewed.begin()
        counts = (plan.listed, plan.kept.copy(), len(plan.overdue), replace(plan.stuck))
        return _Mark(*counts, plan.selected.last, len(self._provider.warnings))

    def _drop(self, mark: _Mark) -> None:
        plan = self._plan
        plan.listed, plan.kept, plan.stuck = mark.listed, mark.kept, mark.stuck
        del plan.overdue[mark.overdue :]
        del self._provider.warnings[mark.warnings :]
        plan.selected.forget(mark.selected)
        if self._reviewed:
            self._reviewed.take_back()

    def _take(self, items: Iterator[Item], mark: _Mark) -> None:
        plan, chosen = self._plan, list[Entry]()
        held: list[Entry] | None = []
        for listed in items:
            item, decision, fits = judged(self._provider, listed, self._rules, self._now)
            self._unmet.note(item, fits)
            entry = Entry(item, decision)
            if self._reviewed:
                entry = self._reviewed.judge(entry)
            if isinstance(listed.raw, Repeated):
                plan.selected.extend(chosen)
                chosen.clear()
                if (found := self._again(entry, mark)) is None:
                    continue
                entry = found
            else:
                plan.listed += 1
            if entry.decision.delete:
                chosen.append(entry)
            else:
                self._keep(entry)
                held = self._tell(entry, held)
            if plan.listed % 100 == 0:
                self._watcher.listed(plan.account, plan.listed)
                plan.selected.extend(chosen)
                chosen.clear()
        plan.selected.extend(chosen)
        for entry in held or ():
            self._watcher.kept(plan.account, entry)
        self._watcher.listed(plan.account, plan.listed)

    def _again(self, entry: Entry, mark: _Mark) -> Entry | None:
        """What another row of a listed item changes: it stays unless every row says that it goes. None: nothing."""
        if entry.decision.delete and entry.outcome is None:
            return None
        number = self._plan.selected.withdraw(entry.item)
        if number is None:
            return None
        decision = entry.decision
        if not decision.delete and number <= mark.selected:
            mark.kept[decision.why] += 1
        reason = f"it is listed more than once, and not each time as due: {decision.reason}"
        return Entry(entry.item, replace(decision, reason=reason), entry.outcome, entry.error)

    def _keep(self, entry: Entry) -> None:
        plan, decision = self._plan, entry.decision
        plan.kept[decision.why] += 1
        rule = self._named[decision.rule]
        if _stays_for_ever(entry.item, decision.why, rule, deletes=self._provider.sources[entry.item.what].deletes):
            plan.stuck.note(entry, rule.cutoff)
        if decision.overdue:
            plan.overdue.append(entry)

    def _tell(self, entry: Entry, held: list[Entry] | None) -> list[Entry] | None:
        """Tells that an item stays, or holds that back; None once there is too much to hold back."""
        if held is not None and len(held) < HELD_BACK:
            held.append(entry)
            return held
        for kept in (*(held or ()), entry):
            self._watcher.kept(self._plan.account, kept)
        return None


def _listed(part: Part) -> Iterator[Item]:
    """What a part lists."""
    with _its_own_fault():
        yield from part.items()


def _fails(error: Exception) -> Iterator[Item]:
    raise error


def _stays_for_ever(item: Item, why: Why, rule: Rule, *, deletes: bool) -> bool:
    """Whether what keeps an item will not pass by itself, so that a person has to look if the item is old enough.

    Meetings that recur and rooms stay as they should. What is still running is as old as the end, or else the
    beginning, that it was given; without either nobody can say that it runs for too long.
    """
    meant = item.kind is Kind.ROOM and not (rule.rooms and rule.tags)
    if meant or item.kind in (Kind.RECURRING, Kind.LIVE) or not deletes:
        return False
    made = item.created_at if item.kind is Kind.RECORDING else None
    dated = (item.ended_at or item.started_at or made) is not None
    return why in UNDECIDED or (why in (Why.RUNNING, Why.UNDELETABLE) and dated)


def _estimate(plan: Plan, provider: Provider, limits: Limits) -> None:
    settings, http = provider.settings, provider.http
    work = []
    for what, count in plan.selected.by_source(None).items():
        source = provider.sources[what]
        work.append((count * source.requests, 1 if source.serial else settings.concurrency))
    plan.seconds = estimate.seconds((http.sent, http.busy), work, settings.rate)
    plan.runs = ceil(plan.seconds / limits.max_runtime.total_seconds()) or 1


def _fail(plan: Plan, why: str) -> None:
    plan.failed, plan.error = True, why
    plan.selected.clear()
