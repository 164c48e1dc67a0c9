"""Huawei Cloud Meeting: recordings of past meetings, and the history of meetings to look at.

Source: https://support.huaweicloud.com/intl/en-us/api-meeting/, pages meeting_21_0048 (list of recordings),
meeting_21_0049 (one recording), meeting_21_0050 (deletion) and meeting_21_0051 (history).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, groupby
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from ..deadline import Deadline
from ..errors import AccessDenied, HttpError, OutcomeUnknown, ProviderError, Stale, Stopped
from ..filter import Rule
from ..http.client import Http, Permit
from ..http.paging import Page, Repeated, Row
from ..items import Item, Media, Outcome, Result
from ..redact import redact
from ..settings.tables import RuleSettings
from ..unmet import Reach
from .base import Access, Part, Provider, Source, count_of, in_turn, rows_of, text, visible, whole
from .huawei_items import STATES, History, id_mistake, meeting, read_history, recording, together
from .huawei_lists import FIRST, Window, files_of, known_by, walk, windows
from .huawei_sign_in import (
    FORBIDDEN,
    NO_ADMINISTRATOR,
    PERHAPS_NO_ADMINISTRATOR,
    Auth,
    HuaweiSettings,
    advise,
    code,
    refusal,
)

SIGNED_IN = "v1/usg/acs/token"
RECORDINGS = "v1/mmc/management/record/files"
RECORDING = "v1/mmc/management/conferences/record/files"
DOWNLOADS = "v1/mmc/management/record/downloadurls"
HISTORY = "v1/mmc/management/conferences/history"
LISTS = {"recordings": RECORDINGS, "meetings": HISTORY}

NOT_FOUND = "MMC.111070005"
NO_MEETING = "MMC.111071069"

PAGE = 100
LIMIT = ("limit", str(PAGE))
BATCH = 20
HALVED = frozenset({400, 413, 414, 422})
"""Refusals of a deletion that may be meant for one of its recordings, or for their number."""
HISTORY_KEPT = timedelta(days=366)
"""The history forgets a meeting after 6 months, or after up to 12 if the console says so."""

_KNOWN_BY = re.compile(r"[0-9a-f]{32}|[0-9]{3,20}")

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
        self._auth = Auth(settings)
        self._history: History | None = None
        self._shown: dict[str, Window] = {}
        self._permit: Permit | None = None
        self.http = Http.for_account(settings, self._auth, stop, clock, advise=advise)

    def __exit__(self, *_: object) -> None:
        # To release a token is a DELETE, and a dry run has no permit for one: its token is left to expire.
        if self._permit:
            with suppress(ProviderError, Stopped, Stale):
                self.http.delete(SIGNED_IN, self._permit, ok={200})
        super().__exit__()

    def check(self, what: Sequence[str]) -> Access:
        """Sign in and read a page of the newest window of the lists that are needed. Raises ProviderError.

        Whether an administrator may delete what others recorded is not documented.
        """
        self.http.sign_in()
        if self._auth.doubt == NO_ADMINISTRATOR:
            raise ProviderError(NO_ADMINISTRATOR)
        self._warn()
        newest = next(windows(FIRST, self.clock()))
        pages = {where: self._page(where, newest, 0) for where in {HISTORY, *(LISTS[source] for source in what)}}
        shown = [f"{visible(pages[LISTS[source]], source.removesuffix('s'))} {newest}" for source in what]
        return Access(f"signed in as {self._auth.user}", visible=tuple(shown))

    # Listing ----------------------------------------------------------------------------------

    def reach(self, what: str, rules: Sequence[Rule]) -> Reach:
        own = {
            NO_ADMINISTRATOR: "this user's own, who is no administrator",
            PERHAPS_NO_ADMINISTRATOR: "what this user sees",
        }
        return Reach(own[self._auth.doubt]) if self._auth.doubt else Reach()

    def _warn(self) -> None:
        if self._auth.doubt and self._auth.doubt not in self.warnings:
            self.warnings.append(self._auth.doubt)

    def list_items(self, what: str, rules: Sequence[Rule]) -> Iterator[Item]:
        yield from in_turn(self.parts(what, rules))

    def parts(self, what: str, rules: Sequence[Rule]) -> Iterable[Part]:
        """A part for each window: older ones than the enterprise keeps may be refused."""
        self.http.sign_in()
        self._warn()
        since = self._history_begins() if what == "meetings" else FIRST
        if what == "recordings":
            self._history = self._read_history()
        cutoff = max((rule.cutoff for rule in rules), default=FIRST)
        self._shown = {}
        for window in windows(since, self.clock()):
            yield Part(f"{what} {window}", partial(self._window_items, what, window, cutoff))

    def _history_begins(self) -> datetime:
        return self.clock() - HISTORY_KEPT

    def _known_history(self) -> History:
        """As it was read for the list, or now, where items are looked at that another run listed."""
        self._history = self._history or self._read_history()
        return self._history

    def _read_history(self) -> History:
        def rows(window: Window, strict: bool) -> Iterator[Row]:
            return self._rows(HISTORY, window, strict=strict)

        return read_history(rows, self._history_begins(), self.clock())

    def _window_items(self, what: str, window: Window, cutoff: datetime) -> Iterator[Item]:
        """The items of a window. Rows with one confUUID are one item; see ``together``.

        Where another row of an item comes later, also in another window, it stands as ``Repeated`` in the item's
        place, so that the item goes only if each of its rows is due.
        """
        if what == "recordings":
            self._known_history().require(window, self.clock())
        here: set[str] = set()
        for ident, rows in groupby(self._rows(LISTS[what], window, strict=self.strict), known_by):
            first = self._shown.setdefault(ident, window)
            items = [self._item(what, row, first, cutoff) for row in rows]
            if ident not in here and first == window:
                yield together(items)
                items = items if len(items) > 1 else []
            here.add(ident)
            yield from (replace(item, raw=Repeated(item.raw)) for item in items)

    def _item(self, what: str, row: Row, window: Window, cutoff: datetime) -> Item:
        return meeting(row, window) if what == "meetings" else self._recording(row, window, cutoff)

    def _rows(self, where: str, window: Window, *, strict: bool = False) -> Iterator[Row]:
        return walk(lambda offset: self._page(where, window, offset), strict=strict)

    def _page(self, where: str, window: Window, offset: int) -> Page:
        """One page. An enterprise's recordings are shown with queryAll only (meeting_21_0048)."""
        what = "recordings" if where == RECORDINGS else "meetings"
        with self.http.asks(f"read the {what}" + (f" after number {offset}" if offset else "")):
            return self.sizes.ask(LIMIT, partial(self._asked, where, window, offset), first=offset == 0, of=where)

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

    def _recording(self, row: Row, window: Window, cutoff: datetime) -> Item:
        """A recording; one that is due and seems to be transcoded still is asked for by itself.

        The list says "not finished" of recordings that the detail calls finished (meeting_21_0048, meeting_21_0049).
        """
        ends = self._known_history().ends
        item = recording(row, window, ends)
        due = item.ended_at is not None and item.ended_at < cutoff
        if not due or row.get("available") is not True or row.get("isDecodeFinish") is True:
            return item
        detail = self._detail(row)
        return recording({**row, **{name: detail[name] for name in STATES if name in detail}}, window, ends)

    def _detail(self, row: Row) -> Mapping[str, Any]:
        """What the vendor says of a row's recording alone; nothing if that is another one with the same confUUID."""
        ident = text(row.get("confUUID")) or ""
        if id_mistake(ident):
            return {}
        try:
            detail = self._get(RECORDING, [("confUUID", ident)])
        except HttpError as error:
            if code(error) == NOT_FOUND:
                return {}
            raise
        told = ("startTime", "rcdTime")
        same = detail.get("confUUID") == ident and all(detail.get(name) == row.get(name) for name in told)
        return detail if same else {}

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
            self._known_history().require(window, self.clock())
        return self._item(what, row, window, self.clock())

    def _window(self, item: Item) -> Window:
        """The window that showed an item. Which time of a recording the range is compared with is not documented."""
        first = whole(item.locator[0]) if item.locator else None
        if first is None:
            raise ProviderError(f"nobody knows any more which part of the list showed {item.id}")
        return Window.at(first, self.clock())

    # Deleting ---------------------------------------------------------------------------------

    def delete(self, items: Sequence[Item], permit: Permit) -> list[Result]:
        """Delete recordings in one request, whose answer says nothing of each. Raises HttpError if it was refused."""
        self._permit = permit
        sendable = [item.id for item in items if item.what == "recordings" and not id_mistake(item.id)]
        results: dict[str, Result] = {}
        try:
            if sendable:
                self._delete(sendable, permit, results)
        except (AccessDenied, Stopped, Stale) as error:
            if not results:
                raise
            failed = Result(Outcome.FAILED, f"not deleted: {error}")
            results = dict.fromkeys(sendable, failed) | results
        return [results.get(item.id, UNSENDABLE) for item in items]

    def _delete(self, ids: Sequence[str], permit: Permit, results: dict[str, Result]) -> None:
        """Add what was answered to the deletion of these. A refused batch may hold a bad one, or too many: halve it.

        Raises HttpError. What one half ends with does not hide what was answered to the other; only a refused right,
        a stopped run or a look that is too old keeps the rest from being sent.
        """
        try:
            self.http.delete(RECORDINGS, permit, ok={200}, params=[("confUUIDs", ",".join(ids))])
        except OutcomeUnknown as error:
            results |= dict.fromkeys(ids, Result(Outcome.UNKNOWN, str(error)))
        except HttpError as error:
            absent = code(error) == NOT_FOUND
            if not absent and (error.status not in HALVED or code(error) in FORBIDDEN):
                raise refusal(error) from None
            if len(ids) == 1:
                results[ids[0]] = Result(Outcome.GONE if absent else Outcome.FAILED, str(error))
                return
            for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
                try:
                    self._delete(half, permit, results)
                except AccessDenied:
                    raise
                except ProviderError as other:
                    results |= dict.fromkeys(half, Result(Outcome.FAILED, f"not deleted: {other}"))
        else:
            results |= dict.fromkeys(ids, Result(Outcome.DELETED))

    def media(self, item: Item) -> Iterator[Media]:
        """Every file of a recording. Each address comes with a token that is good for one hour and one download.

        The files may lie on another host; the account's own token is never sent there.
        """
        pages = files_of(item.id, partial(self._some_files, item.id))
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

    def _some_files(self, ident: str, offset: int) -> list[Row]:
        body = self._get(DOWNLOADS, [("confUUID", ident), ("offset", str(offset)), ("limit", str(PAGE))])
        return [
            file for row in rows_of(body, "recordUrls") if row.get("confUuid") == ident for file in rows_of(row, "urls")
        ]
