"""Announce what will be deleted: a message to each owner about their own items, and a digest to the administrator.

It happens after a run's deletions, in bounded time. What could not be announced has no notice that could be over.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from ..errors import ConfcleanupError, LedgerError
from ..items import Kind
from ..plan import Plan
from ..records.ledger import Ledger
from ..records.marks import tell
from ..redact import harmless, redact
from ..run import Run
from ..settings.owners import Owners, read_addresses
from ..settings.tables import NotifySettings
from .mail import Mailer
from .notify import Channel, send

SUBJECT = "confcleanup: items that will be deleted"
LATER = "left for the next run"
TOO_LONG = "the mail server took too long"
TIME = "%Y-%m-%d %H:%M %Z"
MOST = 2000
"""Items in one message; an owner with more is told of the rest after later runs."""
SHOWN = 20
"""Items that the digest names, where titles are allowed."""
SECONDS = 600.0
"""So long may all messages to owners take together."""
IN_VAIN = 3
"""After so many messages in a row that could not be sent, the rest is left to the next run."""
LONGEST = 200
"""Characters of a title that are shown."""
_LINK = re.compile(r"\b[a-z][a-z0-9+.-]*://\S*|\bwww\.\S+", re.IGNORECASE)
TABLE = "CREATE TABLE news (id INTEGER PRIMARY KEY, address TEXT, goes REAL, plan INT, number INT, told INT, body BLOB)"


class News(NamedTuple):
    """An item that is announced: where its mark is, and what people are told of it."""

    plan: int
    key: str
    rules: tuple[str, ...]
    what: str
    title: str
    ended_at: datetime | None
    goes_at: datetime


class Announcer:
    """Announces the news of a run, and records in the ledger and in the plans what was announced.

    The news lie in a database without a name, by the owners' addresses; without one they are the administrator's.
    """

    def __init__(self, run: Run, ledger: Ledger, settings: NotifySettings, zone: tzinfo, stop: threading.Event) -> None:
        self._run, self._ledger, self._settings, self._zone, self._stop = run, ledger, settings, zone, stop
        self._seconds = settings.timeout.total_seconds()
        self._end = time.monotonic() + SECONDS
        self._db = sqlite3.connect("")
        self._why = LATER
        self._told: Counter[int] = Counter()
        self._refused = 0

    def work(self) -> None:
        """Announces everything; whatever goes wrong leaves the rest to the next run."""
        try:
            self._gather()
            if self._settings.owners:
                self._tell_owners()
            self._tell_administrator()
        except (sqlite3.Error, ConfcleanupError) as error:
            self._why = str(error)
        for place, plan in enumerate(self._run.plans):
            if plan.marked:
                self._note(place, plan)
        self._db.close()

    def _gather(self) -> None:
        table, mistakes = read_addresses(self._settings.owner_addresses) if self._settings.owner_addresses else ({}, [])
        if mistakes:
            raise ConfcleanupError(mistakes[0])
        owners = Owners(self._settings.owner_address, table) if self._settings.owners else Owners()
        self._db.execute(TABLE)
        for place, plan in enumerate(self._run.plans):
            rows = self._rows(place, plan, owners)
            while some := list(islice(rows, MOST)):
                self._db.executemany("INSERT INTO news VALUES (NULL, ?, ?, ?, ?, 0, ?)", some)
        self._db.execute("CREATE INDEX by_address ON news (address, goes)")

    def _rows(self, place: int, plan: Plan, owners: Owners) -> Iterator[tuple[Any, ...]]:
        for entry in plan.waiting if plan.marked else ():
            item, decision = entry.item, entry.decision
            if decision.news and decision.goes_at and item.what in plan.reliable:
                address = (owners.address(item.owner) or "") if self._settings.owners else ""
                what = "recording" if item.kind is Kind.RECORDING else "conference"
                ends = decision.ended_at, decision.goes_at
                news = News(place, repr(item.key), decision.notice, what, _shown(item.title), *ends)
                yield address, decision.goes_at.timestamp(), place, entry.number, msgspec.msgpack.encode(news)

    def _tell_owners(self) -> None:
        mailer, failed, address = Mailer(self._settings, self._run.now), 0, ""
        while failed < IN_VAIN and (address := self._after(address)):
            news = dict(
                self._news("SELECT id, body FROM news WHERE address = ? ORDER BY goes, id LIMIT ?", address, MOST)
            )
            message = letter(list(news.values()), self._zone, self._settings.keep_hint)
            sent: list[bool] = []
            error = self._mail(mailer, address, message, sent)
            failed, self._why = (failed + 1, error) if error else (0, self._why)
            if sent == [True]:
                self._note_told(news)
            elif sent == [False]:
                self._refused += 1
                self._db.execute("UPDATE news SET address = '' WHERE address = ?", (address,))
        if self._end:
            mailer.close()

    def _after(self, address: str) -> str:
        """The next address in order; empty if there is none."""
        (found,) = self._db.execute("SELECT min(address) FROM news WHERE address > ?", (address,)).fetchone()
        return found or ""

    def _mail(self, mailer: Mailer, address: str, message: tuple[str, str], sent: list[bool]) -> str | None:
        """Sends a message; why that failed, also because it took too long or the run was told to stop."""
        seconds = min(2 * self._seconds, self._end - time.monotonic())
        if self._stop.is_set() or seconds <= 0:
            return "the run was told to stop" if self._stop.is_set() else TOO_LONG
        channel = Channel("apprise", lambda: sent.append(mailer.send(address, *message)))
        channel.begin()
        if channel.ident:
            channel.join(seconds)
        if channel.is_alive():
            self._end = 0.0  # that thread still holds the connection
            return TOO_LONG
        return channel.error

    def _tell_administrator(self) -> None:
        text, end = "\n".join(self._digest()), time.monotonic() + self._seconds
        sends = (partial(send, url, SUBJECT, text, "INFO", self._settings) for url in self._settings.apprise)
        channels = [Channel("apprise", one) for one in sends]
        for channel in channels:
            channel.begin()
        for channel in channels:
            if channel.ident:
                channel.join(max(0.0, end - time.monotonic()))
        if any(channel.ident and not channel.is_alive() and not channel.error for channel in channels):
            news = self._news("SELECT id, body FROM news WHERE address = '' ORDER BY id")
            while some := dict(islice(news, MOST)):
                self._note_told(some)
        else:
            self._why = next((one.error for one in channels if one.error), f"not finished within {self._seconds:g} s")

    def _digest(self) -> Iterator[str]:
        """The administrator's message, line by line."""
        counts = "SELECT plan, count(*), sum(told), sum(address = ''), min(goes) FROM news GROUP BY plan"
        for place, count, told, unknown, goes in self._db.execute(counts):
            first = datetime.fromtimestamp(goes, self._zone)
            yield f"{self._run.plans[place].account}: {items(count)} will be deleted, from {first:{TIME}} on"
            if self._settings.owners:
                yield f"  {told} announced to their owners"
                yield f"  {unknown} whose owner has no known e-mail address"
                if left := count - told - unknown:
                    yield f"  {left} not announced yet: {self._why}"
        if self._refused:
            yield f"The mail server refused the addresses of {self._refused} owner{'' if self._refused == 1 else 's'}."
        if self._settings.titles:
            first_to_go = self._news("SELECT id, body FROM news ORDER BY goes, id LIMIT ?", SHOWN)
            yield from _lines((news for _, news in first_to_go), self._zone)
        if self._settings.keep_hint:
            yield f"How to keep an item: {self._settings.keep_hint}"
        yield f"run {self._run.id}"

    def _news(self, query: str, *values: object) -> Iterator[tuple[int, News]]:
        for ident, body in self._db.execute(query, values):
            yield ident, msgspec.msgpack.decode(body, type=News)

    def _note_told(self, news: dict[int, News]) -> None:
        """Records that these were announced."""
        accounts = [plan.account for plan in self._run.plans]
        marks = [(accounts[one.plan], one.key, rule) for one in news.values() for rule in one.rules]
        tell(self._ledger, marks, self._run.now)
        self._db.executemany("UPDATE news SET told = 1 WHERE id = ?", [(ident,) for ident in news])
        self._told.update(one.plan for one in news.values())

    def _note(self, place: int, plan: Plan) -> None:
        """Says in a plan what was announced and what could not be."""
        plan.told, left = self._told[place], plan.news - self._told[place]
        required = self._settings.notice_required
        so = "so the notice has not begun" if required else "but the notice has begun"
        text = f"{items(left)} not announced, {so}: {self._why}"
        if left and required and self._why != LATER:
            plan.untold = text
        elif left:
            plan.warnings.append(text)
        if left and required:
            try:
                untold = self._db.execute("SELECT number FROM news WHERE plan = ? AND NOT told", (place,))
                while numbers := [number for (number,) in islice(untold, MOST)]:
                    plan.waiting.fail(numbers, f"not announced: {self._why}")
            except (sqlite3.Error, LedgerError) as error:
                plan.warnings.append(f"the output names a day for what was not announced: {error}")


def letter(news: Sequence[News], zone: tzinfo, hint: str | None) -> tuple[str, str]:
    """Subject and text of the message to an owner. The subject has nothing from outside."""
    first = min(one.goes_at for one in news).astimezone(zone)
    subject = f"{len(news)} of your conferences and recordings will be deleted from {first:%Y-%m-%d} on"
    lines = ["These conferences and recordings of yours will be deleted. That cannot be undone.", ""]
    lines += _lines(news, zone)
    lines += ["", f"How to keep one: {hint}" if hint else "To keep one, ask your administrator."]
    lines += ["", "You get this message once, and again if an item is changed before it is deleted.", ""]
    return subject, "\n".join(lines)


def _lines(news: Iterable[News], zone: tzinfo) -> Iterator[str]:
    for one in news:
        ended = f", ended {one.ended_at.astimezone(zone):{TIME}}" if one.ended_at else ""
        yield f"  {one.title or '(no title)'}"
        yield f"    {one.what}{ended}; will be deleted on {one.goes_at.astimezone(zone):{TIME}} or soon after"


def _shown(title: str | None) -> str:
    """A title as a message may show it: without secrets and links, and harmless."""
    text = harmless(_LINK.sub("[link]", redact(title or "")))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def items(count: int) -> str:
    """A number of items in words."""
    return f"{count} item{'' if count == 1 else 's'}"
