"""What ``plan`` and ``run`` share: their options, and the way from a config to an exit status."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import ExitCode
from ..system import HANGUPS, INTERRUPTS, TERMINATIONS
from .options import ACCOUNTS, SHARD, Globals, chosen, clock, name_run, offered, require_ready, with_rules

if TYPE_CHECKING:
    from ..config.load import Account, Config
    from ..cutoff import Period
    from ..plan_file import SavedPlan
    from ..records.ledger import Ledger
    from ..run import Request, Run
    from .notices import RunResult

log = logging.getLogger("confcleanup")
F = TypeVar("F", bound=Callable[..., Any])


def cleaning_options(function: F) -> F:
    """Adds the options that ``plan`` and ``run`` have in common."""
    for option in (
        click.option("--html", metavar="FILE", help="Also write it as one web page, for people, to this file."),
        click.option("--selected-only", is_flag=True, help="Leave kept items out of json, jsonl and csv."),
        click.option(
            "--format",
            "style",
            type=click.Choice(["table", "json", "jsonl", "csv"]),
            default="table",
            help="table is for people; the others are stable and go to standard output.",
        ),
        click.option(
            "--accept-fewer",
            is_flag=True,
            help="Accept that an account lists less than half of what the last run left.",
        ),
        click.option("--before", metavar="TIME", help="Select what ended before this date or time, instead."),
        click.option("--older-than", metavar="TEXT", help='Replace the rules\' own age, for example "30 days".'),
        click.option(
            "--rule",
            "rule_names",
            metavar="NAME",
            multiple=True,
            help="Only rules of this name.",
            shell_complete=offered("rules"),
        ),
        SHARD,
        ACCOUNTS,
    ):
        function = option(function)
    return function


def clean(settings: Globals, *, delete: bool, **options: Any) -> None:
    """The whole of ``plan`` and ``run``; ends the program with the run's exit status."""
    from ..run import run_id
    from .notices import notified

    ident = run_id(clock())
    name_run(ident)
    config = settings.load()
    with notified(config, settings.state_folder(config), delete=delete) as result:
        run = _clean(settings, config, result, ident, delete=delete, **options)
    sys.exit(int(run.exit_code))


def _clean(
    settings: Globals,
    config: Config,
    result: RunResult,
    ident: str,
    *,
    delete: bool,
    yes: bool,
    account_names: tuple[str, ...],
    rule_names: tuple[str, ...],
    older_than: str | None,
    before: str | None,
    accept_fewer: bool,
    style: str,
    selected_only: bool,
    shard: str | None = None,
    html: str | None = None,
    save_to: str | None = None,
    plan_file: str | None = None,
    plan_max_age: str = "7 days",
) -> Run:
    """Plans and, if asked to, deletes; shows what came of it."""
    from ..records.ledger import Ledger
    from ..run import Request, execute, lock
    from . import page
    from .notices import note_end
    from .output import Screen, screen_for

    html_file = page.ready(html, config.path) if html else None
    plan_to = _ready(save_to, config.path) if save_to else None
    accounts = of_shard(with_rules(chosen(config, account_names), rule_names), shard)
    reviewed = _reviewed(accounts, plan_file, plan_max_age)
    if reviewed:
        older_than, before = older_than or reviewed.older_than, before or reviewed.before
    age, instant = _age(config, older_than, before)
    _check_short(config, accounts, rule_names, age, instant)
    require_ready(accounts)
    request = Request(config, accounts, rule_names, age, instant, delete, accept_fewer, reviewed, ident)
    _check_ages(request)
    screen: Screen = screen_for(settings, style, selected_only=selected_only)
    tally = page.tally_for(request) if html_file else None
    interrupted = threading.Event()
    with contextlib.ExitStack() as stack:
        folder = settings.writable_state_folder(config) if delete else settings.state_folder(config)
        if delete:
            stack.enter_context(lock(folder))
        ledger = stack.enter_context(Ledger(folder, writable=delete)) if delete or Ledger.exists(folder) else None
        signals = stack.enter_context(_Signals(interrupted))
        with screen:
            confirm = None if yes else lambda run: signals.ask(lambda: screen.confirm(run, on_terminal=_asking()))
            run: Run = execute(
                request,
                clock=clock,
                watcher=page.Both(screen.watcher, tally) if tally else screen.watcher,
                confirm=confirm,
                interrupted=interrupted,
                ledger=ledger,
            )
        run.signal = signals.arrived
        result.run = run
        if delete and ledger:
            note_end(ledger, run, whole=not (rule_names or plan_file or age or instant))
        if plan_to:
            _save(run, accounts, plan_to, older_than, before)
        if delete and ledger and run.exit_code == ExitCode.DONE:
            _shorten(ledger, config, run)
        words = _command_line(settings, account_names, rule_names, older_than, before, save_to or plan_file, shard)
        screen.finish(run, words)
        if html_file and tally:
            page.write(html_file, run, tally, ledger, config.zone, words)
    return run


def _shorten(ledger: Ledger, config: Config, run: Run) -> None:
    """Takes the oldest entries out of the ledger, if the config says so. A failure leaves them for the next run."""
    from ..cutoff import cutoff
    from ..errors import LedgerError

    if not (age := config.state.keep_history):
        return
    try:
        ledger.prune(cutoff(run.now, age, config.zone), run.now)
    except (LedgerError, ValueError) as error:
        log.warning("the history could not be shortened to %s: %s", age, error)


def _reviewed(accounts: list[Account], file: str | None, max_age: str) -> SavedPlan | None:
    if file is None:
        return None
    from .. import plan_file as reviewed
    from ..cutoff import Period

    try:
        longest = Period.parse(max_age).exact()
    except ValueError as error:
        raise click.UsageError(f"--plan-max-age: {error}") from None
    return reviewed.load(Path(file), clock(), {a.name: a.fingerprint for a in accounts}, longest)


def _ready(file: str, config: Path) -> Path:
    """Where to save the plan. Raises UsageError, before anything is contacted, if that cannot be."""
    from ..errors import ConfcleanupError
    from .files import require_writable

    path = Path(file).expanduser()
    try:
        require_writable(path, config)
    except ConfcleanupError as error:
        raise click.UsageError(f"-o: {error}") from None
    return path


def _save(run: Run, accounts: list[Account], file: Path, older_than: str | None, before: str | None) -> None:
    """Writes the plan, readable by its owner alone: it holds other people's titles."""
    import json

    from .. import plan_file as reviewed
    from .files import replace_private

    fingerprints = {account.name: account.fingerprint for account in accounts}
    document = reviewed.document(run.plans, run.now, fingerprints, older_than, before)
    replace_private(file, json.dumps(document, indent=1) + "\n")


def _asking() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def of_shard(accounts: list[Account], text: str | None) -> list[Account]:
    """The accounts that belong to a shard; all if none is given."""
    from ..shard import Shard

    if text is None:
        return accounts
    try:
        shard = Shard.parse(text)
    except ValueError as error:
        raise click.UsageError(f"--shard: {error}") from None
    mine = [account for account in accounts if shard.holds(account.name)]
    if mine:
        log.info("shard %s: %s", text, ", ".join(account.name for account in mine))
    else:
        log.warning("shard %s: no account belongs to it, so nothing is looked at", text)
    return mine


def _age(config: Config, older_than: str | None, before: str | None) -> tuple[Period | None, datetime | None]:
    from ..cutoff import Period, parse_instant

    if older_than is not None and before is not None:
        raise click.UsageError("--older-than and --before are two ways to say the same: give one of them")
    try:
        age = Period.parse(older_than) if older_than is not None else None
    except ValueError as error:
        raise click.UsageError(f"--older-than: {error}") from None
    try:
        instant = parse_instant(before, config.zone) if before is not None else None
    except ValueError as error:
        raise click.UsageError(f"--before: {error}") from None
    if instant and instant > clock():
        raise click.UsageError(f"--before: {before} lies in the future; what has not ended yet is never deleted")
    return age, instant


def _check_short(
    config: Config, accounts: list[Account], names: tuple[str, ...], age: Period | None, instant: datetime | None
) -> None:
    """Refuses an age under one day given here, for rules that may not have one in the config either."""
    from ..config.load import DAY, TOO_SHORT

    option = "--older-than" if age else "--before"
    short = age.least < DAY if age else instant is not None and instant > clock() - timedelta(seconds=DAY)
    if not short:
        return
    for account in accounts:
        for rule in account.rules:
            if (not names or rule.name in names) and config.needs_a_day(account, rule):
                where = f"in the config, for the rule {rule.name!r} of {account.name} or for all"
                raise click.UsageError(f"{option}: {TOO_SHORT} {where}")


def _check_ages(request: Request) -> None:
    """Finds ages that reach too far back, and holds that cannot be read, before anything is contacted."""
    from ..config import holds

    holds.active(request.config.holds, request.config.zone, clock())
    try:
        for account in request.accounts:
            request.config.unprotected(account, clock(), request.older_than, request.before)
    except ValueError as error:
        raise click.UsageError(f"--older-than: {error}") from None


class _Signals:
    """Turns SIGINT, SIGTERM, SIGHUP and Windows' SIGBREAK into a request to stop; a second one stops at once.

    While a question is asked, the first one ends the question. A SIGHUP that was ignored before stays ignored, as
    ``nohup`` means it.
    """

    def __init__(self, interrupted: threading.Event) -> None:
        from ..run import status_of

        self.arrived: int | None = None
        self._status_of = status_of
        self._interrupted = interrupted
        self._asking = False

    def __enter__(self) -> _Signals:
        numbers = [*INTERRUPTS, *TERMINATIONS]
        numbers += [number for number in HANGUPS if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._handle) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.arrived is not None:
            os._exit(self._status_of(number))
        self.arrived = number
        self._interrupted.set()
        if self._asking:
            raise KeyboardInterrupt

    def ask(self, question: Callable[[], bool]) -> bool:
        """The answer to a question; no, if a signal came instead."""
        self._asking = True
        try:
            return question()
        except (KeyboardInterrupt, click.Abort, OSError):  # the last where the terminal was closed
            return False
        finally:
            self._asking = False


def _command_line(
    settings: Globals,
    accounts: tuple[str, ...],
    rules: tuple[str, ...],
    older_than: str | None,
    before: str | None,
    plan_file: str | None,
    shard: str | None,
) -> str:
    """The command that would carry out this dry run."""
    from ..system import command_line

    words = ["confcleanup", *(["-c", settings.config] if settings.config else [])]
    words += ["--state", settings.state] if settings.state else []
    words.append("run")
    words += [word for name in accounts for word in ("--account", name)]
    words += [word for name in rules for word in ("--rule", name)]
    words += ["--shard", shard] if shard else []
    words += ["--older-than", older_than] if older_than else []
    words += ["--before", before] if before else []
    words += ["--plan", plan_file] if plan_file else []
    return command_line(words)
