"""One run: accounts side by side, guards, the question whether to go on, deletion, and the exit status."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from .cleanup import Plan, Watcher, carry_out, make_plan
from .config import Account, Config
from .cutoff import Period
from .errors import ConfcleanupError, ExitCode, Locked
from .guards import objections
from .http import Stop
from .items import Outcome
from .providers.base import Provider
from .redact import redact
from .selection import Rule

SIDE_BY_SIDE = 32
NO_ANSWER = "nobody confirmed the deletion: give --yes where there is no terminal to ask on"


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked to do. ``accounts`` and ``rules`` are names; empty means all."""

    config: Config
    accounts: Sequence[Account]
    rules: Sequence[str] = ()
    older_than: Period | None = None
    before: datetime | None = None
    delete: bool = False


@dataclass(slots=True)
class Run:
    """One run and what came of it. ``now`` is the instant all ages are counted from (aware UTC)."""

    id: str
    mode: str
    now: datetime
    plans: list[Plan] = field(default_factory=list)
    signal: int | None = None

    @property
    def exit_code(self) -> ExitCode:
        """The contract's exit status."""
        if self.signal is not None:
            return ExitCode.TERMINATED if self.signal == 15 else ExitCode.INTERRUPTED
        if any(plan.undone for plan in self.plans):
            return ExitCode.NOT_DONE
        if any(plan.refusals for plan in self.plans):
            return ExitCode.REFUSED
        return ExitCode.DONE

    def total(self, outcome: Outcome) -> int:
        """How many items of all accounts ended this way."""
        return sum(plan.count(outcome) for plan in self.plans)

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
) -> Run:
    """Plans every account and, if the request says so, deletes.

    ``confirm`` is asked once, with all plans, before the first deletion; None means yes. Without a
    question to wait for, an account goes on by itself, whatever the others do.
    """
    now = clock()
    run = Run(f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", "run" if request.delete else "plan", now)
    with ExitStack() as stack, ThreadPoolExecutor(min(SIDE_BY_SIDE, len(request.accounts) or 1)) as pool:
        jobs = [_Job(request, account, now, clock, watcher, interrupted, stack) for account in request.accounts]
        if not request.delete or confirm is None:
            run.plans = list(pool.map(lambda job: job.plan(delete=request.delete), jobs))
            return run
        run.plans = list(pool.map(lambda job: job.plan(delete=False), jobs))
        agreed = not any(job.due for job in jobs) or confirm(run)
        list(pool.map(lambda job: job.delete(agreed=agreed), jobs))
    return run


class _Job:
    """One account's part of a run."""

    def __init__(
        self,
        request: Request,
        account: Account,
        now: datetime,
        clock: Callable[[], datetime],
        watcher: Watcher,
        interrupted: threading.Event,
        stack: ExitStack,
    ) -> None:
        self._account = account
        self._now = now
        self._watcher = watcher
        self._stop = Stop(time.monotonic() + account.limits.max_runtime.total_seconds(), interrupted)
        self._rules = _chosen_rules(request, account, now)
        self._provider: Provider = stack.enter_context(account.provider(account.settings, self._stop, clock))
        self._plan = Plan(account.name, account.provider.name)

    @property
    def due(self) -> bool:
        """Whether something is to be deleted here."""
        return bool(self._plan.selected) and not self._plan.refusals

    def plan(self, *, delete: bool) -> Plan:
        self._plan = make_plan(
            self._account.name, self._provider, self._rules, self._account.limits, self._now, self._watcher
        )
        if delete:
            self.delete(agreed=True)
        return self._plan

    def delete(self, *, agreed: bool) -> None:
        if self.due and not agreed:
            self._plan.refusals.append(NO_ANSWER)
        if self._plan.refusals:
            self._plan.defer()
        elif self._plan.selected:
            concurrency = self._account.settings.concurrency
            carry_out(
                self._plan,
                self._provider,
                self._rules,
                self._now,
                self._watcher,
                concurrency=concurrency,
                stop=self._stop,
            )


def _chosen_rules(request: Request, account: Account, now: datetime) -> list[Rule]:
    rules = request.config.rules(account, now, request.older_than, request.before)
    return [rule for rule in rules if not request.rules or rule.name in request.rules]


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

    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    holder = state / "holder"
    held = FileLock(state / "lock", timeout=0)
    try:
        held.acquire()
    except Timeout:
        who = _holder(holder)
        raise Locked(f"another run holds {state}{who}; wait for it, or give this one its own --state folder") from None
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        held.release()


def _holder(holder: Path) -> str:
    try:
        return f" ({redact(holder.read_text(encoding='utf-8'))})"
    except OSError:
        return ""
