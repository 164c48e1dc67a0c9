"""Huawei Cloud Meeting in memory, written from the fact sheet: its recordings, its history, its traps.

Numbers such as "sheet 3.4" name the section of the Huawei fact sheet that a behaviour comes from. What the
sheet calls contradictory or unknown is a public attribute of ``Huawei`` with a docstring.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from confcleanup.sandbox.server import Clock, Emulator, Request, Response, utc_clock

HOSTILE = "\x1b[2J\x1b[31mBudget\r\n2026-01-01 deleted everything\t\x07\u202egpj.exe\u2066\x00"
"""A title that would like to write to a terminal, a log and a CSV file."""

APP_KEY = "demo-app-key-2f6c91"
RECORDINGS = "/v1/mmc/management/record/files"
RECORDING = "/v1/mmc/management/conferences/record/files"
HISTORY = "/v1/mmc/management/conferences/history"
HISTORY_DETAIL = "/v1/mmc/management/conferences/history/confDetail"
MEETINGS = "/v1/mmc/management/conferences"
DOWNLOAD_URLS = "/v1/mmc/management/record/downloadurls"
APP_LOGIN = "/v2/usg/acs/auth/appauth"
SESSION = "/v1/usg/acs/token"

_SIGNED = re.compile(r"HMAC-SHA256 signature=([0-9a-fA-F]{64})(?:,access=([A-Za-z0-9+/=]+))?")
_RECORDING_SORTS = ("ASC_StartTIME", "DSC_StartTIME")
_HISTORY_SORTS = (*_RECORDING_SORTS, "ASC_RecordTYPE", "DSC_RecordTYPE")
_MODES = ("ADAY", "AWEEK", "AMONTH", "ALL")

Row = dict[str, Any]


class _Refused(Exception):
    """The vendor says no (sheet 6)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def _bad(message: str) -> _Refused:
    return _Refused(400, "MMC.111071061", message)


def _not_found() -> _Refused:
    return _Refused(400, "MMC.111070005", "CONF_DATA_NOT_FOUND")


def signature(app_key: str, body: Mapping[str, Any]) -> str:
    """The lower-case hex signature of a login body (sheet 2.2): both colons of an empty user stay."""
    parts = [body["appId"], body.get("userId") or "", str(body["expireTime"]), body["nonce"]]
    if body.get("corpId"):
        parts.insert(1, body["corpId"])
    return hmac.new(app_key.encode(), ":".join(parts).encode(), "sha256").hexdigest()


def film(content: str = "") -> bytes:
    """The bytes of an MP4 file."""
    return b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + content.encode()


def wire_time(moment: datetime) -> str:
    """UTC without a zone, to the minute (sheet 4.1)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _moment(text: object, default: datetime) -> datetime:
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    except ValueError:
        return default


def _edit(row: Row, changes: Mapping[str, Any]) -> None:
    """Overwrites fields; ``...`` takes a field away, as every field may be missing (sheet 4.2)."""
    row.update(changes)
    for name in [name for name, value in row.items() if value is ...]:
        del row[name]


@dataclass
class User:
    """Somebody who can sign in; ``admin_type`` 0 default administrator, 1 administrator, 2 member."""

    admin_type: int
    uuid: str


@dataclass
class Token:
    """One living access token."""

    user: User
    client_type: int
    expires: datetime


@dataclass
class Recording:
    """A recording: ``row`` is the object on the wire, ``detail`` what the detail call says differently.

    ``filed_at`` places a row without a readable startTime in the list; ``files`` maps "Hd/0_0.mp4" to bytes.
    """

    row: Row
    filed_at: datetime
    owner: str
    detail: Row = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    more: list[Row] = field(default_factory=list)
    """Other rows with the same confUUID: a recording that was stopped and begun again (sheet 7.19)."""

    @property
    def moment(self) -> datetime:
        """The time that a list's range is compared with."""
        return _moment(self.row.get("startTime"), self.filed_at)


@dataclass(eq=False, repr=False)
class Huawei(Emulator):
    """Huawei's server. Every keyword is a public attribute that may be changed at any time.

    ``user_id`` and ``admin_type`` fill ``users`` once; later changes are made there.
    """

    clock: Clock = utc_clock
    app_id: str = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
    app_key: str = APP_KEY
    user_id: str = "cleanup-bot@example.com"
    corp_id: str | None = None
    """Set: service provider mode, the corpId is signed and must match (sheet 2.2). None: a corpId is refused."""
    admin_type: int = 0
    """Of ``user_id``; 2 is a common user, who sees and deletes only what is his own (sheet 3.3)."""
    token_life: timedelta = timedelta(hours=16)
    token_cap: int = 64
    """Living tokens per user with clientType 72; one more evicts the oldest (sheet 2.3)."""
    login_status: int | None = None
    """412 or 423: the account is disabled or locked (sheet 2.2)."""
    require_access: bool = False
    """Whether ``,access=`` must be there (sheet 8); a wrong one is always refused."""
    require_token_type: bool = False
    """Whether ``X-Token-Type: LongTicket`` must be there (sheet 8)."""
    expire_unit: Literal["s", "ms"] = "s"
    """Unit of expireTime (sheet 8); a time 30 years ahead is refused, which catches the other unit."""
    page_cap: int = 5
    """More rows are never given; a larger limit is cut without an error (sheet 3.2)."""
    files_cap: int = 100
    """As many files of a recording are named at once, whatever ``limit`` asks (sheet 7.25)."""
    recordings_limit: int | None = 100
    """A larger limit on recordings is refused (sheet 8); None: only cut."""
    paging: Literal["record", "page"] = "record"
    """Whether offset counts records or pages (sheet 3.4)."""
    max_span: timedelta | None = timedelta(days=31)
    """The longest range that a list takes (sheet 3.4)."""
    refused_before: datetime | None = None
    """Lists refuse a range that begins earlier (sheet 7.20)."""
    dates_optional: bool = False
    """Whether startDate and endDate may be left out (sheet 8)."""
    ignore_filters: bool = False
    """Lists ignore range and searchKey."""
    empty_data: Literal["null", "missing", "list", "error"] = "null"
    """What ``data`` is when nothing was found (sheet 6 and 7.18)."""
    stuck_last_page: bool = False
    """An offset past the end gives the last page again (sheet 3.4)."""
    repeat_pages: bool = False
    """Every page is the first one."""
    lost: set[str] = field(default_factory=set)
    """confUUIDs that are counted, but stand on no page."""
    miscount: int = 0
    """Added to ``count``."""
    history_kept: timedelta = timedelta(days=183)
    """The history forgets older meetings (sheet 1)."""
    linger: bool = False
    """Deleted recordings stay in list and detail until ``settle()`` (sheet 7.11)."""
    unknown_uuid: Literal["ignored", "refused"] = "ignored"
    """A delete with a confUUID that is not there: 200, or 400 and nothing is deleted (sheet 5.1: unknown)."""
    stubborn: set[str] = field(default_factory=set)
    """confUUIDs whose delete is answered with 200 and not done."""
    refused_uuids: set[str] = field(default_factory=set)
    """confUUIDs with which a delete is refused as a whole (sheet 7.21)."""
    max_batch: int | None = 50
    """More confUUIDs in one delete are refused (sheet 5.1: unknown)."""
    delete_body: bytes = b'{"returnCode":0,"returnDesc":"Success"}'
    """39 bytes (sheet 5.1); may also be empty or ``[]``."""
    whitelisted: bool = True
    """Whether download addresses are given at all (sheet 8)."""
    quota: int | None = None
    """Business requests per minute; more are answered with 429 APIG.0308 (sheet 6)."""
    error_shape: Literal["error_code", "errorCode", "code", "nested", "text"] = "error_code"
    """How an error is written (sheet 6)."""
    public_url: str = "http://127.0.0.1"
    """Where downloads are served; set by whoever serves the emulator."""

    def __post_init__(self) -> None:
        super().__init__(self.clock)
        self.users = {
            self.user_id: User(self.admin_type, "00ab"),
            "": User(0, "00aa"),
            "anna@example.com": User(2, "ff80a1"),
        }
        self.recordings: dict[str, Recording] = {}
        self.deleted: dict[str, Recording] = {}
        self.history: dict[str, Row] = {}
        self.meetings: dict[str, Row] = {}
        self.tokens: dict[str, Token] = {}
        self.download_tokens: dict[str, tuple[str, datetime]] = {}
        self.disasters: list[str] = []
        self.doomed: dict[str, set[str]] = {"recordings": set(), "meetings": set()}
        self._numbers: dict[str, int] = {}
        self._asked: list[datetime] = []
        self._routes: dict[tuple[str, str], Callable[[Request, User], Response]] = {
            ("GET", RECORDINGS): self._list_recordings,
            ("DELETE", RECORDINGS): self._delete_recordings,
            ("GET", RECORDING): self._recording_detail,
            ("GET", DOWNLOAD_URLS): self._download_urls,
            ("GET", HISTORY): self._list_history,
            ("GET", HISTORY_DETAIL): self._history_detail,
            ("GET", MEETINGS): self._list_meetings,
            ("DELETE", MEETINGS): self._cancel,
            ("DELETE", "/v1/mmc/management/cycleconferences"): self._cancel,
            ("DELETE", "/v1/mmc/management/conferences/cyclesubconf"): self._cancel,
            ("PUT", SESSION): self._renew,
            ("DELETE", SESSION): self._logout,
        }

    # requests

    def handle(self, request: Request) -> Response:
        try:
            response = self._route(request)
        except _Refused as refused:
            response = Response(refused.status, self._error(refused.code, refused.message))
        return replace(response, headers={**response.headers, "X-Request-Id": self._next("request")})

    def _route(self, request: Request) -> Response:
        if (request.method, request.path) == ("POST", APP_LOGIN):
            return self._login(request)
        if (request.method, request.path) == ("POST", SESSION + "/validate"):
            return self._validate(request)
        if request.method == "GET" and request.path.startswith("/download/"):
            return self._download(request)
        handler = self._routes.get((request.method, request.path))
        if handler is None:
            raise _Refused(404, "APIG.0101", "The API does not exist or has not been published")
        self._throttle()
        return handler(request, self._user(request))

    def _error(self, code: str, message: str) -> object:
        shapes: dict[str, object] = {
            "error_code": {"error_code": code, "error_msg": message},
            "errorCode": {"errorCode": code, "errorMsg": message, "errorMessage": message},
            "code": {"code": code, "message": message},
            "nested": {"error": {"error_code": code, "error_msg": message}},
            "text": f"{code} {message}".encode(),
        }
        return shapes[self.error_shape]

    def _throttle(self) -> None:
        now = self.clock()
        self._asked = [moment for moment in self._asked if now - moment < timedelta(minutes=1)]
        if self.quota is not None and len(self._asked) >= self.quota:
            raise _Refused(429, "APIG.0308", "The throttling threshold has been reached")
        self._asked.append(now)

    def _next(self, kind: str) -> str:
        self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return f"{kind}-{self._numbers[kind]}"

    # sign-in (sheet 2)

    def _login(self, request: Request) -> Response:
        if self.login_status is not None:
            return Response(self.login_status)
        body = self._login_body(request)
        self._check_expiry(body["expireTime"])
        self._check_signature(request.headers.get("Authorization") or "", body)
        user = self.users.get(body.get("userId") or "")
        if user is None:
            raise _Refused(400, "USG.201040000", "user not found")
        return self._granted(user, body["clientType"])

    def _login_body(self, request: Request) -> Row:
        kind = (request.headers.get("Content-Type") or "").lower()
        if self.require_token_type and request.headers.get("X-Token-Type") != "LongTicket":
            raise _Refused(400, "MMC.111070001", "X-Token-Type")
        body = request.json()
        if not kind.startswith("application/json") or not isinstance(body, dict):
            raise _Refused(400, "MMC.111071062", "JSON expected")
        numbers = (body.get("clientType"), body.get("expireTime"))
        nonce = body.get("nonce")
        if not all(type(number) is int for number in numbers) or not isinstance(body.get("appId"), str):
            raise _bad("appId, clientType, expireTime")
        if not isinstance(nonce, str) or not 32 <= len(nonce) <= 64:
            raise _bad("nonce")
        return body

    def _check_expiry(self, expire: int) -> None:
        if expire == 0:
            return
        ahead = expire / (1000 if self.expire_unit == "ms" else 1) - self.clock().timestamp()
        if not 0 < ahead < 10**9:
            raise _Refused(401, "MMC.111070004", "authentication failed: expireTime")

    def _check_signature(self, header: str, body: Row) -> None:
        match = _SIGNED.fullmatch(header)
        denied = _Refused(401, "MMC.111070004", "authentication failed")
        if match is None or body["appId"] != self.app_id or (body.get("corpId") or None) != self.corp_id:
            raise denied
        access = base64.b64encode(self.app_id.encode()).decode()
        if (match[2] or self.require_access) and match[2] != access:
            raise denied
        if not hmac.compare_digest(match[1].lower(), signature(self.app_key, body)):
            raise denied

    def _granted(self, user: User, client_type: int) -> Response:
        now = self.clock()
        cap = self.token_cap if client_type == 72 else 1
        same = [name for name, token in self.tokens.items() if (token.user, token.client_type) == (user, client_type)]
        for name in same[: max(0, len(same) - cap + 1)]:
            del self.tokens[name]
        name = self._next("cn-demo-access")
        self.tokens[name] = Token(user, client_type, now + self.token_life)
        return Response(200, self._granted_body(name, user, now, client_type))

    def _granted_body(self, name: str, user: User, now: datetime, client_type: int) -> Row:
        """Seconds and milliseconds side by side, as in the sheet's sample."""
        seconds, refresh = int(self.token_life.total_seconds()), 2592000
        stamp = int(now.timestamp())
        return {
            "accessToken": name,
            "tokenIp": "192.0.2.10",
            "validPeriod": seconds,
            "expireTime": stamp + seconds,
            "createTime": stamp * 1000,
            "clientType": client_type,
            "tokenType": 0,
            "user": {
                "userId": user.uuid,
                "ucloginAccount": f"{user.uuid}@example.com",
                "adminType": user.admin_type,
                "userType": 2,
                "companyId": "651000001",
            },
            "refreshToken": name.replace("access", "refresh"),
            "refreshValidPeriod": refresh,
            "refreshExpireTime": stamp + refresh,
            "refreshCreateTime": stamp * 1000,
            "firstLogin": False,
            "pwdExpired": False,
            "daysPwdAvailable": -19678,
            "forceLoginInd": None,
            "proxyToken": None,
        }

    def _living(self, name: str) -> Token:
        token = self.tokens.get(name)
        if token is None or token.expires <= self.clock():
            raise _Refused(401, "USG.000000004", "invalid token")
        return token

    def _user(self, request: Request) -> User:
        name = request.headers.get("X-Access-Token")
        if not name:
            raise _Refused(401, "MMC.111070111", "token missing")
        return self._living(name).user

    def _renew(self, request: Request, user: User) -> Response:
        token = self.tokens.pop(str(request.headers.get("X-Access-Token")))
        return self._granted(user, token.client_type)

    def _logout(self, request: Request, user: User) -> Response:
        del self.tokens[str(request.headers.get("X-Access-Token"))]
        return Response(200)

    def _validate(self, request: Request) -> Response:
        body = request.json()
        name = str(body.get("token")) if isinstance(body, dict) else ""
        token = self._living(name)
        return Response(200, self._granted_body(name, token.user, self.clock(), token.client_type))

    def expire_tokens(self) -> None:
        """No living token is good any more."""
        self.tokens.clear()

    # lists (sheet 3)

    def _list_recordings(self, request: Request, user: User) -> Response:
        wanted = self._range(request)
        shown = {**self.recordings, **(self.deleted if self.linger else {})}.values()
        everything = self._enterprise(request, user)
        rows = [
            recording
            for recording in sorted(shown, key=lambda recording: recording.moment)
            if (everything or recording.owner == user.uuid) and self._fits(request, recording, wanted)
        ]
        if self._choice(request, "sortType", _RECORDING_SORTS) != "ASC_StartTIME":
            rows.reverse()
        shown_rows = [row for recording in rows for row in (recording.row, *recording.more)]
        return self._page(request, shown_rows, self.recordings_limit)

    def _fits(self, request: Request, recording: Recording, wanted: tuple[datetime, datetime] | None) -> bool:
        if self.ignore_filters:
            return True
        in_range = wanted is None or wanted[0] <= recording.moment <= wanted[1]
        return in_range and self._found(request, recording.row)

    def _list_history(self, request: Request, user: User) -> Response:
        wanted = self._range(request)
        everything = self._enterprise(request, user)
        rows = [row for row in self._remembered() if everything or row.get("userUUID") == user.uuid]
        if not self.ignore_filters:
            rows = [row for row in rows if self._found(request, row)]
            rows = [row for row in rows if wanted is None or wanted[0] <= self._started(row) <= wanted[1]]
        rows.sort(key=self._started, reverse=self._choice(request, "sortType", _HISTORY_SORTS) != "ASC_StartTIME")
        return self._page(request, rows)

    def _started(self, row: Row) -> datetime:
        return _moment(row.get("startTime"), self.clock())

    def _remembered(self) -> list[Row]:
        horizon = self.clock() - self.history_kept
        return [row for row in self.history.values() if self._started(row) >= horizon]

    def _list_meetings(self, request: Request, user: User) -> Response:
        """What is not over: running and scheduled meetings (sheet 3.5)."""
        self._choice(request, "queryConfMode", _MODES)
        everything = self._enterprise(request, user)
        rows = [row for row in self.meetings.values() if everything or row.get("userUUID") == user.uuid]
        return self._page(request, [row for row in rows if self.ignore_filters or self._found(request, row)])

    @staticmethod
    def _enterprise(request: Request, user: User) -> bool:
        """Without queryAll=true even an administrator sees only what is his own (sheet 3.3)."""
        wanted = request.arg("queryAll", "false")
        if wanted not in ("true", "false"):
            raise _bad("queryAll")
        return wanted == "true" and user.admin_type in (0, 1)

    @staticmethod
    def _choice(request: Request, name: str, allowed: Iterable[str]) -> str | None:
        value = request.arg(name)
        if value is not None and value not in allowed:
            raise _bad(name)
        return value

    @staticmethod
    def _found(request: Request, row: Row) -> bool:
        key = (request.arg("searchKey") or "").casefold()
        names = ("subject", "scheduserName", "confID", "conferenceID")
        return any(key in str(row.get(name, "")).casefold() for name in names)

    def _range(self, request: Request) -> tuple[datetime, datetime] | None:
        """startDate and endDate in milliseconds, both inclusive, both mandatory (sheet 3.1)."""
        texts = request.arg("startDate"), request.arg("endDate")
        if texts == (None, None) and self.dates_optional:
            return None
        if not all(re.fullmatch(r"\d{1,15}", text or "") for text in texts):
            raise _bad("startDate, endDate")
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        try:
            start, end = (epoch + timedelta(milliseconds=int(text or 0)) for text in texts)
        except OverflowError:
            raise _bad("startDate, endDate") from None
        if end < start or (self.max_span is not None and end - start > self.max_span):
            raise _bad("startDate, endDate")
        if self.refused_before and start < self.refused_before:
            raise _bad("startDate")
        return start, end

    @staticmethod
    def _whole(request: Request, name: str, default: int, least: int) -> int:
        text = request.arg(name, str(default)) or ""
        if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
            raise _bad(name)
        return int(text)

    def _page(self, request: Request, rows: list[Row], limit_max: int | None = None) -> Response:
        offset, limit = self._whole(request, "offset", 0, 0), self._whole(request, "limit", 20, 1)
        if limit_max is not None and limit > limit_max:
            raise _bad("limit")
        limit = min(limit, self.page_cap)
        answer: Row = {"offset": offset, "limit": limit, "count": max(0, len(rows) + self.miscount)}
        rows = [row for row in rows if row.get("confUUID") not in self.lost]
        first = 0 if self.repeat_pages else offset * (limit if self.paging == "page" else 1)
        if self.stuck_last_page and rows and first >= len(rows):
            first = (len(rows) - 1) // limit * limit
        return self._page_body(answer, rows[first : first + limit])

    def _page_body(self, answer: Row, rows: list[Row]) -> Response:
        if not rows and not answer["count"] and self.empty_data == "error":
            raise _Refused(400, "MMC.111071069", "no meeting in that time")
        if rows or self.empty_data == "list":
            return Response(200, {**answer, "data": rows})
        return Response(200, answer if self.empty_data == "missing" else {**answer, "data": None})

    # details and downloads (sheet 3.1, 3.2, 5.2)

    def _allowed(self, request: Request, user: User) -> Recording:
        uuid = request.arg("confUUID") or ""
        recording = self.recordings.get(uuid) or (self.deleted.get(uuid) if self.linger else None)
        if recording is None:
            raise _not_found()
        if user.admin_type == 2 and recording.owner != user.uuid:
            raise _Refused(403, "MMC.111070010", "no permission to view")
        return recording

    def _recording_detail(self, request: Request, user: User) -> Response:
        recording = self._allowed(request, user)
        return Response(200, {**recording.row, **recording.detail})

    def _history_detail(self, request: Request, user: User) -> Response:
        row = next((row for row in self._remembered() if row.get("confUUID") == request.arg("confUUID")), None)
        if row is None or (user.admin_type == 2 and row.get("userUUID") != user.uuid):
            raise _not_found()
        guests = {"offset": 0, "limit": 20, "count": 1, "data": [{"participantID": "+990002", "name": "boris"}]}
        return Response(200, {"conferenceData": row, "data": guests})

    def _download_urls(self, request: Request, user: User) -> Response:
        if user.admin_type == 2 or not self.whitelisted:
            raise _Refused(403, "MMC.111070002", "insufficient permission")
        recording, uuid = self._allowed(request, user), request.arg("confUUID")
        limit = min(self._whole(request, "limit", 20, 1), self.files_cap)
        start = self._whole(request, "offset", 0, 0) * (limit if self.paging == "page" else 1)
        names = list(recording.files)
        if self.repeat_pages or (self.stuck_last_page and start >= len(names)):
            start = 0 if self.repeat_pages else (len(names) - 1) // limit * limit
        urls = [self._offer(f"/download/{uuid}/{name}") for name in names[start : start + limit]]
        return Response(200, {"recordUrls": [{"confUuid": uuid, "urls": urls}]})

    def _offer(self, path: str) -> Row:
        """A new token for one file, good once and for one hour."""
        name = self._next("d")
        self.download_tokens[name] = (path, self.clock() + timedelta(hours=1))
        return {"token": name, "fileType": path.split("/")[3], "url": self.public_url + path}

    def _download(self, request: Request) -> Response:
        given = request.headers.get("Authorization") or ""
        if request.headers.get("X-Access-Token") or given.removeprefix("Bearer ") in self.tokens:
            self.disasters.append(f"access token shown to the download host: {request.path}")
            return Response(403)
        path, expires = self.download_tokens.get(given, ("", self.clock()))
        if path != request.path or expires <= self.clock():
            return Response(401)
        del self.download_tokens[given]
        _, _, uuid, name = request.path.split("/", 3)
        recording = self.recordings.get(uuid) or self.deleted.get(uuid)
        if recording is None or name not in recording.files:
            return Response(404)
        return Response(200, recording.files[name], {"Content-Type": "video/mp4"})

    # deletion (sheet 5 and 7)

    def _delete_recordings(self, request: Request, user: User) -> Response:
        uuids = (request.arg("confUUIDs") or "").split(",")
        if uuids == [""]:
            return self._delete_everything(user)
        if not all(uuids) or len(uuids) > (self.max_batch or len(uuids)) or self.refused_uuids & set(uuids):
            raise _bad("confUUIDs")
        if self.unknown_uuid == "refused" and not set(uuids) <= self.recordings.keys():
            raise _not_found()
        named = [self.recordings[uuid] for uuid in uuids if uuid in self.recordings]
        if user.admin_type == 2 and any(recording.owner != user.uuid for recording in named):
            raise _Refused(403, "MMC.111070002", "insufficient permission")
        for uuid in uuids:
            self._delete_one(uuid)
        return self._deleted_answer()

    def _delete_one(self, uuid: str) -> None:
        """A confID in the place of a confUUID takes every instance with it: the emulator's worst reading of 7.2."""
        same = [key for key, recording in self.recordings.items() if recording.row.get("confID") == uuid]
        if same:
            self.disasters.append(f"deleted by confID {uuid}: {len(same)} recordings")
        for key in [uuid, *same]:
            if key in self.recordings and key not in self.stubborn:
                self.deleted[key] = self.recordings.pop(key)

    def _delete_everything(self, user: User) -> Response:
        """The bare DELETE that the vendor's SDK sends for an empty list; the worst reading of 7.1."""
        self.disasters.append(f"bare delete: {len(self.recordings)} recordings")
        self.deleted.update(self.recordings)
        self.recordings.clear()
        return self._deleted_answer()

    def _deleted_answer(self) -> Response:
        return Response(200, self.delete_body, {"Content-Type": "application/json"})

    def settle(self) -> None:
        """What lingers after its deletion leaves the lists."""
        self.deleted.clear()

    def _cancel(self, request: Request, user: User) -> Response:
        """CancelMeeting and its relatives: no cleanup may call them (sheet 5.3)."""
        number = request.arg("conferenceID") or ""
        self.disasters.append(f"cancel meeting {number!r} type {request.arg('type')!r}")
        meeting = self.meetings.get(number)
        if meeting is None:
            raise _not_found()
        if meeting.get("conferenceState") == "Created" and request.arg("type") != "1":
            raise _Refused(400, "MMC.111071067", "the meeting has started")
        del self.meetings[number]
        return Response(200)

    # state

    def add_recording(
        self,
        uuid: str,
        *,
        ended: timedelta = timedelta(days=40),
        length: timedelta = timedelta(hours=1),
        late: timedelta = timedelta(0),
        owner: str = "ff80a1",
        files: Mapping[str, bytes] | None = None,
        detail: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Recording:
        """A recording that ended so long ago; ``fields`` are wire names, ``...`` leaves one out.

        ``late``: so long after its meeting it began; ``startTime`` is the meeting's (sheet 7.26).
        """
        start = self.clock() - ended - length - late
        row: Row = {
            "confUUID": uuid,
            "confID": "912000111",
            "url": ["https://play.example.net/rec?id=1"],
            "rcdTime": int(length.total_seconds()),
            "rcdSize": 85,
            "subject": "Budget review",
            "scheduserName": "anna",
            "startTime": wire_time(start),
            "isDecodeFinish": True,
            "decodeEndTime": int((start + 2 * length).timestamp()) * 1000,
            "available": True,
            "recordAuthType": 2,
        }
        _edit(row, fields)
        media = files or {"Hd/0_0.mp4": film(f"video {uuid}"), "Aux/0_0.mp4": film(f"screen {uuid}")}
        self.recordings[uuid] = Recording(row, start, owner, dict(detail or {}), dict(media))
        return self.recordings[uuid]

    def add_row(self, uuid: str, **fields: Any) -> Row:
        """Another row of a recording that is there, as the first but for these fields (sheet 7.19)."""
        row = dict(self.recordings[uuid].row)
        _edit(row, fields)
        self.recordings[uuid].more.append(row)
        return row

    def add_history(
        self,
        uuid: str,
        *,
        ended: timedelta = timedelta(days=40),
        length: timedelta = timedelta(hours=1),
        **fields: Any,
    ) -> Row:
        """A meeting that is over, with the passwords and links that such a row carries (sheet 3.2)."""
        end = self.clock() - ended
        row = self._meeting_row("912000111", "Destroyed", end - length, end)
        row.update(confUUID=uuid, recordType=2, isHasRecordFile=True, terminlCount=0, normalCount=3, deptName="Sales")
        _edit(row, fields)
        self.history[uuid] = row
        return row

    def add_meeting(self, number: str, *, starts: timedelta = timedelta(days=2), **fields: Any) -> Row:
        """A meeting that is not over; ``starts`` may be negative, then it is running."""
        start = self.clock() + starts
        state = "Created" if starts < timedelta() else "Schedule"
        row = self._meeting_row(number, state, start, max(start, self.clock()) + timedelta(hours=1))
        _edit(row, fields)
        self.meetings[number] = row
        return row

    @staticmethod
    def _meeting_row(number: str, state: str, start: datetime, end: datetime) -> Row:
        return {
            "conferenceID": number,
            "subject": "Budget review",
            "size": 3,
            "timeZoneID": "56",
            "startTime": wire_time(start),
            "endTime": wire_time(end),
            "mediaTypes": "Voice,Video,Data",
            "conferenceState": state,
            "passwordEntry": [{"conferenceRole": "general", "password": "483920"}],
            "userUUID": "ff80a1",
            "scheduserName": "anna",
            "conferenceType": 0,
            "confType": "FUTURE",
            "guestJoinUri": f"https://join.example.net/#/j/{number}/x",
            "vmrFlag": 0,
            "partAttendeeInfo": [{"phone": "+990002", "name": "boris", "type": "normal"}],
        }

    def fill(self) -> None:
        """A backlog with every kind of recording; see ``doomed`` for what the sample rules must delete."""
        self._fill_going()
        self._fill_staying()
        self._fill_unreadable()
        self._fill_history()

    def _fill_going(self) -> None:
        finished_later = {"isDecodeFinish": True}
        for number in range(1, 7):
            self._put(number, days=30 + number * 4, goes=True)
        self._put(7, days=41, goes=True, subject=HOSTILE, scheduserName="\u202eanna\x1b]0;x\x07")
        self._put(8, days=42, goes=True, owner="00ab", subject="The administrator's own")
        self._put(9, days=44, goes=True, confID="912000777", subject="Room 777, the old meeting")
        self._put(10, days=45, goes=True, confID="912000888", subject="Its confID is a running meeting's")
        self._put(11, days=46, goes=True, isDecodeFinish=False, detail=finished_later, subject="Detail says finished")
        self._put(12, days=38, goes=True, subject="The meeting went on, and is old all the same")
        self._put(13, days=48, goes=True, rcdSize=0, confID="004811003", url=..., subject=...)
        self._put(14, days=49, goes=True, uuid="01234567890123456789012345678901", subject="Digits only")
        self._put(15, days=30, hours=4, goes=True, subject="UTC: 4 hours beyond")
        for number, days in ((16, 200), (17, 400), (18, 1000)):
            self._put(number, days=days, goes=True, subject="The history has forgotten it")

    def _fill_staying(self) -> None:
        long = timedelta(hours=12)
        self._put(30, days=3, confID="912000777", subject="Room 777, the new meeting")
        self._put(31, days=5, subject="Recent")
        self._put(32, days=29, hours=18, length=long, subject="Began before the cutoff, ended after")
        self._put(33, days=31, subject="The recording stopped, the meeting went on")
        self._put(34, days=45, isDecodeFinish=False, subject="Still transcoding")
        self._put(35, days=45, available=False, subject="Not available")
        self._put(46, days=29, hours=20, subject="UTC: 4 hours short")

    def _fill_unreadable(self) -> None:
        self._put(36, days=46, isDecodeFinish="false")
        self._put(37, days=46, isDecodeFinish=...)
        self._put(38, days=46, available=None)
        self._put(39, days=47, rcdTime=...)
        self._put(40, days=47, rcdTime=None)
        self._put(41, days=48, rcdTime=-3600)
        self._put(42, days=48, rcdTime=True)
        self._put(43, days=49, startTime=...)
        self._put(44, days=49, startTime="soon")
        self._put(45, days=29, hours=12, rcdTime="3600.5")
        self._put(47, days=20, rcdTime="3600", rcdSize="85")

    def _put(
        self, number: int, *, days: int, hours: int = 0, goes: bool = False, uuid: str = "", **fields: Any
    ) -> None:
        uuid = uuid or self.uuid(number)
        fields = {"confID": f"9120001{number:02d}", "subject": f"Meeting {number}", **fields}
        self.add_recording(uuid, ended=timedelta(days=days, hours=hours), **fields)
        if goes:
            self.doomed["recordings"].add(uuid)

    @staticmethod
    def uuid(number: int) -> str:
        """The confUUID of the backlog's recording with this number."""
        return f"{0xFD0E7200 + number:08x}e9ff11f0a1b2c3d4e5f60718"

    def _fill_history(self) -> None:
        day = timedelta(days=1)
        half = timedelta(hours=12)
        for number in (1, 2):
            self.add_history(self.uuid(number), ended=(30 + number * 4) * day, conferenceID=f"9120001{number:02d}")
        self.add_history(self.uuid(9), ended=44 * day, conferenceID="912000777")
        self.add_history(self.uuid(30), ended=3 * day, conferenceID="912000777")
        self.add_history(self.uuid(12), ended=36 * day, length=3 * day, isHasRecordFile=False)
        self.add_history(self.uuid(33), ended=29 * day + half, length=3 * day + half, conferenceID="912000133")
        self.add_history(self.uuid(16), ended=200 * day, subject="Aged out")
        self.add_history(self.uuid(60), ended=60 * day, isHasRecordFile=False, recordType=0, subject="Not recorded")
        self.add_history(self.uuid(61), ended=2 * day, confType="CYCLE", vmrFlag=1, timeZoneID="26", subject=HOSTILE)
        self.add_meeting("912000888", starts=timedelta(hours=-1), subject="Running now")
        self.add_meeting("912000901", subject="Planned")
        self.add_meeting("912000902", starts=7 * day, confType="CYCLE", conferenceType=2, subject="Series")

    def account(self, name: str, url: str, **extra: Any) -> str:
        """The account of this emulator and its sample rule, as TOML."""
        settings = {
            "provider": "huawei",
            "url": url,
            "app_id": self.app_id,
            "app_key": self.app_key,
            "user_id": self.user_id,
            "corp_id": self.corp_id,
            "rate": "unlimited",
            **extra,
        }
        lines = [f"{key} = {_toml(value)}" for key, value in settings.items() if value is not None]
        rule = ['name = "old recordings"', 'what = "recordings"', 'older_than = "30 days"']
        return "\n".join([f"[accounts.{name}]", *lines, "", f"[[accounts.{name}.rules]]", *rule, ""])


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + " }"
    return json.dumps(value)
