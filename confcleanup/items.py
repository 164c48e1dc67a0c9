"""The vocabulary: an item that a vendor lists, and what became of it. Pure; no input or output.

All times are aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec


class Kind(StrEnum):
    """What sort of thing an item is."""

    ONE_TIME = "one-time"
    RECURRING = "recurring"
    ROOM = "room"
    LIVE = "live"
    RECORDING = "recording"
    MEETING = "meeting"
    UNKNOWN = "unknown"


class State(StrEnum):
    """Whether an item is over. Anything but OVER is kept."""

    ENDED = "over"
    RUNNING = "running"
    INCOMPLETE = "unfinished"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """What became of a selected item.

    GONE: it was already gone. CHANGED: it no longer matched when looked at again, and was kept.
    UNKNOWN: its deletion was asked for and nobody knows what came of it. DEFERRED: not tried.
    """

    DELETED = "deleted"
    GONE = "gone"
    CHANGED = "changed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DEFERRED = "deferred"


class Live(msgspec.Struct, frozen=True):
    """How long a live room and the member who joined last have been there, when it was looked at.

    ``members`` and ``youngest`` are None where the vendor gave no usable details.
    """

    run_time: timedelta | None = None
    members: int | None = None
    youngest: timedelta | None = None

    @property
    def people(self) -> str:
        """How many people are in it, in words."""
        if self.members is None:
            return "an unknown number of people"
        return f"{self.members} {'person' if self.members == 1 else 'people'}"


class Item(msgspec.Struct, frozen=True, gc=False):
    """One thing that a vendor keeps: a conference, a recording, a live room.

    ``id`` is the vendor's own identifier as text; ``what`` is the source it was listed from.
    ``locator`` is whatever else the provider needs to reach it (a user id, for example).
    ``aliases`` are the vendor's other numbers for it, by which people may know it.
    ``title``, ``owner`` and ``tags`` are None where the vendor did not give them: not known is not empty.
    ``unreadable`` says what about the item could not be read, if anything.
    ``undeletable`` says why no request can delete it, if that is so.
    ``unsendable`` marks a name that no request may carry, so that a person has to deal with the item.
    ``raw`` is the vendor's object as it came; it may hold what nobody should read, so it is never shown.

    A ``msgspec.Struct``, because a listing makes a million of them: a frozen dataclass takes eight times as long.
    ``msgspec.structs.replace`` makes a changed copy.
    """

    what: str
    id: str
    kind: Kind
    state: State
    title: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    created_at: datetime | None = None
    size_bytes: int | None = None
    live: Live | None = None
    unreadable: str | None = None
    undeletable: str | None = None
    unsendable: bool = False
    locator: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    raw: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Item({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__struct_fields__[:-1])})"

    @property
    def key(self) -> tuple[str, ...]:
        """What tells two items of one account apart."""
        return (self.what, *self.locator, self.id)


class Result(msgspec.Struct, frozen=True, gc=False):
    """What a request to delete one item came to, and the reason if it failed."""

    outcome: Outcome
    error: str | None = None


class Media(msgspec.Struct, frozen=True):
    """One file of an item. ``size`` (bytes), ``sha256`` and ``duration`` (seconds) are what the vendor says, where it
    does. ``open`` begins the download and gives its chunks.
    """

    name: str
    open: AbstractContextManager[Iterator[bytes]]
    size: int | None = None
    sha256: str | None = None
    duration: float | None = None
