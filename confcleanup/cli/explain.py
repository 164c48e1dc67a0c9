"""``confcleanup explain``: which rule keeps or deletes an item, step by step."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode
from ..redact import harmless, redact
from .options import Globals, chosen, clock, global_options, log, offered, require_ready
from .table import folded, terminal_width

if TYPE_CHECKING:
    from ..items import Item


@click.command("explain")
@click.argument("account_name", metavar="ACCOUNT", shell_complete=offered("accounts"))
@click.argument("item_id", metavar="ID")
@global_options
def command(settings: Globals, account_name: str, item_id: str) -> None:
    """Say, step by step, which rule keeps or deletes the item ID of an account, and when that would change.

    ID may also be another number by which the vendor knows it, such as a conferenceID or a call_id.
    Lists the account to find it; deletes nothing. Status 1 if there is no such item.
    """
    from ..config.rules import rules as resolved
    from ..deadline import Deadline
    from ..explain import explain
    from ..filter import Rule, same_ids
    from ..listing import judged
    from ..newest import keepers_of, newest, places
    from ..providers import spellings
    from ..records.ledger import Ledger
    from ..records.marks import notices_of
    from ..worklist import Entry, Worklist

    config = settings.load()
    (account,) = chosen(config, (account_name,), "account")
    require_ready([account])
    now = clock()
    rules = resolved(config, [account], now)[account.name]
    ages = [config.age(account, rule) for rule in account.rules]
    stop = Deadline(time.monotonic() + account.limits.max_runtime.total_seconds())
    found, keepers, width = False, keepers_of(rules), terminal_width(sys.stdout)
    folder = settings.state_folder(config)
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(folder, writable=False)) if Ledger.exists(folder) else None
        provider = stack.enter_context(account.provider(account.settings, stop, clock))
        notices = notices_of(ledger, account, rules, config.notify)
        for what in dict.fromkeys(rule.what for rule in rules):
            everything = Rule("", what, now)  # so that the vendor is asked to leave nothing out
            seen: list[Item] = []
            due = Worklist()
            for item in provider.list_items(what, [*(rule for rule in rules if rule.what == what), everything]):
                listed = item
                if same_ids((item.id, *item.aliases), spellings(provider.name, what, item_id)):
                    listed, decision, _ = judged(provider, item, rules, now)
                    seen.append(listed)
                    due.extend([Entry(listed, decision)])
                due.stand(places(listed, keepers, now))
            found = found or bool(seen)
            staying = {entry.item.key: decision for entry, decision in newest(due, keepers, what)}
            for listed in seen:
                for line in (
                    _named(listed),
                    *explain(listed, rules, ages, config.zone, now, staying.get(listed.key), notices),
                ):
                    print("\n".join(folded(redact(harmless(line)), width)))
    if not found:
        log.error(
            "%s lists no item with the id %r; if it was deleted from here: confcleanup history --id ID",
            account_name,
            item_id,
            extra={"account": account_name},
        )
        sys.exit(int(ExitCode.NOT_DONE))


def _named(item: Item) -> str:
    """An item in one line, with everything by which people may know it."""
    known_as = f" ({', '.join(item.aliases)})" if item.aliases else ""
    title = f" {item.title!r}" if item.title else ""
    owner = "not known" if item.owner is None else item.owner or "none"
    return f"{item.what} {item.id}{known_as}{title}, {item.kind}, owner {owner}"
