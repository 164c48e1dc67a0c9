"""Send notifications of a run, and record how it ended for ``check --last-success``."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from ..errors import ConfcleanupError, ExitCode, LedgerError
from .options import clock, log

if TYPE_CHECKING:
    from ..config.load import Config
    from ..plan import Plan
    from ..records.ledger import Ledger
    from ..run import Run
    from .options import Globals
    from .reporting import Reporting


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


def note_end(ledger: Ledger, run: Run, *, whole: bool) -> None:
    """Records how the run ended in each account. ``whole``: all rules of its accounts were applied."""
    from ..reports.data import timestamp

    stopped = run.signal is not None
    head = {"run": run.id, "at": timestamp(clock()), "exit": int(run.exit_code)}
    events = [
        {**head, **_end(plan), "good": whole and not (stopped or plan.undone or plan.refusals)} for plan in run.plans
    ]
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


def last_good(folder: Path, config: Config) -> dict[str, datetime]:
    """When each account was last cleaned without errors, as far as that is recorded."""
    ends = _ends(folder, config, good=True)
    return {name: datetime.fromisoformat(str(end["at"])) for name, end in ends.items()}


def last_status(folder: Path, config: Config) -> int | None:
    """The exit status of the last recorded run; None if there is none."""
    last = max(_ends(folder, config, good=False).values(), key=lambda end: str(end["at"]), default=None)
    return int(str(last["exit"])) if last else None


def _ends(folder: Path, config: Config, *, good: bool) -> Mapping[str, Mapping[str, object]]:
    from ..records.ledger import Ledger

    if not Ledger.exists(folder):
        return {}
    try:
        with Ledger(folder, writable=False) as ledger:
            found = {name: ledger.last_end(name, good=good) for name in config.accounts}
    except LedgerError as error:
        log.warning("the results of earlier runs cannot be read: %s", error)
        return {}
    return {name: end for name, end in found.items() if end}
