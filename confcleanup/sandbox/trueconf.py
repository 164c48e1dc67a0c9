"""An emulated TrueConf Server: API v3.x and v4 from one state, written from the fact sheet.

State is kept in the shape of v3 and rendered for v4. Odd habits that the sheet calls real are on: an expired
token is 403 ``accessTokenInvalid`` on v3 and 401 on v4 (sheet 2.4), DELETE answers 200 with an id on v3 and 204
with nothing on v4 (sheet 8), v4 writes start times as digits or ISO-8601 text (sheet 3.1), a page is smaller than
asked for, ``stopped`` includes what has not begun.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from http import HTTPStatus
from typing import Any

from .server import Clock, Emulator, Request, Response, utc_clock

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
HOSTILE = "\x1b[2J\x1b[31mBudget\r\n=2+5\t\u202eexe.fdp\u2066\x00"
SCOPE = "conferences conferences:read conferences:write"
V4_TYPES = {-1: "none", 0: "week", 1: "once"}
V4_MODES = {0: "PxP", 1: "OxP", 3: "S|L"}
ROOM = {"type": -1}
USERS_CLIENT = "trueconf_server_users"


class TrueConf(Emulator):
    """One server. The switches are keyword arguments, and attributes that may be changed at any time.

    ``api``: the version that exists; the other is an unknown route. ``page_cap``: the largest page;
    ``page_size_status``: how a larger one is refused, instead of cut.
    ``first_page``: v4's, 0 or 1 (not documented). ``ignore_filters``: tag, state and owner do nothing.
    ``v4_tag``: v4 honours ``tag`` too (not documented). ``next_page``: v3 lists carry ``next_page_id``.
    ``short_list``: rows of v4 lists have neither tags nor description.
    ``bare_list``: v4 lists are a list alone. ``count_shift``: added to the total; None leaves the total out.
    ``broken_pages``: page number, from 1, to ``lost`` (empty), ``short`` (half of it) or ``repeated`` (the one
    before). ``repeated``: ids of the first page that the next one shows again; they count once.
    ``delete_status``: 200 with the id, 204 with nothing, None: by version. ``delete_running``: whether a running
    conference can be deleted (not documented). ``v4_times``: how v4 writes start times, ``digits``, ``iso`` or
    ``mixed``. ``v4_end_time``: v4 schedules carry ``end_time``. ``scope``: what the token may do.
    ``sign_in_error``: a refused sign-in in the shape ``oauth`` or ``reason``. ``say_expiry``: the sign-in says
    ``expires_in``. ``missing_route_body``: what an unknown route answers. ``users``: names and passwords.
    """

    def __init__(
        self,
        clock: Clock = utc_clock,
        *,
        api: str = "v3.11",
        page_cap: int = 8,
        page_size_status: int | None = None,
        first_page: int = 1,
        ignore_filters: bool = False,
        v4_tag: bool = False,
        next_page: bool = False,
        short_list: bool = True,
        bare_list: bool = False,
        count_shift: int | None = 0,
        broken_pages: Mapping[int, str] | None = None,
        delete_status: int | None = None,
        delete_running: bool = True,
        v4_times: str = "mixed",
        v4_end_time: bool = False,
        scope: str = SCOPE,
        sign_in_error: str = "oauth",
        say_expiry: bool = True,
        token_life: timedelta = timedelta(days=7),
        missing_route_body: Any = None,
    ) -> None:
        super().__init__(clock)
        self.api = api
        self.page_cap = page_cap
        self.page_size_status = page_size_status
        self.first_page = first_page
        self.ignore_filters = ignore_filters
        self.v4_tag = v4_tag
        self.next_page = next_page
        self.short_list = short_list
        self.bare_list = bare_list
        self.count_shift = count_shift
        self.broken_pages = dict(broken_pages or {})
        self.repeated: set[str] = set()
        self.delete_status = delete_status
        self.delete_running = delete_running
        self.v4_times = v4_times
        self.v4_end_time = v4_end_time
        self.scope = scope
        self.sign_in_error = sign_in_error
        self.say_expiry = say_expiry
        self.token_life = token_life
        self.missing_route_body = missing_route_body
        self.client_id = "cleanup-app"
        self.client_secret = "sandbox-trueconf-secret"  # noqa: S105  # made up: only this emulator, on loopback, takes it
        self.secret_key = "sandbox-trueconf-secret-key"  # noqa: S105  # made up: only this emulator, on loopback, takes it
        self.users: dict[str, str] = {}
        self.tokens: dict[str, tuple[datetime, str | None]] = {}
        self._numbers = itertools.count(1)
        self.conferences: dict[str, dict[str, Any]] = {}

    # State ------------------------------------------------------------------------------------

    def add_conference(
        self, ident: str, *, ended: timedelta = 40 * DAY, length: timedelta = HOUR, **fields: Any
    ) -> dict[str, Any]:
        """A one-time conference that ended so long ago (negative: will end in so long); the stored v3 object."""
        start = self.clock() - ended - length
        row = {
            "id": ident,
            "type": 0,
            "topic": f"Meeting {ident}",
            "description": "",
            "owner": "anna@vc.example.org",
            "max_podiums": 25,
            "max_participants": 25,
            "schedule": {
                "type": 1,
                "start_time": round(start.timestamp()),
                "time_offset": 0,
                "special_time_offset": 180,
                "duration": round(length.total_seconds()),
            },
            "invitations": [{"id": "boris", "display_name": "Boris P."}],
            "url": f"https://vc.example.org/c/{ident}",
            "webclient_url": f"https://vc.example.org/webrtc/{ident}",
            "allow_guests": True,
            "auto_invite": 0,
            "state": "stopped",
            "access": "private",
            "created_at": round((start - DAY).timestamp()),
            "tags": [],
            "recording": 0,
            "rights": {"guest": {"chat_send": True}, "user": {"chat_send": True}},
        }
        row.update(fields)
        self.conferences[ident] = row
        return row

    def add_weekly(self, ident: str, *, began: timedelta = 90 * DAY, **fields: Any) -> dict[str, Any]:
        """A weekly conference; its ``start_time`` is only the first occurrence."""
        row = self.add_conference(ident, ended=began, **fields)
        row["schedule"] |= {"type": 0, "time": "09:00", "days": ["monday", "friday"]}
        return row

    def add_room(self, ident: str, *, created: timedelta = 90 * DAY, **fields: Any) -> dict[str, Any]:
        """A room without a schedule."""
        row = self.add_conference(ident, **fields)
        row["schedule"] = dict(ROOM)
        row["created_at"] = round((self.clock() - created).timestamp())
        return row

    def expire_tokens(self) -> None:
        """All living tokens end now."""
        self.tokens = {token: (self.clock() - HOUR, user) for token, (_, user) in self.tokens.items()}

    # Requests ---------------------------------------------------------------------------------

    @property
    def v4(self) -> bool:
        """Whether this server speaks v4."""
        return self.api.startswith("v4")

    def handle(self, request: Request) -> Response:
        parts = list(request.segments)
        if parts == (["api", self.api, "oauth2", "token"] if self.v4 else ["oauth2", "v1", "token"]):
            return self._token(request) if request.method == "POST" else self._no_route()
        routes = ("conferences", "sessions") if self.v4 else ("conferences",)
        known = len(parts) > 2 and parts[0] == "api" and self._serves(parts[1]) and parts[2] in routes
        if not known or "" in parts:
            return self._no_route()
        token = request.bearer or request.arg("access_token") or ""
        if refusal := self._refusal(token, request.method):
            return refusal
        user = self.tokens[token][1] if token in self.tokens else None
        if parts[2] == "sessions":
            return self._sessions() if (request.method, len(parts)) == ("GET", 3) else self._no_route()
        return self._collection(request, user) if len(parts) == 3 else self._single(request.method, parts[3:], user)

    def _serves(self, version: str) -> bool:
        """Older numbers of the same major version work too (sheet 3.1)."""
        return version == self.api or (not self.v4 and re.fullmatch(r"v3\.\d+", version) is not None)

    def _no_route(self) -> Response:
        if self.missing_route_body is not None or not self.v4:
            return Response(404, self.missing_route_body)
        return Response(404, {**_error(404, "routeNotFound").body, "trace_id": "5f0c-0001"})

    def _token(self, request: Request) -> Response:
        """Sheet 2.1: v3 takes JSON and forms, v4 was only ever seen to take JSON."""
        kind = request.headers.get("Content-Type") or ""
        if "json" not in kind and (self.v4 or "x-www-form-urlencoded" not in kind):
            return Response(400, {"error": "invalid_request", "error_description": "The content type is not known"})
        fields = request.json() if "json" in kind else request.form()
        fields = fields if isinstance(fields, dict) else {}
        grant = fields.get("grant_type")
        if grant not in ("client_credentials", "password"):
            return Response(400, {"error": "unsupported_grant_type", "error_description": "The grant is not known"})
        if not (self._is_application(fields) if grant == "client_credentials" else self._is_user(fields)):
            return self._no_token()
        return self._new_token(None if grant == "client_credentials" else str(fields["username"]))

    def _is_application(self, fields: Mapping[str, Any]) -> bool:
        return (fields.get("client_id"), fields.get("client_secret")) == (self.client_id, self.client_secret)

    def _is_user(self, fields: Mapping[str, Any]) -> bool:
        known = fields.get("client_id") in (self.client_id, USERS_CLIENT)
        return known and self.users.get(str(fields.get("username")), object()) == fields.get("password")

    def _no_token(self) -> Response:
        if self.sign_in_error == "reason":
            return Response(401, {"reason": "InvalidCredentials"})
        return Response(401, {"error": "invalid_client", "error_description": "Client authentication failed"})

    def _new_token(self, user: str | None) -> Response:
        token = hashlib.sha256(f"trueconf token {next(self._numbers)}".encode()).hexdigest()[:40]
        self.tokens[token] = (self.clock() + self.token_life, user)
        life = {"expires_in": round(self.token_life.total_seconds())} if self.say_expiry else {}
        return Response(200, {"access_token": token, **life, "token_type": "Bearer", "scope": self.scope})

    def _refusal(self, token: str, method: str) -> Response | None:
        """Sheet 2.3 and 2.4; the secret key of the control panel may do everything, always."""
        if token == self.secret_key:
            return None
        if token not in self.tokens or self.tokens[token][0] <= self.clock():
            return _error(401) if self.v4 else _error(403, "accessTokenInvalid", "The access token is invalid.")
        needed = "conferences:read" if method == "GET" else "conferences:write"
        return None if {needed, "conferences"} & set(self.scope.split()) else _error(403, "forbidden")

    def _collection(self, request: Request, user: str | None) -> Response:
        if request.method == "POST":
            return self._create(request, self.v4)
        if request.method != "GET":
            return self._no_route()
        rows = [row for row in self.conferences.values() if self._visible(row, user) and self._matches(row, request)]
        size = request.number("page_size", 200)
        if self.page_size_status and request.arg("page_size") and size > self.page_cap:
            return _error(self.page_size_status, "invalidParameter")
        size = max(1, min(size, self.page_cap))
        first = self.first_page if self.v4 else 1
        number = request.number("page" if self.v4 else "page_id", first) - first + 1
        shown = [self.rendered(row, self.v4) for row in self._page(rows, number, size)]
        if self.v4 and self.short_list:
            shown = [{key: row[key] for key in row.keys() - {"tags", "description"}} for row in shown]
        if self.v4 and self.bare_list:
            return Response(200, shown)
        body: dict[str, Any] = {"conferences": shown}
        if self.count_shift is not None:
            body["results" if self.v4 else "cnt"] = len(rows) + self.count_shift
        if self.next_page and not self.v4:
            body["next_page_id"] = number + 1 if number * size < len(rows) else -1
        return Response(200, body)

    def _page(self, rows: list[dict[str, Any]], number: int, size: int) -> list[dict[str, Any]]:
        """A page counted from 1; none before it and none after the last."""
        twice = [row for row in rows[:size] if row.get("id") in [*self.repeated]]
        rows = rows[:size] + twice + rows[size:]
        fault = self.broken_pages.get(number)
        number -= fault == "repeated"
        shown = rows[(number - 1) * size : number * size] if number > 0 else []
        return {"lost": [], "short": shown[: len(shown) // 2]}.get(fault or "", shown)

    def _visible(self, row: Mapping[str, Any], user: str | None) -> bool:
        """A user's token sees what the user owns or takes part in; a server-wide one sees everything (sheet 2.3)."""
        invited = [entry.get("id") for entry in row.get("invitations") or [] if isinstance(entry, dict)]
        return user is None or self._owns(row, user) or user in invited

    @staticmethod
    def _owns(row: Mapping[str, Any], user: str | None) -> bool:
        return user is None or str(row.get("owner")).partition("@")[0] == user

    def _matches(self, row: Mapping[str, Any], request: Request) -> bool:
        """The filters of sheet 3.2: ``tag`` is v3's, ``owner`` is v4's; an empty ``tag`` asks for nothing."""
        if self.ignore_filters:
            return True
        tag, state, owner = (request.arg(name) for name in ("tag", "state", "owner"))
        tags = row.get("tags")
        if tag and (self.v4_tag or not self.v4) and not (isinstance(tags, list) and tag in tags):
            return False
        return state in (None, row.get("state")) and (not self.v4 or owner in (None, row.get("owner")))

    def _sessions(self) -> Response:
        """What runs, and since when (sheet 3.4): here since it was made."""
        running = [self.rendered(row, True) for row in self.conferences.values() if row.get("state") == "running"]
        rows = [{"conference_id": row["id"], "start_time": row["created_at"]} for row in running]
        return Response(200, {"conference_sessions": rows})

    def _single(self, method: str, parts: list[str], user: str | None) -> Response:
        ident, rest = parts[0], parts[1:]
        known = [("GET", []), ("DELETE", []), ("POST", ["stop"]), ("POST", ["run"])]
        if (method, rest) not in [*known, *([("GET", ["participants"])] if self.v4 else [])]:
            return self._no_route()
        row = self.conferences.get(ident)
        if row is None:
            return _error(404, "conferenceNotFound", f"Conference '{ident}' is not found.")
        if not self._visible(row, user):
            return _error(403, "forbidden")
        if rest == ["participants"]:
            return Response(200, {"list": [{"id": "boris"}] if row.get("state") == "running" else []})
        if method == "GET":
            return Response(200, {"conference": self.rendered(row, self.v4) | ({"sai": "x"} if self.v4 else {})})
        if method == "DELETE":
            return self._delete(ident, row, user)
        self.disasters.append(f"conference {ident} was told to {rest[0]}")
        row["state"] = "running" if rest == ["run"] else "stopped"
        return Response(200, {"state": row["state"]})

    def _delete(self, ident: str, row: Mapping[str, Any], user: str | None) -> Response:
        """There is no undelete (sheet 1): what should never have gone is gone, and remembered."""
        self.disasters += [f"conference {ident} was deleted: {wrong}" for wrong in self._wrongs(row, user)]
        if row.get("state") == "running" and not self.delete_running:
            return _error(400, "conferenceIsRunning")
        del self.conferences[ident]
        status = self.delete_status or (204 if self.v4 else 200)
        return Response(status, {"id": ident} if status == 200 else None)

    def _wrongs(self, row: Mapping[str, Any], user: str | None) -> list[str]:
        schedule = row["schedule"] if isinstance(row.get("schedule"), dict) else {}
        start = schedule.get("start_time")
        ahead = type(start) is int and start > self.clock().timestamp()
        signs = {
            "it is running": row.get("state") == "running",
            "it is weekly": schedule.get("type") in (0, "week"),
            "it has not begun": ahead and schedule.get("type") == 1,
            "it is somebody else's": not self._owns(row, user),
        }
        return [sign for sign, holds in signs.items() if holds]

    def _create(self, request: Request, v4: bool) -> Response:
        """POST /conferences (the sheet names the call and the field ``tags``)."""
        wanted = request.json()
        if not isinstance(wanted, dict) or not wanted.get("topic"):
            return _error(400, "parameterRequired")
        ident = str(wanted.get("id") or f"{len(self.conferences) + 9_000_000:010d}")
        if ident in self.conferences:
            return _error(400, "uniqueValueAlreadyInUse")
        row = self.add_conference(ident)
        row.update(wanted, id=ident, state="stopped", created_at=round(self.clock().timestamp()))
        return Response(200, {"conference": self.rendered(row, v4)})

    def rendered(self, row: Mapping[str, Any], v4: bool) -> dict[str, Any]:
        """An object as this version shows it."""
        shown = dict(json.loads(json.dumps(row)))
        if not v4:
            return shown
        shown["mode"] = V4_MODES.get(shown.pop("type", 0), "PxP")
        if type(made := shown.get("created_at")) is int:
            shown["created_at"] = _iso(made)
        schedule = shown.get("schedule")
        if isinstance(schedule, dict):
            shown["schedule"] = self._v4_schedule(schedule, sum(map(ord, str(shown.get("id")))))
        return shown

    def _v4_schedule(self, schedule: dict[str, Any], habit: int) -> dict[str, Any]:
        """Sheet 3.1; ``habit`` is any number that belongs to the conference: ``mixed`` times go by it."""
        kind, start, length = (schedule.get(name) for name in ("type", "start_time", "duration"))
        if type(kind) is int:
            schedule["type"] = V4_TYPES.get(kind, kind)
        schedule.pop("time", None)
        if type(start) is int:
            style = {"digits": 0, "iso": 1}.get(self.v4_times, habit % 3)
            schedule["start_time"] = (str(start), _iso(start), _iso(start, habit % 27 - 12))[style]
            if self.v4_end_time and type(length) is int:
                schedule["end_time"] = str(start + length)
        return schedule

    # Backlog ----------------------------------------------------------------------------------

    def fill(self) -> None:
        """A backlog with everything that the sheet names; ``doomed`` says what the sample rules must delete."""
        self._fill_due()
        self.doomed["conferences"] = set(self.conferences)
        self._fill_kept()
        self._fill_neighbours()
        self._fill_odd_times()
        self._fill_odd()
        self.repeated |= {"0048411002"}

    def _fill_due(self) -> None:
        self.add_conference("0073310045", topic="Budget review", ended=41 * DAY)
        self.add_conference("0048411002", topic="Interview", ended=400 * DAY, owner="boris")
        self.add_conference("conf-42", topic="Übergabe ☎ 会議", ended=31 * DAY, type=1)
        self.add_conference("0000001c@host#vcs", topic="A call's id", ended=35 * DAY)
        self.add_conference("a b&c=d", topic="An id with everything", ended=33 * DAY, tags=["delete"])
        self.add_conference("hostile", topic=HOSTILE, ended=60 * DAY, owner="\x1b]0;eve\x07", tags=[HOSTILE])
        self.add_conference("48411003", topic="Not the held one", ended=50 * DAY)
        self.add_conference("nameless", topic=None, owner=None, ended=45 * DAY)
        offsets = self.add_conference("offsets", topic="Offsets change nothing", ended=30 * DAY + 4 * HOUR)
        offsets["schedule"].update(time_offset=-600, special_time_offset=840)
        digits = self.add_conference("digits", topic="Digits as text", ended=38 * DAY)["schedule"]
        digits["start_time"] = str(digits["start_time"])
        iso = self.add_conference("iso", topic="Text with an offset", ended=30 * DAY + 4 * HOUR)["schedule"]
        iso["start_time"] = _iso(iso["start_time"], 11)
        plain = self.add_conference("old_version", topic="Of an old version", ended=700 * DAY)
        for name in ("created_at", "access", "invitations"):
            del plain[name]
        self.add_room("room_tagged", topic="Project room", created=200 * DAY, tags=["cleanup"])

    def _fill_kept(self) -> None:
        self.add_conference("0048411003", topic="Held by its id", ended=90 * DAY)
        self.add_conference("0000000009", topic="Kept by its tag", ended=90 * DAY, tags=["cleanup", "keep"])
        self.add_conference("0000000010", topic="Kept by its tag, in capitals", ended=90 * DAY, tags=["Keep"])
        self.add_conference("0000000011", topic="Just inside", ended=30 * DAY - 4 * HOUR)
        self.add_conference("0000000012", topic="Planned", ended=-7 * DAY, created_at=1577836800)
        self.add_conference("0000000013", topic="Running for days", ended=40 * DAY, state="running")
        self.add_conference("0000000016", topic="Long", ended=20 * DAY, length=23 * HOUR)
        self.add_weekly("0000000014", topic="Weekly", began=300 * DAY)
        self.add_weekly("0000000015", topic="Weekly, tagged", began=300 * DAY, tags=["cleanup"], type=1)
        self.add_room("room_7", topic="Open room", created=500 * DAY)
        self.add_room("room_new", topic="New room", created=3 * DAY, tags=["cleanup"])
        self.add_room("room_kept", topic="Room kept by its tag", created=500 * DAY, tags=["cleanup", "keep"])

    def _fill_neighbours(self) -> None:
        """What a client hits that drops zeros or does not encode an id."""
        for ident in ("73310045", "0000001c@host", "0000001c", "a b", "a"):
            self.add_conference(ident, topic="Neighbour", ended=2 * DAY)

    def _fill_odd_times(self) -> None:
        odd: list[Any] = [True, None, -1, "soon", "1759741200.5", {"date": "2025-10-06"}, 10**12, "-1759741200"]
        for number, value in enumerate(odd, 20):
            self.add_conference(f"00000000{number}", topic=f"start_time {value!r}")["schedule"]["start_time"] = value
        for number, value in enumerate([True, None, -1, "soon", "3600.5", []], 30):
            self.add_conference(f"00000000{number}", topic=f"duration {value!r}")["schedule"]["duration"] = value
        for number, name in enumerate(("duration", "start_time", "type"), 36):
            del self.add_conference(f"00000000{number}", topic=f"no {name}")["schedule"][name]

    def _fill_odd(self) -> None:
        for number, value in enumerate([7, "daily", True, None], 40):
            self.add_conference(f"00000000{number}", topic=f"type {value!r}")["schedule"]["type"] = value
        del self.add_conference("0000000044", topic="no schedule")["schedule"]
        self.add_conference("0000000045", topic="schedule null", schedule=None)
        self.add_conference("0000000046", topic="unknown state", state="paused")
        del self.add_conference("0000000047", topic="no state")["state"]
        self.add_conference("0000000048", topic="tags as text", tags="keep")
        self.add_room("room_undated", topic="Tagged, never created", tags=["cleanup"])["created_at"] = None

    def account(self, name: str, url: str, **extra: Any) -> str:
        """The account and its sample rules, as TOML."""
        settings = {
            "provider": "trueconf",
            "url": url,
            "api": self.api,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "rate": "unlimited",
            **extra,
        }
        lines = [f"[accounts.{name}]", *(f"{key} = {_toml(value)}" for key, value in settings.items())]
        shared = ['what = "conferences"', 'older_than = "30 days"', 'keep_tags = ["keep"]']
        lines += ["", f"[[accounts.{name}.rules]]", 'name = "ended one-time conferences"', *shared]
        lines += ['keep_ids = ["0048411003"]']
        lines += [
            "",
            f"[[accounts.{name}.rules]]",
            'name = "tagged rooms"',
            *shared,
            'tags = ["cleanup"]',
            "rooms = true",
        ]
        return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _iso(seconds: int, offset: int = 0) -> str:
    """ISO-8601 text of that many hours from UTC; what is no sensible time stays a number, as text."""
    if not 0 < seconds < 32_503_680_000:
        return str(seconds)
    text = datetime.fromtimestamp(seconds, timezone(timedelta(hours=offset)) if offset else UTC).isoformat()
    return text if offset else text.replace("+00:00", "Z")


def _error(status: int, reason: str = "", message: str = "") -> Response:
    """The error object of the sheet's section 6; only what is not found has a place, without a reason no list."""
    phrase = HTTPStatus(status).phrase
    error: dict[str, Any] = {"code": status, "message": phrase}
    if reason:
        entry = {"reason": reason, "message": message or phrase}
        place = {"locationType": "path", "location": "conference_id"} if reason == "conferenceNotFound" else {}
        error["errors"] = [{**entry, **place}]
    return Response(status, {"error": error})
