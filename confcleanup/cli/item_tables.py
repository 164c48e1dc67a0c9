"""Show the items of a plan or a run: a table for each account on a terminal, else a plain line for each item."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from itertools import groupby
from operator import attrgetter
from typing import IO

from ..filter import Decision, Reason
from ..plan import Copy, Group, Plan, Watcher, group_of
from ..providers.base import Source
from ..worklist import Entry, Worklist
from .table import Column, Table, folded, terminal_width, when

ROWS = 40
"""So many items of an account are shown before the question, and after a run; a plan shows all of them."""
END, WHAT, ID = Column("end"), Column("what", below=True), Column("id", below=True)
OWNER, TITLE, REASON = Column("owner", 8), Column("title", 12), Column("reason", below=True)
ON_A_TERMINAL = (Column("outcome"), END, WHAT, ID, TITLE, OWNER, REASON)
PLAIN = (Column("account"), Column("result"), END, WHAT, ID, TITLE, OWNER, REASON)
HEADINGS = {
    Group.WAITS: "On notice; these go when it is over, if they stay as they are:",
    Group.STAYS: "Listed only; the vendor has no request that deletes these:",
}
"""What a terminal shows above a group; what would be deleted is below the line of the account itself."""
REFUSED = "refused"


def _why(copy: Copy) -> str:
    return copy.error or f"deleted {copy.deleted_at:%Y-%m-%d}, its copy is {copy.target}/{copy.folder}"


class ListedOnly(Watcher):
    """Keeps, outside of memory, the items that a rule only lists, as they are told. Thread-safe.

    They never go, so a plan's worklist has none of them; but who has them listed wants to see them.
    """

    def __init__(self, sources: Mapping[str, Mapping[str, Source]]) -> None:
        self._sources = sources
        self._lock = threading.Lock()
        self.found: dict[str, Worklist] = {}

    def kept(self, account: str, entry: Entry) -> None:
        if self._sources[account][entry.item.what].deletes:
            return
        with self._lock:
            self.found.setdefault(account, Worklist()).extend([entry])


class ItemTables:
    """Writes accounts with their items to ``out``. ``zone`` is for the times."""

    def __init__(self, out: IO[str], zone: tzinfo, listed_only: Mapping[str, Worklist]) -> None:
        self._out, self._zone, self._listed_only = out, zone, listed_only
        self.width = terminal_width(out)
        self._plain_table = Table(PLAIN, None, self._put)

    def show(self, plan: Plan, headline: str, most: int | None = None, rest: str = "") -> None:
        """Shows an account: its line, then its items; no more than ``most``, and then where to see the rest."""
        self._line(headline, "bold")
        if plan.failed:
            return
        for group, entries in self._groups(plan):
            if group in HEADINGS and self.width is not None:
                self._line(f"  {HEADINGS[group]}", "")
            self._items(plan, entries if most is None else entries.first(most))
            if most is not None and len(entries) > most:
                self._line(f"  … and {len(entries) - most} more; {rest}", "dim")
        self._copies(plan, most, rest)
        if self.width is not None:
            self._line("", "")

    def _copies(self, plan: Plan, most: int | None, rest: str) -> None:
        """The archived copies that have expired, as rows like those of items."""
        copies = plan.copies.due
        if copies and self.width is not None:
            self._line("  Archived copies that have expired:", "")
        rows = [
            (copy, self._cells(Entry(copy.item, Decision(True, Reason.DUE, _why(copy), copy.rule)))) for copy in copies
        ]
        if self.width is None:
            self._plain_table.write(
                [plan.account, copy.outcome or "copy expired", *cells] for copy, cells in rows[:most]
            )
        else:
            table = Table(ON_A_TERMINAL, self.width, self._put, lambda line: self._line(line, "dim"))
            table.write([copy.outcome or "", *cells] for copy, cells in rows[:most])
        if most is not None and len(copies) > most:
            self._line(f"  … and {len(copies) - most} more; {rest}", "dim")

    def _groups(self, plan: Plan) -> Iterator[tuple[Group, Worklist]]:
        """The items to show, by what the plan means for them."""
        yield Group.GOES, plan.selected
        if plan.waiting:
            yield Group.WAITS, plan.waiting
        if listed := self._listed_only.get(plan.account):
            yield Group.STAYS, listed

    def _items(self, plan: Plan, entries: Iterable[Entry]) -> None:
        if self.width is None:
            self._plain_table.write(self._plain(plan, entries))
        else:
            for _, some in groupby(entries, attrgetter("item.what")):  # so that each source has fitting columns
                table = Table(ON_A_TERMINAL, self.width, self._put, lambda line: self._line(line, "dim"))
                table.write([entry.outcome or "", *self._cells(entry)] for entry in some)

    def _put(self, line: str) -> None:
        self._out.write(line + "\n")

    def _line(self, line: str, style: str) -> None:
        if self.width is None:
            self._put(line)
            return
        from rich.console import Console
        from rich.text import Text

        text = "\n".join(folded(line, self.width))
        Console(file=self._out, highlight=False, soft_wrap=True).print(Text(text, style=style))

    def _plain(self, plan: Plan, entries: Iterable[Entry]) -> Iterator[list[str]]:
        for entry in entries:
            result = REFUSED if plan.refusals and entry.decision.delete else group_of(entry.decision)
            yield [plan.account, entry.outcome or result, *self._cells(entry)]

    def _cells(self, entry: Entry) -> list[str]:
        item, decision = entry.item, entry.decision
        known_as = f" ({', '.join(item.aliases)})" if item.aliases else ""
        end = when(decision.ended_at or item.ended_at, self._zone)
        return [end, item.what, item.id + known_as, item.title or "", item.owner or "", entry.error or decision.reason]
