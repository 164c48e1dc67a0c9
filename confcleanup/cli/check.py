"""``confcleanup check``: is everything well, before it matters?"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import click

from ..errors import ArchiveError, ConfcleanupError, ExitCode
from .cleaning import of_shard
from .options import (
    ACCOUNTS,
    RESULTS,
    RULES,
    SHARD,
    Globals,
    chosen,
    clock,
    global_options,
    log,
    require_ready,
    with_rules,
)

if TYPE_CHECKING:
    from ..config.load import Account, Config


@click.command("check")
@click.option(
    "--last-success",
    metavar="AGE",
    help='Only check that the last run without errors is no older than this, for example "8d"; contacts no vendor.',
)
@RULES
@ACCOUNTS
@SHARD
@global_options
def command(
    settings: Globals,
    account_names: tuple[str, ...],
    last_success: str | None,
    rule_names: tuple[str, ...] = (),
    shard: str | None = None,
) -> None:
    """Check config, secrets, sign-in, rights, clock and archives of every account, and the state folder.

    Nothing is deleted. Status 1 if an account needs attention, or if the last run without errors of one
    of its sources is older than --last-success (with --rule: of these rules).
    """
    from ..account_check import Checked, check_account
    from ..config import holds
    from ..deadline import Deadline
    from ..providers.base import its_own_fault
    from ..records.refused import RefusedSignIns
    from ..redact import harmless, redact
    from ..run import side_by_side

    def examine(account: Account) -> Checked:
        stop = Deadline(time.monotonic() + account.limits.max_runtime.total_seconds())
        gate = refused.gate(account.name, account.settings, clock, by_hand=True)
        what = list(dict.fromkeys(rule.what for rule in account.rules))
        try:
            with its_own_fault():
                found = check_account(account.provider, account.settings, what, account.limits, stop, clock, gate)
                broken, weak = _archives(account)
                found.errors += broken
                found.warnings += weak + _shared(account)
                return found
        except ConfcleanupError as error:  # the other accounts are still checked
            return Checked(error=error, errors=[str(error)], warnings=[])

    config = settings.load()
    accounts = of_shard(with_rules(chosen(config, account_names), rule_names), shard)
    if last_success is not None:
        _check_last_success(settings, config, accounts, last_success, rule_names)
        return
    if rule_names:
        raise click.UsageError("--rule is for --last-success: an account is checked as a whole")
    require_ready(accounts)
    notices = _notices(config)
    holds.active(config.holds, config.zone, clock())
    refused = RefusedSignIns(settings.writable_state_folder(config))
    found = side_by_side(accounts, examine)
    for account, checked in zip(accounts, found, strict=True):
        told = logging.LoggerAdapter(log, {"account": account.name})
        for warning in checked.warnings:
            told.warning("%s: %s", account.name, warning)
        for message in checked.errors:
            told.error("%s: %s", account.name, message)
        if not checked.errors:
            state = redact(harmless(f"{account.name}: OK, {checked.summary()}; {_rules(len(account.rules))}"))
            logging.getLogger(RESULTS).info("%s", state)
            if not settings.quiet:
                print(state)
    if notices or any(checked.errors for checked in found):
        sys.exit(int(ExitCode.NOT_DONE))


def _check_last_success(
    settings: Globals, config: Config, accounts: list[Account], text: str, rules: tuple[str, ...]
) -> None:
    """The dead man's view: reads the config and the ledger, nothing else."""
    from ..cutoff import Period, cutoff, humanize
    from .notices import last_good

    now, folder = clock(), settings.state_folder(config)
    try:
        oldest = cutoff(now, Period.parse(text), config.zone)
    except ValueError as error:
        raise click.UsageError(f"--last-success: {error}") from None
    names = {account.name for account in accounts}
    good = {source: when for source, when in last_good(folder, config, rules).items() if source[0] in names}
    several = Counter(name for name, _ in good)
    ruled = Counter((account.name, rule.what) for account in accounts for rule in account.rules)
    for (name, what), when in good.items():
        source = f"{name}: {what}" if several[name] > 1 else name
        all_rules = f" for each of its {ruled[name, what]} rules" if ruled[name, what] > 1 and not rules else ""
        words = (
            f"the last run without errors ended {humanize(now - when)} ago"
            if when
            else f"no run without errors is recorded{all_rules}"
        )
        if when is None or when < oldest:
            told = logging.LoggerAdapter(log, {"account": name})
            told.error("%s: %s, according to the ledger in %s; expected within %s", source, words, folder, text)
        elif not settings.quiet:
            print(f"{source}: {words}")
    if any(when is None or when < oldest for when in good.values()):
        sys.exit(int(ExitCode.NOT_DONE))


def _notices(config: Config) -> bool:
    """Says what is missing to tell others of a run; nobody is told anything now."""
    missing = list(config.notify.missing())
    for key, message in missing:
        log.error("notify.%s: %s", key, message)
    return bool(missing)


def _archives(account: Account) -> tuple[list[str], list[str]]:
    """What keeps the rules' archives from taking a copy, and what they can do without."""
    from ..records.archive import Archive

    refused, weak = [], []
    for rule in account.rules:
        try:
            if rule.archive:
                weak += [f"rule {rule.name!r}: {weakness}" for weakness in Archive(rule.archive).check()]
        except ArchiveError as error:
            refused.append(f"rule {rule.name!r}: {error}")
    return refused, weak


def _shared(account: Account) -> list[str]:
    return [f"{key} {told}" for key, secret in account.settings.secrets() if (told := secret.shared)]


def _rules(count: int) -> str:
    return f"{count} rule{'' if count == 1 else 's'}"
