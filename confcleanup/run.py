"""The program in one paragraph: plan every account, ask, delete; accounts go side by side."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import msgspec

from . import __version__
from .baseline import Baseline
from .config.load import Account, Config
from .config.rules import rules as rules_of
from .cutoff import Period
from .deadline import Deadline
from .deleter import Deletion, carry_out
from .errors import ConfcleanupError, ExitCode, LedgerError, fault
from .filter import Rule
from .guards import NO_RUNS, lasting_backlog
from .items import Outcome
from .listing import Listing, make_plan
from .outcomes import settle
from .plan import Plan, Watcher
from .plan_file import SavedPlan
from .plan_review import PlanReview
from .providers.base import Provider
from .records.journal import Journal
from .records.ledger import Ledger
from .records.marks import MarkBook, notices_of
from .records.refused import RefusedSignIns
from .settings.tables import NotifySettings
from .system import HANGUPS, TERMINATIONS
from .unmet import unmet_holds
from .worklist import AT_ONCE

log = logging.getLogger(__name__)
SIDE_BY_SIDE = 32
AWAKE = 0.2
"""Seconds between two looks of the main thread, which alone handles signals."""
S = TypeVar("S")
T = TypeVar("T")
NO_ANSWER = "not confirmed: answer y at the prompt, or use --yes where there is no terminal"


def status_of(number: int) -> ExitCode:
    """The exit status after a signal."""
    if number in HANGUPS:
        return ExitCode.HUNG_UP
    return ExitCode.TERMINATED if number in TERMINATIONS else ExitCode.INTERRUPTED


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is asked to do, worked out once by ``resolve``. Nothing below reads the config or the clock for it.

    ``now`` is the instant from which all ages are counted (aware UTC). ``rules`` are those to apply, by account.
    ``before`` is the instant that replaces their ages, if one was given. ``everything``: no account and no rule of the
    config is left out. ``notify`` says whether there is somebody to announce items to.
    """

    now: datetime
    accounts: Sequence[Account]
    rules: Mapping[str, Sequence[Rule]]
    everything: bool
    before: datetime | None = None
    delete: bool = False
    accept_fewer: bool = False
    reviewed: SavedPlan | None = None
    id: str = ""
    notify: NotifySettings = NotifySettings()


def resolve(
    config: Config,
    accounts: Sequence[Account],
    now: datetime,
    *,
    rules: Sequence[str] = (),
    older_than: Period | None = None,
    before: datetime | None = None,
    delete: bool = False,
    accept_fewer: bool = False,
    reviewed: SavedPlan | None = None,
    ident: str = "",
) -> RunOptions:
    """Makes options of what was typed: cutoffs, holds and filters of these accounts become one set of rules each.

    ``rules`` are names; empty means all. Raises ConfigError if the holds file cannot be read, ValueError if an age
    reaches too far back.
    """
    found = rules_of(config, accounts, now, older_than, before)
    # What a rule that is not chosen keeps by id or tag stays all the same: every rule carries what protects items.
    chosen = {name: [rule for rule in mine if not rules or rule.name in rules] for name, mine in found.items()}
    everything = not rules and chosen.keys() == config.accounts.keys()
    return RunOptions(
        now=now,
        accounts=accounts,
        rules=chosen,
        everything=everything,
        before=before,
        delete=delete,
        accept_fewer=accept_fewer,
        reviewed=reviewed,
        id=ident,
        notify=config.notify,
    )


class Run(msgspec.Struct):
    """One run and what came of it. ``now`` is the instant all ages are counted from (aware UTC)."""

    id: str
    mode: str
    now: datetime
    plans: list[Plan] = msgspec.field(default_factory=list)
    signal: int | None = None

    @property
    def exit_code(self) -> ExitCode:
        """The contract's exit status."""
        if self.signal is not None:
            return status_of(self.signal)
        if any(plan.undone and not plan.busy for plan in self.plans):
            return ExitCode.NOT_DONE
        if any(plan.refusals for plan in self.plans):
            return ExitCode.REFUSED
        return ExitCode.LOCKED if any(plan.busy for plan in self.plans) else ExitCode.DONE

    def total(self, outcome: Outcome) -> int:
        """How many items of all accounts ended this way."""
        return sum(plan.count(outcome) for plan in self.plans)

    @property
    def due(self) -> int:
        """How many items are about to be deleted: selected, without an outcome, in an account that no guard refused."""
        return sum(plan.due for plan in self.plans if not plan.refusals)

    @property
    def selected(self) -> int:
        return sum(len(plan.selected) for plan in self.plans)


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """What a run needs of the world around it.

    ``confirm`` is asked once, with all plans, before the first deletion; None means yes. ``clock`` is for what happens
    during the run: the records of deletions, and the servers' clocks. ``refused`` are the sign-ins not to send again.
    ``held`` are the sources of each account that no other run can clean now; only in these what an earlier run left
    open is looked into. Without it they are those of the rules.
    """

    clock: Callable[[], datetime]
    ledger: Ledger | None
    confirm: Callable[[Run], bool] | None = None
    watcher: Watcher = msgspec.field(default_factory=Watcher)
    interrupted: threading.Event = msgspec.field(default_factory=threading.Event)
    refused: RefusedSignIns | None = None
    held: Mapping[str, Collection[str]] = msgspec.field(default_factory=dict)


def run(options: RunOptions, ports: Ports) -> Run:
    """Plan every account and, if the options say so, delete; that needs a ledger."""
    if options.delete and ports.ledger is None:
        raise LedgerError("there is no ledger; what cannot be recorded is not deleted")
    done = Run(options.id or run_id(options.now), "run" if options.delete else "plan", options.now)
    # Without a question to wait for, an account goes on by itself, whatever the others do.
    unasked = options.delete and ports.confirm is None
    with ExitStack() as stack:
        accounts = [stack.enter_context(AccountRun(account, options, ports, done.id)) for account in options.accounts]
        done.plans = side_by_side(accounts, lambda account: account.plan(then_delete=unasked))
        if options.everything:
            _note_unmet_holds(done.plans)
        if options.delete and ports.confirm:
            agreed = not any(account.due for account in accounts) or ports.confirm(done)
            side_by_side(accounts, lambda account: account.delete(agreed=agreed))
    return done


def side_by_side(tasks: Sequence[S], step: Callable[[S], T]) -> list[T]:
    """What ``step`` makes of each task, in their order; ``step`` raises nothing. 32 are under way at a time.

    A thread that cannot be started is one less; without any, the tasks are done one after the other. The main thread
    wakes now and then, so that it sees signals.
    """

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            done[number] = step(tasks[number])

    done: dict[int, T] = {}
    numbers, lock = iter(range(len(tasks))), threading.Lock()
    threads: list[threading.Thread] = []
    for _ in tasks[:SIDE_BY_SIDE]:
        thread = threading.Thread(target=work)
        try:
            thread.start()
        except RuntimeError as error:
            log.warning("only %d accounts are handled at a time: %s", len(threads) or 1, error)
            break
        threads.append(thread)
    if not threads:
        work()
    for thread in threads:
        while thread.is_alive():
            thread.join(AWAKE)
    return [done[number] for number in range(len(tasks))]


def run_id(now: datetime) -> str:
    """A name for a run: when it began, and something that tells it from another of the same second."""
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


class AccountRun:
    """One account's part of a run. Whatever goes wrong in it is this account's alone."""

    def __init__(self, account: Account, options: RunOptions, ports: Ports, ident: str) -> None:
        self._account = account
        self._options = options
        self._ports = ports
        self._rules = options.rules[account.name]
        self._baseline = Baseline(account, self._rules, options.before)
        self._previous = NO_RUNS
        self._deadline = Deadline(time.monotonic() + account.limits.max_runtime.total_seconds(), ports.interrupted)
        self._provider: Provider = account.provider(account.settings, self._deadline, ports.clock)
        if ports.refused:
            self._provider.http.guard_sign_in(ports.refused.gate(account.name, account.settings, ports.clock))
        self._plan = Plan(account.name, account.provider.name)
        about = (ident, account.name, account.provider.name, ports.clock, account.settings.url, account.identity)
        self._journal = Journal(ports.ledger, *about) if ports.ledger else None

    def __enter__(self) -> AccountRun:
        self._provider = self._provider.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._provider.__exit__(*raised)

    @property
    def due(self) -> bool:
        """Whether something is to be deleted here."""
        return bool(self._plan.due or self._plan.copies.due) and not self._plan.refusals

    def plan(self, *, then_delete: bool) -> Plan:
        """What is to go here; with ``then_delete`` also what became of it."""
        try:
            self._make_plan()
        except BaseException as error:  # noqa: BLE001  # out of memory too: the others' deletions must be reported
            self._fault(error)
            self._plan.failed = True
            self._plan.forget()
        if then_delete:
            self.delete(agreed=True)
        else:
            self._rest()
        return self._plan

    def delete(self, *, agreed: bool) -> None:
        """Carries the plan out. What the ledger or an archive refuses ends this account, not the others."""
        try:
            self._carry_out(agreed=agreed)
        except ConfcleanupError as error:
            self._plan.error = self._plan.error or str(error)
            self._plan.selected.defer()
        except BaseException as error:  # noqa: BLE001  # out of memory too: what was deleted must be reported
            self._fault(error)
            self._plan.selected.defer()
        finally:
            self._rest()

    def _make_plan(self) -> None:
        """Settles what an earlier run left open, lists, filters, checks the guards, and finds copies that expired."""
        try:
            told = self._settle() if self._options.delete else []
            told += self._baseline.warnings(self._ports.ledger)
            self._previous = self._baseline.previous_runs(self._ports.ledger, accept_fewer=self._options.accept_fewer)
        except LedgerError as error:
            self._plan.failed, self._plan.error = True, str(error)
            return
        began = time.monotonic()
        self._plan = make_plan(self._listing())
        self._plan.warn(*told)
        self._remember()
        ledger, known = self._ports.ledger, not (self._plan.failed or self._options.reviewed)
        if ledger and known and any(rule.copies_before for rule in self._rules):
            from .records.copies import find

            find(self._plan, self._account, self._rules, ledger)
        plan, took = self._plan, time.monotonic() - began
        log.info("%s: listed %d, selected %d, in %.1f s", plan.account, plan.listed, len(plan.selected), took)

    def _carry_out(self, *, agreed: bool) -> None:
        """Deletes what is due unless something was refused, then records what this run found."""
        if self.due and not agreed:
            self._plan.refusals.append(NO_ANSWER)
        options, ledger = self._options, self._ports.ledger
        if agreed and ledger and self._journal and not options.reviewed:  # what a saved plan leaves out was not judged
            marks = MarkBook(ledger, self._account)
            marks.update(self._plan, self._rules, options.now, self._journal, tells=options.notify.tells)
        if self._plan.refusals:
            self._plan.selected.defer()
        elif self._plan.due and self._journal:
            cutoffs = {rule.name: rule.cutoff.isoformat(timespec="seconds") for rule in self._rules}
            self._journal.note("rules", cutoffs=cutoffs, config=self._account.fingerprint, program=__version__)
            began = time.monotonic()
            carry_out(self._deletion(self._journal))
            if ledger:
                MarkBook(ledger, self._account).spend(self._plan)
            deleted, took = self._plan.count(Outcome.DELETED), time.monotonic() - began
            log.info("%s: deleted %d of %d in %.1f s", self._plan.account, deleted, len(self._plan.selected), took)
            self._plan.backlog = lasting_backlog(self._plan.count(Outcome.DEFERRED), self._previous, self._options.now)
        self._baseline.record(self._plan, self._previous, self._journal)
        if self._journal and self._plan.copies.due and not (self._plan.refusals or self._plan.error):
            from .records.copies import remove

            remove(self._plan, self._rules, self._journal, self._deadline)

    def _listing(self) -> Listing:
        options, name = self._options, self._account.name
        reviewed = options.reviewed
        return Listing(
            account=name,
            provider=self._provider,
            rules=self._rules,
            now=options.now,
            limits=self._account.limits,
            watcher=self._ports.watcher,
            previous=self._previous,
            review=PlanReview(reviewed.accounts[name], reviewed.items[name]) if reviewed else None,
            notices=notices_of(self._ports.ledger, self._account, self._rules, options.notify),
        )

    def _deletion(self, journal: Journal) -> Deletion:
        from .records.archive import Archive

        return Deletion(
            plan=self._plan,
            provider=self._provider,
            rules=self._rules,
            now=self._options.now,
            record=journal,
            deadline=self._deadline,
            watcher=self._ports.watcher,
            concurrency=self._account.settings.concurrency,
            archives={rule.name: Archive(rule.archive) for rule in self._account.rules if rule.archive},
        )

    def _fault(self, error: BaseException) -> None:
        log.debug("a fault in %s", self._account.name, exc_info=True)
        why = fault(error)
        self._plan.error = self._plan.error or why

    def _rest(self) -> None:
        """Closes the account's connections until they are needed again: hundreds of accounts would have too many."""
        self._provider.http.close()

    def _settle(self) -> list[str]:
        """Finds out what an earlier run left open."""
        if not self._journal:
            return []
        sources = self._ports.held.get(self._account.name, {rule.what for rule in self._rules})
        left_open, unknown = self._journal.left_open(sources), self._journal.left_unknown(sources)
        if not (left_open or unknown):
            return []
        return settle(self._provider, left_open, self._journal, self._deadline, unknown)

    def _remember(self) -> None:
        """Finds what is to be deleted although the ledger has it as deleted or gone."""
        if not self._journal or not self._plan.selected:
            return
        plan, journal = self._plan, self._journal
        try:
            chosen = iter(plan.selected)
            while entries := list(islice(chosen, AT_ONCE)):
                plan.note_recorded(entries, journal.recorded([entry.item for entry in entries]))
        except LedgerError as error:
            plan.warn(f"what earlier runs deleted could not be looked up: {error}")


def _note_unmet_holds(plans: Sequence[Plan]) -> None:
    """Names the holds that fit nothing, if each of the accounts, which are all there are, was listed completely."""
    accounts = [plan.unmet for plan in plans if plan.unmet]
    if len(accounts) == len(plans):
        unmet = unmet_holds(accounts)
        plans[0].notices += unmet
        plans[0].attention |= dict.fromkeys(unmet, True)
