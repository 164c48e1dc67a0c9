"""The filter: which items go. A pure function of an item, a rule and the time; no clock, no input, no output.

The first line of ``TABLE`` that holds decides, and says why in a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from .cutoff import humanize
from .items import Item, Kind, Live, State
from .patterns import matches as matches
from .patterns import same_ids as same_ids
from .patterns import same_owner as same_owner
from .protection import Hold as Hold
from .protection import Protection, hold_marks, keep_marks

WHOLE_SECONDS = timedelta(seconds=1)
HANGS_UP = "; hangs up on "  # in the reason of a live room, before the people whom its end disconnects


class Reason(StrEnum):
    """The line of the table that decided; what kept items are counted by.

    NEWEST is decided by the whole list, NOT_REVIEWED by a saved plan, NOTICE by marks.
    """

    HELD = "on legal hold"
    KEEP_ID = "named in keep_ids"
    KEEP_TAG = "has a keep tag"
    FILTER = "outside the rule's filters"
    UNDELETABLE = "cannot be deleted"
    RUNNING = "still running or unfinished"
    STATE_UNKNOWN = "state not known"
    RECURS = "recurring"
    ROOM = "room without a schedule"
    END_UNKNOWN = "end not known"
    TOO_YOUNG = "too young"
    NOT_KNOWN = "a field not known"
    NEWEST = "among the newest"
    NOT_REVIEWED = "not in the reviewed plan"
    NOTICE = "notice not over"
    DUE = "due"


class Line(NamedTuple):
    """A line of the table: what it is called, the question as ``explain`` asks it, and what follows from a yes."""

    why: Reason
    question: str
    then: str


STAYS, KEPT = "it stays", "it stays, under every rule of the account"
UNLESS_TAGGED = "it stays, unless the rule says `rooms = true` and gives `tags`"
LOOKED_UP = "it is looked up, if that may tell more; else it stays, as undecided"
TABLE = (
    Line(Reason.HELD, "on legal hold?", KEPT),
    Line(Reason.KEEP_ID, "named in keep_ids?", KEPT),
    Line(Reason.KEEP_TAG, "carries a keep tag?", KEPT),
    Line(Reason.FILTER, "outside the rule's title, owner, tags or names?", STAYS),
    Line(Reason.UNDELETABLE, "impossible to delete?", STAYS),
    Line(Reason.RUNNING, "still running or unfinished?", STAYS),
    Line(Reason.STATE_UNKNOWN, "its state unknown?", STAYS),
    Line(Reason.RECURS, "recurring?", STAYS),
    Line(Reason.ROOM, "a room without a schedule, and the rule not for rooms?", UNLESS_TAGGED),
    Line(Reason.END_UNKNOWN, "its end unknown?", "it stays (a tagged room: its creation stands for the end)"),
    Line(Reason.TOO_YOUNG, "ended at or after the cutoff?", STAYS),
    Line(Reason.NOT_KNOWN, "is something not known that is asked for?", LOOKED_UP),
    Line(Reason.NEWEST, "among the newest that keep_last keeps?", KEPT),
    Line(Reason.DUE, "", "it goes"),
)
"""The table of docs/how-it-works.md. ``explain`` and ``choose`` read it.

``decide`` is the same table as plain code, because a list may have a million items; tests hold it to this order.
"""
STEP = {line.why: step for step, line in enumerate(TABLE)}
UNDECIDED = frozenset({Reason.STATE_UNKNOWN, Reason.END_UNKNOWN, Reason.NOT_KNOWN})
PROTECTED = {"holds": Reason.HELD, "keep_ids": Reason.KEEP_ID, "keep_tags": Reason.KEEP_TAG}
ASKERS = {Reason.HELD: "a legal hold asks", Reason.KEEP_TAG: "keep_tags asks", Reason.FILTER: "the rule asks"}
ASKERS[Reason.NEWEST] = "keep_last asks"
LIVE, OVER, DUE, TOO_YOUNG = Kind.LIVE, State.ENDED, Reason.DUE, Reason.TOO_YOUNG
"""By name, as Python 3.11 takes long to find members in their class; a list may have a million items."""
ENDING = frozenset({Kind.ONE_TIME, Kind.RECORDING, Kind.MEETING})
"""What ends by itself, so that its end may be compared with a cutoff."""


class Announcement(msgspec.Struct, frozen=True):
    """What is said to the people in a live room before it is ended, and how long it is then waited.

    ``text`` may be the https address of a sound file. ``optional``: the room is ended also if it could not be said.
    """

    text: str
    wait: timedelta
    voice: str
    language: str
    optional: bool = False


class LiveRule(msgspec.Struct, frozen=True):
    """When a live room should have ended. ``scheduled`` maps room names to the end the operator set, or None."""

    max_duration: timedelta | None = None
    abandoned_after: timedelta | None = None
    max_members: int = 0
    scheduled: Mapping[str, datetime | None] = msgspec.field(default_factory=dict)
    end_without_details: bool = False
    announcement: Announcement | None = None


class Rule(msgspec.Struct, frozen=True):
    """One rule, with its cutoff already computed (aware UTC). Globs are matched without case.

    ``age`` is the retention in the operator's words, for reasons. Empty filters match everything. ``protection`` is
    all that keeps items of the account, made once for all its rules; without it, it is what these rules say.
    ``owner_given`` is False where the owner is not the rule's own word but the account's user.
    ``copies_before``: copies of what was deleted before that have been kept for as long as the rule says.
    ``keepers`` are the account's rules that keep the newest ``keep_last`` of each group (``per``), chosen or not.
    """

    name: str
    what: str
    cutoff: datetime
    age: str = ""
    keep_ids: frozenset[str] = frozenset()
    keep_tags: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    title: str | None = None
    owner: str | None = None
    names: tuple[str, ...] = ()
    rooms: bool = False
    live: LiveRule | None = None
    holds: tuple[Hold, ...] = ()
    protection: Protection | None = None
    owner_given: bool = True
    keep_last: int = 0
    per: str = ""
    keepers: tuple[Rule, ...] = ()
    notice: timedelta = timedelta(0)
    copies_before: datetime | None = None


class Decision(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a rule makes of an item: whether it goes, which line decided, and the reason in words.

    ``ended_at`` is the end that was compared with the cutoff, if there was one.
    ``overdue`` marks something kept although it should have ended: a person has to look.
    ``notice`` names the rules with a notice that select it. ``goes_at`` is when the first notice is over, while it
    waits for that; ``news``: that is yet to be announced.
    """

    delete: bool
    why: Reason
    reason: str
    rule: str
    ended_at: datetime | None = None
    overdue: bool = False
    notice: tuple[str, ...] = ()
    goes_at: datetime | None = None
    news: bool = False


def protection_of(rules: Sequence[Rule]) -> Protection:
    """All that keeps items of the account that these rules are of."""
    if rules and rules[0].protection is not None:
        return rules[0].protection
    marks = [*hold_marks(dict.fromkeys(hold for rule in rules for hold in rule.holds), {})]
    for rule in rules:
        marks += keep_marks(rule.name, {ident: (ident,) for ident in sorted(rule.keep_ids)}, rule.keep_tags)
    return Protection(marks)


def decide(item: Item, rule: Rule, now: datetime) -> Decision:
    """Applies one rule to one item at the time ``now`` (aware UTC)."""
    protection = protection_of([rule])
    fits = protection.fitting(item)
    return _protected(protection, fits, [rule]) if fits else _decide_free(item, rule, protection, now)


def _decide_free(item: Item, rule: Rule, protection: Protection, now: datetime) -> Decision:
    """Applies one rule to an item that no mark fits. It does not go if something that is asked for is not known."""
    decision = decide_known(item, rule, now)
    if decision.delete and (missing := next(unknown(item, rule, protection), None)):
        asker, field = missing
        reason = f"{lacking(field)}, and {ASKERS[asker]} for {'them' if field == 'tags' else 'it'}"
        return Decision(False, Reason.NOT_KNOWN, reason, rule.name, decision.ended_at)
    return decision


def unknown(item: Item, rule: Rule, protection: Protection) -> Iterator[tuple[Reason, str]]:
    """What is asked about an item that the vendor did not tell: the line of the table that asks, and the field."""
    yield from ((PROTECTED[line], field) for line, field in protection.unknown(item))
    own = (field for field in unknown_filters(item, rule) if getattr(rule, field) not in (None, ()))
    yield from ((Reason.FILTER, field) for field in own)
    for keeper in rule.keepers:
        if keeper.what == item.what and not _mismatch(item, keeper):
            yield from ((Reason.NEWEST, field) for field in unknown_filters(item, keeper))


def unknown_filters(item: Item, rule: Rule) -> list[str]:
    """What a rule selects or groups by and the vendor did not tell."""
    missing = [field for field in ("title", "owner", "tags") if getattr(item, field) is None]
    return [field for field in missing if rule.per == field or getattr(rule, field) not in (None, ())]


def lacking(field: str) -> str:
    """That a field of an item is not known, in words."""
    return f"its {field} {'are' if field == 'tags' else 'is'} not known"


def decide_known(item: Item, rule: Rule, now: datetime) -> Decision:
    """Applies one rule as if a field that is not known were as the rule wants it."""
    if mismatch := _mismatch(item, rule):
        return Decision(False, Reason.FILTER, mismatch, rule.name)
    if item.undeletable:
        # What is due and cannot even be asked for stays for ever, unless a person deals with it.
        due = item.unsendable and _by_times(item, rule, now).delete
        return Decision(False, Reason.UNDELETABLE, item.undeletable, rule.name, item.ended_at, due)
    return _by_times(item, rule, now)


def _by_times(item: Item, rule: Rule, now: datetime) -> Decision:
    """Applies the rest of the table: states, types and times."""
    if item.kind is LIVE:
        live_rule = rule.live or LiveRule()
        return _hanging_up(_decide_live(item, rule, live_rule, now), item.live or Live(), live_rule)
    if stays := _without_end(item, rule):
        return Decision(False, *stays, rule.name)
    end, verb = (item.ended_at, "ended") if item.kind in ENDING else (item.created_at, "created")
    if end is None:
        return Decision(False, Reason.END_UNKNOWN, item.unreadable or "its end is not known", rule.name)
    decision = _by_age(rule, end, now, verb)
    return replace(decision, reason=f"{decision.reason}; {item.unreadable}") if item.unreadable else decision


def _without_end(item: Item, rule: Rule) -> tuple[Reason, str] | None:
    """Why an item has no end that could be compared with a cutoff; None if it may have one."""
    if item.state is not OVER:
        if item.state is State.UNKNOWN:
            return Reason.STATE_UNKNOWN, item.unreadable or "its state is not known"
        return Reason.RUNNING, item.unreadable or "still running"
    if item.kind in ENDING:
        return None
    if item.kind is Kind.RECURRING:
        return Reason.RECURS, "it recurs"
    if item.kind is not Kind.ROOM:
        return Reason.END_UNKNOWN, item.unreadable or "it is of an unknown type"
    return None if rule.rooms and rule.tags else (Reason.ROOM, "a room without a schedule has no end")


def _by_age(rule: Rule, end: datetime, now: datetime, verb: str) -> Decision:
    if end > now:
        return Decision(False, Reason.TOO_YOUNG, f"not over yet, ends in {humanize(end - now)}", rule.name, end)
    reason = f"{verb} {humanize(now - end)} ago, kept for {rule.age or humanize(now - rule.cutoff)}"
    due = end < rule.cutoff
    return Decision(due, DUE if due else TOO_YOUNG, reason, rule.name, end)


def _protected(protection: Protection, fits: Sequence[int], rules: Sequence[Rule]) -> Decision:
    """The decision about an item that these marks fit, by the first of them."""
    mark = protection.marks[fits[0]]
    named = mark.rule if any(rule.name == mark.rule for rule in rules) else rules[0].name
    return Decision(False, PROTECTED[mark.line], mark.reason, named)


def _mismatch(item: Item, rule: Rule) -> str | None:
    """Which filter an item does not match; a filter on what is not known is no mismatch."""
    if rule.title is not None and item.title is not None and not matches(item.title, rule.title):
        return f"its title does not match {rule.title!r}"
    if rule.owner is not None and item.owner is not None and not same_owner(item.owner, rule.owner):
        return f"its owner is not {rule.owner!r}"
    if rule.tags and item.tags is not None and not set(rule.tags) & set(item.tags):
        return "it has none of the rule's tags"
    if rule.names and not any(matches(item.id, name) for name in rule.names):
        return "its name matches none of the rule's names"
    return None


def _decide_live(item: Item, rule: Rule, live_rule: LiveRule, now: datetime) -> Decision:
    """A live room: its end is what the rule says, and it is compared with the rule's cutoff (else now)."""
    live = item.live or Live()
    scheduled = live_rule.scheduled.get(item.id)
    if live.run_time is None:
        return _decide_blind(item, rule, scheduled, live_rule.end_without_details, now)
    began = item.started_at or now - live.run_time
    if scheduled is not None and begun_after(began, scheduled):
        reason = f"it began {humanize(began - scheduled)} after its scheduled end, so it is another room of that name"
        return Decision(False, Reason.TOO_YOUNG, reason, rule.name, scheduled)
    if scheduled is not None:
        return _live_by(rule, scheduled, "its scheduled end", now)
    ends = []
    if live_rule.max_duration is not None:
        ends.append((began + live_rule.max_duration, f"its maximum duration ({humanize(live_rule.max_duration)})"))
    if (alone := _alone_since(live, began, live_rule.max_members)) and live_rule.abandoned_after is not None:
        left = alone + live_rule.abandoned_after
        ends.append((left, f"the limit for an abandoned room ({humanize(live_rule.abandoned_after)})"))
    if not ends:
        return Decision(False, Reason.TOO_YOUNG, "no line of the rule ends this room", rule.name)
    return _live_by(rule, *min(ends), now)


def begun_after(began: datetime, scheduled: datetime) -> bool:
    """Whether a room is another one than the one whose end was set: that one had begun by then.

    A run time in whole seconds lets a room seem to have begun up to a second later than it did.
    """
    return began > scheduled + WHOLE_SECONDS


def _hanging_up(decision: Decision, live: Live, live_rule: LiveRule) -> Decision:
    """The decision, saying who is disconnected, and whether they are told before."""
    if not decision.delete:
        return decision
    said = live_rule.announcement
    told = f"announced {humanize(said.wait)} before" if said else "without an announcement"
    return replace(decision, reason=f"{decision.reason}{HANGS_UP}{live.people}, {told}")


def _alone_since(live: Live, began: datetime, max_members: int) -> datetime | None:
    """Since when a room has had no more than ``max_members`` members; None if it has more, or nobody can tell."""
    if live.members is None or live.run_time is None or live.members > max_members:
        return None
    if live.members and live.youngest is None:
        return None
    youngest = live.run_time if live.youngest is None else live.youngest
    return began + max(timedelta(0), live.run_time - youngest)


def _decide_blind(item: Item, rule: Rule, scheduled: datetime | None, allowed: bool, now: datetime) -> Decision:
    doubt = item.unreadable or "the vendor gives no details of it"
    overdue = scheduled is not None and scheduled < min(rule.cutoff, now)
    if overdue and allowed:
        reason = "its scheduled end has passed, and the rule ends rooms without details"
        return Decision(True, Reason.DUE, reason, rule.name, scheduled)
    if overdue:
        doubt = f"its scheduled end has passed, but {doubt}"
    return Decision(False, Reason.STATE_UNKNOWN, doubt, rule.name, scheduled, overdue or item.unsendable)


def _live_by(rule: Rule, end: datetime, what: str, now: datetime) -> Decision:
    if end >= now:
        return Decision(False, Reason.TOO_YOUNG, f"{humanize(end - now)} before {what}", rule.name, end)
    if end < rule.cutoff:
        return Decision(True, Reason.DUE, f"{humanize(now - end)} past {what}", rule.name, end)
    kept_for = rule.age or humanize(now - rule.cutoff)
    return Decision(False, Reason.TOO_YOUNG, f"{humanize(now - end)} past {what}, kept for {kept_for}", rule.name, end)


def choose(item: Item, rules: Sequence[Rule], now: datetime, fits: Sequence[int] | None = None) -> Decision:
    """Applies all rules of an account that speak of this item's source; at least one must.

    The item goes if one rule selects it and nothing protects it. If it stays, the reason is that of the rule which
    came closest to selecting it. ``fits`` are the marks of the rules' protection that fit it, if that was asked before.
    """
    protection = protection_of(rules)
    if fits := protection.fitting(item) if fits is None else fits:
        return _protected(protection, fits, rules)
    decisions = [_decide_free(item, rule, protection, now) for rule in rules if rule.what == item.what]
    if len(decisions) == 1:
        return decisions[0]
    return max(decisions, key=lambda decision: (decision.delete, decision.overdue, STEP[decision.why]))
