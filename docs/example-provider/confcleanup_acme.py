"""Acme Voice: call recordings. An invented vendor, to show what a provider is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from confcleanup.deadline import Deadline
from confcleanup.errors import HttpError
from confcleanup.filter import Rule
from confcleanup.http.client import Http, Permit
from confcleanup.http.paging import Page, Row, by_page
from confcleanup.http.urls import path
from confcleanup.items import Item, Kind, Outcome, Result, State
from confcleanup.providers.base import Provider, Source, count_of, given, instant, rows_of, text, whole
from confcleanup.settings.secrets import Secret
from confcleanup.settings.tables import AccountSettings, RuleSettings
from confcleanup.settings.values import Pace

STATES = {"finished": State.ENDED, "recording": State.RUNNING}


class RecordingRule(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule takes beside ``older_than``, ``title``, ``keep_ids`` and ``archive``: the host of the call."""

    owner: str | None = None


class AcmeSettings(AccountSettings, frozen=True, kw_only=True):
    """What an account takes beside ``url``, ``timeout`` and the limits. Acme allows 10 requests a second."""

    api_key: Secret
    rate: Pace = Pace(10, 1)


class _Auth:
    """A key in a header: there is nothing to sign in to, and nothing that expires."""

    def __init__(self, settings: AcmeSettings) -> None:
        self._settings = settings

    def sign_in(self, http: Http) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._settings.api_key.reveal()}"}

    def token_expired(self, error: HttpError) -> bool:
        return False


class Acme(Provider):
    """One account at Acme Voice."""

    name = "acme"
    title = "Acme Voice (an invented vendor)"
    settings_type = AcmeSettings
    sources = {"recordings": Source("call recordings", RecordingRule, archivable=False)}

    def __init__(self, settings: AcmeSettings, stop: Deadline, clock: Callable[[], datetime]) -> None:
        super().__init__(settings, stop, clock)
        self.http = Http.for_account(settings, _Auth(settings), stop, clock)

    def list_items(self, what: str, rules: Sequence[Rule]) -> Iterator[Item]:
        for row in by_page(self._page, key=lambda row: text(row.get("id"))):
            yield recording(row)

    def _page(self, number: int) -> Page:
        with self.http.asks(f"read page {number} of the recordings"):
            body = self.http.get(path("v1", "recordings"), [("page", str(number))]).json()
            return Page(rows_of(body, "recordings"), count_of(body, "total"))

    def get(self, item: Item) -> Item | None:
        try:
            return recording(self.http.get(path("v1", "recordings", item.id)).json())
        except HttpError as error:
            if error.status == 404:
                return None
            raise

    def delete(self, items: Sequence[Item], permit: Permit) -> list[Result]:
        return [self._delete(item, permit) for item in items]

    def _delete(self, item: Item, permit: Permit) -> Result:
        self.http.delete(path("v1", "recordings", item.id), permit, ok=[204])
        return Result(Outcome.DELETED)


def recording(row: Row) -> Item:
    """An item from Acme's object. What cannot be read is said in ``unreadable``, and the item is kept."""
    ended, state = instant(row.get("ended_at")), STATES.get(str(row.get("state")), State.UNKNOWN)
    unread = state is State.ENDED and ended is None
    return Item(
        what="recordings",
        id=text(row.get("id")) or "",
        kind=Kind.RECORDING,
        state=state,
        title=given(row.get("title")),
        owner=given(row.get("host")),
        tags=(),
        started_at=instant(row.get("started_at")),
        ended_at=ended,
        size_bytes=whole(row.get("bytes")),
        unreadable=f"its ended_at cannot be read ({row.get('ended_at')!r})" if unread else None,
        raw=row,
    )
