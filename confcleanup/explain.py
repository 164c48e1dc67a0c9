"""Why an item goes or stays: the table of decisions walked line by line, for every rule. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, datetime, timedelta, tzinfo

from .cutoff import Period, cutoff
from .filter import STEP, TABLE, Decision, Reason, Rule, choose, decide, lacking, protection_of, unknown
from .items import Item, Kind
from .notice import NO_NOTICES, Notices, judge

QUESTIONS = {line.why: line.question for line in TABLE if line.question}
DAY = timedelta(days=1)
FAR = 200 * 366


def explain(
    item: Item,
    rules: Sequence[Rule],
    ages: Sequence[Period | None],
    zone: tzinfo,
    now: datetime,
    newest: Decision | None = None,
    notices: Notices = NO_NOTICES,
) -> Iterator[str]:
    """Lines for a person: each rule that speaks of the item, step by step, and what follows from all of them.

    ``ages`` are the rules' retentions, in the same order, to say when an item that is too young will be due.
    ``newest`` is the decision by which it stays as the newest of its group, if that is so.
    """
    marks = notices.marks([item])
    for rule, age in zip(rules, ages, strict=True):
        if rule.what != item.what:
            continue
        decision = decide(item, rule, now)
        decision = newest if newest and decision.delete else decision
        yield f"rule {rule.name!r} (cutoff {rule.cutoff.astimezone(zone):%Y-%m-%d %H:%M %Z}):"
        yield from (f"  {line}" for line in _steps(item, rule, decision))
        held_back = judge(item, decision, [rule], now, notices, marks)
        if held_back.goes_at:
            yield f"  but not before {held_back.goes_at.astimezone(zone):%Y-%m-%d %H:%M %Z}: {held_back.reason}"
        end = decision.ended_at
        if decision.why is Reason.TOO_YOUNG and age and end and (due := _due_from(end, age, zone)):
            yield f"  due from about {due.astimezone(zone):%Y-%m-%d} on"
    final = choose(item, rules, now)
    final = newest if newest and final.delete else judge(item, final, rules, now, notices, marks)
    if final.goes_at:
        goes = f"{final.goes_at.astimezone(zone):%Y-%m-%d %H:%M %Z}"
        when = f"if the next run announces it now, it goes on {goes}" if final.news else f"it goes on {goes}"
        yield f"It waits: {when}, unless it changes; {final.reason} (rule {final.rule!r})."
        return
    yield f"{'It goes' if final.delete else 'It stays'}: {final.reason} (rule {final.rule!r})."


def _steps(item: Item, rule: Rule, decision: Decision) -> Iterator[str]:
    if item.kind is Kind.LIVE and STEP[decision.why] > STEP[Reason.UNDELETABLE]:
        yield "a live room: its end is what the rule says"
    else:
        missing = dict(unknown(item, rule, protection_of([rule])))
        keeps = any(keeper.what == item.what for keeper in rule.keepers)
        for why in (why for why in QUESTIONS if STEP[why] < STEP[decision.why] and (keeps or why is not Reason.NEWEST)):
            answer = lacking(missing[why]) if why in missing else "no"
            yield f"{QUESTIONS[why]:55} {answer}"
    if decision.delete:
        yield f"it would be deleted: {decision.reason}"
    else:
        yield f"{QUESTIONS.get(decision.why, str(decision.why)):55} yes: {decision.reason}"


def _due_from(end: datetime, age: Period, zone: tzinfo) -> datetime | None:
    """The first day on which a run would find the retention of something ended then over; None if that is too far."""
    low, high = 0, FAR
    if end.year > MAXYEAR - 250 or cutoff(end + FAR * DAY, age, zone) < end:
        return None
    while low < high:
        middle = (low + high) // 2
        if cutoff(end + middle * DAY, age, zone) >= end:
            high = middle
        else:
            low = middle + 1
    return end + low * DAY
