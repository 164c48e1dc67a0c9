"""Summarise a run in a few lines. Titles, names and ids are included only on request."""

from __future__ import annotations

import heapq
import socket
from collections.abc import Iterator, Mapping
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

SHOWN = 20
"""Items of an account that are named, if titles are requested."""


class Summary(msgspec.Struct, frozen=True):
    """How a run ended. ``run`` is None if it ended before anything was listed; ``error`` then says why.

    ``before`` is the status of the run before it; ``last_good`` when each account was last cleaned without errors.
    """

    status: int
    mode: str
    began: datetime
    finished: datetime
    run: Run | None = None
    error: str | None = None
    before: int | None = None
    last_good: Mapping[str, datetime] = msgspec.field(default_factory=dict)

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
        return f"confcleanup on {socket.gethostname()}: {dry}{verdict} (status {self.status})"

    def text(self, *, titles: bool) -> str:
        """The run in a few lines, without secrets."""
        lines = [line for plan in self.plans for line in _account(plan, titles=titles)]
        lines += (self.error or "").splitlines()
        lines += [f"run {self.run.id}"] if self.run else []
        return redact("\n".join(map(harmless, lines)))


def _account(plan: Plan, *, titles: bool) -> Iterator[str]:
    found = report.account(plan)
    counts = {name: found[name] for name in ("listed", "selected", *map(str, Outcome), "undecided")}
    numbers = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name in ("listed", "selected"))
    yield f"{plan.account}: {plan.status}; {numbers}"
    if found["error"]:
        yield f"  {found['error']}"
    if found["deferred"]:
        yield f"  {found['deferred']} left for the next run"
    if found["stuck"]["count"]:
        yield f"  {plan.stuck.told()}"
    if titles:
        yield from (f"  warning: {warning}" for warning in found["warnings"])
        entries = chain(plan.overdue, plan.selected)
        yield from (f"  {_item(entry)}" for entry in heapq.nsmallest(SHOWN, entries, key=_succeeded))


def _succeeded(entry: Entry) -> bool:
    return entry.outcome not in (None, Outcome.FAILED, Outcome.UNKNOWN)


def _item(entry: Entry) -> str:
    item, decision = entry.item, entry.decision
    outcome = entry.outcome or ("would go" if decision.delete else "stays")
    return f'{outcome}: {item.what} {item.id} "{item.title or ""}": {entry.error or decision.reason}'
