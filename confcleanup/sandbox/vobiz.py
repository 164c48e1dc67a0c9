"""Vobiz in memory: live rooms, recordings, announcements, and the routes that end far too much.

Written from the Vobiz fact sheet alone; section numbers in docstrings refer to it. The odd habits
are on by default: the list of rooms is incomplete (sheet 3.1), details are often refused with
status 200 (sheet 3.2), recordings repeat, carry mixed offsets and null times (sheet 3.4, 4), filters
are ignored, and paths are normalised, so that a room named ``.`` ends every room (sheet 7.3).
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from .server import Clock, Emulator, Request, Response, utc_clock

ABSENT: Any = object()
"""As a field's value: the vendor's object lacks that key."""

MAX_LIMIT = 100
DEFAULT_LIMIT = 20
SPEAK_LENGTH = 1000
SIGNATURE = "5f0c6b1e77d2c4a8"
"""What opens a file in the storage; nobody may read it in a log."""
NO_ROUTE = {"message": "Not Found"}
NO_ROOM = "conference not found"
NO_RECORDING = "Recording not found"
HOSTILE = "\x1b[2J\x1b[31mALERT\x1b[0m\r\n<b>x</b>\t\u202egnp.exe\u202c"

_FIXED_WORDS = {2: ("Account",), 4: ("Conference", "Recording"), 6: ("Member",), 8: ("Play", "Speak")}
_EQUAL_FILTERS = {"call_uuid", "recording_type", "conference_name", "from_number", "to_number"}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
}


@dataclass
class Member:
    """Somebody in a room. ``odd`` overrides fields of the wire object; ``ABSENT`` removes one."""

    id: str
    joined: datetime
    odd: dict[str, Any] = field(default_factory=dict)

    def wire(self, now: datetime) -> dict[str, Any]:
        """The member as sheet 3.2 shows it: ``join_time`` is a duration, and a string."""
        plain = {
            "member_id": self.id,
            "muted": False,
            "deaf": False,
            "from": f"+155501000{self.id}",
            "to": "+15550100009",
            "caller_name": "Ana" if self.id == "17" else "",
            "direction": "inbound",
            "call_uuid": f"0a1b2c3d-0000-4000-8000-{int(self.id):012d}",
            "join_time": _seconds(now - self.joined),
        }
        return _without_absent(plain | self.odd)


@dataclass
class Room:
    """A live room; without members it does not exist (sheet 1)."""

    name: str
    began: datetime
    members: list[Member]
    listed: bool = True
    """Shown by ``GET Conference/`` while ``Vobiz.listing`` is ``some``."""
    details: bool = True
    """Whether retrieve answers with details while ``Vobiz.details`` is ``some``."""
    closes: datetime | None = None
    """When the room ends by itself: its ``timeLimit`` (sheet 1), or a hang-up under way."""
    odd: dict[str, Any] = field(default_factory=dict)
    """Overrides of the wire object; ``ABSENT`` removes a field."""

    def wire(self, now: datetime) -> dict[str, Any]:
        """The room as sheet 3.2 shows it: counts and times are strings."""
        plain = {
            "conference_name": self.name,
            "conference_run_time": _seconds(now - self.began),
            "conference_member_count": str(len(self.members)),
            "members": [member.wire(now) for member in self.members],
        }
        return _without_absent(plain | self.odd)


class Vobiz(Emulator):
    """The emulated vendor. Every switch below is also a keyword argument of the constructor."""

    details: Literal["some", "always", "never"] = "some"
    """Sheet 8: whether retrieve gives details of a live room: by the room's flag, always, never."""
    listing: Literal["some", "empty", "all"] = "some"
    """Sheet 3.1: which live rooms the list shows: those flagged ``listed``, none, or all."""
    room_list_shape: Literal["names", "objects"] = "names"
    """Sheet 8: names, or the old OpenAPI's objects with ``member_count``."""
    member_ids_in_details: bool = True
    """Sheet 8: whether ``members[].member_id`` is there, or known from callbacks only."""
    hangup_takes: timedelta = timedelta(0)
    """Sheet 5.2: 204 only acknowledges; the room lives on for so long after it."""
    room_delete_404: Any = {"error": NO_ROOM}
    """Sheet 9: the body of DELETE for a room that is not there; None sends none."""
    trims_names: bool = False
    """Sheet 7.3, 9: whether path parts are trimmed, so that ``%20`` or ``%20.`` means all rooms."""
    decodes_first: bool = False
    """Sheet 7.31: whether a path is decoded before it is cut into parts, so that ``x%2FMember%2Fall`` are three."""
    strict_slash: bool = False
    """Sheet 2, 7.4: a path without its last slash is no route for GET and POST; on: nor for DELETE."""
    needs_content_type: bool = True
    """Sheet 2: ``Content-Type: application/json`` belongs to every call, also GET and DELETE."""
    error_shape: Literal["string", "object"] = "string"
    """Sheet 6: whether 400, 401 and 403 carry ``error`` as text or as an object."""
    play: Literal["current", "old", "missing"] = "current"
    """Sheet 8: 202 ``play queued into conference``, 200 ``play started``, or no such route."""
    speak: Literal["current", "old", "missing"] = "current"
    """Sheet 8: 202, 200, or no such route."""
    announced_members: Literal["list", "text"] = "list"
    """Sheet 5.1: ``member_id`` of the reply is a list, or text that looks like one, as in Plivo's samples."""
    page_cap: int = 10
    """Most recordings a page holds, whatever ``limit`` asks; ``meta.limit`` says it."""
    over_limit: Literal["refuse", "cap"] = "refuse"
    """Sheet 3.4: what a ``limit`` over 100 leads to: 400, or 100."""
    order: Literal["inserted", "reversed"] = "inserted"
    """Sheet 9: the sort order is unknown."""
    ignore_filters: bool = True
    """Sheet 7.15: every query but ``limit`` and ``offset`` has no effect."""
    total_counts: Literal["ids", "rows"] = "ids"
    """Sheet 7.16: whether ``total_count`` counts a repeated recording once or twice."""
    hides_older_than: timedelta | None = None
    """Sheet 3.4, 7.32: without an ``add_time`` filter, older recordings are not listed."""
    counts_hidden: bool = True
    """Whether ``total_count`` counts those too."""
    pages: Literal["whole", "short", "lost", "repeated"] = "whole"
    """Faults of paging: the last row of each page lost, the second page empty, always the first page."""
    null_next: bool = True
    """Sheet 8: ``meta.next`` of the last page is null; off: it is a path, as the OpenAPI has it."""
    recording_list_shape: Literal["current", "january", "bare"] = "current"
    """Sheet 8: as in 3.4, the January page's ``recordings``, or ``objects`` without ``meta``."""
    recording_detail: Literal["flat", "wrapped"] = "flat"
    """Sheet 5.4: retrieve gives the flat object, or the list form around it."""
    auth_id: str = "MA_SANDBOX"
    auth_token: str = "invented-vobiz-token"  # noqa: S105  # made up: only this emulator, on loopback, takes it
    public_url: str = "http://127.0.0.1"
    """Where the emulator is served; ``recording_url`` points there."""
    storage_url: str | None = None
    """Sheet 7.24: where the file's address redirects to, with a signature; None: the file comes at once."""

    def __init__(self, clock: Clock = utc_clock, **switches: Any) -> None:
        super().__init__(clock)
        for name, value in switches.items():
            if name not in Vobiz.__annotations__:
                raise TypeError(f"Vobiz has no switch {name!r}")
            setattr(self, name, value)
        self.rooms: dict[str, Room] = {}
        self.extra_names: list[str] = []
        self.recordings: dict[str, dict[str, Any]] = {}
        self._added: dict[str, datetime] = {}
        self.repeats: list[str] = []
        self.lost_media: set[str] = set()
        self.schedule: dict[str, datetime] = {}
        self.schedule_without_details: dict[str, datetime] = {}
        self.ended: list[str] = []
        self.deleted: list[str] = []
        self.announcements: list[tuple[str, str, str, dict[str, Any]]] = []
        self.disasters: list[str] = []
        self.doomed: dict[str, set[str]] = {"conferences": set(), "recordings": set()}
        self._revoked = False
        self._answers = 0

    # state

    def add_room(
        self,
        name: str,
        *,
        running: timedelta = timedelta(hours=1),
        joined: Sequence[timedelta] | None = None,
        listed: bool = True,
        details: bool = True,
        time_limit: timedelta | None = None,
        odd: dict[str, Any] | None = None,
    ) -> Room:
        """A live room; ``joined`` says how long ago each member came (default: two, then and halfway)."""
        now = self.clock()
        ages = (running, running / 2) if joined is None else joined
        members = [Member(str(number), now - age) for number, age in enumerate(ages, start=17)]
        closes = None if time_limit is None else now - running + time_limit
        self.rooms[name] = Room(name, now - running, members, listed, details, closes, dict(odd or {}))
        return self.rooms[name]

    def reuse(self, name: str) -> Room:
        """The room ended and somebody called again: a new room of the same name (sheet 5.2)."""
        old = self.rooms.get(name)
        listed, details = (old.listed, old.details) if old else (True, True)
        return self.add_room(name, running=timedelta(0), listed=listed, details=details)

    def add_recording(
        self,
        recording_id: str,
        *,
        ended: timedelta = timedelta(days=40),
        length: timedelta = timedelta(seconds=15),
        offset: float = 5.5,
        digits: int = 5,
        **fields: Any,
    ) -> dict[str, Any]:
        """A recording that ended so long ago, in the shape of sheet 3.4; ``fields`` override, ``ABSENT`` removes.

        ``offset`` (hours) and ``digits`` shape ``add_time``, which is the end of the recording. The days of
        ``recording_storage_duration`` grow as time passes.
        """
        end = (self.clock() - ended).replace(microsecond=792760)
        plain = {
            "recording_id": recording_id,
            "recording_type": "call",
            "recording_format": "mp3",
            "recording_url": f"/media/{recording_id}.mp3",
            "resource_uri": f"/v1/Account/{self.auth_id}/Recording/{recording_id}/",
            "call_uuid": f"0a1b2c3d-0000-4000-8000-{len(self.recordings):012d}",
            "conference_name": None,
            "from_number": "+15550100001",
            "to_number": "15550100009",
            "add_time": wire_time(end, offset, digits),
            "recording_start_ms": wire_ms(end - length),
            "recording_end_ms": wire_ms(end),
            "recording_duration_ms": f"{length / timedelta(milliseconds=1):.5f}",
            "rounded_recording_duration": -(-int(length.total_seconds()) // 60) * 60,
            "recording_storage_duration": ended.days,
            "recording_storage_rate": 0.005,
            "monthly_recording_storage_amount": 0,
        }
        self.recordings[recording_id] = _without_absent(plain | fields)
        self._added[recording_id] = self.clock()
        return self.recordings[recording_id]

    def expire_tokens(self) -> None:
        """Revoke the account's keys: from now on everything is 401 (sheet 2 knows no expiry)."""
        self._revoked = True

    # the way of a request

    def handle(self, request: Request) -> Response:
        """Gateway first, then credentials and the case of the path, then the route."""
        self._close_rooms()
        parts, slash = self._normal(request.path)
        if parts[:1] == ["media"]:
            return self._media(request, parts)
        if parts[:1] == ["storage"]:
            return self._storage(request, parts[-1])
        if parts[:2] != ["api", "v1"] or parts[2:3] not in (["Account"], ["account"]):
            return Response(404, NO_ROUTE)
        if not (self._signed(request) and self._typed(request) and _well_cased(parts) and parts[3:4] == [self.auth_id]):
            return self._error(401, "UNAUTHORIZED", "authentication failed")
        if not slash and (request.method != "DELETE" or self.strict_slash):
            return Response(404, NO_ROUTE)
        return self._route(request, parts[4:])

    def _normal(self, path: str) -> tuple[list[str], bool]:
        """The path without empty and dot parts, encoded or not (sheet 7.3), and whether it ended in a slash."""
        kept: list[str] = []
        part = ""
        path = unquote(path) if self.decodes_first else path
        for raw in path.split("/")[1:]:
            part = unquote(raw).strip() if self.trims_names else unquote(raw)
            if part == "..":
                del kept[-1:]
            elif part not in ("", "."):
                kept.append(part)
        return kept, part in ("", ".", "..")

    def _signed(self, request: Request) -> bool:
        sent = {name.lower(): value for name, value in request.headers.items()}
        right = sent.get("x-auth-id") == self.auth_id and sent.get("x-auth-token") == self.auth_token
        return right and not self._revoked

    def _typed(self, request: Request) -> bool:
        sent = {name.lower(): value for name, value in request.headers.items()}
        return not self.needs_content_type or sent.get("content-type", "").startswith("application/json")

    def _route(self, request: Request, parts: list[str]) -> Response:
        match [request.method, *parts]:
            case ["DELETE"]:
                return self._end_account()
            case [_, "Conference", *rest]:
                return self._conference(request, rest)
            case [_, "Recording", *rest]:
                return self._recording(request, rest)
        return Response(404, NO_ROUTE)

    def _conference(self, request: Request, parts: list[str]) -> Response:
        match [request.method, *parts]:
            case ["GET"]:
                return self._list_rooms()
            case ["DELETE"]:
                return self._end_all_rooms()
            case ["GET", name]:
                return self._retrieve_room(name)
            case ["DELETE", name]:
                return self._end_room(name)
            case ["POST" | "DELETE", name, "Member", ids, "Play" | "Speak" as action]:
                return self._announce(request, name, ids, action)
            case ["DELETE", name, *rest] if rest[:1] in (["Member"], ["Record"]):
                self.disasters.append(f"DELETE of {'/'.join(rest)} of room {name}")
                return Response(204)
        return Response(404, NO_ROUTE)

    def _recording(self, request: Request, parts: list[str]) -> Response:
        match [request.method, *parts]:
            case ["GET"]:
                return self._list_recordings(request)
            case ["DELETE"]:
                self.disasters.append("DELETE Recording/ without an id")
            case ["DELETE", "BulkDelete"]:
                return self._bulk_delete(request)
            case ["GET", recording_id]:
                return self._retrieve_recording(recording_id)
            case ["DELETE", recording_id]:
                return self._delete_recording(recording_id)
        return Response(404, NO_ROUTE)

    # rooms

    def _close_rooms(self) -> None:
        now = self.clock()
        over = [name for name, room in self.rooms.items() if not room.members or (room.closes and room.closes <= now)]
        for name in over:
            del self.rooms[name]

    def _list_rooms(self) -> Response:
        """Sheet 3.1: a hint. An empty or short list says nothing about what is live."""
        shown = [room for room in self.rooms.values() if self.listing == "all" or room.listed]
        if self.listing == "empty":
            return self._ok({"conferences": []})
        if self.room_list_shape == "objects":
            rooms = [{"conference_name": room.name, "member_count": len(room.members)} for room in shown]
            return self._ok({"conferences": rooms})
        return self._ok({"conferences": [room.name for room in shown] + self.extra_names})

    def _retrieve_room(self, name: str) -> Response:
        """Sheet 3.2: 404, details, or ``error: failed`` with status 200."""
        room = self.rooms.get(name)
        if room is None:
            return self._not_found(NO_ROOM)
        if self.details == "never" or (self.details == "some" and not room.details):
            return self._ok({"error": "failed"})
        shown = room.wire(self.clock())
        if not self.member_ids_in_details:
            for member in shown.get("members", []):
                member.pop("member_id", None)
        return self._ok(shown)

    def _end_room(self, name: str) -> Response:
        """Sheet 5.2: 204 without a body; everybody is disconnected."""
        room = self.rooms.get(name)
        if room is None:
            return self._answer(404, dict(self.room_delete_404)) if self.room_delete_404 else Response(404)
        self.ended.append(name)
        room.closes = self.clock() + self.hangup_takes
        self._close_rooms()
        return Response(204)

    def _end_all_rooms(self) -> Response:
        """Sheet 5.3: the trap. 204, also when no room is live."""
        self.disasters.append(f"DELETE Conference/ ended all {len(self.rooms)} rooms")
        self.rooms.clear()
        return Response(204)

    def _end_account(self) -> Response:
        """Sheet 7.3: where a room named ``..`` leads."""
        self.disasters.append("DELETE of the whole account")
        self.rooms.clear()
        self.recordings.clear()
        self._revoked = True
        return Response(204)

    # announcements

    def _announce(self, request: Request, name: str, ids: str, action: str) -> Response:
        """Sheet 5.1: to one member, a comma list, or ``all``; stopping succeeds also when nothing plays."""
        room, style = self.rooms.get(name), self.play if action == "Play" else self.speak
        if style == "missing":
            return Response(404, NO_ROUTE)
        if room is None:
            return self._not_found(NO_ROOM)
        asked = ids.split(",")
        if asked != ["all"] and not set(asked) <= {member.id for member in room.members}:
            return self._not_found("member not found")
        if request.method == "DELETE":
            return Response(204)
        body = request.json()
        if not _announceable(action, body):
            return self._error(400, "INVALID_REQUEST", f"invalid {action} body")
        self.announcements.append((name, ids, action, body))
        queued = (action, style) == ("Play", "current")
        message = "play queued into conference" if queued else f"{action.lower()} started"
        members = asked if self.announced_members == "list" else f"[u'{ids}']"
        return self._answer(202 if style == "current" else 200, {"message": message, "member_id": members})

    # recordings

    def _list_recordings(self, request: Request) -> Response:
        """Sheet 3.4: ``limit`` and ``offset`` count rows; a wrong number is 400."""
        limit, offset = _count(request.arg("limit"), DEFAULT_LIMIT), _count(request.arg("offset"), 0)
        if self.over_limit == "cap" and limit is not None:
            limit = min(limit, MAX_LIMIT)
        if not limit or offset is None or limit > MAX_LIMIT:
            return self._error(400, "INVALID_REQUEST", "limit must be 1 to 100 and offset 0 or more")
        found = self._filtered(request)
        rows = self._rows(found, any(name.startswith("add_time__") for name, _ in request.query))
        counted = found if self.counts_hidden else [row for row in found if row in rows]
        total = len(counted) if self.total_counts == "ids" else len(rows)
        return self._page(rows, total, min(limit, self.page_cap), offset)

    def _filtered(self, request: Request) -> list[dict[str, Any]]:
        if self.ignore_filters:
            return list(self.recordings.values())
        return [row for row in self.recordings.values() if _matches(row, request.query)]

    def _rows(self, found: list[dict[str, Any]], timed: bool) -> list[dict[str, Any]]:
        """What the list holds: the recordings that are not hidden, then those that it repeats."""
        oldest = self.clock() - self.hides_older_than if self.hides_older_than and not timed else None
        shown = [row for row in found if oldest is None or (_read_time(row.get("add_time")) or oldest) >= oldest]
        shown += [row for row in shown if row.get("recording_id") in self.repeats]
        return shown[::-1] if self.order == "reversed" else shown

    def _page(self, rows: list[dict[str, Any]], total: int, limit: int, offset: int) -> Response:
        first = 0 if self.pages == "repeated" else offset
        objects = [self._shown(row) for row in rows[first : first + limit]]
        if self.pages == "short":
            objects = objects[:-1]
        if self.pages == "lost" and 0 < offset <= limit:
            objects = []
        more = offset + limit < len(rows) or not self.null_next
        meta = {
            "limit": limit,
            "offset": offset,
            "previous": self._page_path(limit, max(0, offset - limit)) if offset else None,
            "next": self._page_path(limit, offset + limit) if more else None,
            "total_count": total,
        }
        return self._shaped(objects, meta)

    def _page_path(self, limit: int, offset: int) -> str:
        """Sheet 7.17: without ``/api``, so that whoever follows it finds no route."""
        return f"/v1/Account/{self.auth_id}/Recording/?limit={limit}&offset={offset}"

    def _shaped(self, objects: list[dict[str, Any]], meta: dict[str, Any]) -> Response:
        if self.recording_list_shape == "january":
            return self._ok({"recordings": [_january(row) for row in objects]})
        if self.recording_list_shape == "bare":
            return self._ok({"objects": objects})
        return self._ok({"meta": meta, "objects": objects})

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        shown = dict(row)
        if type(days := row.get("recording_storage_duration")) is int:
            now = self.clock()
            shown["recording_storage_duration"] = days + (now - self._added.get(str(row.get("recording_id")), now)).days
        url = row.get("recording_url")
        if isinstance(url, str) and url.startswith("/"):
            shown["recording_url"] = self.public_url.rstrip("/") + url
        return shown

    def _retrieve_recording(self, recording_id: str) -> Response:
        row = self.recordings.get(recording_id)
        if row is None:
            return self._not_found(NO_RECORDING)
        if self.recording_detail == "wrapped":
            return self._page([row], 1, DEFAULT_LIMIT, 0)
        return self._ok(self._shown(row))

    def _delete_recording(self, recording_id: str) -> Response:
        """Sheet 5.4: file, address and metadata are deleted permanently; once more is 404."""
        if self.recordings.pop(recording_id, None) is None:
            return self._not_found(NO_RECORDING)
        self.deleted.append(recording_id)
        return Response(204)

    def _bulk_delete(self, request: Request) -> Response:
        """Sheet 5.4: the trap. Only query filters count; a body is not looked at."""
        gone = [recording_id for recording_id, row in self.recordings.items() if row in self._filtered(request)]
        for recording_id in gone:
            del self.recordings[recording_id]
        self.disasters.append(f"DELETE Recording/BulkDelete/ removed {len(gone)} recordings")
        return self._answer(202, {"message": "async api spawned"})

    def _media(self, request: Request, parts: list[str]) -> Response:
        """Sheet 4 and 7.24: the address needs the credentials, may be temporary (``lost_media``), and may redirect."""
        if not self._signed(request):
            return self._error(401, "UNAUTHORIZED", "authentication failed")
        path = "/" + "/".join(parts)
        owner = next((key for key, row in self.recordings.items() if row.get("recording_url") == path), None)
        if request.method != "GET" or owner is None or owner in self.lost_media:
            return Response(404, NO_ROUTE)
        if self.storage_url is None:
            return self._sound(owner)
        return Response(302, None, {"Location": f"{self.storage_url}/storage/{owner}?X-Amz-Signature={SIGNATURE}"})

    def _storage(self, request: Request, owner: str) -> Response:
        """Another company's storage: the signature opens it, and the credentials are none of its business."""
        if request.headers.get("X-Auth-Token"):
            self.disasters.append(f"the credentials were shown to the storage: {request.path}")
        if request.arg("X-Amz-Signature") != SIGNATURE or owner not in self.recordings:
            return Response(403, b"<Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"})
        return self._sound(owner)

    def _sound(self, owner: str) -> Response:
        length = float(self.recordings[owner].get("recording_duration_ms") or 0) / 1000
        return Response(200, audio(owner, length), {"Content-Type": "audio/mpeg"})

    # answers

    def _answer(self, status: int, body: dict[str, Any]) -> Response:
        self._answers += 1
        return Response(status, body | {"api_id": f"3f0c6b1e-0000-4000-8000-{self._answers:012d}"})

    def _ok(self, body: dict[str, Any]) -> Response:
        return self._answer(200, body)

    def _not_found(self, text: str) -> Response:
        return self._answer(404, {"error": text})

    def _error(self, status: int, code: str, text: str) -> Response:
        return refusal(status, code, text) if self.error_shape == "object" else self._answer(status, {"error": text})

    # the backlog and the config that fits it

    def fill(self, *, unsafe: bool = False) -> None:
        """A backlog with every kind of item; ``doomed`` says what the sample rules must end and delete
        (with ``listing`` and ``details`` as they are by default).

        ``unsafe`` adds what an honest run can only end with status 1 for: names and ids that cannot be
        sent, and a room without details whose booked time is over in a rule that does not allow that.
        """
        self._fill_long_rooms()
        self._fill_quiet_rooms()
        self._fill_odd_rooms()
        self._fill_booked_rooms()
        self._fill_old_recordings()
        self._fill_fresh_recordings()
        self._fill_doubtful_recordings()
        self.extra_names += ["Ended While Listing", "Sales Call"]
        if unsafe:
            self._fill_unsafe()

    def _fill_long_rooms(self) -> None:
        """Over the 4 hours, each with a neighbour that a careless client would hit instead."""
        long = {"Team Meeting": 5.5, "a#b": 6, "R&D/weekly": 6, "why?": 7, "50%20off": 7, "Größe ✓ 会議": 9, "00700": 5}
        for name, hours in long.items():
            self.add_room(name, running=timedelta(hours=hours))
        self.doomed["conferences"] |= set(long)
        for name in ("team meeting", "a", "R&D", "why", "50 off", "700", "Sales Call", HOSTILE):
            self.add_room(name, running=timedelta(minutes=50))

    def _fill_quiet_rooms(self) -> None:
        """Abandoned for 1 hour by all but one, and what only looks like it."""
        hour = timedelta(hours=1)
        self.add_room("forgotten", running=2.5 * hour, joined=[2.5 * hour])
        self.add_room("last one out", running=3 * hour, joined=[1.5 * hour])
        self.doomed["conferences"] |= {"forgotten", "last one out"}
        self.add_room("newcomer", running=3 * hour, joined=[hour / 6])
        self.add_room("first to come", running=hour / 3, joined=[hour / 3])
        self.add_room("quiet pair", running=3 * hour, joined=[3 * hour, 2 * hour])

    def _fill_odd_rooms(self) -> None:
        """Sheet 7.2 and 7.8: details that fail or cannot be trusted; all stay."""
        self.add_room("live, no details", running=timedelta(hours=8), details=False)
        odd: list[dict[str, Any]] = [
            *({"conference_run_time": value} for value in (None, True, "-5", "18000.5", "nan", "", ABSENT)),
            *({"conference_member_count": value} for value in (None, "5", "-1", ABSENT)),
            {"conference_name": "another room"},
            {"members": ABSENT},
        ]
        for number, fields in enumerate(odd, start=1):
            self.add_room(f"odd {number:02d}", running=timedelta(hours=6), odd=fields)
        for number, age in enumerate((None, True, "-60", "soon"), start=1):
            room = self.add_room(f"odd join {number}", running=timedelta(hours=2), joined=[timedelta(hours=2)])
            room.members[0].odd["join_time"] = age

    def _fill_booked_rooms(self) -> None:
        """Rooms of the operator's own registry (sheet 3.3), mostly missing in the vendor's list."""
        now, hour = self.clock().replace(microsecond=0), timedelta(hours=1)
        self.add_room("board 10:00", running=2 * hour, listed=False)
        self.add_room("training", running=3 * hour)
        self.add_room("still booked", running=2 * hour, listed=False)
        self.add_room("silent, over", running=3 * hour, listed=False, details=False)
        self.add_room("silent, still booked", running=2 * hour, listed=False, details=False)
        self.add_room("in nobody's list", running=9 * hour, listed=False)
        self.schedule |= {"board 10:00": now - hour / 2, "training": now - hour}
        self.schedule |= {"still booked": now + 5 * hour, "over and empty": now - 3 * hour}
        self.schedule_without_details |= {"silent, over": now - 2 * hour, "silent, still booked": now + 6 * hour}
        self.doomed["conferences"] |= {"board 10:00", "training", "silent, over"}

    def _fill_old_recordings(self) -> None:
        """Over 30 days old, in every notation of sheet 3.4 and 4; all go."""
        day, hour, before = timedelta(days=1), timedelta(hours=1), set(self.recordings)
        self.add_recording(_uuid(1), ended=40 * day)
        self.add_recording(_uuid(2), ended=41 * day, offset=0, digits=6, conference_name="")
        self.add_recording(_uuid(3), ended=45 * day, add_time=_iso(self.clock() - 45 * day))
        trunk: dict[str, Any] = {"recording_type": "trunk", "recording_start_ms": None, "recording_end_ms": None}
        trunk |= {"from_number": "", "to_number": ""}
        self.add_recording(_uuid(4), ended=50 * day, **trunk)
        self.add_recording(_uuid(5), ended=35 * day, recording_type="conference", conference_name="Team Meeting")
        self.add_recording(_uuid(6), ended=60 * day, monthly_recording_storage_amount=0.0125)
        self.add_recording(_uuid(7), ended=33 * day, recording_type="conference", conference_name=HOSTILE)
        self.add_recording("0007", ended=400 * day)
        self.add_recording("7", ended=399 * day)
        self.add_recording("rec_A-b_01", ended=90 * day, from_number=None, to_number="")
        self.add_recording(_uuid(8), ended=30 * day + 4 * hour, offset=5.5, recording_end_ms=None)
        self.add_recording(_uuid(9), ended=31 * day, offset=-8, digits=6)
        self.repeats.append(_uuid(6))
        self.doomed["recordings"] |= set(self.recordings) - before

    def _fill_fresh_recordings(self) -> None:
        """Not yet 30 days old, though a careless reading says otherwise (sheet 4, 7.27 and 7.28); all stay."""
        day, hour = timedelta(days=1), timedelta(hours=1)
        self.add_recording(_uuid(20), ended=day)
        self.add_recording(_uuid(21), ended=10 * day, offset=0, digits=6, conference_name="")
        self.add_recording(_uuid(22), ended=29 * day)
        self.add_recording(_uuid(23), ended=30 * day - 4 * hour, offset=-8, recording_end_ms=None)
        self.add_recording(_uuid(24), ended=2 * day, recording_end_ms=None, recording_duration_ms=None)
        late = wire_time(self.clock() - 30 * day - 6 * hour)
        self.add_recording(_uuid(26), ended=60 * day, add_time=wire_time(self.clock() - day))
        bare = wire_time(self.clock() - 30 * day - 8 * hour).rpartition("+")[0]
        self.add_recording(_uuid(27), ended=30 * day + 8 * hour, add_time=bare, recording_end_ms=None)
        self.add_recording(_uuid(25), ended=29 * day + 12 * hour, length=18 * hour, add_time=late)

    def _fill_doubtful_recordings(self) -> None:
        """Sheet 7.12 to 7.14: whose end cannot be read; all stay."""
        old, fresh = timedelta(days=70), timedelta(days=2)
        self.add_recording(_uuid(40), ended=old, recording_end_ms=None, add_time=None)
        self.add_recording(_uuid(41), ended=old, recording_end_ms=ABSENT, add_time=ABSENT)
        self.add_recording(_uuid(42), ended=old, recording_end_ms=None, add_time="yesterday")
        self.add_recording(_uuid(43), ended=old, recording_end_ms=True, add_time=True)
        self.add_recording(_uuid(44), ended=old, recording_end_ms="soon", add_time="")
        for number, value in enumerate(("-1.00000", "0.00000", "nan", "1e400", False), start=45):
            self.add_recording(_uuid(number), ended=fresh, recording_end_ms=value)

    def _fill_unsafe(self) -> None:
        for name in (".", "..", " . "):
            self.add_room(name, running=timedelta(hours=10))
        self.add_room("silent, overdue", running=timedelta(hours=3), listed=False, details=False)
        self.schedule["silent, overdue"] = self.clock().replace(microsecond=0) - timedelta(hours=1)
        for recording_id in (".", "..", "BulkDelete"):
            self.add_recording(recording_id, ended=timedelta(days=90))

    def account(self, name: str, url: str, **extra: Any) -> str:
        """The TOML of an account with the sample rules for the filled backlog; ``extra`` adds or replaces settings."""
        settings = {"provider": "vobiz", "url": url, "auth_id": self.auth_id, "auth_token": self.auth_token}
        table = _toml_key(name)
        lines = [f"[accounts.{table}]", *_toml_lines(settings | {"rate": "unlimited"} | extra)]
        for rule in self._rules():
            lines += ["", f"[[accounts.{table}.rules]]", *_toml_lines(rule)]
        return "\n".join(lines) + "\n"

    def _rules(self) -> Iterable[dict[str, Any]]:
        rooms = {"what": "conferences"}
        yield {"name": "rooms left open"} | rooms | {"max_duration": "4 hours"}
        yield {"name": "abandoned rooms"} | rooms | {"abandoned_after": "1 hour", "max_members": 1}
        if self.schedule:
            yield {"name": "booked rooms"} | rooms | {"rooms": _booked(self.schedule)}
        if self.schedule_without_details:
            booked = {"rooms": _booked(self.schedule_without_details), "end_without_details": True}
            yield {"name": "booked rooms, details or not"} | rooms | booked
        yield {"name": "old recordings", "what": "recordings", "older_than": "30 days"}


def refusal(status: int, code: str, message: str = "refused", **details: Any) -> Response:
    """An error of the second family of sheet 6, for ``interfere``.

    For example ``refusal(429, "RATE_LIMIT_EXCEEDED", limitType="cps", retryAfter=1)`` or
    ``refusal(402, "INSUFFICIENT_BALANCE")``.
    """
    error = {"code": code, "message": message, "details": details}
    stamp = {"timestamp": "2026-02-01T10:30:00.000Z", "requestId": "req_0011aabb"}
    return Response(status, {"status": "error", "error": error} | stamp)


def audio(recording_id: str, seconds: float = 15) -> bytes:
    """What the emulator serves as the file of a recording, under whatever name: RIFF/WAVE (sheet 7.24)."""
    sound = recording_id.encode() * (int(seconds * 1000) // len(recording_id) + 1)
    rate = b"\x01\0\x01\0\xe8\x03\0\0\xe8\x03\0\0\x01\0\x08\0"  # PCM, one channel, 1000 bytes a second
    chunks = b"WAVEfmt \x10\0\0\0" + rate + b"data" + len(sound).to_bytes(4, "little") + sound
    return b"RIFF" + len(chunks).to_bytes(4, "little") + chunks


def wire_time(when: datetime, offset: float = 5.5, digits: int = 5) -> str:
    """``add_time`` as the samples of sheet 4 have it: a space, a cut fraction, an offset."""
    local = when.astimezone(timezone(timedelta(hours=offset)))
    fraction = f"{local.microsecond:06d}"[:digits]
    return f"{local:%Y-%m-%d %H:%M:%S}.{fraction}{local.isoformat()[-6:]}"


def wire_ms(when: datetime) -> str:
    """Milliseconds since 1970 as the vendor writes them: a string with decimals."""
    return f"{int(when.timestamp() * 1000):d}.00000"


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _uuid(number: int) -> str:
    return f"7c1d2e3f-0000-4000-8000-{number:012d}"


def _seconds(age: timedelta) -> str:
    return str(int(age.total_seconds()))


def _without_absent(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not ABSENT}


def _well_cased(parts: list[str]) -> bool:
    """Sheet 2: a known word of the path in another case is answered like wrong credentials."""
    for place, words in _FIXED_WORDS.items():
        for part in parts[place : place + 1]:
            if part not in words and part.lower() in {word.lower() for word in words}:
                return False
    return True


def _count(text: str | None, default: int) -> int | None:
    """A query's number; None if it is not one."""
    if text is None:
        return default
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _announceable(action: str, body: Any) -> bool:
    """Sheet 5.1: an https MP3 or WAV to play; a text of at most 1000 characters to speak."""
    if not isinstance(body, dict):
        return False
    if action == "Play":
        url = urlsplit(str(body.get("url") or ""))
        return url.scheme == "https" and url.path.lower().endswith((".mp3", ".wav"))
    text = body.get("text")
    good = isinstance(text, str) and 0 < len(text) <= SPEAK_LENGTH
    return good and body.get("voice", "WOMAN") in ("WOMAN", "MAN")


def _read_time(text: Any) -> datetime | None:
    try:
        when = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _matches(row: dict[str, Any], query: Iterable[tuple[str, str]]) -> bool:
    """The filters of the prose page and of the Go SDK that the emulator knows."""
    for key, value in query:
        if key in _EQUAL_FILTERS and (row.get(key) or "") != value:
            return False
        compare = _COMPARE.get(key.removeprefix("add_time__")) if key.startswith("add_time__") else None
        if compare is not None:
            when, bound = _read_time(row.get("add_time")), _read_time(value)
            if when is None or bound is None or not compare(when, bound):
                return False
    return True


def _january(row: dict[str, Any]) -> dict[str, Any]:
    """A recording as the January 2026 page shows it (sheet 8)."""
    same = {name: row.get(name) for name in ("recording_id", "recording_url", "call_uuid")}
    return same | {"created_at": row.get("add_time"), "duration": row.get("rounded_recording_duration")}


def _booked(schedule: dict[str, datetime]) -> list[dict[str, str]]:
    return [{"name": name, "ends_at": _rfc3339(number, when)} for number, (name, when) in enumerate(schedule.items())]


def _rfc3339(number: int, when: datetime) -> str:
    """Every second time with an offset, as a registry may have it."""
    local = when.astimezone(timezone(timedelta(hours=5.5)))
    return local.isoformat(timespec="seconds") if number % 2 else _iso(when)


def _toml_lines(settings: dict[str, Any]) -> list[str]:
    return [f"{name} = {_toml(value)}" for name, value in settings.items()]


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _toml(value: Any) -> str:
    """A value as TOML; JSON's notation serves for texts, numbers and truth values."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml_key(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
