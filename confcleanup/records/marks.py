"""Marks of items that are announced before they are deleted, in the ledger's file beside its events.

They are not part of the chain of events: a mark can be lost, which begins a notice anew, and need not be proven. Each
run's sums are recorded as an event.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from ..changes import digest
from ..config.load import Account
from ..filter import Rule
from ..items import Item, Outcome
from ..notice import NO_NOTICES, Mark, Notices, to_mark
from ..plan import Plan
from ..settings.tables import NotifySettings
from ..worklist import Entry
from .journal import Journal
from .ledger import Ledger

TABLE = """
CREATE TABLE IF NOT EXISTS mark (account TEXT, key TEXT, rule TEXT, what TEXT, seal TEXT, since TEXT, told TEXT,
seconds REAL, run TEXT, PRIMARY KEY (account, key, rule)) WITHOUT ROWID
"""
OUTDATED = """
DELETE FROM mark WHERE account = ?1 AND key = ?2 AND rule = ?3
AND (seal <> ?5 OR max(since, coalesce(told, since)) > ?6)
"""
KEEP = """
INSERT INTO mark VALUES (?, ?, ?, ?, ?, ?, NULL, ?, ?) ON CONFLICT DO UPDATE SET run = excluded.run,
seconds = CASE WHEN told IS NULL THEN max(seconds, excluded.seconds) ELSE seconds END
"""
CLEAR = """
DELETE FROM mark WHERE account = ? AND run <> ? AND rule NOT IN (SELECT value FROM json_each(?))
AND (what IN (SELECT value FROM json_each(?)) OR what NOT IN (SELECT value FROM json_each(?)))
"""
TELL = "UPDATE mark SET told = ? WHERE account = ? AND key = ? AND rule = ? AND told IS NULL"
AT_ONCE = 2500
"""Marks written with one commit."""


class MarkBook:
    """The marks of one account. Its ``url`` is part of what they fit: another server's items are others."""

    def __init__(self, ledger: Ledger, account: Account) -> None:
        self._ledger, self._account, self._name = ledger, account, account.name

    def find(self, items: Sequence[Item]) -> dict[tuple[tuple[str, ...], str], Mark]:
        """The marks that fit these items as they are now."""
        known = {repr(item.key): item for item in items}
        found = {}
        for key, rule, seal, since, told, seconds in self._ledger.marks(self._name, list(known)):
            if seal == self._seal(known[key]):
                mark = Mark(datetime.fromisoformat(since), told and datetime.fromisoformat(told), timedelta(0, seconds))
                found[known[key].key, rule] = mark
        return found

    def update(self, plan: Plan, rules: Sequence[Rule], now: datetime, journal: Journal, *, tells: bool) -> None:
        """Marks what is due, and takes the marks off what is not due any more. Raises LedgerError.

        It happens before anything is deleted, so that a run that is cut off later has done it. ``rules`` were applied.
        """
        lengths = {rule.name: rule.notice.total_seconds() for rule in rules if rule.notice}
        self._keep(to_mark(plan) if lengths else (), lengths, now, journal.run)
        cleared = self._clear(plan.reliable, {rule.name for rule in rules}, journal.run) if plan.reliable else 0
        plan.marked, plan.told = True, 0 if tells else plan.news
        if plan.news or cleared:
            journal.note("notice", waiting=len(plan.waiting), new=plan.news, cleared=cleared)

    def _keep(self, entries: Iterable[Entry], lengths: Mapping[str, float], now: datetime, run: str) -> None:
        """Marks what is due from now on, unless it has a mark that fits."""
        at = _text(now)
        rows = (
            (self._name, repr(entry.item.key), rule, entry.item.what, self._seal(entry.item), at, lengths[rule], run)
            for entry in entries
            for rule in entry.decision.notice
        )
        while some := list(islice(rows, AT_ONCE)):
            with self._ledger.writing(TABLE) as db:
                db.executemany(OUTDATED, [row[:6] for row in some])
                db.executemany(KEEP, some)

    def _clear(self, sources: Collection[str], applied: Collection[str], run: str) -> int:
        """Takes the marks off what this run did not find due in these sources; how many.

        The marks of rules that were not applied stay; a source without a rule has no marks.
        """
        if not self._ledger.has_marks:
            return 0
        spared = [rule.name for rule in self._account.rules if rule.name not in applied]
        lists = map(json.dumps, (spared, list(sources), [rule.what for rule in self._account.rules]))
        with self._ledger.writing() as db:
            return db.execute(CLEAR, (self._name, run, *lists)).rowcount

    def spend(self, plan: Plan) -> None:
        """Takes the marks off what was deleted: what comes back begins its notice anew. Raises LedgerError."""
        gone = ((self._name, repr(entry.item.key)) for entry in plan.selected.ended(Outcome.DELETED, Outcome.GONE))
        while self._ledger.has_marks and (some := list(islice(gone, AT_ONCE))):
            with self._ledger.writing() as db:
                db.executemany("DELETE FROM mark WHERE account = ? AND key = ?", some)

    def _seal(self, item: Item) -> str:
        return hashlib.sha256(f"{self._account.settings.url}\n{digest(item)}".encode()).hexdigest()


def notices_of(ledger: Ledger | None, account: Account, rules: Sequence[Rule], notify: NotifySettings) -> Notices:
    """What there is to judge the notices of an account's rules by. Raises LedgerError."""
    if not any(rule.notice for rule in rules):
        return NO_NOTICES
    if not ledger:
        return Notices(tells=notify.tells)
    last = ledger.last_listing(account.name)
    return Notices(MarkBook(ledger, account).find, notify.tells, notify.notice_required, last)


def tell(ledger: Ledger, told: Iterable[tuple[str, str, str]], now: datetime) -> None:
    """Records what was announced: account, key as text, rule. Durable on return. Raises LedgerError."""
    with ledger.writing() as db:
        db.executemany(TELL, ((_text(now), *one) for one in told))


def _text(when: datetime) -> str:
    """An instant as text that sorts as time does."""
    return when.astimezone(UTC).isoformat(timespec="microseconds")
