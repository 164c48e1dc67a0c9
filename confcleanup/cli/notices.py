"""Send notifications of a run, and record how it ended for ``check --last-success``."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from ..errors import ConfcleanupError, ExitCode, LedgerError
from .options import clock, log

if TYPE_CHECKING:
    from ..config.load import Account, Config
    from ..plan import Plan
    from ..records.ledger import Ledger
    from ..run import Run, RunOptions
    from .options import Globals
    from .reporting import Reporting

T = TypeVar("T")
LONGEST = 500
"""Characters of an account's error that are recorded."""


class RunResult(msgspec.Struct):
    """Where a run is put when it has finished; ``run`` is None until then."""

    run: Run | None = None


@contextlib.contextmanager
def notified(
    config: Config, settings: Globals, delete: bool, reporting: Callable[[str], Reporting]
) -> Iterator[RunResult]:
    """Sends what ``[notify]`` asks for when a run begins and when it ends, whatever ends it.

    ``reporting`` makes what remembers a way of reporting.
    """
    result, wanted = RunResult(), config.notify
    if not (wanted.ping or wanted.prometheus or wanted.apprise) or not (delete or wanted.dry_runs):
        yield result
        return
    from ..reports.findings import findings, not_started
    from ..reports.notify import Notifier
    from ..reports.summary import Summary
    from .reporting import MESSAGES, UNSENT

    folder = settings.state_folder(config)
    began, before, notifier = clock(), last_status(folder, config), Notifier(wanted)
    mode = "run" if delete else "plan"
    notifier.begin()
    error: BaseException | None = None
    try:
        yield result
    except BaseException as raised:  # an interrupt too ends the run; it is raised again
        error = raised
        raise
    finally:
        status = _status(error) if error or not result.run else result.run.exit_code
        explained = isinstance(error, (ConfcleanupError, click.ClickException))
        why = str(error) if explained else type(error).__name__ if error else None
        good = last_good(folder, config)
        found = findings(result.run) if result.run else []
        found += [not_started(why)] if why else []
        messages = reporting(MESSAGES)
        due = messages.due(found)
        summary = Summary(int(status), mode, began, clock(), result.run, why, before, good, found, bool(due))
        unsent = notifier.end(summary)
        if wanted.apprise:
            messages.remember(found, [] if unsent else due, result.run)
        _report_unsent(unsent, reporting(UNSENT), quiet=settings.quiet)


def _report_unsent(unsent: Sequence[str], reporting: Reporting, *, quiet: bool) -> None:
    """Names the notifications that were not sent, in one warning."""
    from ..reports.attention import Finding, Kind

    text = f"some notifications were not sent (the run itself is not affected): {'; '.join(unsent)}"
    found = [Finding("", Kind.WARNING, text, text, text)] if unsent else []
    due = reporting.due(found)
    for finding in found:
        log.warning("%s", reporting.line(finding) if quiet else finding.line(), extra={"urgent": finding in due})
    reporting.remember(found, due if quiet else ())


def _status(error: BaseException | None) -> int:
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    code = getattr(error, "exit_code", ExitCode.NOT_DONE)
    return code if isinstance(code, int) else ExitCode.NOT_DONE


def announce(run: Run, ledger: Ledger, config: Config, stop: threading.Event) -> None:
    """Announces what the run marked; costs nothing where there is no such thing."""
    if config.notify.tells and any(plan.marked and plan.news for plan in run.plans):
        from ..reports.announce import Announcer

        Announcer(run, ledger, config.notify, config.zone, stop).work()


def note_end(ledger: Ledger, run: Run, options: RunOptions, *, whole: bool) -> None:
    """Records how the run ended in each account, and the rules of which it did all that they ask for.

    ``whole``: the rules were applied as the config has them. An account that another run was cleaning is left out.
    """
    from ..reports.data import timestamp

    stopped = run.signal is not None
    head = {"run": run.id, "at": timestamp(clock()), "exit": int(run.exit_code)}
    accounts = {account.name: account for account in options.accounts}
    events = []
    for plan in run.plans:
        if (account := accounts.get(plan.account)) is None:
            continue
        good = whole and not (stopped or plan.undone or plan.refusals)
        rules = sorted(rule.name for rule in options.rules[account.name]) if good else []
        known = {"identity": account.identity, "url": account.settings.url, "rules": rules}
        events.append({**head, **_end(plan), **known, "good": good and len(rules) == len(account.rules)})
    try:
        ledger.append(*(("end", event, None) for event in events))
    except LedgerError as error:
        log.warning("the result of this run was not recorded, so check --last-success does not count it: %s", error)


def shorten_history(ledger: Ledger, config: Config, run: Run) -> None:
    """Takes the oldest entries out of the ledger, if the config says so. A failure leaves them for the next run."""
    from ..cutoff import cutoff

    if not (age := config.state.keep_history):
        return
    try:
        ledger.prune(cutoff(run.now, age, config.zone), run.now)
    except (LedgerError, ValueError) as error:
        log.warning("the history could not be shortened to %s: %s", age, error)


def _end(plan: Plan) -> dict[str, object]:
    """The result of an account: its status, why it is not ``ok``, and its counts."""
    from ..items import Outcome
    from ..reports.data import account

    found = account(plan)
    counts = {name: found[name] for name in ("listed", "selected", *map(str, Outcome), "undecided")}
    left = [f"{found[name]} {name}" for name in (Outcome.FAILED, Outcome.UNKNOWN, Outcome.DEFERRED) if found[name]]
    left += [f"{len(plan.overdue)} overdue"] if plan.overdue else []
    left += [plan.untold] if plan.untold else []
    error = found["error"] or ", ".join(left) or None
    status = {name: found[name] for name in ("account", "provider", "status")}
    return {**status, "error": error and error[:LONGEST], **counts}


def last_good(folder: Path, config: Config, rules: Collection[str] = ()) -> dict[tuple[str, str], datetime | None]:
    """When each source of each account was last cleaned without errors, by all of its rules; None if it never was.

    ``rules``: only the rules of these names.
    """
    from ..records.entries import Owner

    def ask(ledger: Ledger, account: Account, what: str, names: Collection[str]) -> datetime | None:
        owner = Owner(account.name, account.provider.name, account.settings.url, account.identity)
        ends = [ledger.last_good(owner, what, name) for name in names]
        return min(datetime.fromisoformat(str(end["at"])) for end in ends if end) if all(ends) else None

    wanted: dict[tuple[str, str], tuple[Account, list[str]]] = {}
    for account in config.accounts.values():
        for rule in account.rules:
            if not rules or rule.name in rules:
                wanted.setdefault((account.name, rule.what), (account, []))[1].append(rule.name)
    none: dict[tuple[str, str], datetime | None] = dict.fromkeys(wanted)
    found = _asked(
        folder, lambda ledger: {key: ask(ledger, account, key[1], names) for key, (account, names) in wanted.items()}
    )
    return found or none


def last_status(folder: Path, config: Config) -> int | None:
    """The exit status of the last recorded run; None if there is none."""
    ends = _asked(folder, lambda ledger: [ledger.last_end(name) for name in config.accounts])
    last = max((end for end in ends or () if end), key=lambda end: str(end["at"]), default=None)
    return int(str(last["exit"])) if last else None


def _asked(folder: Path, question: Callable[[Ledger], T]) -> T | None:
    """What the ledger answers; None if there is none, or it cannot be read."""
    from ..records.ledger import Ledger

    if not Ledger.exists(folder):
        return None
    try:
        with Ledger(folder, writable=False) as ledger:
            return question(ledger)
    except LedgerError as error:
        log.warning("the results of earlier runs cannot be read: %s", error)
        return None
