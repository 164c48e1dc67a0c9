"""``confcleanup restore``: what can be brought back from an archive, and where the rest lies."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from ..errors import ConfcleanupError, Refused
from ..redact import harmless
from .options import URGENT, Globals, chosen, clock, global_options, offered, require_ready

if TYPE_CHECKING:
    from ..config.load import Account, Config
    from ..items import Item
    from ..records.journal import Journal
    from ..records.ledger import Ledger

log = logging.getLogger("confcleanup")


@click.command("restore")
@click.argument("account_name", metavar="ACCOUNT", shell_complete=offered("accounts"))
@click.argument("item_id", metavar="ID")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option("--again", is_flag=True, help="Recreate it even if it was already recreated since its deletion.")
@global_options
def command(settings: Globals, account_name: str, item_id: str, *, dry_run: bool, yes: bool, again: bool) -> None:
    """Recreate a deleted TrueConf conference or room from its archived copy.

    The history identifies the copy. Recordings cannot be uploaded again; for them, this prints where the archived
    files are. It warns if the next run would delete the restored item again.
    """
    from ..lock import Claim, lock
    from ..records.ledger import Ledger
    from ..run import run_id

    config = settings.load()
    (account,) = chosen(config, (account_name,), "account")
    folder = settings.writable_state_folder(config)
    Ledger.require(folder)
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(folder))
        item = _deleted(ledger, account, item_id)
        stack.enter_context(lock(folder, [Claim(account.name, account.identity, [item.what])]))
        where, saved = _copy(ledger, account, item)
        print(f"{item.what} {harmless(item.id)} ({harmless(item.title or 'no title')}) is archived in {where}")
        if account.provider.sources[item.what].media:
            print("Recordings cannot be uploaded again; the files are in the folder above.")
            return
        require_ready([account])
        now = clock()
        _warn_of_the_next_run(config, account, item, saved, now)
        _refuse_a_second(ledger, account, item, again=again or dry_run)
        if dry_run:
            print("Dry run: nothing was created. Without --dry-run it is recreated, with its old id if that is free.")
            return
        if not yes and not sys.stdin.isatty():
            raise Refused("not confirmed: there is no terminal to prompt on; use --yes. Nothing was created")
        if not yes and not click.confirm("Recreate it?", err=True):
            raise Refused("not confirmed; nothing was created")
        journal = _journal(ledger, account, run_id(now))
        _create(account, item, saved, journal)


def _journal(ledger: Ledger, account: Account, run: str) -> Journal:
    from ..records.journal import Journal

    return Journal(ledger, run, account.name, account.provider.name, clock, account.settings.url, account.identity)


def _warn_of_the_next_run(config: Config, account: Account, item: Item, saved: dict[str, Any], now: datetime) -> None:
    """A restored item is as old as it was, so the rule that deleted it may do so again."""
    from ..config.rules import rules
    from ..filter import choose
    from ..items import State
    from ..newest import keepers_of

    back = replace(item, state=State.ENDED, owner=saved["owner"], tags=tuple(saved["tags"] or ()), created_at=now)
    applied = rules(config, [account], now)[account.name]
    decision = choose(back, applied, now)
    if decision.delete:
        unless = ", unless keep_last keeps it" if keepers_of(applied) else ""
        log.warning(
            "the next run would delete it again (rule %r: %s)%s: first name it in keep_ids or under [holds]",
            decision.rule,
            decision.reason,
            unless,
            extra=URGENT,
        )


def _refuse_a_second(ledger: Ledger, account: Account, item: Item, *, again: bool) -> None:
    """A copy may be wanted twice, but not by accident."""
    deleted = max(
        entry["intended_at"]
        for entry in ledger.deletions()
        if (entry["account"], entry["id"]) == (account.name, item.id) and entry["outcome"] in ("deleted", "gone")
    )
    for entry in ledger.restores():
        mine = (entry["account"], entry["id"]) == (account.name, item.id) and entry["new_id"]
        if mine and entry["at"] >= deleted and not again:
            made = harmless(entry["new_id"])
            raise Refused(
                f"it was already recreated with the id {made} at {entry['at']}; to recreate it once more, use --again"
            )


def _deleted(ledger: Ledger, account: Account, item_id: str) -> Item:
    found = ledger.deleted(account.name, item_id)
    if found is None:
        raise ConfcleanupError(f"the ledger knows of no deletion of {item_id!r} in {account.name}")
    return found


def _copy(ledger: Ledger, account: Account, item: Item) -> tuple[str, dict[str, Any]]:
    from ..records.archive import Archive

    for target in dict.fromkeys(rule.archive for rule in account.rules if rule.archive):
        if found := Archive(target).find(account.name, item):
            return found
    if not any(rule.archive for rule in account.rules):
        raise ConfcleanupError(
            f"no rule of {account.name} has an archive, so there is no copy of {item.what} {item.id}"
        )
    expired = [
        one for one in ledger.copies() if (one["account"], one["what"], one["id"]) == (account.name, item.what, item.id)
    ]
    if expired:
        ended = f"kept for as long as keep_archive says, and removed on {expired[-1]['at'][:10]}"
        raise ConfcleanupError(f"the archived copy of {item.what} {item.id} has expired: it was {ended}")
    raise ConfcleanupError(
        f"no complete archived copy of {item.what} {item.id} was found in the archives of {account.name}"
    )


def _create(account: Account, item: Item, saved: dict[str, Any], journal: Journal) -> None:
    from ..deadline import Deadline
    from ..deleter import restore

    stop = Deadline(time.monotonic() + account.limits.max_runtime.total_seconds())
    with account.provider(account.settings, stop, clock) as provider:
        try:
            made = restore(provider, saved["vendor"])
        except ConfcleanupError as error:
            journal.note("restore", what=item.what, id=item.id, new_id=None, error=str(error))
            raise
        journal.note("restore", what=item.what, id=item.id, new_id=made.id, error=None)
    print(f"Recreated with the id {harmless(made.id)}. Not restored: {'; '.join(made.lost)}.")
