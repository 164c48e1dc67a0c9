"""Vobiz' live rooms: the operator's register of them, and what an answer about one means.

Sources: the pages that ``vobiz.py`` names.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import unquote

from msgspec import Meta

from ..errors import ConfigError, Problem, UnsafeId
from ..filter import Announcement, LiveRule, Rule, begun_after
from ..items import Item, Kind, Live, State
from ..redact import harmless
from ..settings.tables import RuleSettings, Table
from ..settings.values import FilePath, When
from .base import aliases, cannot_read, whole

SHOWN = 5
"""So many rooms without details are named in a warning; the formats for machines have them all."""
EMPTY_LIST = (
    "Vobiz lists no live room, which it also does while rooms are live: this is inconclusive. "
    "Name your rooms in rooms or rooms_file, so that they are looked up one by one"
)
LONGEST = timedelta(days=3660)
"""No room is believed to have been running for longer."""
SLACK = timedelta(seconds=60)
"""So much longer than the room is running may a member have been in it: whole seconds, read one after the other."""
SUB_RESOURCES = frozenset({"member", "play", "record", "speak"})
"""What follows a room's name in the vendor's own addresses (conference/members, conference/members/play-audio)."""
NEVER = datetime.max.replace(tzinfo=UTC)
SOUND = re.compile(r"https://\S+\.(mp3|wav)(\?\S*)?", re.IGNORECASE)


class RegisteredRoom(Table, frozen=True, kw_only=True):
    """A room that the operator knows of, and when it should end, if that is fixed.

    A time without an offset is in the config's time zone; a date alone means the end of that day.
    """

    name: str
    ends_at: Annotated[str | None, When] = None


class LiveRoomRule(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule for live rooms. ``older_than`` is a grace: so long past the end that the room should have had.

    ``rooms`` and ``rooms_file`` are the operator's own registry, which the vendor advises to keep, because its
    list misses live rooms (conference/retrieve-all-conferences).
    """

    says_when: ClassVar[bool] = True

    max_duration: timedelta | None = None
    abandoned_after: timedelta | None = None
    max_members: Annotated[int, Meta(ge=0)] = 0
    names: tuple[str, ...] = ()
    rooms: tuple[RegisteredRoom, ...] = ()
    rooms_file: Annotated[str, FilePath] | None = None
    end_without_details: bool = False
    announce: Annotated[str, Meta(pattern=r"\S", max_length=1000)] | None = None
    announce_wait: timedelta = timedelta(seconds=15)
    announce_voice: Literal["WOMAN", "MAN"] = "WOMAN"
    announce_language: str = "en-US"
    end_without_announcement: bool = False

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        if re.match("https?://", self.announce or "") and not SOUND.fullmatch(self.announce or ""):
            yield "announce", "a sound is an https address that ends in .mp3 or .wav"
        if not (self.max_duration or self.abandoned_after or self.rooms or self.rooms_file):
            yield "", "say when a room should have ended: max_duration, abandoned_after, rooms or rooms_file"

    def missing(self) -> Iterator[tuple[str, str]]:
        if self.rooms_file:
            try:
                _read_file(Path(self.rooms_file))
            except ValueError as error:
                yield "rooms_file", str(error)

    def live(self, zone: tzinfo) -> LiveRule:
        """The rule for the core. Where a name stands twice, the later end counts, because doubt keeps.

        Raises ConfigError if ``rooms_file`` cannot be read.
        """
        scheduled: dict[str, datetime | None] = {}
        for name, written in self._registered():
            ends = (scheduled.get(name), _end(written, zone) if written else None)
            scheduled[name] = max((end for end in ends if end), default=None)
        return LiveRule(
            self.max_duration,
            self.abandoned_after,
            self.max_members,
            scheduled,
            self.end_without_details,
            self._announcement(),
        )

    def _announcement(self) -> Announcement | None:
        said = (self.announce_wait, self.announce_voice, self.announce_language, self.end_without_announcement)
        return Announcement(self.announce, *said) if self.announce else None

    def _registered(self) -> list[tuple[str, str | None]]:
        listed = [(room.name, room.ends_at) for room in self.rooms]
        try:
            return listed + (_read_file(Path(self.rooms_file)) if self.rooms_file else [])
        except ValueError as error:
            raise ConfigError([Problem("rooms_file", str(error))]) from None


def _end(written: str, zone: tzinfo) -> datetime:
    """The instant from which on a scheduled end has passed for certain, in UTC: of several readings the latest.

    A date alone ends with its day; a time that the clock of ``zone`` shows twice ends with the second.
    """
    try:
        when = datetime.fromisoformat(written.strip())
        if _is_date(written.strip()):
            when = datetime.combine(when.date() + timedelta(days=1), time())
        readings = [when] if when.tzinfo else [when.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
        return max(reading.astimezone(UTC) for reading in readings)
    except (OverflowError, ValueError):
        return NEVER


def _is_date(written: str) -> bool:
    try:
        date.fromisoformat(written)
    except ValueError:
        return False
    return True


def _read_file(file: Path) -> list[tuple[str, str | None]]:
    """Names and ends of a CSV file with the header name,ends_at. Raises ValueError, naming the line."""
    rows: list[tuple[int, list[str]]] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            rows += [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(f"{file}, line {reader.line_num}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    if not rows or [name.strip().lower() for name in rows[0][1]] != ["name", "ends_at"]:
        raise ValueError(f"{file}, line 1: expected the header name,ends_at")
    return [_line(row, f"{file}, line {number}") for number, row in rows[1:] if row]


def _line(row: list[str], where: str) -> tuple[str, str | None]:
    """A line's name, exactly as it is written, and its end."""
    if len(row) != 2 or not row[0]:
        raise ValueError(f"{where}: expected a name and an end, separated by a comma")
    written = row[1].strip()
    try:
        return row[0], When.parse(written) if written else None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def details(row: Mapping[str, Any], name: str) -> tuple[Live, str | None]:
    """How long a room and its youngest member have been there, or else, in words, why nobody can tell.

    ``conference_run_time``, ``conference_member_count`` and ``join_time`` are numbers as text, the times lengths in
    seconds (conference/conference-object). A live room may also answer 200 with ``{"error": "failed"}``
    (conference/retrieve-conference), and does so at present whenever it has members (conference/members).
    """
    run_time, members = _seconds(row.get("conference_run_time")), row.get("members")
    if "error" in row:
        return Live(), f"Vobiz gives no details of it (error: {row['error']!r})"
    if row.get("conference_name") != name:
        return Live(), f"Vobiz answers with the details of another room ({row.get('conference_name')!r})"
    if run_time is None:
        return Live(), cannot_read("conference_run_time", row.get("conference_run_time"))
    if not isinstance(members, list) or whole(row.get("conference_member_count")) != len(members):
        return Live(), f"its members are not the {row.get('conference_member_count')!r} of conference_member_count"
    joined = [_seconds(member.get("join_time")) if isinstance(member, dict) else None for member in members]
    known = [age for age in joined if age is not None and age <= run_time + SLACK]
    if len(known) < len(members):
        return Live(), "the join_time of its members cannot be read, or is longer than the room is running"
    return Live(run_time, len(members), min(known, default=None)), None


def _seconds(value: object) -> timedelta | None:
    number = whole(value)
    return timedelta(seconds=number) if number is not None and 0 <= number <= LONGEST.total_seconds() else None


def live_room(
    name: str,
    live: Live,
    began: datetime | None,
    doubt: str | None,
    row: Mapping[str, Any],
    *,
    unsendable: bool = False,
) -> Item:
    """A live room as an ``Item``. ``began`` and ``live`` come from its details, ``doubt`` says why there are none."""
    return Item(
        what="conferences",
        id=name,
        kind=Kind.LIVE,
        state=State.RUNNING,
        title=name,
        tags=(),
        started_at=began,
        live=live,
        unreadable=doubt,
        unsendable=unsendable,
        aliases=aliases(row, "conference_uuid"),
        raw=row,
    )


def room_name(name: str) -> str:
    """A room's name. Raises UnsafeId for one that a server which decodes first takes for a part of a room."""
    for reading in (name, unquote(name), unquote(unquote(name))):
        parts = [part.strip().casefold() for part in re.split(r"[/\\]", reading)]
        if len(parts) > 1 and SUB_RESOURCES.intersection(parts):
            raise UnsafeId(f"{harmless(name)!r} cannot be sent as a room's name: it could address a part of a room")
    return name


def silent_warning(names: Sequence[str]) -> str:
    """A warning of rooms without details."""
    rooms = "1 live room" if len(names) == 1 else f"{len(names)} live rooms"
    return f"Vobiz gives no usable details of {rooms}, which nothing but a scheduled end can end: {_shown(names)}"


def registered_once_warning(names: Sequence[str]) -> str:
    """A warning of rooms that began after the end that the register gives for their name."""
    rooms = "1 live room" if len(names) == 1 else f"{len(names)} live rooms"
    advice = "remove the old ends_at from rooms or rooms_file, or set a new one"
    return f"{rooms} began after the ends_at of that name, so they are other rooms and stay; {advice}: {_shown(names)}"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(f'"{harmless(name)}"' for name in names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def is_another(room: Item, rules: Sequence[Rule]) -> bool:
    """Whether a room began after the end that a rule's registry gives for its name."""
    ends = [rule.live.scheduled.get(room.id) for rule in rules if rule.live]
    return any(end and room.started_at and begun_after(room.started_at, end) for end in ends)
