"""What ``plan`` and ``run`` share: their options, and the way from a config to an exit status."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from ..errors import ConfcleanupError, ExitCode
from .options import ACCOUNTS, RULES, SHARD, Globals, chosen, clock, name_run, require_ready, with_rules
from .signals import Signals

if TYPE_CHECKING:
    from ..config.load import Account, Config
    from ..cutoff import Period
    from ..plan_file import SavedPlan
    from ..run import Ports, Run, RunOptions
    from .notices import RunResult
    from .output import Screen
    from .reporting import Reporting

log = logging.getLogger("confcleanup")
F = TypeVar("F", bound=Callable[..., Any])


def cleaning_options(function: F) -> F:
    """Adds the options that ``plan`` and ``run`` have in common."""
    for option in (
        click.option(
            "--html", metavar="FILE", help="Also write the result to this file, as a self-contained HTML page."
        ),
        click.option("--selected-only", is_flag=True, help="Leave kept items out of json, jsonl and csv."),
        click.option(
            "--format",
            "style",
            type=click.Choice(["table", "json", "jsonl", "csv"]),
            default="table",
            help="table is for reading and may change; the others are stable.",
        ),
        click.option(
            "--accept-fewer",
            is_flag=True,
            help="Accept that an account lists less than half of what the last run left.",
        ),
        click.option(
            "--before",
            metavar="TIME",
            help="Select items that ended before this date or time; replaces the rules' own age.",
        ),
        click.option("--older-than", metavar="TEXT", help='Replace the rules\' own age, for example "30 days".'),
        RULES,
        SHARD,
        ACCOUNTS,
    ):
        function = option(function)
    return function


class Given(NamedTuple):
    """The options of ``plan`` and ``run``, as they were typed."""

    delete: bool
    yes: bool
    account_names: tuple[str, ...]
    rule_names: tuple[str, ...]
    older_than: str | None
    before: str | None
    accept_fewer: bool
    style: str
    selected_only: bool
    shard: str | None = None
    html: str | None = None
    save_to: str | None = None
    plan_file: str | None = None
    plan_max_age: str = "7 days"
    wait: str = "0"

    @property
    def whole(self) -> bool:
        """Whether the rules are applied as the config has them, not in another way, as somebody does by hand."""
        return not (self.plan_file or self.older_than or self.before)

    @property
    def part(self) -> tuple[str, ...]:
        """What says which accounts are taken; nothing if all are."""
        return (*self.account_names, *([self.shard] if self.shard else []))


def clean(settings: Globals, **options: Any) -> None:
    """The whole of ``plan`` and ``run``; ends the program with the run's exit status."""
    from functools import partial

    from ..run import run_id
    from .notices import notified
    from .reporting import OUTPUT, Reporting, not_started, remembering

    given, now = Given(**options), clock()  # the one instant from which everything below counts its ages
    ident = run_id(now)
    name_run(ident)
    config: Config | None = None
    result: RunResult | None = None
    lasting = given.delete and given.whole
    try:
        config = settings.load()
        state = remembering(settings, config) if lasting else None
        reporting = partial(Reporting, state, given.rule_names, given.part, now=now)
        with notified(config, settings, given.delete, reporting) as result:
            run = _clean(settings, config, given, now, result, reporting(OUTPUT), ident)
    except ConfcleanupError as error:
        if settings.quiet and lasting and not (result and result.run):
            state = remembering(settings, config)
            not_started(error, Reporting(state, given.rule_names, given.part, OUTPUT, now))
        raise
    sys.exit(int(run.exit_code))


def _clean(
    settings: Globals,
    config: Config,
    given: Given,
    now: datetime,
    result: RunResult,
    reporting: Reporting,
    ident: str,
) -> Run:
    """Plans and, if asked to, deletes; shows what came of it."""
    from ..lock import Held
    from ..plan import Both
    from ..records.ledger import Ledger
    from ..records.refused import RefusedSignIns
    from ..run import Ports
    from . import page
    from .notices import announce, note_end, shorten_history
    from .output import screen_for
    from .turns import reloaded, turn, waiting_time, without_busy

    asked, wait, held = given, waiting_time(given.wait), Held()
    html_file = page.ready(given.html, config.path) if given.html else None
    plan_to = _ready(given.save_to, config.path) if given.save_to else None
    given, options = _resolve(config, given, now, ident)
    screen = screen_for(settings, config, given.style, selected_only=given.selected_only, delete=given.delete)
    tally = page.tally() if html_file else None
    watcher = Both(screen.watcher, tally) if tally else screen.watcher
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(Signals())
        folder = settings.writable_state_folder(config) if given.delete else settings.state_folder(config)
        if given.delete:
            held = stack.enter_context(turn(folder, options, wait, signals))
        if held.waited:  # what was put on hold meanwhile counts
            config = reloaded(config, options)
            given, options = _resolve(config, asked, clock(), ident)
        options, busy = without_busy(options, held)
        needed = given.delete or Ledger.exists(folder)
        ledger = stack.enter_context(Ledger(folder, writable=given.delete)) if needed else None
        ports = Ports(
            clock=clock,
            ledger=ledger,
            watcher=watcher,
            interrupted=signals.interrupted,
            refused=RefusedSignIns(folder),
            held=held.sources,
        )
        result.run = run = _run(options, given, screen, ports, signals)
        if given.delete and ledger:
            announce(run, ledger, config, signals.interrupted)
            note_end(ledger, run, options, whole=given.whole)
        run.plans += busy
        if plan_to:
            _save(run, options.accounts, plan_to, given)
        if given.delete and ledger and run.exit_code == ExitCode.DONE:
            shorten_history(ledger, config, run)
        words = _command_line(settings, given)
        screen.finish(run, words, reporting)
        if html_file and tally:
            page.write(html_file, run, tally, ledger, config.zone, words)
    return run


def _resolve(config: Config, given: Given, now: datetime, ident: str) -> tuple[Given, RunOptions]:
    """What to do, worked out of what was typed; a saved plan stands for the ages that are not given with it.

    Nothing is contacted yet. Raises UsageError for options that are wrong, ConfigError, Refused.
    """
    from ..run import resolve

    accounts = of_shard(with_rules(chosen(config, given.account_names), given.rule_names), given.shard)
    if reviewed := _reviewed(accounts, given, now):
        older_than, before = given.older_than or reviewed.older_than, given.before or reviewed.before
        given = given._replace(older_than=older_than, before=before)
    age, instant = _age(config, given, now)
    _check_short(config, accounts, given.rule_names, age, instant, now)
    require_ready(accounts)
    try:
        options = resolve(
            config,
            accounts,
            now,
            rules=given.rule_names,
            older_than=age,
            before=instant,
            delete=given.delete,
            accept_fewer=given.accept_fewer,
            reviewed=reviewed,
            ident=ident,
        )
    except ValueError as error:
        raise click.UsageError(f"--older-than: {error}") from None
    return given, options


def _run(options: RunOptions, given: Given, screen: Screen, ports: Ports, signals: Signals) -> Run:
    """Runs; a signal ends the run early, and the question too."""
    from msgspec.structs import replace

    from ..run import run

    on_terminal = _asking()  # asked before the bars run, while which rich before 15 hides the terminal

    def ask(planned: Run) -> bool:
        return signals.ask(lambda: screen.confirm(planned, on_terminal=on_terminal))

    with screen:
        done = run(options, replace(ports, confirm=None if given.yes else ask))
    done.signal = signals.arrived
    return done


def _reviewed(accounts: list[Account], given: Given, now: datetime) -> SavedPlan | None:
    if given.plan_file is None:
        return None
    from .. import plan_file
    from ..cutoff import Period

    try:
        longest = Period.parse(given.plan_max_age).exact()
    except ValueError as error:
        raise click.UsageError(f"--plan-max-age: {error}") from None
    return plan_file.load(Path(given.plan_file), now, {a.name: a.fingerprint for a in accounts}, longest)


def _ready(file: str, config: Path) -> Path:
    """Where to save the plan. Raises UsageError, before anything is contacted, if that cannot be."""
    from ..config.places import typed
    from ..errors import ConfcleanupError
    from .files import require_writable

    path = typed(file)
    try:
        require_writable(path, config)
    except ConfcleanupError as error:
        raise click.UsageError(f"-o: {error}") from None
    return path


def _save(run: Run, accounts: Sequence[Account], file: Path, given: Given) -> None:
    """Writes the plan, readable by its owner alone: it holds other people's titles."""
    import json

    from .. import plan_file
    from .files import replace_private

    fingerprints = {account.name: account.fingerprint for account in accounts}
    document = plan_file.document(run.plans, run.now, fingerprints, given.older_than, given.before)
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


def _age(config: Config, given: Given, now: datetime) -> tuple[Period | None, datetime | None]:
    from ..cutoff import Period, parse_instant

    older_than, before = given.older_than, given.before
    if older_than is not None and before is not None:
        raise click.UsageError("--older-than and --before cannot be used together")
    try:
        age = Period.parse(older_than) if older_than is not None else None
    except ValueError as error:
        raise click.UsageError(f"--older-than: {error}") from None
    try:
        instant = parse_instant(before, config.zone) if before is not None else None
    except ValueError as error:
        raise click.UsageError(f"--before: {error}") from None
    if instant and instant > now:
        raise click.UsageError(f"--before: {before} is in the future; items that have not ended are never deleted")
    return age, instant


def _check_short(
    config: Config,
    accounts: list[Account],
    names: tuple[str, ...],
    age: Period | None,
    instant: datetime | None,
    now: datetime,
) -> None:
    """Refuses an age under one day given here, for rules that may not have one in the config either."""
    from ..config.load import DAY, TOO_SHORT

    option = "--older-than" if age else "--before"
    short = age.least < DAY if age else instant is not None and instant > now - timedelta(seconds=DAY)
    if not short:
        return
    for account in accounts:
        for rule in account.rules:
            if (not names or rule.name in names) and config.needs_a_day(account, rule):
                where = f"in the config, for the rule {rule.name!r} of {account.name} or for all"
                raise click.UsageError(f"{option}: {TOO_SHORT} {where}")


def _command_line(settings: Globals, given: Given) -> str:
    """The command that would carry out this dry run."""
    from ..system import command_line

    plan_file = given.save_to or given.plan_file
    words = ["confcleanup", *(["-c", settings.config] if settings.config else [])]
    words += ["--state", settings.state] if settings.state else []
    words.append("run")
    words += [word for name in given.account_names for word in ("--account", name)]
    words += [word for name in given.rule_names for word in ("--rule", name)]
    words += ["--shard", given.shard] if given.shard else []
    words += ["--older-than", given.older_than] if given.older_than else []
    words += ["--before", given.before] if given.before else []
    words += ["--plan", plan_file] if plan_file else []
    return command_line(words)
