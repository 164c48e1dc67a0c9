"""``confcleanup check``: is everything well, before it matters?"""

from __future__ import annotations

import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import click

from ..errors import ExitCode
from .options import Globals, chosen, clock, global_options, require_ready

log = logging.getLogger("confcleanup")


@click.command("check")
@click.option("--account", "account_names", metavar="NAME", multiple=True, help="Only this account.")
@global_options
def command(settings: Globals, account_names: tuple[str, ...]) -> None:
    """Check config, secrets, sign-in, rights and clock of every account. Nothing is deleted.

    Status 1 if an account is not well.
    """
    from .. import holds
    from ..pace import Stop
    from ..runs import SIDE_BY_SIDE, check

    config = settings.load()
    accounts = chosen(config, account_names)
    require_ready(accounts)
    holds.active(config.holds, config.zone, clock())
    with ThreadPoolExecutor(min(SIDE_BY_SIDE, len(accounts))) as pool:
        deadlines = [Stop(time.monotonic() + account.limits.max_runtime.total_seconds()) for account in accounts]
        found = list(pool.map(lambda account, stop: check(account, stop, clock), accounts, deadlines))
    for account, (trouble, warnings) in zip(accounts, found, strict=True):
        for warning in warnings:
            log.warning("%s: %s", account.name, warning)
        for message in trouble:
            log.error("%s: %s", account.name, message)
        if not trouble and not settings.quiet:
            print(f"{account.name}: well ({account.provider.title}; {_rules(len(account.rules))})")
    if any(trouble for trouble, _ in found):
        sys.exit(int(ExitCode.NOT_DONE))


def _rules(count: int) -> str:
    return f"{count} rule{'' if count == 1 else 's'}"
