"""An emulated TrueConf Server: API v3.x and v4 from one state, written from the fact sheet.

State is kept in the shape of v3 and rendered for v4. Odd habits that the sheet calls real are on: an expired
token is 403 ``accessTokenInvalid`` on v3 and 401 on v4, DELETE answers 200 with an id or 204 with nothing, a
page is smaller than asked for, ``stopped`` includes what has not begun.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from .server import Clock, Emulator, Request, Response, utc_clock

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
HOSTILE = "\x1b[2J\x1b[31mBudget\r\n=2+5\t\u202eexe.fdp\u2066\x00"
SCOPE = "conferences conferences:read conferences:write"
V4_TYPES = {-1: "none", 0: "week", 1: "once"}
V4_MODES = {0: "PxP", 1: "OxP", 3: "S|L"}
ROOM = {"type": -1}


class TrueConf(Emulator):
    """One server. The switches are keyword arguments, and attributes that may be changed at any time.

    ``api``: the version that exists; the other is an unknown route. ``page_cap``: the largest page.
    ``first_page``: v4's, 0 or 1 (not documented). ``ignore_filters``: tag, state and owner do nothing.
    ``next_page``: v3 lists carry ``next_page_id``. ``delete_status``: 200 with the id, or 204 with nothing.
    ``delete_running``: whether a running conference can be deleted (not documented). ``v4_times``: how v4
    writes start times, ``digits`` or ``iso``. ``scope``: what the token may do. ``missing_route_body``:
    what an unknown route answers.
    """

    def __init__(
        self,
        clock: Clock = utc_clock,
        *,
        api: str = "v3.11",
        page_cap: int = 8,
        first_page: int = 1,
        ignore_filters: bool = False,
        next_page: bool = False,
        delete_status: int = 200,
        delete_running: bool = True,
        v4_times: str = "digits",
        scope: str = SCOPE,
        token_life: timedelta = timedelta(days=7),
        missing_route_body: Any = None,
    ) -> None:
        super().__init__(clock)
        self.api = api
        self.page_cap = page_cap
        self.first_page = first_page
        self.ignore_filters = ignore_filters
        self.next_page = next_page
        self.delete_status = delete_status
        self.delete_running = delete_running
        self.v4_times = v4_times
        self.scope = scope
        self.token_life = token_life
        self.missing_route_body = missing_route_body
        self.client_id = "cleanup-app"
        self.client_secret = "sandbox-trueconf-secret"  # noqa: S105  # invented; it opens nothing
        self.secret_key = "sandbox-trueconf-secret-key"  # noqa: S105  # invented; it opens nothing
        self.users: dict[str, str] = {}
        self.tokens: dict[str, tuple[datetime, str | None]] = {}
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

    def handle(self, request: Request) -> Response:
        parts = [part for part in request.segments if part]
        v4 = self.api.startswith("v4")
        if request.method == "POST" and parts == (
            ["api", self.api, "oauth2", "token"] if v4 else ["oauth2", "v1", "token"]
        ):
            return self._token(request)
        if parts[:1] != ["api"] or len(parts) < 3 or not self._serves(parts[1]) or parts[2] != "conferences":
            return self._no_route()
        if refusal := self._refusal(request, v4):
            return refusal
        user = self.tokens.get(request.bearer or "", (None, None))[1]
        if len(parts) == 3:
            return self._collection(request, v4, user)
        return self._single(request, parts[3], parts[4:], v4)

    def _serves(self, version: str) -> bool:
        """Older numbers of the same major version work too (sheet 3.1)."""
        return version == self.api or (self.api.startswith("v3") and version.startswith("v3"))

    def _no_route(self) -> Response:
        if self.missing_route_body is not None or not self.api.startswith("v4"):
            return Response(404, self.missing_route_body)
        return Response(404, {"error": {"code": 404, "errors": [{"reason": "routeNotFound"}]}, "trace_id": "t-1"})

    def _token(self, request: Request) -> Response:
        fields = request.json() if "json" in (request.headers.get("Content-Type") or "") else request.form()
        fields = fields if isinstance(fields, dict) else {}
        kind, user = fields.get("grant_type"), fields.get("username")
        if kind == "client_credentials":
            good = (fields.get("client_id"), fields.get("client_secret")) == (self.client_id, self.client_secret)
        else:
            good = kind == "password" and bool(fields.get("client_id")) and user in self.users
            good = good and self.users[str(user)] == fields.get("password")
        if not good:
            return Response(401, {"error": "invalid_client", "error_description": "Client authentication failed"})
        token = secrets.token_hex(20)
        self.tokens[token] = (self.clock() + self.token_life, None if kind == "client_credentials" else str(user))
        life = round(self.token_life.total_seconds())
        return Response(200, {"access_token": token, "expires_in": life, "token_type": "Bearer", "scope": self.scope})

    def _refusal(self, request: Request, v4: bool) -> Response | None:
        token = request.bearer or request.arg("access_token") or ""
        if token == self.secret_key:
            return None
        if token not in self.tokens or self.tokens[token][0] <= self.clock():
            return _error(401, "accessTokenInvalid") if v4 else _error(403, "accessTokenInvalid")
        needed = "conferences:read" if request.method == "GET" else "conferences:write"
        if not {needed, "conferences"} & set(self.scope.split()):
            return Response(403, {"error": {"code": 403, "message": "Forbidden", "errors": [{"reason": "forbidden"}]}})
        return None

    def _collection(self, request: Request, v4: bool, user: str | None) -> Response:
        if request.method == "POST":
            return self._create(request, v4)
        if request.method != "GET":
            return self._no_route()
        rows = [row for row in self.conferences.values() if self._visible(row, user) and self._matches(row, request)]
        size = max(1, min(request.number("page_size", 200), self.page_cap))
        number = request.number("page", self.first_page) - self.first_page if v4 else request.number("page_id", 1) - 1
        shown = rows[number * size : (number + 1) * size] if number >= 0 else []
        body: dict[str, Any] = {"conferences": [self.rendered(row, v4) for row in shown]}
        body["results" if v4 else "cnt"] = len(rows)
        if self.next_page and not v4:
            body["next_page_id"] = number + 2 if (number + 1) * size < len(rows) else -1
        return Response(200, body)

    def _visible(self, row: Mapping[str, Any], user: str | None) -> bool:
        """A user's token sees what the user owns or takes part in; a server-wide one sees everything (sheet 2.3)."""
        invited = [entry.get("id") for entry in row.get("invitations") or []]
        return user is None or str(row.get("owner")).partition("@")[0] == user or user in invited

    def _matches(self, row: Mapping[str, Any], request: Request) -> bool:
        if self.ignore_filters:
            return True
        tag, state, owner = (request.arg(name) for name in ("tag", "state", "owner"))
        if tag is not None and not self.api.startswith("v4") and tag not in (row.get("tags") or []):
            return False
        return state in (None, row.get("state")) and owner in (None, row.get("owner"))

    def _single(self, request: Request, ident: str, rest: list[str], v4: bool) -> Response:
        row = self.conferences.get(ident)
        if row is None:
            return _error(404, "conferenceNotFound", f"Conference '{ident}' is not found.")
        if request.method == "GET" and not rest:
            shown = self.rendered(row, v4)
            return Response(200, {"conference": shown | ({"sai": "x"} if v4 else {})})
        if request.method == "POST" and rest in (["stop"], ["run"]):
            self.disasters.append(f"conference {ident} was told to {rest[0]}")
            row["state"] = "running" if rest == ["run"] else "stopped"
            return Response(200, {"state": row["state"]})
        if request.method == "DELETE" and not rest:
            return self._delete(ident, row)
        return self._no_route()

    def _delete(self, ident: str, row: Mapping[str, Any]) -> Response:
        if row.get("state") == "running":
            self.disasters.append(f"the running conference {ident} was deleted")
            if not self.delete_running:
                return _error(400, "conferenceIsRunning")
        del self.conferences[ident]
        return Response(self.delete_status, {"id": ident} if self.delete_status == 200 else None)

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
        if isinstance(made := shown.get("created_at"), int):
            shown["created_at"] = datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        schedule = shown.get("schedule")
        if isinstance(schedule, dict):
            shown["schedule"] = self._v4_schedule(schedule)
        return shown

    def _v4_schedule(self, schedule: dict[str, Any]) -> dict[str, Any]:
        kind, start = schedule.get("type"), schedule.get("start_time")
        if isinstance(kind, int) and not isinstance(kind, bool):
            schedule["type"] = V4_TYPES.get(kind, kind)
        schedule.pop("time", None)
        if isinstance(start, int) and not isinstance(start, bool):
            iso = self.v4_times == "iso" and start > 0
            schedule["start_time"] = datetime.fromtimestamp(start, UTC).isoformat() if iso else str(start)
        return schedule

    # Backlog ----------------------------------------------------------------------------------

    def fill(self) -> None:
        """A backlog with everything that the sheet names; ``doomed`` says what the sample rules must delete."""
        self._fill_due()
        self._fill_kept()
        self._fill_odd()

    def _fill_due(self) -> None:
        self.add_conference("0073310045", topic="Budget review", ended=41 * DAY)
        self.add_conference("0048411002", topic="Interview", ended=400 * DAY, owner="boris")
        self.add_conference("conf-42", topic="Übergabe ☎ 会議", ended=31 * DAY, type=1)
        self.add_conference("0000001c@host#vcs", topic="A call's id", ended=35 * DAY)
        self.add_conference("a b&c=d", topic="An id with everything", ended=33 * DAY, tags=["delete"])
        self.add_conference("hostile", topic=HOSTILE, ended=60 * DAY)
        self.add_conference("offsets", topic="Offsets change nothing", ended=30 * DAY + 4 * HOUR)["schedule"].update(
            time_offset=-600, special_time_offset=840
        )
        self.add_room("room_tagged", topic="Project room", created=200 * DAY, tags=["cleanup"])
        self.doomed["conferences"] = set(self.conferences)

    def _fill_kept(self) -> None:
        self.add_conference("73310045", topic="Not the one with zeros", ended=2 * DAY)
        self.add_conference("0048411003", topic="Held by its id", ended=90 * DAY)
        self.add_conference("0000000010", topic="Kept by its tag", ended=90 * DAY, tags=["Keep"])
        self.add_conference("0000000011", topic="Just inside", ended=30 * DAY - 4 * HOUR)
        self.add_conference("0000000012", topic="Planned", ended=-7 * DAY, created_at=1577836800)
        self.add_conference("0000000013", topic="Running for days", ended=40 * DAY, state="running")
        self.add_weekly("0000000014", topic="Weekly", began=300 * DAY)
        self.add_weekly("0000000015", topic="Weekly, tagged", began=300 * DAY, tags=["cleanup"], type=1)
        self.add_room("room_7", topic="Open room", created=500 * DAY)
        self.add_room("room_new", topic="New room", created=3 * DAY, tags=["cleanup"])

    def _fill_odd(self) -> None:
        odd: list[Any] = [True, None, -1, "soon", "1759741200.5", {"date": "2025-10-06"}]
        for number, value in enumerate(odd, 20):
            self.add_conference(f"00000000{number}", topic=f"start_time {value!r}")["schedule"]["start_time"] = value
        for number, value in enumerate(odd[:4], 30):
            self.add_conference(f"00000000{number}", topic=f"duration {value!r}")["schedule"]["duration"] = value
        del self.add_conference("0000000040", topic="no duration")["schedule"]["duration"]
        self.add_conference("0000000041", topic="unknown type")["schedule"]["type"] = 7
        self.add_conference("0000000042", topic="type as text")["schedule"]["type"] = "daily"
        del self.add_conference("0000000043", topic="no schedule")["schedule"]
        self.add_conference("0000000044", topic="unknown state", state="paused")
        self.add_conference("0000000045", topic="tags as text", tags="keep")
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
        lines = [f"[accounts.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
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


def _error(status: int, reason: str, message: str = "") -> Response:
    """The error object of the sheet's section 6."""
    entry = {"reason": reason, "message": message, "locationType": "path", "location": "conference_id"}
    return Response(status, {"error": {"code": status, "message": "Error", "errors": [entry]}})
