"""Vobiz: live conference rooms that should have ended, and call recordings.

Sources: https://www.vobiz.ai/docs/conference/retrieve-all-conferences, .../retrieve-conference,
.../hang-up-conference, https://www.vobiz.ai/docs/recording/list-all-recordings, .../recording-object.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta

from ..cutoff import parse_instant
from ..errors import AccessRefused, HttpError, ProviderError, Unsendable
from ..http import Http, Permit, Stop, path, segment
from ..items import Item, Kind, Live, Media, Outcome, Result, State
from ..paging import Page, by_offset
from ..redact import harmless
from ..selection import LiveRule, Rule
from ..settings import AccountSettings, Pace, Rate, RuleSettings, Secret, Span, Table, When
from .base import Provider, Source, count_of, instant, milliseconds, rows_of, text, whole

PAGE = 100
SHOWN = 5
GATEWAY = "Not Found"
"""The gateway's 404 for a path that does not exist; never that of a missing room or recording."""
_RECORDING_ID = re.compile(r"[A-Za-z0-9_-]+")
EMPTY_LIST = (
    "Vobiz lists no live room, which it also does while rooms are live: this is inconclusive. "
    "Name your rooms in rooms or rooms_file, so that they are looked up one by one"
)
NO_DETAILS = "Vobiz gives no usable details of this room"


class RegisteredRoom(Table, frozen=True, kw_only=True):
    """A room that the operator opened, and when it should end."""

    name: str
    ends_at: Annotated[str | None, When] = None


class LiveRoomRule(RuleSettings, frozen=True, kw_only=True):
    """A rule for live rooms. ``older_than`` is a grace: so long past the end that the room should have had."""

    max_duration: Annotated[timedelta | None, Span] = None
    abandoned_after: Annotated[timedelta | None, Span] = None
    max_members: Annotated[int, Meta(ge=0)] = 0
    names: tuple[str, ...] = ()
    rooms: tuple[RegisteredRoom, ...] = ()
    rooms_file: str | None = None
    end_without_details: bool = False

    def problems(self) -> Iterator[tuple[str, str]]:
        if not (self.max_duration or self.abandoned_after or self.rooms or self.rooms_file):
            yield "", "say when a room should have ended: max_duration, abandoned_after, rooms or rooms_file"

    def missing(self) -> Iterator[tuple[str, str]]:
        if self.rooms_file:
            try:
                _from_file(Path(self.rooms_file).expanduser())
            except ValueError as error:
                yield "rooms_file", str(error)

    def live(self, zone: tzinfo) -> LiveRule:
        """The rule for the core. Where a name stands twice, the later end counts. Raises ValueError."""
        scheduled: dict[str, datetime | None] = {}
        listed = [(room.name, room.ends_at) for room in self.rooms]
        listed += _from_file(Path(self.rooms_file).expanduser()) if self.rooms_file else []
        for name, written in listed:
            end = parse_instant(written, zone) if written else None
            known = scheduled.get(name)
            scheduled[name] = max(known, end) if known and end else end or known
        return LiveRule(self.max_duration, self.abandoned_after, self.max_members, scheduled, self.end_without_details)


def _from_file(file: Path) -> list[tuple[str, str | None]]:
    """Names and ends of a CSV file with the header name,ends_at. Raises ValueError, naming the line."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    rows = csv.reader(lines)
    header = [name.strip().lower() for name in next(rows, [])]
    if header != ["name", "ends_at"]:
        raise ValueError(f"{file}, line 1: expected the header name,ends_at")
    rooms: list[tuple[str, str | None]] = []
    for row in rows:
        if not row:
            continue
        if len(row) != 2 or not row[0]:
            raise ValueError(f"{file}, line {rows.line_num}: expected a name and an end, separated by a comma")
        written = row[1].strip() or None
        try:
            rooms.append((row[0], When.parse(written) if written else None))
        except ValueError as error:
            raise ValueError(f"{file}, line {rows.line_num}: {error}") from None
    return rooms


class RecordingRule(RuleSettings, frozen=True, kw_only=True):
    """A rule for recordings; ``title`` is a glob over the room's name, or over "FROM to TO"."""


class VobizSettings(AccountSettings, frozen=True, kw_only=True):
    """A Vobiz account. No request rate is documented."""

    url: str = "https://api.vobiz.ai"
    auth_id: str
    auth_token: Annotated[Secret, Secret]
    rate: Annotated[Pace, Rate] = Pace(10, 1)


class _Auth:
    """Two headers with every request; they do not expire (https://www.vobiz.ai/docs/errors)."""

    def __init__(self, settings: VobizSettings) -> None:
        self._settings = settings

    def sign_in(self, http: Http) -> Mapping[str, str]:
        token = self._settings.auth_token.reveal()
        return {"X-Auth-ID": self._settings.auth_id, "X-Auth-Token": token, "Content-Type": "application/json"}

    def expired(self, error: HttpError) -> bool:
        return False


class Vobiz(Provider):
    """One Vobiz account."""

    name = "vobiz"
    title = "Vobiz"
    settings_type = VobizSettings
    sources = {
        "conferences": Source("live rooms that should have ended; ending one disconnects people", LiveRoomRule, True),
        "recordings": Source("call recordings", RecordingRule, media=True),
    }

    def __init__(self, settings: VobizSettings, stop: Stop, clock: Callable[[], datetime]) -> None:
        super().__init__(settings, stop, clock)
        self.http = Http.for_account(settings, _Auth(settings), stop, clock, _asked_pause)

    def _path(self, *parts: str) -> str:
        return path("api", "v1", "Account", self.settings.auth_id, *parts, slash=True)

    # Listing ----------------------------------------------------------------------------------

    def items(self, what: str, rules: Sequence[Rule]) -> Iterator[Item]:
        if what == "conferences":
            yield from self._rooms(rules)
        else:
            for row in by_offset(self._page, lambda row: repr(row.get("recording_id"))):
                yield recording(row)

    def _rooms(self, rules: Sequence[Rule]) -> Iterator[Item]:
        """Listed rooms and those that the rules register, each looked up by itself: the list is only a hint."""
        names = self.http.get(self._path("Conference")).json().get("conferences")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ProviderError("the answer has no list of room names under 'conferences'")
        if not names:
            self.warnings.append(EMPTY_LIST)
        registered = [name for rule in rules if rule.live for name in rule.live.scheduled]
        undecided = []
        for name in dict.fromkeys([*names, *registered]):
            room = self._room_or_unsendable(name)
            if room is not None:
                yield room
                undecided += [harmless(name)] if room.live and room.live.run_time is None else []
        if undecided:
            shown = ", ".join(map(repr, undecided[:SHOWN])) + (", …" if len(undecided) > SHOWN else "")
            self.warnings.append(f"of {len(undecided)} live rooms no usable details are given; undecided: {shown}")

    def _room_or_unsendable(self, name: str) -> Item | None:
        try:
            segment(name)
        except Unsendable as error:
            return _room(name, Live(), None, str(error), {}, unsendable=True)
        return self._room(name)

    def _room(self, name: str) -> Item | None:
        """A live room; None if there is none of this name now. Raises ProviderError."""
        try:
            row = self.http.get(self._path("Conference", name)).json()
        except HttpError as error:
            _gone_or_raise(error)
            return None
        live = details(row, name)
        began = self.clock() - live.run_time if live.run_time is not None else None
        return _room(name, live, began, NO_DETAILS if began is None else None, row)

    def _page(self, offset: int) -> Page:
        """One page of recordings. ``meta.next`` lacks part of its path and is never followed."""
        body = self.http.get(self._path("Recording"), [("limit", str(PAGE)), ("offset", str(offset))]).json()
        meta = body.get("meta")
        if not isinstance(meta, dict):
            raise ProviderError("the answer has no 'meta'")
        rows = rows_of(body, "objects")
        return Page(rows, count_of(meta, "total_count"), last="next" in meta and meta["next"] is None)

    # One item ---------------------------------------------------------------------------------

    def look(self, item: Item) -> Item | None:
        if item.what == "conferences":
            return self._room(item.id)
        try:
            row = self.http.get(self._path("Recording", _recording_id(item.id))).json()
        except HttpError as error:
            _gone_or_raise(error)
            return None
        found = row if "recording_id" in row else next(iter(rows_of(row, "objects")), {})
        if found.get("recording_id") != item.id:
            raise ProviderError(f"the server answered with something else than recording {item.id}")
        return recording(found)

    def delete(self, items: Sequence[Item], permit: Permit) -> list[Result]:
        return [self._delete(item, permit) for item in items]

    def _delete(self, item: Item, permit: Permit) -> Result:
        """Hangs up one room or deletes one recording, by its name or id; both are refused if empty or dotted."""
        room = item.what == "conferences"
        where = self._path("Conference", item.id) if room else self._path("Recording", _recording_id(item.id))
        try:
            self.http.delete(where, permit, ok=(204,))
        except HttpError as error:
            _gone_or_raise(error)
            return Result(Outcome.GONE)
        return Result(Outcome.DELETED)

    def fetch(self, item: Item) -> Iterator[Media]:
        """The recording's file. The account's headers are sent to the account's own host only."""
        url = text(item.raw.get("recording_url"))
        if url is None:
            raise ProviderError(f"the recording {item.id} has no recording_url")
        yield Media(urlsplit(url).path.rpartition("/")[2] or item.id, self.http.download(url))


def _gone_or_raise(error: HttpError) -> None:
    """Returns for the vendor's own 404; the gateway's, and any other refusal, is raised."""
    if error.status != 404:
        raise error
    if error.body.get("message") == GATEWAY and "error" not in error.body:
        raise AccessRefused("the server does not know this address; check the account's url and auth_id", 404)


def _asked_pause(error: HttpError) -> float | None:
    """``details.retryAfter`` of the error object, in seconds."""
    inner = error.body.get("error")
    stated = inner.get("details") if isinstance(inner, dict) else None
    seconds = whole(stated.get("retryAfter")) if isinstance(stated, dict) else None
    return float(seconds) if seconds is not None and seconds >= 0 else None


def _recording_id(ident: str) -> str:
    """A recording's id; ``BulkDelete`` stands where ids stand. Raises Unsendable."""
    if not _RECORDING_ID.fullmatch(ident) or ident.casefold() == "bulkdelete":
        raise Unsendable(f"{harmless(ident)!r} cannot be sent as a recording's id")
    return ident


def details(row: Mapping[str, Any], name: str) -> Live:
    """How long a room and its youngest member have been there (seconds, as text); empty where anything is odd.

    A live room may answer ``{"error": "failed"}`` with status 200.
    """
    run_time, count = whole(row.get("conference_run_time")), whole(row.get("conference_member_count"))
    members = row.get("members")
    if "error" in row or row.get("conference_name") != name or run_time is None or run_time < 0:
        return Live()
    if count is None or not isinstance(members, list) or len(members) != count:
        return Live()
    joined = [whole(member.get("join_time")) if isinstance(member, dict) else None for member in members]
    known = [seconds for seconds in joined if seconds is not None and seconds >= 0]
    youngest = timedelta(seconds=min(known)) if known and len(known) == len(joined) else None
    return Live(timedelta(seconds=run_time), count, youngest)


def _room(
    name: str,
    live: Live,
    began: datetime | None,
    doubt: str | None,
    row: Mapping[str, Any],
    *,
    unsendable: bool = False,
) -> Item:
    return Item(
        what="conferences",
        id=name,
        kind=Kind.LIVE,
        state=State.RUNNING,
        title=name,
        started_at=began,
        live=live,
        doubt=doubt,
        unsendable=unsendable,
        raw=row,
    )


def recording(row: Mapping[str, Any]) -> Item:
    """A recording as an ``Item``; it ended at ``recording_end_ms``, else when it was added."""
    ident = row.get("recording_id")
    added, ended = instant(row.get("add_time")), row.get("recording_end_ms")
    end, doubt = (milliseconds(ended), "recording_end_ms") if ended is not None else (added, "add_time")
    if added is None:
        end, doubt = None, "add_time"
    return Item(
        what="recordings",
        id=ident if isinstance(ident, str) else "",
        kind=Kind.RECORDING,
        state=State.OVER,
        title=text(row.get("conference_name")) or _between(row),
        started_at=milliseconds(row.get("recording_start_ms")),
        ended_at=end,
        created_at=added,
        doubt=f"its {doubt} cannot be read ({row.get(doubt)!r})" if end is None else None,
        undeletable=None if isinstance(ident, str) and ident else "it has no id",
        raw=row,
    )


def _between(row: Mapping[str, Any]) -> str | None:
    caller, called = text(row.get("from_number")), text(row.get("to_number"))
    return f"{caller or 'unknown'} to {called}" if called else caller
