"""``confcleanup history``: what was deleted, when, by which rule, with what outcome."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError
from ..items import Outcome
from ..records.entries import told
from .options import ACCOUNTS, Globals, global_options, log, offered
from .table import Column, Table, terminal_width, when

if TYPE_CHECKING:
    from ..records.ledger import Ledger

COLUMNS = (
    *("run", "account", "provider", "rule", "what", "id", "title", "ended_at"),
    *("intended_at", "finished_at", "outcome", "error", "aliases", "reason", "people", "announced"),
)
TABLE = (
    *(Column("time"), Column("outcome"), Column("account", 8), Column("what", below=True), Column("id", below=True)),
    *(Column("title", 12), Column("rule", 8, below=True), Column("reason", below=True)),
)
STATUSES = {
    "failed": "the account could not be listed",
    "refused": "the account was refused, nothing was deleted there",
    "partial": "the account was not finished",
}


@click.command("history")
@ACCOUNTS
@click.option("--rule", "rules", metavar="NAME", multiple=True, help="Only this rule.", shell_complete=offered("rules"))
@click.option("--id", "ids", metavar="ID", multiple=True, help="Only this item, by its id or an alias.")
@click.option(
    "--outcome",
    "outcomes",
    type=click.Choice([str(one) for one in Outcome if one is not Outcome.DEFERRED]),
    multiple=True,
    help="Only this outcome.",
)
@click.option("--since", metavar="TIME", help="Only entries at or after this date or time.")
@click.option("--until", metavar="TIME", help="Only entries before this date or time.")
@click.option("--verify", is_flag=True, help="Verify that no entry was altered or removed; print nothing else.")
@click.option("--format", "style", type=click.Choice(["table", "json", "jsonl", "csv"]), default="table")
@global_options
def command(settings: Globals, *, verify: bool, style: str, **filters: Any) -> None:
    """Show every attempted deletion and its outcome.

    In the table and in json, restorations, expired copies and unfinished accounts follow.

    Without filters it shows everything. It works without a config if --state names the folder.
    """
    from ..records.ledger import Ledger
    from ..reports import data as report

    zone = _zone(settings, needed=bool(filters["since"] or filters["until"]))
    filters |= {name: _time(filters[name], name, zone) for name in ("since", "until")}
    folder = settings.state_folder_alone()
    Ledger.require(folder)
    with Ledger(folder, writable=False, whole=verify) as ledger:
        if verify:
            _verify(ledger)
            return
        if ledger.doubt:
            log.warning("this history is incomplete or altered: %s", ledger.doubt)
        wanted = (entry for entry in ledger.deletions() if _wanted(entry, filters))
        found = ({name: entry[name] for name in COLUMNS} for entry in wanted)
        restored = (entry for entry in ledger.restores() if _other_wanted(entry, filters))
        copies = (entry for entry in ledger.copies() if _other_wanted(entry, filters))
        not_done = (entry for entry in ledger.not_done() if _other_wanted(entry, filters))
        if style == "json":
            lists = {"deletions": found, "restores": restored, "copies": copies, "not_done": not_done}
            sys.stdout.writelines(document({"version": report.VERSION}, lists))
        elif style == "jsonl":
            for entry in found:
                print(json.dumps(entry))
        elif style == "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([report.cell(entry[name]) for name in COLUMNS] for entry in found)
        else:
            table = Table(TABLE, terminal_width(sys.stdout))
            shown = table.write(_row(one, one["intended_at"], one["outcome"], told(one), zone) for one in wanted)
            table.write(chain(_restored(restored, zone), _expired(copies, zone), _not_done(not_done, zone)))
            print(f"{shown} deletion{'' if shown == 1 else 's'}.")
            if waiting := ledger.announced():
                print(f"{waiting} item{' is' if waiting == 1 else 's are'} on notice and not deleted yet.")


def _verify(ledger: Ledger) -> None:
    """Prints what was verified. Raises LedgerError if the ledger is not whole."""
    from ..records.proof import HEAD

    proof = ledger.verify()
    if proof.entries:
        entries = f"{proof.entries} {'entry' if proof.entries == 1 else 'entries'}, {proof.first} to {proof.last}"
        print(f"{entries}, none altered and none missing.", end=" ")
        print(f"The last one's hash is {proof.head}")
    else:
        print("0 entries, none altered and none missing: nothing was recorded yet.")
    if cut := proof.pruned:
        gone = f"Entries up to {cut['last']} were pruned"
        if cut["before"]:
            print(f"{gone}, as older than {cut['before']}; that was recorded at {cut['at']}.")
        elif cut["at"]:
            print(f"{gone} by an older release, which did not record it; at {cut['at']} they were found missing.")
        else:
            print(f"{gone} by an older release, which did not record it. The next run will.")
    if not proof.headed:
        log.warning("there is no %s beside the ledger, which would show if its end were cut off; a run writes it", HEAD)


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
    from ..filter import same_ids
    from ..providers import spellings

    if "id" not in entry:
        return False
    names = (entry["id"], *entry.get("aliases", ()))
    return same_ids(names, [text for ident in ids for text in spellings(entry["provider"], entry["what"], ident)])


def _other_wanted(entry: dict[str, Any], filters: dict[str, Any]) -> bool:
    """Filters by account and time, and restorations also by id; these entries have no rule and no outcome."""
    return _wanted({**entry, "intended_at": entry["at"]}, filters)


def document(head: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> Iterator[str]:
    """A JSON object with lists, one entry a line. Each is read when it is written, as there may be millions."""
    yield json.dumps(head).removesuffix("}")
    for name, entries in lists.items():
        yield f", {json.dumps(name)}: ["
        for place, entry in enumerate(entries):
            yield (",\n" if place else "\n") + json.dumps(entry)
        yield "]"
    yield "}\n"


def _zone(settings: Globals, *, needed: bool) -> tzinfo:
    """The config's time zone. A config that cannot be read is no obstacle, unless a time is to be understood by it."""
    try:
        return settings.zone()
    except ConfigError:
        if needed:
            raise
        return UTC


def _time(text: str | None, option: str, zone: tzinfo) -> datetime | None:
    from ..cutoff import parse_instant

    try:
        return parse_instant(text, zone) if text else None
    except ValueError as error:
        raise click.UsageError(f"--{option}: {error}") from None


def _restored(entries: Iterable[Mapping[str, Any]], zone: tzinfo) -> Iterator[list[str]]:
    for entry in entries:
        outcome, why = ("restored", f"as {back}") if (back := entry["new_id"]) else ("not restored", entry["error"])
        yield _row(entry, entry["at"], outcome, why, zone)


def _expired(entries: Iterable[Mapping[str, Any]], zone: tzinfo) -> Iterator[list[str]]:
    for entry in entries:
        outcome = "copy expired" if entry["removed_at"] else "copy expiring"
        yield _row(entry, entry["at"], outcome, f"it was in {entry['archive']}/{entry['folder']}", zone)


def _not_done(entries: Iterable[Mapping[str, Any]], zone: tzinfo) -> Iterator[list[str]]:
    for entry in entries:
        why = ": ".join(filter(None, [STATUSES.get(entry["status"]), entry["error"]]))
        yield _row(entry, entry["at"], entry["status"], why, zone)


def _row(entry: Mapping[str, Any], at: str, outcome: str, why: str | None, zone: tzinfo) -> list[str]:
    """An entry as a row of the table; what it does not have stays empty."""
    known_as = f" ({', '.join(entry['aliases'])})" if entry.get("aliases") else ""
    what, ident = entry.get("what"), (entry.get("id") or "") + known_as
    cells = (entry["account"], what, ident, entry.get("title"), entry.get("rule"), why)
    return [when(datetime.fromisoformat(at), zone), outcome, *(cell or "" for cell in cells)]
