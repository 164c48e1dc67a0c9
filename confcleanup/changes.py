"""Whether an item is what it was when it was seen before. Pure."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta

from .items import Item

SAME_ROOM = timedelta(seconds=60)
OTHER_ROOM = "it is another room of the same name, begun since"


def digest(item: Item) -> str:
    """A fingerprint of what a person saw of an item; it changes when something that matters changes.

    The times of a live room are left out: they are computed from how long it has been running.
    """
    times = () if item.live else (item.started_at, item.ended_at, item.created_at)
    seen = [item.key, item.kind, item.title, item.owner, sorted(item.tags or ()), item.size_bytes, *map(str, times)]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def difference(listed: Item, fresh: Item) -> str | None:
    """What has changed in an item since it was listed, in words; None if it is the same thing unchanged."""
    if listed.live and fresh.live:
        shrunk = listed.live.run_time and fresh.live.run_time and fresh.live.run_time < listed.live.run_time
        return OTHER_ROOM if shrunk or another_room(listed, fresh) else None
    if listed.tags and fresh.tags is None:
        return "its tags are not known any more"
    for name, before, after in (
        ("its schedule", (listed.started_at, listed.ended_at), (fresh.started_at, fresh.ended_at)),
        ("its tags", *_tag_sets(listed, fresh)),
        ("its kind", listed.kind, fresh.kind),
    ):
        if before != after:
            return f"{name} changed since it was listed"
    return None


def _tag_sets(listed: Item, fresh: Item) -> tuple[object, object]:
    """Tags to compare; where they were not known then or are not now, there is nothing to compare."""
    if listed.tags is None or fresh.tags is None:
        return None, None
    return set(listed.tags), set(fresh.tags)


def same_times(one: Item, other: Item) -> bool:
    """Whether two items are the same by their times, to the second; of live rooms, by when they began."""
    if one.live or other.live:
        if not one.started_at or not other.started_at:
            return False
        return abs(one.started_at - other.started_at) <= SAME_ROOM
    pairs = zip(_times_of(one), _times_of(other), strict=True)
    return any(_times_of(one)) and all(before == after for before, after in pairs)


def _times_of(item: Item) -> tuple[datetime | None, ...]:
    times = (item.started_at, item.ended_at, item.created_at)
    return tuple(when and when.replace(microsecond=0) for when in times)


def another_room(listed: Item, fresh: Item) -> bool:
    """Whether a live room began later than the one that was seen before under its name."""
    if not fresh.live or not listed.started_at or not fresh.started_at:
        return False
    return fresh.started_at > listed.started_at + SAME_ROOM
