"""Notice before deletion: which of the items that are due may go now, and which are announced first and wait.

A mark says since when an item is due and unchanged under a rule, and when that was announced. Without a mark, or with
one that does not fit, the notice begins anew: a mark that is lost makes a deletion later, never sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from .cutoff import humanize
from .filter import Decision, Reason, Rule, decide
from .guards import Limits
from .items import Item
from .plan import Plan
from .worklist import AT_ONCE, Entry


class Mark(NamedTuple):
    """Since when an item is due under a rule, unchanged and in complete lists. ``told``: when it was announced.

    ``length`` is the notice that was announced: a rule that is changed to a shorter one keeps that promise.
    """

    since: datetime
    told: datetime | None
    length: timedelta


Marks = Mapping[tuple[tuple[str, ...], str], Mark]
"""Marks that fit the items as they are listed now, by an item's key and a rule's name."""


def _no_marks(_: Sequence[Item]) -> Marks:
    return {}


class Notices(msgspec.Struct, frozen=True):
    """What there is to judge notices by.

    ``marks`` looks them up. ``tells``: there is somebody to announce to. ``required``: a notice then begins when it is
    announced, not when the item is marked. ``last``: when the last run of the account was recorded.
    """

    marks: Callable[[Sequence[Item]], Marks] = _no_marks
    tells: bool = False
    required: bool = True
    last: datetime | None = None

    def over_at(self, mark: Mark | None, rule: Rule, now: datetime) -> tuple[datetime, bool]:
        """When a rule's notice is over for an item, and whether it is yet to be announced.

        A mark of the future was made by a clock that was wrong.
        """
        if mark is None or max(mark.since, mark.told or mark.since) > now:
            return now + rule.notice, True
        begun = mark.told if self.tells and self.required else mark.since
        news = self.tells and mark.told is None
        return (begun + max(rule.notice, mark.length) if begun else now + rule.notice), news

    def clock_is_plausible(self, now: datetime, skew: timedelta | None, limits: Limits) -> bool:
        """Whether a notice may begin by this machine's clock.

        The vendor's clock agrees, or it shows none and this one was not set back since the last run.
        """
        if skew is None:
            return self.last is None or now >= self.last
        return abs(skew) <= limits.max_clock_skew


NO_NOTICES = Notices()


def hold_back(plan: Plan, rules: Sequence[Rule], now: datetime, notices: Notices) -> None:
    """Moves what has to be announced first, or waits for the end of its notice, from the selected to the waiting."""
    if not any(rule.notice for rule in rules):
        return
    due = plan.selected.due()
    while entries := list(islice(due, AT_ONCE)):
        marks = notices.marks([entry.item for entry in entries])
        waiting, changed = list[Entry](), list[Entry]()
        for entry in entries:
            decision = judge(entry.item, entry.decision, rules, now, notices, marks)
            if decision.delete and decision != entry.decision:
                changed.append(Entry(entry.item, decision, number=entry.number))
            elif not decision.delete:
                waiting.append(Entry(entry.item, decision, number=entry.number))
                plan.news += decision.news
                plan.goes_from = min(filter(None, (plan.goes_from, decision.goes_at)))
        plan.selected.rewrite(changed)
        plan.selected.drop(waiting)
        plan.waiting.extend(waiting)


def judge(
    item: Item, decision: Decision, rules: Sequence[Rule], now: datetime, notices: Notices, marks: Marks
) -> Decision:
    """What notices make of a decision that an item goes.

    Each rule stands for itself: the item goes by the first rule that selects it and has no notice, or whose own
    notice is over. ``marks`` are those of the item, and perhaps of others.
    """
    selecting = [
        (rule, found) for rule in rules if rule.what == item.what for found in [decide(item, rule, now)] if found.delete
    ]
    named = tuple(rule.name for rule, _ in selecting if rule.notice)
    if not (named and decision.delete):
        return decision
    waiting = []
    for rule, found in selecting:
        over, news = notices.over_at(marks.get((item.key, rule.name)), rule, now) if rule.notice else (now, False)
        if over <= now:
            return replace(found, notice=named)
        waiting.append((over, news, rule, found))
    over, _, rule, found = min(waiting, key=lambda one: one[0])
    news = any(one[1] for one in waiting)
    said = "is yet to be announced" if news else f"is over on {over:%Y-%m-%d %H:%M} UTC"
    reason = f"its notice of {humanize(rule.notice)} {said}; {found.reason}"
    return replace(found, delete=False, why=Reason.NOTICE, reason=reason, notice=named, goes_at=over, news=news)


def to_mark(plan: Plan) -> Iterator[Entry]:
    """What is due under rules with a notice in sources whose lists can be relied on."""
    for worklist in (plan.waiting, plan.selected):
        for entry in worklist:
            if entry.outcome is None and entry.decision.notice and entry.item.what in plan.reliable:
                yield entry


def altered(entry: Entry, fresh: Item) -> str | None:
    """What has changed in an item that was announced, in words, beside what changes of any item are looked for."""
    if entry.decision.notice:
        for name, words in {"title": "title", "owner": "owner", "created_at": "creation", "size_bytes": "size"}.items():
            before, after = getattr(entry.item, name), getattr(fresh, name)
            if None not in (before, after) and before != after:
                return f"its {words} changed since it was announced"
    return None
