"""One run: accounts side by side, guards, the question whether to go on, deletion, and the exit status."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec.structs import replace

from . import __version__
from .config import Account, Config
from .cutoff import Period
from .deleter import carry_out, settle
from .errors import ConfcleanupError, ExitCode, LedgerError, Locked
from .guards import Past, objections
from .items import Outcome
from .ledger import Journal, Ledger
from .pace import Stop
from .plan import Plan, Review, Watcher, make_plan
from .providers.base import Provider
from .redact import redact
from .reviewed import Reviewed
from .selection import Rule
from .system import TERMINATIONS

log = logging.getLogger(__name__)
if TYPE_CHECKING:
    from .archive import Archive

SIDE_BY_SIDE = 32
RUNS_COMPARED = 10
AWAKE = 0.2
"""Seconds between two looks of the main thread, which alone handles signals."""
T = TypeVar("T")
NO_ANSWER = "nobody confirmed the deletion: give --yes where there is no terminal to ask on"


class Request(msgspec.Struct, frozen=True):
    """What a run is asked to do. ``accounts`` and ``rules`` are names; empty means all."""

    config: Config
    accounts: Sequence[Account]
    rules: Sequence[str] = ()
    older_than: Period | None = None
    before: datetime | None = None
    delete: bool = False
    accept_fewer: bool = False
    reviewed: Reviewed | None = None
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
            return ExitCode.TERMINATED if self.signal in TERMINATIONS else ExitCode.INTERRUPTED
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
    with ExitStack() as stack, ThreadPoolExecutor(min(SIDE_BY_SIDE, len(request.accounts) or 1)) as pool:
        jobs = [_Job(request, account, run, clock, watcher, interrupted, ledger, stack) for account in request.accounts]
        if not request.delete or confirm is None:
            run.plans = _side_by_side(pool, jobs, lambda job: job.plan(delete=request.delete))
            return run
        run.plans = _side_by_side(pool, jobs, lambda job: job.plan(delete=False))
        agreed = not any(job.due for job in jobs) or confirm(run)
        _side_by_side(pool, jobs, lambda job: job.delete(agreed=agreed))
    return run


def _side_by_side(pool: ThreadPoolExecutor, jobs: Sequence[_Job], step: Callable[[_Job], T]) -> list[T]:
    """A step of every job at once. The main thread wakes now and then, so that it sees signals."""
    futures = [pool.submit(step, job) for job in jobs]
    while wait(futures, timeout=AWAKE).not_done:
        pass
    return [future.result() for future in futures]


def run_id(now: datetime) -> str:
    """A name for a run: when it began, and something that tells it from another of the same second."""
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


class _Job:
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
        self._stop = Stop(time.monotonic() + account.limits.max_runtime.total_seconds(), interrupted)
        self._rules = _chosen_rules(request, account, run.now)
        self._provider: Provider = stack.enter_context(account.provider(account.settings, self._stop, clock))
        self._plan = Plan(account.name, account.provider.name)

    @property
    def due(self) -> bool:
        """Whether something is to be deleted here."""
        return bool(self._plan.due) and not self._plan.refusals

    def plan(self, *, delete: bool) -> Plan:
        try:
            open_ends = self._settle() if self._request.delete else []
            past = self._past()
        except LedgerError as error:
            self._plan.failed, self._plan.error = True, str(error)
            return self._plan
        began = time.monotonic()
        self._plan = make_plan(
            self._account.name,
            self._provider,
            self._rules,
            self._account.limits,
            self._now,
            self._watcher,
            past,
            self._review(),
        )
        self._plan.warnings += open_ends
        plan, took = self._plan, time.monotonic() - began
        log.info("%s: listed %d, selected %d, in %.1f s", plan.account, plan.listed, len(plan.selected), took)
        if delete:
            self.delete(agreed=True)
        else:
            self._rest()
        return self._plan

    def _settle(self) -> list[str]:
        """Finds out what an earlier run left open."""
        if not self._journal or not (left_open := self._journal.left_open()):
            return []
        return settle(self._provider, left_open, self._journal, self._stop)

    @property
    def _scope(self) -> str:
        """What is listed of the account; two listings are only compared if they asked for the same."""
        asked = {
            f"{rule.what}:{','.join(sorted(rule.tags))}:{rule.age or ('' if rule.live else rule.cutoff)}"
            for rule in self._rules
        }
        return " ".join(sorted(asked))

    def _past(self) -> list[Past]:
        found = self._ledger.listings(self._account.name, RUNS_COMPARED) if self._ledger else []
        same = not self._request.accept_fewer
        return [Past(one["selected"], one["left"] if same and one["scope"] == self._scope else None) for one in found]

    def _review(self) -> Review | None:
        reviewed, name = self._request.reviewed, self._account.name
        return Review(reviewed.accounts[name], reviewed.items[name]) if reviewed else None

    def delete(self, *, agreed: bool) -> None:
        """Carries the plan out. What the ledger or an archive refuses ends this account, not the others."""
        try:
            self._delete(agreed=agreed)
        except ConfcleanupError as error:
            self._plan.error = self._plan.error or str(error)
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
        from .archive import Archive

        return {rule.name: Archive(rule.archive) for rule in self._account.rules if rule.archive}

    def _cutoffs(self) -> dict[str, str]:
        return {rule.name: rule.cutoff.isoformat(timespec="seconds") for rule in self._rules}

    def _note(self) -> None:
        """Records what this run found here, for the guards of later runs. A list that lacks a part is no measure."""
        plan = self._plan
        if self._journal and not plan.failed and not plan.unlisted and not plan.refusals:
            counts = {"listed": plan.listed, "selected": len(plan.selected), "left": plan.left}
            self._journal.note("listing", scope=self._scope, **counts)


def _chosen_rules(request: Request, account: Account, now: datetime) -> list[Rule]:
    """The rules to apply. What any rule of the account keeps by id or tag stays, also where it was not chosen."""
    rules = request.config.rules(account, now, request.older_than, request.before)
    ids = frozenset(ident for rule in rules for ident in rule.keep_ids)
    tags = tuple(dict.fromkeys(tag for rule in rules for tag in rule.keep_tags))
    chosen = [rule for rule in rules if not request.rules or rule.name in request.rules]
    return [replace(rule, keep_ids=ids, keep_tags=tags) for rule in chosen]


def check(account: Account, stop: Stop, clock: Callable[[], datetime]) -> tuple[list[str], list[str]]:
    """Signs in and reads a little of each source that the account's rules name.

    Returns what is not well, and what is worth knowing, in words.
    """
    with account.provider(account.settings, stop, clock) as provider:
        trouble = []
        try:
            provider.check(list(dict.fromkeys(rule.what for rule in account.rules)))
        except ConfcleanupError as error:
            trouble.append(str(error))
        trouble += objections(0, 0, provider.http.skew, account.limits)
        return trouble, provider.warnings


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
