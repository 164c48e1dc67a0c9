"""Take turns with other runs: wait for accounts that another run is cleaning, and leave out those that stay busy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from ..errors import ConfigError, Locked, Problem, Stopped

if TYPE_CHECKING:
    from ..config.load import Config
    from ..lock import Claim, Held
    from ..plan import Plan
    from ..run import RunOptions
    from .signals import Signals

WAIT = click.option(
    "--wait",
    metavar="TIME",
    default="0",
    show_default=True,
    help='How long to wait for a run that is cleaning the same account and source, for example "30min".',
)


def waiting_time(text: str) -> timedelta:
    """Reads ``--wait``. Raises UsageError."""
    from ..cutoff import Period

    if text.strip() == "0":
        return timedelta(0)
    try:
        return Period.parse(text).exact()
    except ValueError as error:
        raise click.UsageError(f"--wait: {error}") from None


@contextmanager
def turn(folder: Path, options: RunOptions, wait: timedelta, signals: Signals) -> Iterator[Held]:
    """Holds the sources that the chosen rules of each account are for. Raises Locked, Stopped, LedgerError."""
    from ..lock import lock

    with ExitStack() as stack:
        try:
            held = stack.enter_context(lock(folder, _claims(options), wait, signals.interrupted))
        except Locked as error:
            raise Locked(f"{error}, or let this run wait for it: --wait 30min") from None
        except Stopped as error:
            error.exit_code = signals.status
            raise
        yield held


def _claims(options: RunOptions) -> list[Claim]:
    """What each account needs, and those of its sources that no rule is for any more.

    Deletions that an earlier rule left open there are looked into, if no other run has the source.
    """
    from ..lock import Claim

    return [
        Claim(
            account.name,
            account.identity,
            frozenset(rule.what for rule in options.rules[account.name]),
            account.provider.sources.keys() - {rule.what for rule in account.rules},
        )
        for account in options.accounts
    ]


def reloaded(config: Config, options: RunOptions) -> Config:
    """The config as it is after waiting. Raises ConfigError if what the run holds is no longer what it needs."""
    from ..config.load import load

    now = load(config.path)
    for account in options.accounts:
        other = now.accounts.get(account.name)
        if not other or (other.identity, other.fingerprint) != (account.identity, account.fingerprint):
            why = f"accounts.{account.name} was changed while this run waited for another one; start it again"
            raise ConfigError([Problem("", why)], str(config.path))
    return now


def without_busy(options: RunOptions, held: Held) -> tuple[RunOptions, list[Plan]]:
    """The options for the accounts that the run got, and what there is to say of the others."""
    from ..plan import Plan

    mine = [account for account in options.accounts if account.name not in held.busy]
    others = [account for account in options.accounts if account.name in held.busy]
    plans = [
        Plan(account.name, account.provider.name, failed=True, busy=True, error=held.busy[account.name])
        for account in others
    ]
    return replace(options, accounts=mine, everything=options.everything and not others), plans
