"""Decide which findings of a run are reported: one rule for ``-q``, for mail by cron and for messages. Pure.

A finding is reported if a person has to act. The same finding is reported once, then again when it changes or every
7 days. It is the same if account, kind, cause and item are; numbers in the cause do not count.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from ..items import Outcome
from ..plan import Plan
from ..records.reported import Report, Reported

AGAIN = timedelta(days=7)
"""After so long a finding that is still there is reported again."""
EARLY = timedelta(hours=12)
"""So much earlier than that, as no two runs begin at the same second."""
FORGOTTEN = timedelta(days=30)
"""So long a report is remembered if no run shows whether the finding is still there."""
LONGEST_CAUSE = 1000
"""Characters of a cause that count."""
NAMED = 5
"""So many items of one finding are named."""


class Kind(StrEnum):
    """What a finding is about. The value is written to the state folder."""

    START = "start"
    SIGNAL = "signal"
    FAILED = "failed"
    STOPPED = "stopped"
    PART = "part"
    REFUSED = "refused"
    ITEMS = "items"
    STUCK = "stuck"
    BACKLOG = "backlog"
    WARNING = "warning"
    NOTICE = "notice"


class Finding(msgspec.Struct, frozen=True):
    """Something that a run found in an account; ``account`` is empty for the run as a whole.

    ``brief`` is the text without titles and ids. ``cause`` tells it from others of its kind; its numbers do not count,
    those of the ``keys`` do: a finding about several items has a key and a name for each. ``count`` is how many items
    it is about. ``error``: an error, not a warning. ``acts``: a person has to act. ``again``: it is reported again
    every 7 days as long as it lasts.
    """

    account: str
    kind: Kind
    text: str
    brief: str
    cause: str
    keys: Sequence[str] = ("",)
    names: Sequence[str] = ()
    count: int = 1
    hint: str = ""
    error: bool = True
    acts: bool = True
    again: bool = True

    @property
    def identities(self) -> list[str]:
        """What makes it the same finding in another run, for each key."""
        cause = without_numbers(self.cause)
        return ["\n".join((self.account, self.kind, cause, key)) for key in self.keys]

    def line(self, known: Collection[str] = ()) -> str:
        """The finding in one line. Items whose identities are ``known`` were named in an earlier report."""
        if not self.names:
            return self.text + self.hint
        pairs = zip(self.identities, self.names, strict=True)
        names = [name for identity, name in pairs if identity not in known] or self.names
        if self.count == 1:
            return f"{names[0]}: {self.text}{self.hint}"
        shown = names[:NAMED]
        more = f" and {others} more" if (others := self.count - len(shown)) else ""
        return f"{self.count} items {self.text}: {', '.join(shown)}{more}{self.hint}"


def without_numbers(text: str) -> str:
    """A text without what differs from run to run: numbers, times, ports, ids.

    What is quoted stays, as it is what somebody wrote; HTTP statuses stay, 5xx as one.
    """
    return re.sub(r"\S+", _settled, text[:LONGEST_CAUSE])


def _settled(word: re.Match[str]) -> str:
    if word[0].startswith("'") or not any(map(str.isdigit, word[0])):
        return word[0]
    bare = word[0].strip(".,:;()'\"")
    if not re.fullmatch("[45][0-9][0-9]", bare):
        return "#"
    return bare if bare[0] == "4" else "5xx"


def is_due(finding: Finding, reported: Reported, now: datetime) -> bool:
    """Whether a finding is reported now, after what was ``reported`` before."""
    before = [reported.reports.get(reported.mark(identity)) for identity in finding.identities]
    return finding.acts and any(
        report is None or (finding.again and report.last <= now - AGAIN + EARLY) or finding.count >= 2 * report.count
        for report in before
    )


def after(
    reported: Reported, found: Sequence[Finding], told: Sequence[Finding], plan: Plan | None, now: datetime
) -> dict[str, Report]:
    """The reports to remember of an account after a run; of the run as a whole, where ``plan`` is None.

    ``found`` is what the run found there, ``told`` what of it was reported just now. What was not found is forgotten
    if the run shows that it is gone, so that it is reported anew when it comes back.
    """
    present = {reported.mark(identity) for finding in found for identity in finding.identities}
    kept = {
        mark: report
        for mark, report in reported.reports.items()
        if mark in present or not (is_gone(report.kind, plan, found) or report.last < now - FORGOTTEN)
    }
    for finding in told:
        for mark in map(reported.mark, finding.identities):
            first = kept[mark].first if mark in kept else now
            kept[mark] = Report(finding.kind, first, now, finding.count)
    return kept


def is_gone(kind: str, plan: Plan | None, found: Sequence[Finding]) -> bool:
    """Whether a run shows that a finding of this kind, which it did not find, is no longer true."""
    if plan is None:
        return not any(finding.kind is Kind.START for finding in found)
    if plan.failed:
        return False
    if kind in (Kind.STUCK, Kind.WARNING):
        return not plan.unlisted
    if kind == Kind.ITEMS:
        return not (plan.refusals or plan.error or plan.unlisted or plan.count(Outcome.DEFERRED))
    return True
