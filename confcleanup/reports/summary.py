"""Summarise a run in a few lines. Titles, names and ids are included only on request."""

from __future__ import annotations

import heapq
import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain

import msgspec

from ..errors import VERDICTS
from ..items import Outcome
from ..plan import Plan
from ..redact import harmless, redact
from ..run import Run
from ..worklist import Entry
from . import data as report
from .attention import Finding, Kind

NOTICES = ("notice", "announced")
SHOWN = 20
"""Items of an account that are named, if titles are requested."""


class Summary(msgspec.Struct, frozen=True):
    """How a run ended. ``run`` is None if it ended before anything was listed; ``error`` then says why.

    ``before`` is the status of the run before it; ``last_good`` when each account and source was last cleaned
    without errors.
    ``found`` is what the run found; ``due``: a person has to act on some of it and was not told in the last days.
    """

    status: int
    mode: str
    began: datetime
    finished: datetime
    run: Run | None = None
    error: str | None = None
    before: int | None = None
    last_good: Mapping[tuple[str, str], datetime | None] = msgspec.field(default_factory=dict)
    found: Sequence[Finding] = ()
    due: bool = False

    @property
    def plans(self) -> list[Plan]:
        """The accounts of the run; none if it ended before anything was listed."""
        return self.run.plans if self.run else []

    @property
    def changed(self) -> bool:
        """Whether something was deleted (in a dry run: would be), or the status is not that of the run before."""
        if self.mode == "plan":
            return self.status != 0 or any(report.account(plan)["selected"] for plan in self.plans)
        return self.status != self.before or any(plan.count(Outcome.DELETED) for plan in self.plans)

    @property
    def subject(self) -> str:
        """The run in one line."""
        verdict = VERDICTS.get(self.status, "ended")
        dry = "dry run, " if self.mode == "plan" else ""
        acts = not self.status and any(finding.acts for finding in self.found)
        verdict += ", but something needs action" if acts else ""
        return f"confcleanup on {socket.gethostname()}: {dry}{verdict} (status {self.status})"

    def text(self, *, titles: bool) -> str:
        """The run in a few lines, without secrets."""
        lines = [line for plan in self.plans for line in self._account(plan, titles=titles)]
        lines += [finding.text for finding in self.found if not finding.account and finding.text != self.error]
        lines += (self.error or "").splitlines()
        lines += [f"run {self.run.id}"] if self.run else []
        return redact("\n".join(map(harmless, lines)))

    def _account(self, plan: Plan, *, titles: bool) -> Iterator[str]:
        account = report.account(plan)
        counts = {name: account[name] for name in ("listed", "selected", *map(str, Outcome), "undecided", *NOTICES)}
        always = ("listed", "selected")
        numbers = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name in always)
        yield f"{plan.account}: {plan.status}; {numbers}"
        for finding in self.found:
            if finding.account == plan.account and (titles or finding.acts or finding.kind is Kind.BACKLOG):
                yield f"  {finding.line() if titles else finding.brief}"
        if titles:
            entries = chain(plan.overdue, plan.selected)
            yield from (f"  {_item(entry)}" for entry in heapq.nsmallest(SHOWN, entries, key=_succeeded))


def _succeeded(entry: Entry) -> bool:
    return entry.outcome not in (None, Outcome.FAILED, Outcome.UNKNOWN)


def _item(entry: Entry) -> str:
    item, decision = entry.item, entry.decision
    outcome = entry.outcome or ("would be deleted" if decision.delete else "kept")
    return f'{outcome}: {item.what} {item.id} "{item.title or ""}": {entry.error or decision.reason}'
