"""Huawei Cloud Meeting: recordings of past meetings, and the history of meetings to look at.

Source: https://support.huaweicloud.com/intl/en-us/api-meeting/, pages meeting_21_0311 (sign-in with an App ID),
meeting_21_0307 (token), meeting_21_0048 (list of recordings), meeting_21_0049 (one recording),
meeting_21_0050 (deletion) and meeting_21_0051 (history).
"""

from __future__ import annotations

import base64
import hmac
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, groupby
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from msgspec.structs import replace

from ..deadline import Deadline
from ..errors import AccessDenied, HttpError, OutcomeUnknown, ProviderError, Stale, Stopped
from ..filter import Rule
from ..http.client import Http, Permit
from ..http.paging import Page, Pagination, Repeated, Row, Unsteady, twice
from ..items import Item, Kind, Media, Outcome, Result, State
from ..redact import redact
from ..settings.secrets import Secret
from ..settings.tables import AccountSettings, RuleSettings
from ..settings.values import Pace
from ..unmet import Reach
from .base import OUTAGES, Part, Provider, Source, count_of, given, in_turn, instant, is_outage, rows_of, text, whole

SIGN_IN = "v2/usg/acs/auth/appauth"
SIGNED_IN = "v1/usg/acs/token"
RECORDINGS = "v1/mmc/management/record/files"
RECORDING = "v1/mmc/management/conferences/record/files"
DOWNLOADS = "v1/mmc/management/record/downloadurls"
HISTORY = "v1/mmc/management/conferences/history"
LISTS = {"recordings": RECORDINGS, "meetings": HISTORY}

EXPIRED = frozenset({"MMC.111070004", "MMC.111070111", "USG.000000004"})
FORBIDDEN = frozenset({"MMC.111070002", "MMC.111070010"})
NOT_FOUND = "MMC.111070005"
NO_MEETING = "MMC.111071069"

PAGE = 100
SHORT_PAGE = 10
"""Fewer files are the last ones for certain. The vendor gives 20 unasked, and may cut a larger ``limit`` in silence."""
MOST_FILES = 10_000
LIMIT = ("limit", str(PAGE))
BATCH = 20
HALVED = frozenset({400, 413, 414, 422})
"""Refusals of a deletion that may be meant for one of its recordings, or for their number."""
SIGNATURE_LIFE = timedelta(minutes=10)
SPAN = 30 * 86_400_000
"""Milliseconds. How long a range may be is not documented; the examples ask for up to 31 days."""
FIRST = datetime(2019, 1, 1, tzinfo=UTC)
"""Recordings stay until somebody deletes them. Huawei's own examples go back to November 2019."""
HISTORY_KEPT = timedelta(days=366)
"""The history forgets a meeting after 6 months, or after up to 12 if the console says so."""
MINUTE = timedelta(minutes=1)
LONGEST = 366 * 86400
LATEST = datetime.max.replace(tzinfo=UTC)
MEBIBYTE = 1024 * 1024

PRIVATE = re.compile(r".*(password|pwd|joinUri|url|token).*", re.IGNORECASE)
"""Names of fields that open a meeting or a recording: passwordEntry, guestJoinUri, chairJoinUri, url, playUrl ..."""
_UUID = re.compile(r"[0-9a-f]{32}")
_KNOWN_BY = re.compile(r"[0-9a-f]{32}|[0-9]{3,20}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}(:\d{2})?")

NO_ADMINISTRATOR = (
    "the account is no administrator, so that only its own recordings are listed: "
    "give an administrator's user_id, or none for the default administrator"
)
AGES_OUT = "no API deletes the record of a past meeting; it ages out by itself"
UNSENDABLE = Result(Outcome.FAILED, "its id is not a recording's confUUID (32 hexadecimal digits); it was not sent")


class RecordingRule(RuleSettings, frozen=True, kw_only=True):
    """A rule for recordings or meetings. ``owner`` is a glob over ``scheduserName``."""

    owner: str | None = None

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        for ident in self.keep_ids:
            if not all(map(_KNOWN_BY.fullmatch, self.spellings(str(ident)))):
                yield "keep_ids", f"{ident!r} is neither a confUUID (32 hexadecimal digits) nor a conferenceID (digits)"

    @classmethod
    def spellings(cls, written: str) -> Collection[str]:
        """Also in capitals, with dashes, or a conferenceID with blanks, as it stands in invitations."""
        return (re.sub(r"[\s-]", "", written).lower(),)


class HuaweiSettings(AccountSettings, frozen=True, kw_only=True):
    """A Huawei Cloud Meeting account. Without ``user_id`` it is the enterprise's default administrator.

    ``corp_id`` is for service providers only; one enterprise's sign-in fails with it (meeting_21_0311).
    """

    asked = ("url", "app_id", "app_key", "user_id")

    url: str = "https://api-intl.meeting.huaweicloud.com"
    app_id: str
    app_key: Secret
    user_id: str = ""
    corp_id: str | None = None
    rate: Pace = Pace(60, 60)

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        if not self.app_id.strip():
            yield "app_id", "is empty"

    def identity(self) -> tuple[str, ...]:
        """Of one enterprise, whichever of its administrators signs in."""
        return *super().identity(), self.app_id, self.corp_id or ""


def signature(app_key: str, app_id: str, user_id: str, expire_time: int, nonce: str, corp_id: str = "") -> str:
    """The sign-in's HMAC-SHA256 in lower-case hex (meeting_21_0311).

    ``expire_time`` is in Unix seconds. An empty user keeps both of its colons; ``corp_id`` stands only if it is given.
    """
    parts = [app_id, *([corp_id] if corp_id else []), user_id, str(expire_time), nonce]
    return hmac.new(app_key.encode(), ":".join(parts).encode(), "sha256").hexdigest()


class _Auth:
    """One token for the whole run: a user has 64 at most, and one more logs the oldest out (meeting_21_0307)."""

    def __init__(self, settings: HuaweiSettings) -> None:
        self._settings = settings
        self.member = False

    def sign_in(self, http: Http) -> Mapping[str, str]:
        body = self._body(http.clock())
        try:
            answer = http.authenticate(SIGN_IN, json_body=body, headers=self._headers(body)).json()
        except AccessDenied as error:
            why = {412: "the account is disabled", 423: "the account is locked"}.get(error.status or 0)
            raise AccessDenied(f"{error}: {why}" if why else str(error), error.status, error.body) from None
        token = answer.get("accessToken")
        if not isinstance(token, str) or not token:
            raise AccessDenied("the sign-in failed: the answer holds no access token")
        redact.add(token)
        redact.add(text(answer.get("refreshToken")) or "")
        user = answer.get("user")
        self.member = isinstance(user, dict) and whole(user.get("adminType")) not in (None, 0, 1)
        return {"X-Access-Token": token}

    def _body(self, now: datetime) -> dict[str, Any]:
        """What is signed, and sent as it was signed."""
        settings = self._settings
        expire = int((now + SIGNATURE_LIFE).timestamp())
        body = {"appId": settings.app_id, "clientType": 72, "expireTime": expire, "nonce": uuid.uuid4().hex}
        optional = {"userId": settings.user_id, "corpId": settings.corp_id}
        return body | {name: value for name, value in optional.items() if value}

    def _headers(self, body: Mapping[str, Any]) -> dict[str, str]:
        app_id, user, corp = body["appId"], body.get("userId", ""), body.get("corpId", "")
        key = self._settings.app_key.reveal()
        signed = signature(key, app_id, user, body["expireTime"], body["nonce"], corp)
        access = base64.b64encode(app_id.encode()).decode()
        return {
            "Authorization": f"HMAC-SHA256 signature={signed},access={access}",
            "Content-Type": "application/json; charset=UTF-8",
            "X-Token-Type": "LongTicket",
        }

    def token_expired(self, error: HttpError) -> bool:
        return error.status == 401 or code(error) in EXPIRED


class Window(NamedTuple):
    """A range of a list in Unix milliseconds, both ends included, on a fixed grid of ``SPAN``."""

    first: int
    last: int

    @classmethod
    def at(cls, first: int, now: datetime) -> Window:
        """The window that begins there; none reaches further than a day into the future."""
        return cls(first, min(first + SPAN - 1, _ms(now + timedelta(days=1))))

    def __str__(self) -> str:
        first, last = (datetime.fromtimestamp(edge / 1000, UTC) for edge in self)
        return f"from {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def windows(since: datetime, now: datetime) -> Iterator[Window]:
    """The windows from ``since`` to now, without gap or overlap, the newest first."""
    origin, newest = _ms(FIRST), _ms(now + timedelta(days=1))
    for first in range(origin + (newest - origin) // SPAN * SPAN, max(origin, _ms(since) - SPAN + 1) - 1, -SPAN):
        yield Window.at(first, now)


def _ms(when: datetime) -> int:
    return int(when.timestamp()) * 1000


class Huawei(Provider):
    """One enterprise at Huawei Cloud Meeting."""

    name = "huawei"
    title = "Huawei Cloud Meeting"
    settings_type = HuaweiSettings
    sources = {
        "recordings": Source("recordings of past meetings", RecordingRule, batch=BATCH, confirmed=True, media=True),
        "meetings": Source("past meetings, to look at", RecordingRule, deletes=False, archivable=False),
    }

    def __init__(self, settings: HuaweiSettings, stop: Deadline, clock: Callable[[], datetime]) -> None:
        super().__init__(settings, stop, clock)
        self._auth = _Auth(settings)
        self._ends: Mapping[str, datetime | None] | None = None
        self._unread: Mapping[int, ProviderError] = {}
        self._shown: dict[str, Window] = {}
        self._permit: Permit | None = None
        self.http = Http.for_account(settings, self._auth, stop, clock)

    def __exit__(self, *_: object) -> None:
        # To release a token is a DELETE, and a dry run has no permit for one: its token is left to expire.
        if self._permit:
            with suppress(ProviderError, Stopped, Stale):
                self.http.delete(SIGNED_IN, self._permit, ok={200})
        super().__exit__()

    def check(self, what: Sequence[str]) -> None:
        """Signs in and reads the newest window of the lists that are needed. Raises ProviderError."""
        self.http.sign_in()
        if self._auth.member:
            raise ProviderError(NO_ADMINISTRATOR)
        newest = next(windows(FIRST, self.clock()))
        for where in {HISTORY, *(LISTS[source] for source in what)}:
            next(self._rows(where, newest), None)

    # Listing ----------------------------------------------------------------------------------

    def reach(self, what: str, rules: Sequence[Rule]) -> Reach:
        return Reach("this user's own, who is no administrator") if self._auth.member else Reach()

    def list_items(self, what: str, rules: Sequence[Rule]) -> Iterator[Item]:
        yield from in_turn(self.parts(what, rules))

    def parts(self, what: str, rules: Sequence[Rule]) -> Iterable[Part]:
        """A part for each window: older ones than the enterprise keeps may be refused."""
        self.http.sign_in()
        if self._auth.member and NO_ADMINISTRATOR not in self.warnings:
            self.warnings.append(NO_ADMINISTRATOR)
        since = self._history_begins() if what == "meetings" else FIRST
        if what == "recordings":
            self._ends = self._meeting_ends()
        cutoff = max((rule.cutoff for rule in rules), default=FIRST)
        self._shown = {}
        for window in windows(since, self.clock()):
            yield Part(f"{what} {window}", partial(self._window_items, what, window, cutoff))

    def _history_begins(self) -> datetime:
        return self.clock() - HISTORY_KEPT

    def _window_items(self, what: str, window: Window, cutoff: datetime) -> Iterator[Item]:
        """The items of a window. Rows with one confUUID are one item; see ``together``.

        Where another row of an item comes later, also in another window, it stands as ``Repeated`` in the item's
        place, so that the item goes only if each of its rows is due.
        """
        if what == "recordings":
            self._require_history(window)
        here: set[str] = set()
        for ident, rows in groupby(self._rows(LISTS[what], window, strict=self.strict), _ident):
            first = self._shown.setdefault(ident, window)
            items = [self._item(what, row, first, cutoff) for row in rows]
            if ident not in here and first == window:
                yield together(items)
                items = items if len(items) > 1 else []
            here.add(ident)
            yield from (replace(item, raw=Repeated(item.raw)) for item in items)

    def _item(self, what: str, row: Row, window: Window, cutoff: datetime) -> Item:
        return meeting(row, window) if what == "meetings" else self._recording(row, window, cutoff)

    def _require_history(self, window: Window) -> None:
        """Raises ProviderError unless the ends are known of the meetings that a window's recordings may be of."""
        for begins in (window.first, window.first - SPAN):
            if error := self._unread.get(begins):
                known = Window.at(begins, self.clock())
                raise ProviderError(f"the history of meetings {known} cannot be listed: {error}") from error

    def _rows(self, where: str, window: Window, *, strict: bool = False) -> Iterator[Row]:
        return walk(lambda offset: self._page(where, window, offset), strict=strict)

    def _page(self, where: str, window: Window, offset: int) -> Page:
        """One page. An enterprise's recordings are shown with queryAll only (meeting_21_0048)."""
        return self.sizes.ask(LIMIT, partial(self._asked, where, window, offset), first=offset == 0)

    def _asked(self, where: str, window: Window, offset: int, size: Sequence[tuple[str, str]]) -> Page:
        params = {"startDate": window.first, "endDate": window.last, "offset": offset}
        order = [("queryAll", "true"), ("sortType", "ASC_StartTIME")]
        try:
            body = self._get(where, [*((name, str(value)) for name, value in params.items()), *size, *order])
        except HttpError as error:
            if code(error) == NO_MEETING:
                return Page([], 0)
            raise
        rows = [] if body.get("data") is None else rows_of(body, "data")
        return Page(rows, count_of(body, "count"))

    def _get(self, where: str, params: Iterable[tuple[str, str]]) -> dict[str, Any]:
        try:
            return self.http.get(where, params).json()
        except HttpError as error:
            raise refusal(error) from None

    def _meeting_ends(self) -> dict[str, datetime | None]:
        """When the meetings that the history knows ended, by confUUID; None where it does not tell.

        The windows of the history that could not be listed are left in ``_unread``. Raises AccessDenied.
        """
        ends: dict[str, datetime | None] = {}
        unread: dict[int, ProviderError] = {}
        read = outages = 0
        for window in windows(self._history_begins(), self.clock()):
            try:
                found = twice(partial(self._ends_in, window))
            except ProviderError as error:
                if isinstance(error, AccessDenied) and not (read and error.status == 403):
                    raise
                outages += is_outage(error)
                if outages >= OUTAGES:
                    raise
                unread[window.first] = error
                continue
            read, outages = read + 1, 0
            for ident, end in found.items():
                ends[ident] = _later(end, ends.get(ident, end))
        self._unread = unread
        return ends

    def _ends_in(self, window: Window, strict: bool) -> dict[str, datetime | None]:
        """The ends of the meetings in one window."""
        ends: dict[str, datetime | None] = {}
        for row in self._rows(HISTORY, window, strict=strict):
            if ident := text(row.get("confUUID")):
                end = moment(row.get("endTime")) if _destroyed(row) else None
                ends[ident] = _later(end, ends.get(ident, end))
        return ends

    def _recording(self, row: Row, window: Window, cutoff: datetime) -> Item:
        """A recording; one that is due and seems to be transcoded still is asked for by itself.

        The list says "not finished" of recordings that the detail calls finished (meeting_21_0048, meeting_21_0049).
        """
        ends = self._ends or {}
        item = recording(row, window, ends)
        due = item.ended_at is not None and item.ended_at < cutoff
        if not due or row.get("available") is not True or row.get("isDecodeFinish") is True:
            return item
        detail = self._detail(item.id)
        return recording({**row, **{name: detail[name] for name in _STATES if name in detail}}, window, ends)

    def _detail(self, ident: str) -> Mapping[str, Any]:
        if not _UUID.fullmatch(ident):
            return {}
        try:
            detail = self._get(RECORDING, [("confUUID", ident)])
        except HttpError as error:
            if code(error) == NOT_FOUND:
                return {}
            raise
        return detail if detail.get("confUUID") == ident else {}

    def get(self, item: Item) -> Item | None:
        return self.get_many([item]).get(item.key)

    def get_many(self, items: Sequence[Item]) -> dict[tuple[str, ...], Item]:
        """Those that are still listed, with one look at each part of the list that showed one of them."""
        wanted = {(item.what, self._window(item), item.id): item.key for item in items}
        found: dict[tuple[str, ...], list[Item]] = {}
        for what, window in dict.fromkeys((what, window) for what, window, _ in wanted):
            for row in self._rows(LISTS[what], window):
                if key := wanted.get((what, window, str(row.get("confUUID")))):
                    found.setdefault(key, []).append(self._looked(what, row, window))
        return {key: together(rows) for key, rows in found.items()}

    def _looked(self, what: str, row: Row, window: Window) -> Item:
        if what == "recordings":
            if self._ends is None:
                self._ends = self._meeting_ends()
            self._require_history(window)
        return self._item(what, row, window, self.clock())

    def _window(self, item: Item) -> Window:
        """The window that showed an item. Which time of a recording the range is compared with is not documented."""
        first = whole(item.locator[0]) if item.locator else None
        if first is None:
            raise ProviderError(f"nobody knows any more which part of the list showed {item.id}")
        return Window.at(first, self.clock())

    # Deleting ---------------------------------------------------------------------------------

    def delete(self, items: Sequence[Item], permit: Permit) -> list[Result]:
        """Deletes recordings in one request, whose answer says nothing of each. Raises HttpError if it was refused."""
        self._permit = permit
        sendable = [item.id for item in items if item.what == "recordings" and _UUID.fullmatch(item.id)]
        results = self._delete(sendable, permit) if sendable else {}
        return [results.get(item.id, UNSENDABLE) for item in items]

    def _delete(self, ids: Sequence[str], permit: Permit) -> dict[str, Result]:
        """What was answered to the deletion of these. A refused batch may hold a bad one, or too many: it is halved."""
        try:
            self.http.delete(RECORDINGS, permit, ok={200}, params=[("confUUIDs", ",".join(ids))])
        except OutcomeUnknown as error:
            return dict.fromkeys(ids, Result(Outcome.UNKNOWN, str(error)))
        except HttpError as error:
            absent = code(error) == NOT_FOUND
            if not absent and (error.status not in HALVED or code(error) in FORBIDDEN):
                raise refusal(error) from None
            if len(ids) == 1:
                return {ids[0]: Result(Outcome.GONE if absent else Outcome.FAILED, str(error))}
            return self._delete_half(ids[: len(ids) // 2], permit) | self._delete_half(ids[len(ids) // 2 :], permit)
        return dict.fromkeys(ids, Result(Outcome.DELETED))

    def _delete_half(self, ids: Sequence[str], permit: Permit) -> dict[str, Result]:
        """As ``_delete``; what one half ends with must not hide what was answered to the other."""
        try:
            return self._delete(ids, permit)
        except (ProviderError, Stopped, Stale) as error:
            return dict.fromkeys(ids, Result(Outcome.FAILED, f"not deleted: {error}"))

    def media(self, item: Item) -> Iterator[Media]:
        """Every file of a recording. Each address comes with a token that is good for one hour and one download.

        The files may lie on another host; the account's own token is never sent there.
        """
        pages = self._files(item.id)
        first = next(pages)
        # Of several files, none says how long it is.
        length = whole(item.raw.get("rcdTime")) if len(first) == 1 else None
        for file in chain(first, chain.from_iterable(pages)):
            token, url = text(file.get("token")), text(file.get("url"))
            if not token or not url:
                raise ProviderError(f"the vendor gives no address for a file of the recording {item.id}")
            redact.add(token)
            name = f"{text(file.get('fileType')) or 'file'}-{urlsplit(url).path.rpartition('/')[2]}"
            yield Media(name, self.http.download(url, {"Authorization": token}, signed=False), duration=length)

    def _files(self, ident: str) -> Iterator[list[Row]]:
        """Every file of a recording once, page by page, as the tokens do not live long. Raises ProviderError for none.

        The answers have no count: after a page that may be full, more is asked for, until nothing new comes. As
        in ``walk``, ``offset`` may count records or pages, so that both are tried.
        """
        page = self._some_files(ident, 0)
        if not page:
            raise ProviderError(f"the vendor names no file of the recording {ident}")
        files = _each_once(page)
        # A page that comes again may have new tokens, so an address tells files apart, unless several share one.
        tell = _address if len(set(map(_address, files))) == len(files) else _address_and_token
        known = set(map(tell, files))
        yield files
        for counts_records in (True, False) if len(page) >= SHORT_PAGE else ():
            offset = len(page) if counts_records else 1
            while True:
                more = self._some_files(ident, offset)
                fresh = [file for file in more if tell(file) not in known]
                if not fresh:
                    break
                known.update(map(tell, fresh))
                if len(known) > MOST_FILES:
                    raise ProviderError(f"the vendor's list of files of the recording {ident} does not end")
                yield _each_once(fresh)
                offset += len(more) if counts_records else 1

    def _some_files(self, ident: str, offset: int) -> list[Row]:
        body = self._get(DOWNLOADS, [("confUUID", ident), ("offset", str(offset)), ("limit", str(PAGE))])
        return [
            file for row in rows_of(body, "recordUrls") if row.get("confUuid") == ident for file in rows_of(row, "urls")
        ]


def _address(file: Row) -> object:
    return text(file.get("url"))


def _address_and_token(file: Row) -> object:
    return text(file.get("url")), text(file.get("token"))


def _each_once(files: Iterable[Row]) -> list[Row]:
    return list({_address_and_token(file): file for file in files}.values())


def code(error: HttpError) -> str | None:
    """The code in Huawei's error object, in whichever of its shapes it came; None without one."""
    inner = error.body.get("error")
    for body in (error.body, inner if isinstance(inner, dict) else {}):
        for name in ("error_code", "errorCode", "code"):
            if isinstance(found := body.get(name), str):
                return found
    return None


def refusal(error: HttpError) -> HttpError:
    """The error; as a 401 or 403 if its code says that no token is good or that a right is missing."""
    for status, codes in ((401, EXPIRED), (403, FORBIDDEN)):
        if code(error) in codes:
            return AccessDenied(str(error), status, error.body)
    return error


def walk(fetch: Callable[[int], Page], *, strict: bool = False) -> Iterator[Row]:
    """Every row of a list. Raises ProviderError unless they are exactly as many as the vendor counts.

    ``offset`` counts records in today's pages of the documentation and pages in older ones. It is taken for
    a record; if that leaves rows out, it is taken for a page.
    """
    walked = Pagination(_key, strict=strict)
    page = fetch(0)
    offset, number, size = 0, 0, len(page.rows)
    while (yield from walked.take(page)) and not walked.ended:
        offset += len(page.rows)
        page = fetch(offset)
    while size > 1 and not walked.complete:
        number += 1
        page = fetch(number)
        fresh = yield from walked.take(page, overlaps=True)
        # Every size-th page was seen under the first reading.
        if not page.rows or (not fresh and number % size):
            break
    if not walked.unique <= (walked.total or 0) <= walked.shown:
        counted = f"the vendor counts {walked.total}, its pages showed {walked.shown}"
        raise Unsteady(f"the list is not complete: {counted}")


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two ends of one meeting; None if one of them is not known."""
    return max(one, other) if one and other else None


def _ident(row: Row) -> str:
    """What an item is known by: the meeting's instance, as its confID is used again."""
    return text(row.get("confUUID")) or repr(row)


def _key(row: Row) -> str:
    """What tells two rows apart: a meeting that was recorded twice has two rows with one confUUID."""
    return repr([row.get(name) for name in _TELLING]) if text(row.get("confUUID")) else repr(row)


_TELLING = ("confUUID", "startTime", "endTime", "rcdTime", "rcdSize", "decodeEndTime")


def together(items: Sequence[Item]) -> Item:
    """One item for the rows of one confUUID: over and due when the last of them is, and as large as all of them."""
    if len(items) == 1:
        return items[0]
    unclear = next((item for item in items if item.state is not State.ENDED or item.ended_at is None), None)
    last = unclear or max(items, key=lambda item: item.ended_at or LATEST)
    sizes = [item.size_bytes for item in items]
    size = sum(size or 0 for size in sizes) if None not in sizes else None
    return replace(last, size_bytes=size, raw={**last.raw, "rows": [item.raw for item in items]})


_STATES = ("available", "isDecodeFinish")


def recording(row: Mapping[str, Any], window: Window, ends: Mapping[str, datetime | None]) -> Item:
    """A recording as an ``Item``; ``ends`` are the ends of the meetings in the history, by confUUID.

    It ended a minute after ``startTime`` (whole minutes, UTC) + ``rcdTime`` (seconds), or with its meeting if
    that was later (meeting_21_0048, meeting_21_0051).
    """
    ident = row.get("confUUID")
    start, length = moment(row.get("startTime")), whole(row.get("rcdTime"))
    end, doubt = _ended(row, start, length, ends)
    state = State.ENDED
    if row.get("available") is not True:
        state, doubt = State.INCOMPLETE, "not available"
    elif row.get("isDecodeFinish") is not True:
        state, doubt = State.INCOMPLETE, "still being transcoded"
    size = whole(row.get("rcdSize"))
    undeletable = _undeletable(ident)
    return Item(
        what="recordings",
        id=ident if isinstance(ident, str) else "",
        kind=Kind.RECORDING,
        state=state,
        title=given(row.get("subject")),
        owner=given(row.get("scheduserName")),
        # The API knows no tags, so that nothing carries one.
        tags=(),
        started_at=start,
        ended_at=end,
        # In whole MB; 0 stands for less than one.
        size_bytes=size * MEBIBYTE if size and size > 0 else None,
        unreadable=doubt,
        undeletable=undeletable,
        unsendable=undeletable is not None,
        locator=(str(window.first),),
        aliases=_aliases(row),
        raw=public(row),
    )


def _undeletable(ident: object) -> str | None:
    if not isinstance(ident, str) or not ident:
        return f"it has no confUUID ({ident!r})"
    return None if _UUID.fullmatch(ident) else f"its confUUID {ident!r} is not 32 hexadecimal digits (0-9, a-f)"


def _aliases(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The meeting's number, which people know and which is used again: its name differs from list to list."""
    numbers = (text(row.get(name)) for name in ("confID", "conferenceID", "vmrConferenceID"))
    return tuple(dict.fromkeys(number for number in numbers if number))


def _ended(
    row: Mapping[str, Any], start: datetime | None, length: int | None, ends: Mapping[str, datetime | None]
) -> tuple[datetime | None, str | None]:
    """When a recording ended, or why that is not known."""
    if start is None:
        return None, f"its startTime cannot be read ({row.get('startTime')!r})"
    if length is None or not 0 < length <= LONGEST:
        return None, f"its rcdTime cannot be read ({row.get('rcdTime')!r})"
    end = start + timedelta(seconds=length) + MINUTE
    met = ends.get(str(row.get("confUUID")), end)
    return (max(end, met), None) if met else (None, "the history does not tell when its meeting ended")


def meeting(row: Mapping[str, Any], window: Window) -> Item:
    """A meeting of the history as an ``Item`` (meeting_21_0051). No API deletes one."""
    ident = row.get("confUUID")
    end = moment(row.get("endTime"))
    return Item(
        what="meetings",
        id=ident if isinstance(ident, str) else "",
        kind=Kind.MEETING,
        state=State.ENDED if _destroyed(row) else State.RUNNING,
        title=given(row.get("subject")),
        owner=given(row.get("scheduserName")),
        # The API knows no tags, so that nothing carries one.
        tags=(),
        started_at=moment(row.get("startTime")),
        ended_at=end,
        unreadable=None if end else f"its endTime cannot be read ({row.get('endTime')!r})",
        undeletable=AGES_OUT,
        locator=(str(window.first),),
        aliases=_aliases(row),
        raw=public(row),
    )


def _destroyed(row: Mapping[str, Any]) -> bool:
    """Whether a row of the history is over, as all of them should be."""
    return row.get("conferenceState") in (None, "Destroyed")


def moment(value: object) -> datetime | None:
    """``YYYY-MM-DD HH:MM``, which is UTC whatever ``timeZoneID`` says; None for anything else.

    The zone follows from the documented samples: their ranges, and the UTC clock inside their confUUIDs, fit
    only if the text is UTC (meeting_21_0048, meeting_21_0051).
    """
    when = instant(value, UTC) if isinstance(value, str) and _TIME.fullmatch(value) else None
    return when if when and when.year >= 2000 else None


def public(value: Any) -> Any:
    """A vendor's object without passwords, join links and play addresses, at any depth."""
    if isinstance(value, Mapping):
        return {name: public(part) for name, part in value.items() if not PRIVATE.fullmatch(str(name))}
    return [public(part) for part in value] if isinstance(value, list) else value
