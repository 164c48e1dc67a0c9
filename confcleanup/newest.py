"""Which items ``keep_last`` keeps: the newest of each group, judged when a whole source is listed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec.structs import replace

from .filter import DUE, TOO_YOUNG, Decision, Reason, Rule, decide_known, unknown_filters
from .items import Item
from .patterns import plain
from .worklist import Entry, Place, Worklist


def listed_for(rules: Sequence[Rule], what: str) -> list[Rule]:
    """The rules of a source that a listing must suffice for: those to apply, and all that keep its newest items."""
    mine = [rule for rule in rules if rule.what == what]
    names = {rule.name for rule in mine}
    return [*mine, *(one for one in keepers_of(rules) if one.what == what and one.name not in names)]


def keepers_of(rules: Sequence[Rule]) -> Sequence[Rule]:
    """The rules of the account that keep the newest; without what the config says, they are among these rules."""
    return next((rule.keepers for rule in rules if rule.keepers), tuple(rule for rule in rules if rule.keep_last))


def places(item: Item, keepers: Sequence[Rule], now: datetime) -> Iterator[Place]:
    """The groups in which an item counts: those of the rules that look at it.

    It counts if it is over, its end is known and a request can delete it, whatever else keeps it. What does not count
    stays by another line of the table, and so is not in the way of others.
    """
    for number, keeper in enumerate(keepers):
        if keeper.what != item.what or unknown_filters(item, keeper):
            continue
        decision = decide_known(item, keeper, now)
        if decision.why in (DUE, TOO_YOUNG) and decision.ended_at and decision.ended_at <= now:
            yield Place(number, item, plain(_group(item, keeper).strip()), decision.ended_at.timestamp())


def _group(item: Item, keeper: Rule) -> str:
    return {"owner": item.owner, "title": item.title}.get(keeper.per) or ""


def newest(selected: Worklist, keepers: Sequence[Rule], what: str) -> Iterator[tuple[Entry, Decision]]:
    """Those of the selected items of a source that stay as the newest of their groups, and why.

    An item goes only if ``keep_last`` items of its group that ended later are listed. They exist, so it is not among
    the newest even if the list lacks others. An incomplete list lets no item go that a complete one would keep.
    """
    for number, keeper in enumerate(keepers):
        for entry in selected.newest(number, keeper.keep_last) if keeper.what == what else ():
            reason = _reason(entry.item, keeper)
            reason += "" if keeper.name == entry.decision.rule else f", by the rule {keeper.name!r}"
            yield entry, replace(entry.decision, delete=False, why=Reason.NEWEST, reason=reason)


def _reason(item: Item, keeper: Rule) -> str:
    newest = "the newest" if keeper.keep_last == 1 else f"one of the newest {keeper.keep_last}"
    if keeper.per == "account":
        return f"{newest} of the account"
    group = _group(item, keeper)
    if not group:
        return f"{newest} without {'an owner' if keeper.per == 'owner' else 'a title'}"
    return f"{newest} of {group}" if keeper.per == "owner" else f"{newest} titled {group!r}"


def moved(item: Item, fresh: Item, rules: Sequence[Rule]) -> str | None:
    """That an item is in another group than when it was listed, in words: what is newest there is not known."""
    for keeper in keepers_of(rules):
        for name in ("title", "owner") if keeper.what == item.what else ():
            asked = keeper.per == name or getattr(keeper, name) is not None
            if asked and getattr(item, name) != getattr(fresh, name):
                return f"its {name} changed since it was listed, and keep_last asks for it"
    return None
