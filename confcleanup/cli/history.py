"""``confcleanup history``: what was deleted, when, by which rule, with what outcome."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import click

from ..errors import ConfcleanupError
from ..items import Outcome
from .options import ACCOUNTS, Globals, global_options, offered

COLUMNS = (
    *("run", "account", "provider", "rule", "what", "id", "title", "ended_at"),
    *("intended_at", "finished_at", "outcome", "error", "aliases"),
)


@click.command("history")
@ACCOUNTS
@click.option("--rule", "rules", metavar="NAME", multiple=True, help="Only this rule.", shell_complete=offered("rules"))
@click.option("--id", "ids", metavar="ID", multiple=True, help="Only this item, by its id or an alias.")
@click.option(
    "--outcome", "outcomes", type=click.Choice([*map(str, Outcome)]), multiple=True, help="Only this outcome."
)
@click.option("--since", metavar="TIME", help="Only what was deleted at or after this date or time.")
@click.option("--until", metavar="TIME", help="Only what was deleted before this date or time.")
@click.option("--verify", is_flag=True, help="Prove that no entry was altered or taken out; shows nothing else.")
@click.option("--format", "style", type=click.Choice(["table", "json", "jsonl", "csv"]), default="table")
@global_options
def command(settings: Globals, *, verify: bool, style: str, **filters: Any) -> None:
    """Show every deletion that was attempted, and what came of it. Restorations follow in the table, and in json.

    Without filters it shows everything. It works without a config if --state names the folder.
    """
    from .. import report
    from ..ledger import Ledger

    filters |= {name: _time(filters[name], name, settings) for name in ("since", "until")}
    folder = settings.state_folder_alone()
    if not Ledger.exists(folder):
        raise ConfcleanupError(f"there is no ledger in {folder}; nothing was ever deleted with this state folder")
    with Ledger(folder, writable=False) as ledger:
        if verify:
            count, head = ledger.verify()
            print(f"{count} entries, none altered and none missing. The last one's hash is {head}")
            return
        wanted = (entry for entry in ledger.deletions() if _wanted(entry, filters))
        found = ({name: entry[name] for name in COLUMNS} for entry in wanted)
        restored = (entry for entry in ledger.restores() if _restore_wanted(entry, filters))
        if style == "json":
            document = {"version": report.VERSION, "deletions": list(found), "restores": list(restored)}
            json.dump(document, sys.stdout, indent=1)
            print()
        elif style == "jsonl":
            for entry in found:
                print(json.dumps(entry))
        elif style == "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([report.cell(entry[name]) for name in COLUMNS] for entry in found)
        else:
            _table(found, restored)


def _wanted(entry: dict[str, Any], filters: dict[str, Any]) -> bool:
    named = {"account_names": "account", "rules": "rule", "outcomes": "outcome"}
    if filters["ids"] and not _has_id(entry, filters["ids"]):
        return False
    if any(filters[option] and entry.get(name) not in filters[option] for option, name in named.items()):
        return False
    when = datetime.fromisoformat(entry["intended_at"])
    since, until = filters["since"], filters["until"]
    return not (since and when < since) and not (until and when >= until)


def _has_id(entry: dict[str, Any], ids: Sequence[str]) -> bool:
    """Whether an entry is about one of these ids, as people write them."""
    from ..providers import spellings
    from ..selection import same_ids

    names = (entry["id"], *entry.get("aliases", ()))
    return same_ids(names, [text for ident in ids for text in spellings(entry["provider"], entry["what"], ident)])


def _restore_wanted(entry: dict[str, Any], filters: dict[str, Any]) -> bool:
    """By account, id and time; a restoration has no rule and no outcome to be chosen by."""
    return _wanted({**entry, "intended_at": entry["at"]}, filters)


def _time(text: str | None, option: str, settings: Globals) -> datetime | None:
    from ..cutoff import parse_instant

    try:
        return parse_instant(text, settings.zone()) if text else None
    except ValueError as error:
        raise click.UsageError(f"--{option}: {error}") from None


def _table(found: Iterator[dict[str, Any]], restored: Iterator[dict[str, Any]]) -> None:
    from ..redact import harmless

    shown = 0
    for entry in found:
        shown += 1
        title = harmless(entry["title"] or "")
        error = f"  {harmless(entry['error'])}" if entry["error"] else ""
        known_as = f" ({', '.join(entry['aliases'])})" if entry["aliases"] else ""
        where = f"{entry['account']} {entry['what']} {harmless(entry['id'] + known_as)}"
        print(f"{entry['intended_at']}  {entry['outcome']:8}  {where}  {title}  [{entry['rule']}]{error}")
    for entry in restored:
        came = (
            f"restored as {harmless(entry['new_id'])}"
            if entry["new_id"]
            else f"not restored: {harmless(entry['error'])}"
        )
        print(f"{entry['at']}  {entry['account']} {entry['what']} {harmless(entry['id'])}  {came}")
    print(f"{shown} deletion{'' if shown == 1 else 's'}.")
