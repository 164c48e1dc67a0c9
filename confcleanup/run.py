"""One run: accounts side by side, guards, the question whether to go on, deletion, and the exit status."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from . import __version__
from .config.load import Account, Config
from .cutoff import Period
from .deadline import Deadline
from .deleter import carry_out
from .errors import ConfcleanupError, ExitCode, LedgerError, Locked
from .filter import Rule
from .guards import BLIND, NOTHING_PAST, Past, check_guards, shrunken
from .items import Outcome
from .listing import make_plan
from .outcomes import settle
from .plan import Plan, Watcher
from .plan_file import SavedPlan
from .plan_review import PlanReview
from .providers.base import Provider
from .records.journal import Journal
from .records.ledger import Ledger
from .records.queries import AT_ONCE
from .redact import redact
from .system import HANGUPS, TERMINATIONS
from .unmet import unmet_holds

log = logging.getLogger(__name__)
if TYPE_CHECKING:
    from .records.archive import Archive

SIDE_BY_SIDE = 32
RUNS_COMPARED = 10
AWAKE = 0.2
"""Seconds between two looks of the main thread, which alone handles signals."""
S = TypeVar("S")
T = TypeVar("T")
NO_ANSWER = "nobody confirmed the deletion: give --yes where there is no terminal to ask on"


def status_of(number: int) -> ExitCode:
    """The exit status after a signal."""
    if number in HANGUPS:
        return ExitCode.HUNG_UP
    return ExitCode.TERMINATED if number in TERMINATIONS else ExitCode.INTERRUPTED


class Request(msgspec.Struct, frozen=True):
    """What a run is asked to do. ``accounts`` and ``rules`` are names; empty means all."""

    config: Config
    accounts: Sequence[Account]
    rules: Sequence[str] = ()
    older_than: Period | None = None
    before: datetime | None = None
    delete: bool = False
    accept_fewer: bool = False
    reviewed: SavedPlan | None = None
    id: str = ""


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
        if any(plan.undone for plan in self.plans):
            return ExitCode.NOT_DONE
        if any(plan.refusals for plan in self.plans):
            return ExitCode.REFUSED
        return ExitCode.DONE

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


def execute(
    request: Request,
    *,
    clock: Callable[[], datetime],
    watcher: Watcher,
    confirm: Callable[[Run], bool] | None,
    interrupted: threading.Event,
    ledger: Ledger | None,
) -> Run:
    """Plans every account and, if the request says so, deletes; that needs a ledger.

    ``confirm`` is asked once, with all plans, before the first deletion; None means yes. Without a
    question to wait for, an account goes on by itself, whatever the others do.
    """
    now = clock()
    run = Run(request.id or run_id(now), "run" if request.delete else "plan", now)
    if request.delete and ledger is None:
        raise LedgerError("there is no ledger; what cannot be recorded is not deleted")
    with ExitStack() as stack:
        jobs = [
            AccountRun(request, account, run, clock, watcher, interrupted, ledger, stack)
            for account in request.accounts
        ]
        if not request.delete or confirm is None:
            run.plans = side_by_side(jobs, lambda job: job.plan(delete=request.delete))
            _note_unmet_holds(request, run.plans)
            return run
        run.plans = side_by_side(jobs, lambda job: job.plan(delete=False))
        _note_unmet_holds(request, run.plans)
        agreed = not any(job.due for job in jobs) or confirm(run)
        side_by_side(jobs, lambda job: job.delete(agreed=agreed))
    return run


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
    """One account's part of a run."""

    def __init__(
        self,
        request: Request,
        account: Account,
        run: Run,
        clock: Callable[[], datetime],
        watcher: Watcher,
        interrupted: threading.Event,
        ledger: Ledger | None,
        stack: ExitStack,
    ) -> None:
        self._request = request
        self._account = account
        self._now = run.now
        self._watcher = watcher
        self._ledger = ledger
        self._journal = ledger and Journal(
            ledger, run.id, account.name, account.provider.name, clock, account.settings.url
        )
        self._stop = Deadline(time.monotonic() + account.limits.max_runtime.total_seconds(), interrupted)
        self._rules = _chosen_rules(request, account, run.now)
        self._provider: Provider = stack.enter_context(account.provider(account.settings, self._stop, clock))
        self._plan = Plan(account.name, account.provider.name)
        self._before = NOTHING_PAST

    @property
    def due(self) -> bool:
        """Whether something is to be deleted here."""
        return bool(self._plan.due) and not self._plan.refusals

    def plan(self, *, delete: bool) -> Plan:
        """What is to go here; with ``delete`` also what became of it. Whatever goes wrong is this account's alone."""
        try:
            self._make_plan()
        except BaseException as error:  # noqa: BLE001  # out of memory too: the others' deletions must be reported
            self._fault(error)
            self._plan.failed = True
            self._plan.selected.clear()
        if delete:
            self.delete(agreed=True)
        else:
            self._rest()
        return self._plan

    def _make_plan(self) -> None:
        try:
            open_ends = self._settle() if self._request.delete else []
            self._before = self._past()
        except LedgerError as error:
            self._plan.failed, self._plan.error = True, str(error)
            return
        began = time.monotonic()
        self._plan = make_plan(
            self._account.name,
            self._provider,
            self._rules,
            self._account.limits,
            self._now,
            self._watcher,
            self._before,
            self._review(),
        )
        self._plan.warnings += open_ends
        self._remember()
        plan, took = self._plan, time.monotonic() - began
        log.info("%s: listed %d, selected %d, in %.1f s", plan.account, plan.listed, len(plan.selected), took)

    def _fault(self, error: BaseException) -> None:
        log.debug("a fault in %s", self._account.name, exc_info=True)
        why = f"a fault in the program or a provider: {type(error).__name__}"
        self._plan.error = self._plan.error or why

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
            plan.warnings.append(f"what earlier runs deleted could not be looked up: {error}")

    def _settle(self) -> list[str]:
        """Finds out what an earlier run left open."""
        if not self._journal:
            return []
        left_open, unknown = self._journal.left_open(), self._journal.left_unknown()
        return settle(self._provider, left_open, self._journal, self._stop, unknown) if left_open or unknown else []

    def _scope(self, what: str) -> str:
        """What is listed of a source; two lists are only compared if they asked for the same."""
        mine = [rule for rule in self._rules if rule.what == what]
        if not self._provider.sources[what].asked_for(self._account.settings, mine):
            return what
        return " ".join(sorted({f"{what}:{','.join(sorted(rule.tags))}:{self._age(rule)}" for rule in mine}))

    def _age(self, rule: Rule) -> str:
        """Up to when a rule selects, in words that are the same in the next run."""
        return rule.age or str(self._request.before or "")

    @property
    def _same_rules(self) -> str:
        """A hash of what the rules select. Two runs are only compared if they agree on it.

        What only keeps more or less (holds, ``keep_ids``, ``keep_tags``, rooms and their scheduled ends) is not part of
        it: a mistake in these is what the comparison is to find.
        """
        rules = []
        for rule in self._rules:
            live = rule.live and (rule.live.max_duration, rule.live.abandoned_after, rule.live.max_members)
            filters = (sorted(rule.tags), rule.title, rule.owner, sorted(rule.names), rule.rooms)
            rules.append(repr((rule.what, self._age(rule), filters, live)))
        return hashlib.sha256("\n".join(sorted(rules)).encode(errors="backslashreplace")).hexdigest()

    def _past(self) -> Past:
        if not self._ledger:
            return NOTHING_PAST
        name = self._account.name
        sources = () if self._request.accept_fewer else {rule.what for rule in self._rules}
        known = {what: self._ledger.left(name, what, self._scope(what)) for what in sources}
        left = {what: count for what, count in known.items() if count is not None}
        return Past(self._ledger.selections(name, self._same_rules, RUNS_COMPARED), left)

    def _review(self) -> PlanReview | None:
        reviewed, name = self._request.reviewed, self._account.name
        return PlanReview(reviewed.accounts[name], reviewed.items[name]) if reviewed else None

    def delete(self, *, agreed: bool) -> None:
        """Carries the plan out. What the ledger or an archive refuses ends this account, not the others."""
        try:
            self._delete(agreed=agreed)
        except ConfcleanupError as error:
            self._plan.error = self._plan.error or str(error)
            self._plan.selected.defer()
        except BaseException as error:  # noqa: BLE001  # out of memory too: what was deleted must be reported
            self._fault(error)
            self._plan.selected.defer()
        finally:
            self._rest()

    def _rest(self) -> None:
        """Closes the account's connections until they are needed again: hundreds of accounts would have too many."""
        self._provider.http.close()

    def _delete(self, *, agreed: bool) -> None:
        if self.due and not agreed:
            self._plan.refusals.append(NO_ANSWER)
        if self._plan.refusals:
            self._plan.selected.defer()
        elif self._plan.due and self._journal:
            self._journal.note("rules", cutoffs=self._cutoffs(), config=self._account.fingerprint, program=__version__)
            began = time.monotonic()
            carry_out(
                self._plan,
                self._provider,
                self._rules,
                self._now,
                self._watcher,
                self._journal,
                concurrency=self._account.settings.concurrency,
                stop=self._stop,
                archives=self._archives(),
            )
            deleted, took = self._plan.count(Outcome.DELETED), time.monotonic() - began
            log.info("%s: deleted %d of %d in %.1f s", self._plan.account, deleted, len(self._plan.selected), took)
        self._note()

    def _archives(self) -> dict[str, Archive]:
        from .records.archive import Archive

        return {rule.name: Archive(rule.archive) for rule in self._account.rules if rule.archive}

    def _cutoffs(self) -> dict[str, str]:
        return {rule.name: rule.cutoff.isoformat(timespec="seconds") for rule in self._rules}

    def _note(self) -> None:
        """Records what this run found here, for the guards of later runs.

        A refused run selected nothing that counts. What it listed is what there is, unless that was in doubt itself.
        A list that lacks a part is no measure.
        """
        plan = self._plan
        if not self._journal or plan.failed or plan.unlisted:
            return
        doubted = shrunken(plan.lists, self._before) if plan.refusals else ()
        left = {self._scope(what): count for what, count in plan.left.items() if what not in doubted}
        counts = {"listed": plan.listed, "selected": len(plan.selected), "left": left}
        self._journal.note("listing", rules=self._same_rules, refused=bool(plan.refusals), **counts)


def _chosen_rules(request: Request, account: Account, now: datetime) -> list[Rule]:
    """The rules to apply. What any rule of the account keeps by id or tag stays, also where it was not chosen."""
    rules = request.config.rules(account, now, request.older_than, request.before)
    return [rule for rule in rules if not request.rules or rule.name in request.rules]


def _note_unmet_holds(request: Request, plans: Sequence[Plan]) -> None:
    """Names the holds that fit nothing, once all that the config knows of was listed completely."""
    everything = not request.rules and {plan.account for plan in plans} == set(request.config.accounts)
    accounts = [plan.unmet for plan in plans if plan.unmet]
    if everything and len(accounts) == len(plans):
        plans[0].notices += unmet_holds(accounts)


def check(account: Account, stop: Deadline, clock: Callable[[], datetime]) -> tuple[list[str], list[str]]:
    """Signs in and reads a little of each source that the account's rules name.

    Returns what is not well, and what is worth knowing, in words.
    """
    with account.provider(account.settings, stop, clock) as provider:
        trouble = []
        try:
            provider.check(list(dict.fromkeys(rule.what for rule in account.rules)))
        except ConfcleanupError as error:
            trouble.append(str(error))
        trouble += check_guards({}, provider.http.skew, account.limits)
        blind = [BLIND] if provider.http.sent and provider.http.skew is None else []
        return trouble, provider.warnings + blind


@contextmanager
def lock(state: Path) -> Iterator[None]:
    """Holds the one run at a time that a state folder allows; the system lets go of it if the process dies.

    Raises Locked, naming the holder.
    """
    from filelock import FileLock, Timeout

    holder = state / "holder"
    held = FileLock(state / "lock", timeout=0)
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        held.acquire()
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    except Timeout:
        who = _holder(holder)
        raise Locked(f"another run holds {state}{who}; wait for it to end") from None
    except OSError as error:
        held.release()
        raise LedgerError(f"the state folder {state} cannot be used ({error}); nothing was contacted") from None
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        held.release()


def _holder(holder: Path) -> str:
    try:
        return f" ({redact(holder.read_text(encoding='utf-8'))})"
    except OSError:
        return ""
