"""Huawei Cloud Meeting: recordings of past meetings, and the history of meetings to look at.

Source: https://support.huaweicloud.com/intl/en-us/api-meeting/, pages meeting_21_0311 (sign-in with an App ID),
meeting_21_0307 (token), meeting_21_0048 (list of recordings), meeting_21_0049 (one recording),
meeting_21_0050 (deletion) and meeting_21_0051 (history).
"""

from __future__ import annotations

import base64
import hmac
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from msgspec.structs import replace

from ..errors import AccessRefused, Ambiguous, HttpError, ProviderError, Stopped
from ..http import Http, Permit
from ..items import Item, Kind, Media, Outcome, Result, State
from ..pace import Stop
from ..paging import Page, Repeated, Row, Unsteady, Walk, twice
from ..redact import redact
from ..selection import Rule
from ..settings import AccountSettings, Pace, Rate, RuleSettings, Secret
from .base import OUTAGES, Part, Provider, Source, count_of, in_turn, instant, is_outage, rows_of, text, whole

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
_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}(:\d{2})?")

NO_ADMINISTRATOR = (
    "the account is no administrator, so that only its own recordings are listed: "
    "give an administrator's user_id, or none for the default administrator"
)
AGES_OUT = "no API deletes the record of a past meeting; it ages out by itself"
UNSENDABLE = Result(Outcome.FAILED, "its id is not a recording's confUUID (32 hexadecimal digits); it was not sent")
NOT_CONFIRMED = "still listed after the deletion: not confirmed"


class RecordingRule(RuleSettings, frozen=True, kw_only=True):
    """A rule for recordings or meetings. ``owner`` is a glob over ``scheduserName``."""

    owner: str | None = None

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        for ident in self.keep_ids:
            if not _UUID.fullmatch(_plain(ident)):
                yield "keep_ids", f"{ident!r} is no confUUID; write its 32 hexadecimal digits in quotes"

    def ids(self) -> frozenset[str]:
        """The confUUIDs to keep, also given in capitals or with dashes."""
        return frozenset(map(_plain, self.keep_ids))


def _plain(ident: str | int) -> str:
    return str(ident).replace("-", "").lower()


class HuaweiSettings(AccountSettings, frozen=True, kw_only=True):
    """A Huawei Cloud Meeting account. Without ``user_id`` it is the enterprise's default administrator.

    ``corp_id`` is for service providers only; one enterprise's sign-in fails with it (meeting_21_0311).
    """

    asked = ("url", "app_id", "app_key", "user_id")

    url: str = "https://api-intl.meeting.huaweicloud.com"
    app_id: str
    app_key: Annotated[Secret, Secret]
    user_id: str = ""
    corp_id: str | None = None
    rate: Annotated[Pace, Rate] = Pace(60, 60)

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        if not self.app_id.strip():
            yield "app_id", "is empty"


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
            answer = http.sign_in_post(SIGN_IN, json_body=body, headers=self._headers(body)).json()
        except AccessRefused as error:
            why = {412: "the account is disabled", 423: "the account is locked"}.get(error.status or 0)
            raise AccessRefused(f"{error}: {why}" if why else str(error), error.status, error.body) from None
        token = answer.get("accessToken")
        if not isinstance(token, str) or not token:
            raise AccessRefused("the sign-in failed: the answer holds no access token")
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

    def expired(self, error: HttpError) -> bool:
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

    def __init__(self, settings: HuaweiSettings, stop: Stop, clock: Callable[[], datetime]) -> None:
        super().__init__(settings, stop, clock)
        self._auth = _Auth(settings)
        self._ends: Mapping[str, datetime | None] | None = None
        self._unread: Mapping[int, ProviderError] = {}
        self._shown: dict[str, Window] = {}
        self._permit: Permit | None = None
        # A deletion is verified by a list; another one under way would shift that list's pages.
        self._one_by_one = threading.Lock()
        self.http = Http.for_account(settings, self._auth, stop, clock)

    def __exit__(self, *_: object) -> None:
        # To release a token is a DELETE, and a dry run has no permit for one: its token is left to expire.
        if self._permit:
            with suppress(ProviderError, Stopped):
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

    def items(self, what: str, rules: Sequence[Rule]) -> Iterator[Item]:
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

        The windows of the history that could not be listed are left in ``_unread``. Raises AccessRefused.
        """
        ends: dict[str, datetime | None] = {}
        unread: dict[int, ProviderError] = {}
        read = outages = 0
        for window in windows(self._history_begins(), self.clock()):
            try:
                found = twice(partial(self._ends_in, window))
            except ProviderError as error:
                if isinstance(error, AccessRefused) and not (read and error.status == 403):
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

    def look(self, item: Item) -> Item | None:
        window = self._window(item)
        found = [row for row in self._rows(LISTS[item.what], window) if row.get("confUUID") == item.id]
        if not found:
            return None
        if item.what == "recordings":
            if self._ends is None:
                self._ends = self._meeting_ends()
            self._require_history(window)
        return together([self._item(item.what, row, window, self.clock()) for row in found])

    def _window(self, item: Item) -> Window:
        """The window that showed an item. Which time of a recording the range is compared with is not documented."""
        first = whole(item.address[0]) if item.address else None
        if first is None:
            raise ProviderError(f"nobody knows any more which part of the list showed {item.id}")
        return Window.at(first, self.clock())

    # Deleting ---------------------------------------------------------------------------------

    def delete(self, items: Sequence[Item], permit: Permit) -> list[Result]:
        """Deletes recordings in one request and lists them again, because the answer says nothing of each.

        Raises HttpError where the whole request was refused.
        """
        self._permit = permit
        sendable = [item for item in items if item.what == "recordings" and _UUID.fullmatch(item.id)]
        with self._one_by_one:
            results = self._delete_halving(sendable, permit) if sendable else {}
        return [results.get(item.key, UNSENDABLE) for item in items]

    def _delete_halving(self, items: Sequence[Item], permit: Permit) -> dict[tuple[str, ...], Result]:
        """As ``_delete``. A refused batch is halved until what is refused stands alone, in 2n - 1 requests at most."""
        try:
            return self._delete(items, permit)
        except HttpError as error:
            if len(items) == 1 or error.status not in HALVED:
                raise
        done: dict[tuple[str, ...], Result] = {}
        middle = len(items) // 2
        for half in (items[:middle], items[middle:]):
            try:
                done |= self._delete_halving(half, permit)
            except (ProviderError, Stopped) as error:
                done |= {item.key: Result(Outcome.FAILED, f"not deleted: {error}") for item in half}
        return done

    def _delete(self, items: Sequence[Item], permit: Permit) -> dict[tuple[str, ...], Result]:
        """What became of each of these items, of which there is one at least."""
        outcome, trouble = Outcome.DELETED, NOT_CONFIRMED
        try:
            self.http.delete(RECORDINGS, permit, ok={200}, params=[("confUUIDs", ",".join(i.id for i in items))])
        except Ambiguous as error:
            trouble = f"{error}; {NOT_CONFIRMED}"
        except HttpError as error:
            if code(error) != NOT_FOUND:
                raise refusal(error) from None
            outcome, trouble = Outcome.GONE, str(error)
        try:
            with self.stop.finishing():
                left = self._left(items)
        except (ProviderError, Stopped) as error:
            why = f"asked for, but whether it is still listed is not known: {error}"
            return {item.key: Result(Outcome.UNKNOWN, why) for item in items}
        done = {item.key: Result(Outcome.FAILED, trouble) if item in left else Result(outcome) for item in items}
        if outcome is Outcome.GONE and 0 < len(left) < len(items):
            # Refused because of those that are gone: the others were not touched.
            try:
                done |= self._delete(left, permit)
            except (ProviderError, Stopped) as error:
                done |= {item.key: Result(Outcome.FAILED, str(error)) for item in left}
        return done

    def fetch(self, item: Item) -> Iterator[Media]:
        """Every file of a recording. Each address comes with a token that is good for one hour and one download.

        The files may lie on another host; the account's own token is never sent there.
        """
        body = self._get(DOWNLOADS, [("confUUID", item.id), ("offset", "0"), ("limit", str(PAGE))])
        files = [
            file
            for row in rows_of(body, "recordUrls")
            if row.get("confUuid") == item.id
            for file in rows_of(row, "urls")
        ]
        # The answer has no count, so a full page may not be all.
        if not 0 < len(files) < PAGE:
            raise ProviderError(
                f"the vendor names {len(files)} files of the recording {item.id}; 1 to {PAGE - 1} can be had"
            )
        for file in files:
            token, url = text(file.get("token")), text(file.get("url"))
            if not token or not url:
                raise ProviderError(f"the vendor gives no address for a file of the recording {item.id}")
            redact.add(token)
            name = f"{text(file.get('fileType')) or 'file'}-{urlsplit(url).path.rpartition('/')[2]}"
            yield Media(name, self.http.download(url, {"Authorization": token}, signed=False))

    def _left(self, items: Sequence[Item]) -> list[Item]:
        """Those that are still listed. Raises ProviderError if that cannot be told."""
        listed: set[object] = set()
        for window in {self._window(item) for item in items}:
            listed |= {row.get("confUUID") for row in self._rows(LISTS["recordings"], window)}
        return [item for item in items if item.id in listed]


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
            return AccessRefused(str(error), status, error.body)
    return error


def walk(fetch: Callable[[int], Page], *, strict: bool = False) -> Iterator[Row]:
    """Every row of a list. Raises ProviderError unless they are exactly as many as the vendor counts.

    ``offset`` counts records in today's pages of the documentation and pages in older ones. It is taken for
    a record; if that leaves rows out, it is taken for a page.
    """
    walked = Walk(_key, strict=strict)
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
    unclear = next((item for item in items if item.state is not State.OVER or item.ended_at is None), None)
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
    state = State.OVER
    if row.get("available") is not True:
        state, doubt = State.UNFINISHED, "not available"
    elif row.get("isDecodeFinish") is not True:
        state, doubt = State.UNFINISHED, "still being transcoded"
    size = whole(row.get("rcdSize"))
    return Item(
        what="recordings",
        id=ident if isinstance(ident, str) else "",
        kind=Kind.RECORDING,
        state=state,
        title=text(row.get("subject")),
        owner=text(row.get("scheduserName")),
        started_at=start,
        ended_at=end,
        # In whole MB; 0 stands for less than one.
        size_bytes=size * MEBIBYTE if size and size > 0 else None,
        doubt=doubt,
        undeletable=None if isinstance(ident, str) and ident else f"it has no confUUID ({ident!r})",
        address=(str(window.first),),
        raw=public(row),
    )


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
        state=State.OVER if _destroyed(row) else State.RUNNING,
        title=text(row.get("subject")),
        owner=text(row.get("scheduserName")),
        started_at=moment(row.get("startTime")),
        ended_at=end,
        doubt=None if end else f"its endTime cannot be read ({row.get('endTime')!r})",
        undeletable=AGES_OUT,
        address=(str(window.first),),
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
