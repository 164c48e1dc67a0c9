"""Vonage Business Communications in memory, written from the fact sheet: sign-in, recordings, users, audio.

Numbers such as "sheet 3.3" name the section of the Vonage fact sheet that a behaviour comes from. What the sheet
calls contradictory or unknown is a public attribute of ``Vonage`` with a docstring.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from confcleanup.sandbox.server import Clock, Emulator, Request, Response, utc_clock

HOSTILE = "\x1b[2J\x1b[31mANA\r\n2026-01-01 deleted everything\t\x07\u202e3pm.exe\u2066\x00"
"""A caller's name that would like to write to a terminal, a log and a CSV file."""

SIGN_IN = "/token"
RECORDING_API = "/t/vbc.prod/call_recording"
PROVISIONING = "/t/vbc.prod/provisioning"
AWKWARD = "p&w+d%41="
SIZE = 98304
"""Bytes of a recording, unless it says otherwise (sheet 3.3)."""
"""A password that arrives whole only if it was form-encoded (sheet 7.13)."""

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)")
_DATE_START = re.compile(r"(?:\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?)?)?")
_ORDER = re.compile(r"(start|end|duration|id):(ASC|DESC)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIRECTIONS = ("INBOUND", "OUTBOUND", "INTRA_PBX")

Row = dict[str, Any]


class _Refused(Exception):
    """The vendor says no; the body may be anything (sheet 6)."""

    def __init__(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.response = Response(status, body, headers or {})


def _not_allowed(*methods: str) -> _Refused:
    """405, which names what is allowed (RFC 9110)."""
    return _Refused(405, None, {"Allow": ", ".join(methods)})


def wire_time(moment: datetime) -> str:
    """``2025-10-06T09:00:00+0000`` (sheet 3.2)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def _read_time(text: object) -> datetime | None:
    """A row's or a filter's instant; None if it is none."""
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _edit(row: Row, changes: Mapping[str, Any]) -> None:
    """Overwrites fields; ``...`` takes a field away, as no property is required (sheet 3.3)."""
    row.update(changes)
    for name in [name for name, value in row.items() if value is ...]:
        del row[name]


@dataclass
class Token:
    """One access token, with the requests it made in the current minute."""

    scope: str
    expires: datetime
    window: datetime
    used: int = 0


@dataclass(eq=False, repr=False)
class Vonage(Emulator):
    """Vonage's three services on one server. Every keyword is a public attribute that may be changed at any time."""

    clock: Clock = utc_clock
    client_id: str = "demo-client"
    client_secret: str = "demo-client-phrase/+="  # noqa: S105  # made up: only this emulator, on loopback, takes it
    username: str = "cleanup@example.com"
    """Without the suffix; on the wire it must end with ``@vbc.prod`` exactly once (sheet 2.1)."""
    password: str = AWKWARD
    account_id: str = "549825"
    own_user: str = "869040"
    """Who ``self`` is: the API user, without recordings (sheet 7.17)."""
    token_life: timedelta = timedelta(hours=24)
    serve_again: bool = True
    """A living token is served again with what is left of its life (sheet 2.1: 82566)."""
    scope_needed: bool = True
    """A token without ``scope=openid`` is refused with a bare 401 (sheet 2.1)."""
    lockout: int = 3
    """So many bad logins lock the user for 30 minutes, counted from the last attempt (sheet 2.1)."""
    quota: int | None = None
    """Requests per token and minute; the vendor's default is 10 (sheet 2.3). None: unlimited."""
    retry_after: bool = False
    """Whether a 429 has a Retry-After (sheet 6: unknown)."""
    nested_faults: bool = False
    """Whether the body of a 429 stands inside ``fault`` (sheet 6)."""
    bare_errors: bool = False
    """401 without any body, as the OpenAPI text has it, instead of the gateway's (sheet 6)."""
    paths: Literal["both", "plain", "v1"] = "both"
    """Whether ``/call_recording/api``, ``/call_recording/v1/api`` or both are served (sheet 8)."""
    audio_paths: Literal["both", "plain", "v1"] = "both"
    """The same for the audio (sheet 5.3)."""
    page_cap: int = 5
    """More rows are never given; a larger page_size is cut (sheet 3.1: unknown)."""
    refuse_page_size: bool = False
    """Whether a larger page_size is refused instead of cut (sheet 7.27, 9: unknown)."""
    refusal: Literal[400, 422] = 400
    """How it is refused (sheet 7.27)."""
    inactive_refused: Literal[403, 404] | None = None
    """How the list of an INACTIVE user's recordings is refused (sheet 7.26); None: it is shown."""
    provisioning_paths: Literal["both", "plain", "v1"] = "plain"
    """Whether provisioning is served under ``/api``, ``/v1/api`` or both (sheet 7.29)."""
    first_page: Literal[0, 1] = 1
    """The number of the first page (sheet 8); with 1, page 0 is refused."""
    users_key: Literal["data", "users"] = "data"
    """The key of the user list in ``_embedded`` (sheet 8)."""
    provisioning_self: bool = True
    """Whether provisioning takes ``self`` as account (sheet 3.4)."""
    subscribed: bool = True
    """Whether the application may use provisioning (sheet 2.1)."""
    company_permission: bool = True
    """Whether the user has the Company Call Recording permission (sheet 6)."""
    integer_types: bool = False
    """caller_id, dnis and extensions as integers, as in the vendor's examples (sheet 8)."""
    extension_as: Literal["extensions", "text", "list", "neither"] = "extensions"
    """Where a row has its extensions (sheet 7.25): in ``extensions``, in ``extension`` as text or list, or nowhere."""
    embedded_when_empty: bool = False
    """Whether an empty answer has ``_embedded`` and page 1 instead of page 0 (sheet 7.7)."""
    ignore_filters: bool = False
    """Lists ignore start and all other filters (sheet 7.3)."""
    repeat_pages: bool = False
    """Every page is the first one (sheet 3.3)."""
    lost: set[str] = field(default_factory=set)
    """Ids that are counted, but stand on no page."""
    miscount: int = 0
    """Added to ``total_items``."""
    stubborn: set[str] = field(default_factory=set)
    """Ids whose delete is answered with 204 and not done (sheet 7.2)."""
    links_host: str = "https://api.vonage.com"
    """The host that ``_links`` name: not this server's (sheet 3.3)."""
    public_url: str = "http://127.0.0.1"
    """Where audio is served; set by whoever serves the emulator."""

    def __post_init__(self) -> None:
        super().__init__(self.clock)
        self.company: dict[str, Row] = {}
        self.on_demand: dict[str, dict[str, Row]] = {}
        self.users: dict[str, Row] = {}
        self.tokens: dict[str, Token] = {}
        self.refresh_tokens: set[str] = set()
        self.bad_logins = 0
        self.last_bad_login = _EPOCH
        self.disasters: list[str] = []
        self.doomed: dict[str, set[str]] = {"company-recordings": set(), "on-demand-recordings": set()}
        self._issued = 0
        self.add_user(self.own_user, login_name="cleanup", extensions=[])

    # requests

    def handle(self, request: Request) -> Response:
        try:
            return self._route(request)
        except _Refused as refused:
            return refused.response

    def _route(self, request: Request) -> Response:
        if request.path == SIGN_IN:
            return self._sign_in(request)
        handler, parts = self._service(request)
        self._admit(request)
        return handler(request, parts)

    def _service(self, request: Request) -> tuple[Callable[[Request, list[str]], Response], list[str]]:
        """Which of the services is meant, and the path's parts after ``/api``."""
        parts = list(request.segments)
        if parts[:3] == ["t", "vbc.prod", "provisioning"]:
            version, rest = ("v1", parts[4:]) if parts[3:4] == ["v1"] else ("plain", parts[3:])
            if rest[:1] == ["api"] and self.provisioning_paths in ("both", version):
                return self._provisioning, rest[1:]
        if parts[:3] != ["t", "vbc.prod", "call_recording"]:
            raise _Refused(404)
        version = "v1" if parts[3:4] == ["v1"] else "plain"
        parts = parts[4:] if version == "v1" else parts[3:]
        audio = parts[1:3] == ["audio", "recording"]
        if parts[:1] != ["api"] or (self.audio_paths if audio else self.paths) not in ("both", version):
            raise _Refused(404)
        return (self._audio, parts[3:]) if audio else (self._recordings, parts[1:])

    def _admit(self, request: Request) -> None:
        """The gateway: token, scope, quota (sheet 2 and 6)."""
        if request.bearer is None:
            raise self._unauthorized(900902, "Missing Credentials")
        token = self.tokens.get(request.bearer)
        if token is None or token.expires <= self.clock():
            raise self._unauthorized(900901, "Invalid Credentials")
        if self.scope_needed and token.scope != "openid":
            raise _Refused(401)
        self._meter(token)

    def _unauthorized(self, code: int, message: str) -> _Refused:
        fault = {"code": code, "message": message, "description": "Make sure you have provided the correct token"}
        return _Refused(401, None if self.bare_errors else {"fault": fault})

    def _meter(self, token: Token) -> None:
        minute = self.clock().replace(second=0, microsecond=0)
        if token.window != minute:
            token.window, token.used = minute, 0
        if self.quota is not None and token.used >= self.quota:
            raise self._throttled(minute + timedelta(minutes=1))
        token.used += 1

    def _throttled(self, until: datetime) -> _Refused:
        body: Row = {
            "code": "900800",
            "message": "Message throttled out",
            "description": "You have exceeded your quota",
            "nextAccessTime": until.strftime("%Y-%b-%d %H:%M:%S+0000 UTC"),
        }
        wait = max(1, round((until - self.clock()).total_seconds()))
        headers = {"Retry-After": str(wait)} if self.retry_after else {}
        return _Refused(429, {"fault": body} if self.nested_faults else body, headers)

    # sign-in (sheet 2.1)

    def _sign_in(self, request: Request) -> Response:
        kind = (request.headers.get("Content-Type") or "").lower()
        if request.method != "POST":
            raise _not_allowed("POST")
        if not kind.startswith("application/x-www-form-urlencoded"):
            raise _Refused(415)
        form = request.form()
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            raise _Refused(401, {"error": "invalid_client", "error_description": "Client authentication failed"})
        if form.get("grant_type") == "refresh_token":
            return self._refreshed(form)
        if form.get("grant_type") != "password":
            raise _Refused(400, {"error": "unsupported_grant_type", "error_description": "grant_type"})
        self._check_password(form)
        return self._granted(form)

    def _check_password(self, form: Mapping[str, str]) -> None:
        locked = self.bad_logins >= self.lockout and self.clock() - self.last_bad_login < timedelta(minutes=30)
        good = (form.get("username"), form.get("password")) == (self.username + "@vbc.prod", self.password)
        if good and not locked:
            self.bad_logins = 0
            return
        expired = self.bad_logins >= self.lockout and not locked
        self.bad_logins = 1 if expired else self.bad_logins + 1
        self.last_bad_login = self.clock()
        text = "17003 - The user account is locked" if locked else "17002 - Authentication failed"
        raise _Refused(400, {"error": "invalid_grant", "error_description": text})

    def _refreshed(self, form: Mapping[str, str]) -> Response:
        """A refresh token is good once (sheet 2.1)."""
        if form.get("refresh_token", "") not in self.refresh_tokens:
            raise _Refused(400, {"error": "invalid_grant", "error_description": "Persisted access token not found"})
        self.refresh_tokens.remove(form["refresh_token"])
        return self._granted({"scope": "openid"}, fresh=True)

    def _granted(self, form: Mapping[str, str], fresh: bool = False) -> Response:
        scope = "openid" if "openid" in form.get("scope", "").split() else "default"
        now = self.clock()
        living = [name for name, token in self.tokens.items() if token.scope == scope and token.expires > now]
        if living and self.serve_again and not fresh:
            return self._token_answer(living[-1])
        self._issued += 1
        name = f"eyJ.demo-access-{self._issued}"
        self.tokens[name] = Token(scope, now + self.token_life, now.replace(second=0, microsecond=0))
        self.refresh_tokens.add(self._refresh_name(name))
        return self._token_answer(name)

    @staticmethod
    def _refresh_name(name: str) -> str:
        return name.replace("eyJ.demo-access", "7d0e-demo-refresh")

    def _token_answer(self, name: str) -> Response:
        token = self.tokens[name]
        body = {
            "access_token": name,
            "refresh_token": self._refresh_name(name),
            "scope": token.scope,
            "token_type": "Bearer",
            "expires_in": int((token.expires - self.clock()).total_seconds()),
        }
        return Response(200, {**body, "id_token": "eyJ.demo-id"} if token.scope == "openid" else body)

    def expire_tokens(self) -> None:
        """No living token is good any more; the refresh tokens are."""
        self.tokens.clear()

    # recordings (sheet 3 and 5)

    def _recordings(self, request: Request, parts: list[str]) -> Response:
        if parts[:1] != ["accounts"] or parts[1:2] not in (["self"], [self.account_id]):
            raise _Refused(404)
        if parts[2:3] == ["company_call_recordings"]:
            return self._company(request, parts[3:])
        if parts[2:3] == ["users"] and parts[4:5] == ["call_recordings"]:
            user = self.own_user if parts[3] == "self" else parts[3]
            if user not in self.users:
                raise _Refused(404)
            if self.inactive_refused and self.users[user].get("status") == "INACTIVE":
                raise _Refused(self.inactive_refused)
            return self._source(
                request, self.on_demand.setdefault(user, {}), parts[5:], f"users/{user}/call_recordings"
            )
        raise _Refused(404)

    def _company(self, request: Request, rest: list[str]) -> Response:
        if not self.company_permission:
            raise _Refused(403, b"User is not authorized to search CCR recordings for this account")
        return self._source(request, self.company, rest, "company_call_recordings")

    def _source(self, request: Request, rows: dict[str, Row], rest: list[str], place: str) -> Response:
        if not rest or rest == [""]:
            return self._collection(request, rows, place)
        if rest[0] in ("export", "jobs", "recordings_transcriptions"):
            raise self._word(request, rest[0])
        if len(rest) != 1 or rest[0] not in rows:
            raise _Refused(404)
        if request.method == "GET":
            return Response(200, self._rendered(rest[0], rows[rest[0]], place))
        if request.method != "DELETE":
            raise _not_allowed("GET", "DELETE")
        if rest[0] not in self.stubborn:
            del rows[rest[0]]
        return Response(204)

    def _collection(self, request: Request, rows: dict[str, Row], place: str) -> Response:
        """No bulk delete exists (sheet 1); who tries it would have deleted everything."""
        if request.method == "DELETE":
            self.disasters.append(f"delete of the whole collection {place}")
        if request.path.endswith("/"):
            raise _Refused(404)
        if request.method != "GET":
            raise _not_allowed("GET")
        found = self._found(request, rows)
        listed = [self._rendered(key, row, place) for key, row in found.items() if key not in self.lost]
        return self._page(request, listed, len(found), "recordings", place)

    def _word(self, request: Request, word: str) -> _Refused:
        """Words that share the segment with the ids (sheet 7.8): never to be deleted. No jobs are served here."""
        if request.method == "DELETE":
            self.disasters.append(f"delete of {word}")
        return _Refused(404)

    def _rendered(self, key: str, row: Row, place: str) -> Row:
        base = f"{RECORDING_API}/api/accounts/{self.account_id}/{place}"
        links = {"self": {"href": f"{self.links_host}{base}/{key}"}}
        shown = {"download_url": f"{self.public_url}{RECORDING_API}/api/audio/recording/{key}", **row, "_links": links}
        if self.extension_as != "extensions":
            ours = shown.pop("extensions", None)
            shown["extension"] = {"text": ",".join(map(str, ours or [])), "list": ours}.get(self.extension_as)
        if self.integer_types:
            for name in ("caller_id", "dnis"):
                shown[name] = _number(shown.get(name))
            if "extensions" in shown:
                shown["extensions"] = [_number(part) for part in shown["extensions"] or []]
        return shown

    def _found(self, request: Request, rows: dict[str, Row]) -> dict[str, Row]:
        """The filters (sheet 3.1), all inclusive. A row without a readable start passes a filter on start."""
        bounds = {sign: self._instant(request, f"start:{sign}") for sign in ("gte", "lte")}
        sizes = {sign: self._whole(request, f"duration:{sign}") for sign in ("gte", "lte")}
        direction, order = request.arg("call_direction"), _ORDER.fullmatch(request.arg("order", "start:DESC") or "")
        if order is None or direction not in (None, *_DIRECTIONS):
            raise self._invalid("order" if order is None else "call_direction", "not a valid value")
        found = {
            key: row
            for key, row in rows.items()
            if self.ignore_filters
            or (
                _between(_read_time(row.get("start")), bounds["gte"], bounds["lte"])
                and _between(_number(row.get("duration")), sizes["gte"], sizes["lte"])
                and self._equal(request, row)
            )
        }
        return dict(sorted(found.items(), key=lambda pair: _sort_key(pair[1], order[1]), reverse=order[2] == "DESC"))

    @staticmethod
    def _equal(request: Request, row: Row) -> bool:
        """The filter is ``extension``, the field is ``extensions`` (sheet 3.1)."""
        wanted = [(name, request.arg(name)) for name in ("call_direction", "call_id", "caller_id", "cnam", "dnis")]
        extension = request.arg("extension")
        has_extension = extension is None or extension in [str(part) for part in row.get("extensions") or []]
        return has_extension and all(value is None or str(row.get(name)) == value for name, value in wanted)

    @staticmethod
    def _instant(request: Request, name: str) -> datetime | None:
        """A raw ``+`` has become a space by now, which is malformed (sheet 3.2)."""
        text = request.arg(name)
        instant = _read_time(text)
        if text is not None and instant is None:
            start = _DATE_START.match(text)
            rest = text[start.end() :] if start else text
            raise _Refused(400, {"status": 400, "title": f'Invalid format: "{text}" is malformed at "{rest}"'})
        return instant

    def _whole(self, request: Request, name: str) -> int | None:
        text = request.arg(name)
        if text is not None and not re.fullmatch("[0-9]{1,12}", text):
            raise self._invalid(name, "must be an integer")
        return None if text is None else int(text)

    @staticmethod
    def _invalid(name: str, reason: str, status: int = 400) -> _Refused:
        wrong = [{"name": name, "reason": reason}]
        return _Refused(status, {"status": status, "title": "Bad Request", "instance": "", "invalid_parameters": wrong})

    # pages (sheet 3.3)

    def _page(self, request: Request, rows: list[Row], total: int, key: str, place: str) -> Response:
        page, size = self._whole(request, "page"), self._whole(request, "page_size")
        page, size = self.first_page if page is None else page, 10 if size is None else size
        if page < self.first_page or size < 1 or (size > self.page_cap and self.refuse_page_size):
            name = "page" if page < self.first_page else "page_size"
            raise self._invalid(name, "out of range", 400 if name == "page" else self.refusal)
        size, total = min(size, self.page_cap), max(0, total + self.miscount)
        answer: Row = {"page": page, "page_size": size, "total_items": total, "total_pages": -(-total // size)}
        answer["_links"] = self._links(place, page, answer["total_pages"])
        if not total and not self.embedded_when_empty:
            return Response(200, {**answer, "page": 0})
        first = 0 if self.repeat_pages else (page - self.first_page) * size
        return Response(200, {"_embedded": {key: rows[first : first + size]}, **answer})

    def _links(self, place: str, page: int, pages: int) -> Row:
        """The links drop the filters and name another host (sheet 3.3)."""
        base = f"{self.links_host}{RECORDING_API}/api/accounts/{self.account_id}/{place}?page="
        last = pages - 1 + self.first_page
        links = {"first": self.first_page, "self": page, "last": last}
        if page < last:
            links["next"] = page + 1
        if page > self.first_page:
            links["prev"] = page - 1
        return {name: {"href": f"{base}{number}"} for name, number in links.items()}

    # users and audio (sheet 3.4 and 5.3)

    def _provisioning(self, request: Request, parts: list[str]) -> Response:
        known = [self.account_id, *(["self"] if self.provisioning_self else [])]
        if not self.subscribed:
            raise _Refused(403, {"msg": "The application is not subscribed", "status": 403})
        if parts[:1] != ["accounts"] or len(parts) < 2 or parts[1] not in known:
            raise _Refused(404, {"msg": "Account not found", "status": 404})
        if request.method != "GET":
            raise self._user_trouble(request)
        if parts[2:] == ["users"]:
            rows = [row for row in self.users.values() if self._named(request, row)]
            listed = [row for row in rows if str(row.get("id")) not in self.lost]
            return self._page(request, listed, len(rows), self.users_key, "users")
        if parts[2:3] == ["users"] and len(parts) == 4 and parts[3] in self.users:
            return Response(200, self.users[parts[3]])
        if not parts[2:]:
            return Response(200, {"id": int(self.account_id), "name": "Example"})
        raise _Refused(404, {"msg": "User not found", "status": 404})

    def _user_trouble(self, request: Request) -> _Refused:
        """Nothing in provisioning may be changed by a cleanup."""
        self.disasters.append(f"{request.method} {request.path}")
        return _not_allowed("GET")

    def _named(self, request: Request, row: Row) -> bool:
        names = ("first_name", "last_name", "login_name", "email")
        return self.ignore_filters or all(request.arg(name) in (None, row.get(name)) for name in names)

    def _audio(self, request: Request, parts: list[str]) -> Response:
        sources = [self.company, *self.on_demand.values()]
        row = next((rows[parts[0]] for rows in sources if len(parts) == 1 and parts[0] in rows), None)
        if row is None:
            raise _Refused(404)
        if request.method != "GET":
            raise _not_allowed("GET")
        return Response(200, audio(row), {"Content-Type": "audio/mpeg"})

    # state

    def add_user(self, user_id: str, **fields: Any) -> Row:
        """A user of the account; ``fields`` are wire names, ``...`` leaves one out."""
        name = f"user{user_id}"
        row: Row = {
            "id": int(user_id),
            "login_name": name,
            "email": f"{name}@example.com",
            "first_name": "Ana",
            "last_name": "Example",
            "status": "ACTIVE",
            "contact_numbers": [{"type": "Home", "value": "15550100001"}],
            "extensions": [{"extension_number": "701", "dids": [{"phone_number": "15550100009", "custom_tag": ""}]}],
        }
        _edit(row, fields)
        self.users[user_id] = row
        return row

    def add_recording(
        self,
        recording_id: int | str,
        *,
        user: str | None = None,
        ended: timedelta = timedelta(days=40),
        length: timedelta = timedelta(seconds=61.5),
        **fields: Any,
    ) -> Row:
        """A company recording, or an on-demand one of ``user``, of a call that ended so long ago.

        The row holds the wire shape; ``download_url`` (unless given) and ``_links`` are added when it is shown.
        """
        end = self.clock() - ended
        row: Row = {
            "id": recording_id,
            "call_id": f"0b1c2d3e-0000-4000-8000-{int(re.sub('[^0-9]', '', str(recording_id)) or 0):012d}",
            "call_direction": "INBOUND",
            "caller_id": "15550100001",
            "cnam": "ANA EXAMPLE",
            "dnis": "15550100009",
            "duration": int(length.total_seconds() * 1000),
            "start": wire_time(end - length),
            "end": wire_time(end),
            "extension": None,
            "extensions": ["701"],
            "file_name": f"730048.{recording_id}.mp3",
            "file_size_in_bytes": SIZE,
            "rule_ids": [1989, 2012],
        }
        _edit(row, fields)
        rows = self.company if user is None else self.on_demand.setdefault(user, {})
        rows[str(recording_id)] = row
        return row

    def fill(self) -> None:
        """A backlog with every kind of recording; see ``doomed`` for what the sample rules must delete."""
        self._fill_company_going()
        self._fill_company_staying()
        self._fill_unreadable()
        self._fill_on_demand()

    def _fill_company_going(self) -> None:
        for number in range(204401, 204407):
            self._put(number, days=31 + (number - 204400) * 3, goes=True)
        self._put(204407, days=41, goes=True, cnam=HOSTILE, file_name="../../etc/\x1b[31m\u202e3pm.sh")
        self._put(204408, days=42, goes=True, caller_id=15550100001, dnis=15550100009, extensions=[701], rule_ids=...)
        self._put(204409, days=43, goes=True, extension=..., extensions=None, cnam=None, duration=None)
        self._put(204410, days=44, goes=True, duration="61500.0", call_direction="INTRA_PBX", file_size_in_bytes="4096")
        self._put(204411, days=400, goes=True, call_direction="OUTBOUND")
        self._put_at(204412, days=30, hours=4, goes=True, offset=14)
        self._put_at(204413, days=33, goes=True, style="Z")
        self._put_at(204414, days=34, goes=True, style="fraction")
        self._put(204430, days=45, goes=True, extensions=["702"])
        self._put(204499, days=46, goes=True)

    def _fill_company_staying(self) -> None:
        self._put(204420, days=5)
        self._put(204421, days=29, hours=18, length=timedelta(hours=12), cnam="Began before the cutoff, ended after")
        self._put_at(204422, days=29, hours=20, offset=-12)
        self._put(204423, days=-2, cnam="From the future")
        self._put("0000204499", days=6, cnam="As a number, another recording's id")
        self._put("export", days=7, cnam="Its id is a word of the path")
        self._put(204424, days=20, duration=True)
        self._put(204425, days=20, duration=-61500)

    def _fill_unreadable(self) -> None:
        self._put(204440, days=50, start=...)
        self._put(204441, days=50, start="2025-13-45T09:00:00+0000")
        self._put(204442, days=50, start=None)
        self._put(204443, days=50, end=..., duration=...)
        self._put(204444, days=50, end="soon", duration=None)

    def _fill_on_demand(self) -> None:
        for number in range(869048, 869054):
            self.add_user(str(number), status="INACTIVE" if number == 869053 else "ACTIVE")
        for number in range(305001, 305012):
            self._put(number, user="869048", days=31 + (number - 305000) * 3, goes=True)
        self._put(305020, user="869049", days=60, goes=True, cnam=HOSTILE)
        self._put(305021, user="869049", days=4)
        self._put_at(305022, user="869050", days=30, hours=4, goes=True, offset=14)
        self._put_at(305023, user="869050", days=29, hours=20, offset=-12)
        self._put(305024, user="869051", days=50, start=...)
        self._put(305025, user="869051", days=50, end=..., duration=...)
        self._put(204430, user="869051", days=8, cnam="Has the id of an old company recording")
        self._put(305026, user="869053", days=70, goes=True, cnam="Of a user who has left")

    def _put(
        self,
        number: int | str,
        *,
        days: int,
        hours: int = 0,
        goes: bool = False,
        user: str | None = None,
        **fields: Any,
    ) -> Row:
        row = self.add_recording(number, user=user, ended=timedelta(days=days, hours=hours), **fields)
        if goes:
            self.doomed["company-recordings" if user is None else "on-demand-recordings"].add(str(number))
        return row

    def _put_at(self, number: int, *, offset: int = 0, style: str = "", **placed: Any) -> None:
        """A row whose times are written with an offset in hours, with ``Z`` or with a fraction (sheet 3.2)."""
        row = self._put(number, **placed)
        for name in ("start", "end"):
            local = datetime.fromisoformat(row[name]) + timedelta(hours=offset)
            sign = "-" if offset < 0 else "+"
            tail = {"Z": "Z", "fraction": ".125Z"}.get(style, f"{sign}{abs(offset):02d}00")
            row[name] = local.strftime("%Y-%m-%dT%H:%M:%S") + tail

    def account(self, name: str, url: str, **extra: Any) -> str:
        """The account of this emulator and its sample rules, as TOML."""
        settings = {
            "provider": "vonage",
            "url": url + RECORDING_API,
            "token_url": url + SIGN_IN,
            "provisioning_url": url + PROVISIONING,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "username": self.username,
            "password": self.password,
            "account_id": "self",
            "users": "all",
            "rate": "unlimited",
            **extra,
        }
        lines = [f"[accounts.{name}]", *(f"{key} = {_toml(value)}" for key, value in settings.items())]
        for what in self.doomed:
            rule = [f'name = "old {what}"', f'what = "{what}"', 'older_than = "30 days"']
            lines += ["", f"[[accounts.{name}.rules]]", *rule]
        return "\n".join([*lines, ""])


def audio(row: Row) -> bytes:
    """The bytes of a recording, an MP3: as many as ``file_size_in_bytes`` says."""
    size = _number(row.get("file_size_in_bytes")) or 0
    pattern = f"audio of {row.get('id')} ".encode()
    return (b"ID3\x04\0\0\0\0\0\0" + pattern * (size // len(pattern) + 1))[:size]


def _number(value: object) -> int | None:
    """A whole number from a number or its digits."""
    return int(str(value)) if re.fullmatch(r"-?\d+", str(value)) else None


def _between(value: Any, least: Any, most: Any) -> bool:
    """Inclusive; what cannot be read passes."""
    return value is None or ((least is None or least <= value) and (most is None or value <= most))


def _sort_key(row: Row, name: str) -> float:
    """Rows without a readable value come first when ascending."""
    if name in ("start", "end"):
        return ((_read_time(row.get(name)) or _EPOCH) - _EPOCH).total_seconds()
    return float(_number(row.get(name)) or 0)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + " }"
    return json.dumps(value)
