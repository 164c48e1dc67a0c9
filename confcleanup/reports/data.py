"""A run as data: the stable formats json, jsonl and csv. All times are RFC 3339 in UTC."""

from __future__ import annotations

import csv
import json
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import IO, Any

from ..items import Outcome
from ..plan import Copies, Plan, Stuck, Watcher
from ..redact import harmless, redact
from ..run import Run
from ..worklist import Entry

VERSION = 1
SMALL = 32 * 1024
"""Characters of an account's kept items that are held without an open file, as a process may have only 1,000."""
ITEM = (
    *("rule", "what", "id", "title", "owner", "kind", "tags", "started_at", "ended_at"),
    *("size_bytes", "decision", "reason", "outcome", "error", "aliases", "goes_at"),
)


def timestamp(when: datetime | None) -> str | None:
    """An instant as RFC 3339 in UTC, to the second."""
    return f"{when.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z" if when else None


def item(entry: Entry) -> dict[str, Any]:
    """An item as the contract's JSON object."""
    thing, decision = entry.item, entry.decision
    return {
        "rule": decision.rule,
        "what": thing.what,
        "id": thing.id,
        "title": _redacted(thing.title),
        "owner": _redacted(thing.owner),
        "kind": str(thing.kind),
        "tags": list(map(redact, thing.tags or ())),
        "started_at": timestamp(thing.started_at),
        "ended_at": timestamp(thing.ended_at or decision.ended_at),
        "size_bytes": thing.size_bytes,
        "decision": "delete" if decision.delete else "notice" if decision.goes_at else "keep",
        "reason": _redacted(decision.reason),
        "outcome": entry.outcome and str(entry.outcome),
        "error": _redacted(entry.error),
        "aliases": list(thing.aliases),
        "goes_at": None if entry.error else timestamp(decision.goes_at),
    }


def account(plan: Plan) -> dict[str, Any]:
    """An account's counts as the contract's JSON object, without its items."""
    return {
        "account": plan.account,
        "provider": plan.provider,
        "status": plan.status,
        "error": _redacted(
            "; ".join([*filter(None, [plan.error]), *plan.copies.errors, *plan.unlisted, *plan.refusals]) or None
        ),
        "warnings": [redact(warning) for warning in plan.warnings + plan.notices + list(filter(None, [plan.untold]))],
        "listed": plan.listed,
        "selected": len(plan.selected),
        **{str(outcome): plan.count(outcome) for outcome in Outcome},
        "undecided": plan.undecided,
        "stuck": _stuck(plan.stuck),
        "estimated_seconds": round(plan.seconds, 1),
        "copies": copies(plan.copies),
        "kept": {str(why): count for why, count in sorted(plan.kept.items())},
        "notice": len(plan.waiting),
        "announced": plan.told,
    }


def copies(found: Copies) -> dict[str, Any]:
    """The copies of an account that have expired, as the contract's JSON object."""
    return {
        "expired": found.count,
        "removed": found.removed,
        "kept": found.kept,
        "changed": found.changed,
        "items": [
            {
                "rule": copy.rule,
                "what": copy.item.what,
                "id": copy.item.id,
                "title": _redacted(copy.item.title),
                "deleted_at": timestamp(copy.deleted_at),
                "archive": redact(copy.target),
                "folder": copy.folder,
                "outcome": copy.outcome,
                "error": _redacted(copy.error),
            }
            for copy in found.due
        ],
    }


def _stuck(stuck: Stuck) -> dict[str, Any]:
    """How many items are stuck, and the oldest of them."""
    entry = stuck.oldest
    oldest = entry and {
        "what": entry.item.what,
        "id": entry.item.id,
        "since": timestamp(stuck.since),
        "reason": _redacted(entry.error or entry.decision.reason),
    }
    return {"count": stuck.count, "oldest": oldest, "since": timestamp(stuck.since)}


def _redacted(text: str | None) -> str | None:
    return redact(text) if text else text


class Collector(Watcher):
    """Collects kept items for formats that list them, and writes the run when it has finished.

    ``jsonl`` and ``csv`` write each kept item when it is seen. ``json`` groups items by account, so they wait in
    unnamed temporary files, or in memory while they are few. In neither case does memory grow with what is kept.
    """

    def __init__(self, style: str, out: IO[str], *, selected_only: bool) -> None:
        self._style = style
        self._out = out
        self._selected_only = selected_only
        self._kept: dict[str, IO[str]] = {}
        self._lock = threading.Lock()
        if style == "csv":
            csv.writer(out, lineterminator="\n").writerow(["account", *ITEM])

    def kept(self, account: str, entry: Entry) -> None:
        if self._selected_only:
            return
        with self._lock:
            if self._style == "json":
                if account not in self._kept:
                    # later calls fill it, so no block of this method can hold it
                    spool = tempfile.SpooledTemporaryFile(SMALL, "w+", encoding="utf-8")  # noqa: SIM115  # _items closes it
                    self._kept[account] = spool
                self._kept[account].write(json.dumps(item(entry)) + "\n")
            else:
                self._write(account, [entry])

    def finish(self, run: Run) -> None:
        """Writes the rest: selected items with their outcomes, and the counts."""
        if self._style == "json":
            self._out.writelines(self._document(run))
            return
        for plan in run.plans:
            self._write(plan.account, plan.selected)
            if not self._selected_only:
                self._write(plan.account, plan.waiting)
            if self._style == "jsonl":
                self._out.write(json.dumps({**account(plan), **_head(run)}) + "\n")

    def _document(self, run: Run) -> Iterator[str]:
        """The JSON object, one item a line."""
        yield _opened({**_head(run), "accounts": []})
        for number, plan in enumerate(run.plans):
            yield (",\n" if number else "\n") + _opened({**account(plan), "items": []})
            for place, line in enumerate(self._items(plan)):
                yield (",\n" if place else "\n") + line
            yield "\n]}"
        yield "\n]}\n"

    def _items(self, plan: Plan) -> Iterator[str]:
        for entry in chain(plan.selected, () if self._selected_only else plan.waiting):
            yield json.dumps(item(entry))
        if kept := self._kept.pop(plan.account, None):
            with kept:
                kept.seek(0)
                yield from (line.rstrip("\n") for line in kept)

    def _write(self, name: str, entries: Iterable[Entry]) -> None:
        if self._style == "jsonl":
            self._out.writelines(json.dumps({"account": name, **item(entry)}) + "\n" for entry in entries)
        else:
            rows = ([name, *map(cell, item(entry).values())] for entry in entries)
            csv.writer(self._out, lineterminator="\n").writerows(rows)


def _head(run: Run) -> dict[str, Any]:
    return {
        "version": VERSION,
        "run": run.id,
        "mode": run.mode,
        "now": timestamp(run.now),
        "exit_code": int(run.exit_code),
    }


def _opened(fields: Mapping[str, Any]) -> str:
    """A JSON object whose last field is an empty list, cut before that list's end."""
    return json.dumps(fields).removesuffix("]}")


def cell(value: object) -> object:
    """A value for a CSV cell; text that a spreadsheet would read as a formula is quoted with an apostrophe."""
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if not isinstance(value, str):
        return value
    formula = value.lstrip().startswith(("=", "+", "-", "@", "\t", "\r"))
    return ("'" if formula else "") + harmless(value)
