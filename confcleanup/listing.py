"""List an account part by part, apply the filter to every item, check the guards: what comes out is a Plan."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from math import ceil

import msgspec
from msgspec.structs import replace

from . import estimate
from .errors import DATA_ERRORS, AccessDenied, ConfcleanupError, LedgerError, ProviderError, Stopped
from .filter import UNDECIDED, Decision, Reason, Rule, choose, protection_of
from .guards import BLIND, NO_RUNS, Limits, Listed, PreviousRuns, check_guards, shrunken
from .http.paging import Repeated, Unsteady
from .items import Item, Kind, Outcome, Result
from .newest import keepers_of, listed_for, newest, places
from .notice import NO_NOTICES, Notices, hold_back
from .plan import Plan, Stuck, Watcher
from .plan_review import NO_RULE, PlanReview
from .providers.base import OUTAGES, Part, Provider, is_outage, its_own_fault
from .unmet import Unmet
from .worklist import Entry, Place

log = logging.getLogger(__name__)
NOT_THERE = "the server does not have it (any more)"
HELD_BACK = 500
"""Up to so many kept items of a part are told when the part is complete, so that what is dropped is not told."""


class Listing(msgspec.Struct, frozen=True):
    """What is to be listed and judged: an account, its rules with their cutoffs, and what they are compared with.

    ``previous`` is what earlier runs found. With a ``review`` nothing is selected that is not in the saved plan.
    """

    account: str
    provider: Provider
    rules: Sequence[Rule]
    now: datetime
    limits: Limits = Limits()
    watcher: Watcher = msgspec.field(default_factory=Watcher)
    previous: PreviousRuns = NO_RUNS
    review: PlanReview | None = None
    notices: Notices = NO_NOTICES


def make_plan(listing: Listing) -> Plan:
    """Lists an account part by part and decides about every item. Of a part that fails nothing is selected.

    Where no part could be listed, or access is refused, the account has failed.
    """
    provider = listing.provider
    plan, parts = Plan(listing.account, provider.name), set[str]()
    protection = protection_of(listing.rules)
    keepers = tuple(keepers_of(listing.rules))
    rules = [replace(rule, protection=protection, keepers=keepers) for rule in listing.rules]
    unmet = Unmet(rules)
    sources = {rule.what: listed_for(rules, rule.what) for rule in rules}
    try:
        complete = _Lister(plan, replace(listing, rules=rules), unmet).sources()
        if listing.review:
            plan.selected.extend(listing.review.never_seen(rules, complete))
        hold_back(plan, rules, listing.now, listing.notices)
        due = plan.selected.by_source(None)
    except (ProviderError, Stopped, LedgerError) as error:
        _fail(plan, str(error))
        plan.cause = getattr(error, "since", None) or ""
    except DATA_ERRORS as error:
        log.debug("the listing of %s could not be read", listing.account, exc_info=True)
        _fail(plan, f"an answer of the provider could not be read ({type(error).__name__}); please report this")
    plan.warnings += provider.warnings
    if plan.failed:
        return plan
    if not plan.unlisted:
        unmet.reach = {what: provider.reach(what, speaking) for what, speaking in sources.items()}
        unmet.counts = {what: listed.count for what, listed in plan.lists.items()}
        plan.unmet = unmet
        # A tag may be meant for items to come; an id is of one that should be there.
        plan.attention |= dict.fromkeys(unmet.marks("keep_ids"), True) | dict.fromkeys(unmet.marks("keep_tags"), False)
        plan.notices += [*plan.attention, *unmet.filters()]
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
    _estimate(plan, provider, listing.limits, due)
    plan.lists = {what: replace(listed, selected=due[what]) for what, listed in plan.lists.items()}
    plan.refusals += check_guards(plan.lists, provider.http.skew, listing.limits, listing.previous, listing.now)
    if listing.notices.clock_is_plausible(listing.now, provider.http.skew, listing.limits):
        plan.reliable = frozenset(complete.difference(shrunken(plan.lists, listing.previous)))
    if plan.news and plan.reliable != sources.keys():  # what is listed in doubt is not announced
        plan.news = sum(entry.decision.news and entry.item.what in plan.reliable for entry in plan.waiting)
    return plan


def judged(
    provider: Provider, item: Item, rules: Sequence[Rule], now: datetime
) -> tuple[Item, Decision, Sequence[int]]:
    """A listed item, what the rules make of it, and the places of the marks that protect it.

    If it would go but for something that is not known of it, it is looked at where that may tell more. Then the item is
    as it was seen there. Raises AccessDenied, Stopped.
    """
    protection = protection_of(rules)
    fits = protection.fitting(item)
    decision = choose(item, rules, now, fits)
    if decision.why is not Reason.NOT_KNOWN or not provider.sources[item.what].details:
        return item, decision, fits
    try:
        with its_own_fault():
            fresh = provider.get(item)
        if fresh and fresh.key != item.key:
            raise ProviderError("the answer is about something else")
    except (AccessDenied, Stopped):
        raise
    except ConfcleanupError as error:
        return item, replace(decision, reason=f"{decision.reason}; looking at it failed: {error}"), fits
    seen = fresh or replace(item, undeletable=NOT_THERE)
    fits = protection.fitting(seen)
    return seen, choose(seen, rules, now, fits), fits


class _Mark(msgspec.Struct):
    """How a plan stood before a part was listed."""

    listed: int
    kept: Counter[Reason]
    overdue: int
    stuck: Stuck
    selected: tuple[int, int]
    warnings: int


class _Lister:
    """Lists one account, part by part. What a part added to the plan is dropped if the part fails."""

    def __init__(self, plan: Plan, listing: Listing, unmet: Unmet) -> None:
        self._plan = plan
        self._provider = listing.provider
        self._rules = listing.rules
        self._named = {rule.name: rule for rule in listing.rules}
        self._keepers = keepers_of(listing.rules)
        self._unmet = unmet
        self._now = listing.now
        self._watcher = listing.watcher
        self._review = listing.review
        self._failed: dict[str, list[str]] = {}
        self._listed = 0
        self._outages = 0
        self._told = 0

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
                if isinstance(error, AccessDenied) and not (self._listed and error.status == 403):
                    raise
                self._outages += is_outage(error)
                gaps += 1
                log.info("%s: %s could not be listed: %s", self._plan.account, part.name or what, error)
                only = not part.name and len({rule.what for rule in self._rules}) == 1
                self._failed.setdefault(str(error), []).append("" if only else part.name or what)
        self._keep_newest(what)
        self._plan.lists[what] = Listed(self._plan.listed - before)
        return not gaps

    def _parts(self, what: str) -> Iterator[Part]:
        """The parts of a source. If the provider cannot tell them, one that fails for that reason."""
        try:
            with its_own_fault():
                yield from self._provider.parts(what, listed_for(self._rules, what))
        except ConfcleanupError as error:
            yield Part("", partial(_fails, error))

    def _part(self, part: Part) -> None:
        """Lists a part; once more if its list is unsteady. Raises ProviderError and leaves nothing of it behind."""
        self._told = 0
        for first in (True, False):
            mark, repeated = self._begin(), self._told
            self._provider.strict = first
            try:
                self._take(_listed(part), mark, repeated)
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
        if self._review:
            self._review.begin()
        counts = (plan.listed, plan.kept.copy(), len(plan.overdue), replace(plan.stuck))
        return _Mark(*counts, plan.selected.last, len(self._provider.warnings))

    def _drop(self, mark: _Mark) -> None:
        plan = self._plan
        plan.listed, plan.kept, plan.stuck = mark.listed, mark.kept, mark.stuck
        del plan.overdue[mark.overdue :]
        del self._provider.warnings[mark.warnings :]
        plan.selected.forget(mark.selected)
        if self._review:
            self._review.take_back()

    def _take(self, items: Iterator[Item], mark: _Mark, repeated: int) -> None:
        """Judges what a part lists. ``repeated``: so many of its kept items were told when it was listed before."""
        plan, chosen, standing = self._plan, list[Entry](), list[Place]()
        held: list[Entry] | None = []
        for listed in items:
            item, decision, fits = judged(self._provider, listed, self._rules, self._now)
            self._unmet.note(item, fits)
            if self._keepers:
                standing += places(item, self._keepers, self._now)
            entry = Entry(item, decision)
            if self._review:
                entry = self._review.judge(entry)
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
                if repeated:
                    repeated -= 1
                else:
                    held = self._tell(entry, held)
            if plan.listed % 100 == 0:
                self._watcher.listed(plan.account, plan.listed)
                plan.selected.extend(chosen)
                plan.selected.stand(standing)
                chosen.clear()
                standing.clear()
        plan.selected.extend(chosen)
        plan.selected.stand(standing)
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
        if not decision.delete and number <= mark.selected[0]:
            mark.kept[decision.why] += 1
        reason = f"it is listed more than once, and not each time as due: {decision.reason}"
        return Entry(entry.item, replace(decision, reason=reason), entry.outcome, entry.error)

    def _keep_newest(self, what: str) -> None:
        """Takes back what is among the newest that ``keep_last`` keeps, now that a source is listed."""
        for entry, decision in newest(self._plan.selected, self._keepers, what):
            if self._review:
                self._plan.selected.settle(entry, Result(Outcome.CHANGED, f"{NO_RULE}: {decision.reason}"))
            else:
                self._plan.selected.withdraw(entry.item)
                self._keep(Entry(entry.item, decision))
                self._watcher.kept(self._plan.account, Entry(entry.item, decision))

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
            self._told += 1
        return None


def _listed(part: Part) -> Iterator[Item]:
    """What a part lists."""
    with its_own_fault():
        yield from part.items()


def _fails(error: Exception) -> Iterator[Item]:
    raise error


def _stays_for_ever(item: Item, why: Reason, rule: Rule, *, deletes: bool) -> bool:
    """Whether what keeps an item will not pass by itself, so that a person has to look if the item is old enough.

    Meetings that recur and rooms stay as they should. What is still running is as old as the end, or else the
    beginning, that it was given; without either nobody can say that it runs for too long.
    """
    meant = item.kind is Kind.ROOM and not (rule.rooms and rule.tags)
    if meant or item.kind in (Kind.RECURRING, Kind.LIVE) or not deletes or item.undeletable == NOT_THERE:
        return False
    made = item.created_at if item.kind is Kind.RECORDING else None
    dated = (item.ended_at or item.started_at or made) is not None
    return why in UNDECIDED or (why in (Reason.RUNNING, Reason.UNDELETABLE) and dated)


def _estimate(plan: Plan, provider: Provider, limits: Limits, due: Mapping[str, int]) -> None:
    settings, http = provider.settings, provider.http
    work = []
    for what, count in due.items():
        source = provider.sources[what]
        work.append((count * source.requests, 1 if source.serial else settings.concurrency))
    plan.seconds = estimate.seconds((http.sent, http.busy), work, settings.rate)
    plan.runs = ceil(plan.seconds / limits.max_runtime.total_seconds()) or 1


def _fail(plan: Plan, why: str) -> None:
    plan.failed, plan.error = True, why
    plan.forget()
