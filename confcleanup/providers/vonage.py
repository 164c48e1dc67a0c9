"""Vonage Business Communications (VBC): call recordings, made by the company's rules or by users on demand.

Sources: https://developer.vonage.com/en/api/vonage-business-cloud/call-recording (the API reference), and in
Vonage/vbc-developer on GitHub ``_open_api/definitions/provisioning.yml`` (users) and the guides
``_documentation/en/getting-started/`` (create-an-access-token, create-an-application,
create-a-vbc-integration-user).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from ..deadline import Deadline
from ..errors import HttpError, ProviderError
from ..filter import Rule, same_owner
from ..http.client import Http, Permit
from ..http.paging import Page, Repeated, Row, by_page_from_0_or_1, twice
from ..http.urls import path
from ..items import Item, Media, Outcome, Result
from ..settings.tables import RuleSettings
from ..unmet import Reach
from .base import (
    Access,
    Part,
    Provider,
    Source,
    in_turn,
    require_same,
    seconds_of,
    sendable,
    text,
    visible,
)
from .vonage_recordings import id_mistake, page_of, recording
from .vonage_sign_in import DOMAIN, Auth, VonageSettings, advise, login
from .vonage_users import user_of

T = TypeVar("T")
COMPANY, ON_DEMAND = "company-recordings", "on-demand-recordings"
PAGE_SIZE = ("page_size", "100")
_ADVICE = {
    (COMPANY, 403): "the user needs the permission for Company Call Recording, the application the CallRecording suite",
    (ON_DEMAND, 403): "the user must be an Account Administrator, the application needs the CallRecording suite",
    ("users", 403): "the application needs the Provisioning suite; or name the users in the account's users",
    (COMPANY, 404): "check the account's url and account_id",
    (ON_DEMAND, 404): "check the account's url, account_id and users",
    ("users", 404): "check provisioning_url; if account_id is 'self', write the account's number instead",
}
NO_USERS = "the list of users is empty, although the API user must be in it"


class RecordingRule(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule for recordings. ``owner``: of company recordings the extensions, of on-demand ones the user."""

    owner: str | None = None


def _begun(_: VonageSettings, rules: Sequence[Rule]) -> str:
    latest = _latest(rules)
    return f"that began before {latest:%Y-%m-%d %H:%M} UTC" if latest else ""


class Vonage(Provider):
    """One VBC account."""

    name = "vonage"
    title = "Vonage Business Communications (Call Recording API)"
    settings_type = VonageSettings
    sources = {
        COMPANY: Source("call recordings that the company's rules made", RecordingRule, media=True, part=_begun),
        ON_DEMAND: Source("call recordings that users made on demand", RecordingRule, media=True, part=_begun),
    }

    def __init__(self, settings: VonageSettings, stop: Deadline, clock: Callable[[], datetime]) -> None:
        super().__init__(settings, stop, clock)
        self._account = str(settings.account_id)
        self._provisioning: tuple[str, ...] = ("api", "accounts", self._account)
        self.http = Http.for_account(settings, Auth(settings), stop, clock, self._pause, advise=advise)

    def _pause(self, error: HttpError) -> float | None:
        """Seconds until the gateway's ``nextAccessTime``, such as ``2025-Jun-26 04:00:00+0000 UTC``; None if past."""
        fault = error.body.get("fault")
        stated = (fault if isinstance(fault, dict) else error.body).get("nextAccessTime")
        try:
            when = datetime.strptime(str(stated), "%Y-%b-%d %H:%M:%S%z UTC")
        except ValueError:
            return None
        seconds = (when - self.clock()).total_seconds()
        return seconds if seconds > 0 else None

    def check(self, what: Sequence[str]) -> Access:
        """Read one page of each list. Of all users only the first is tried, because each of them costs a request.

        Nothing tells the right to delete.
        """
        self.http.sign_in()
        shown = [visible(self._first_page(COMPANY), "company recording")] if COMPANY in what else []
        shown += self._check_users() if ON_DEMAND in what else []
        return Access(f"signed in as {login(self.settings)}{DOMAIN}", visible=tuple(shown))

    def _check_users(self) -> list[str]:
        """How many on-demand recordings there are, in words: of the first of all users, or of each that is named."""
        if self.settings.users == "all":
            user = self._first_user()
            return [f"{self._on_demand(user)} of user {user} (the first of all users)"]
        if self.settings.users == "self":
            page = self._first_page(ON_DEMAND, "self")
            if not (page.total or page.rows):
                self.warnings.append("users = 'self' is the API user alone, who has no on-demand recordings")
            return [f"{visible(page, 'on-demand recording')} of this user"]
        return [f"{self._on_demand(user)} of user {user}" for user in self.settings.users]

    def _on_demand(self, user: str) -> str:
        try:
            return visible(self._first_page(ON_DEMAND, user), "on-demand recording")
        except ProviderError as error:
            error.args = (f"user {user}: {error}",)
            raise

    def _first_page(self, what: str, user: str = "") -> Page:
        """The first page of recordings. Raises ProviderError."""
        where, params = self._place(what, (user,) if user else ()), [("order", "start:ASC")]
        try:
            return self._page(where, 1, params, None, ("recordings",))
        except HttpError as error:
            raise self._explained(error, what) from None

    def _first_user(self) -> str:
        """The id of the first user in the list. Raises ProviderError."""
        base = self.settings.provisioning_url
        try:
            row = self._provisioned(lambda at: next(self._rows(at, ("data", "users"), base=base), None), "users")
        except HttpError as error:
            raise self._explained(error, "users") from None
        if row is None:
            raise ProviderError(NO_USERS)
        return user_of(row)[0]

    # The list ---------------------------------------------------------------------------------

    def reach(self, what: str, rules: Sequence[Rule]) -> Reach:
        """What ``_latest`` and the setting ``users`` leave of it."""
        users = " of the account's users" if what == ON_DEMAND and self.settings.users != "all" else ""
        latest = _latest(rules)
        begun = f" that began before {latest:%Y-%m-%d %H:%M} UTC" if latest else ""
        return Reach(f"those{users}{begun}" if users or begun else "")

    def list_items(self, what: str, rules: Sequence[Rule]) -> Iterator[Item]:
        yield from in_turn(self.parts(what, rules))

    def parts(self, what: str, rules: Sequence[Rule]) -> Iterable[Part]:
        """The company's recordings are one part; of those made on demand each user's are one."""
        if what == ON_DEMAND:
            return self._parts_of_users(rules)
        return [Part("", lambda: self._list(what, rules=rules))]

    def _list(self, what: str, user: str = "", owner: str = "", *, rules: Sequence[Rule] = ()) -> Iterator[Item]:
        """Recordings up to what ``_latest`` says. Raises ProviderError."""
        locator = (user,) if user else ()
        where, params = self._place(what, locator), [("order", "start:ASC"), *_until(rules)]
        try:
            for row in self._rows(where, ("recordings",), params, strict=self.strict):
                yield recording(row, what, locator, owner)
        except HttpError as error:
            raise self._explained(error, what) from None

    def _parts_of_users(self, rules: Sequence[Rule]) -> Sequence[Part]:
        """A part for each user whose recordings are meant.

        All users come from Provisioning (``provisioning.yml``), active or not: recordings outlive their makers. That a
        user's list is refused proves nothing about that user's recordings, whatever the user's status.
        """
        if self.settings.users == "self":
            own = login(self.settings)
            return [Part("", lambda: self._list(ON_DEMAND, "self", own, rules=rules))]
        if self.settings.users != "all":
            return [Part(f"user {user}", partial(self._of_named, user, rules)) for user in self.settings.users]
        try:
            users = self._provisioned(lambda where: twice(partial(self._users, where)), "users")
        except HttpError as error:
            raise self._explained(error, "users") from None
        if not users:
            raise ProviderError(NO_USERS)
        return [Part(f"user {row.get('id')}", partial(self._of_row, row, rules)) for row in users]

    def _users(self, where: str, strict: bool) -> list[Row]:
        """The rows of the list of users, each user once."""
        rows = self._rows(where, ("data", "users"), base=self.settings.provisioning_url, strict=strict)
        return [row for row in rows if not isinstance(row, Repeated)]

    def _provisioned(self, ask: Callable[[str], T], *rest: str) -> T:
        """What Provisioning answers. Others reach it under ``/v1`` (public clients), so a 404 is tried there too."""
        try:
            return ask(path(*self._provisioning, *rest))
        except HttpError as error:
            if error.status != 404 or self._provisioning[0] == "v1":
                raise
            refused = error
        try:
            found = ask(path("v1", *self._provisioning, *rest))
        except HttpError:
            raise refused from None
        self._provisioning = ("v1", *self._provisioning)
        return found

    def _of_row(self, row: Row, rules: Sequence[Rule]) -> Iterator[Item]:
        return self._list(ON_DEMAND, *user_of(row), rules=rules)

    def _of_named(self, user: str, rules: Sequence[Rule]) -> Iterator[Item]:
        return self._list(ON_DEMAND, user, self._name_of(user, rules), rules=rules)

    def _name_of(self, user: str, rules: Sequence[Rule]) -> str:
        """The name of a user given by id; it is asked for if a rule or a hold names an owner that may be this one."""
        holds = [hold.owner for rule in rules for hold in rule.holds if hold.owner]
        wanted = [rule.owner for rule in rules if rule.owner]
        if any(same_owner(user, hold) for hold in holds):
            return user
        if not holds and all(same_owner(user, owner) for owner in wanted):
            return user
        try:
            with self.http.asks("read the user", "provisioning_url"):
                body = self._provisioned(
                    lambda at: self.http.get(at, base=self.settings.provisioning_url), "users", user
                )
                return user_of(body.json())[1]
        except HttpError as error:
            raise self._explained(error, "users") from None

    def _explained(self, error: HttpError, what: str) -> HttpError:
        """A refused list in words that help; what is neither 403 nor 404 as it is.

        It is an error of that list alone: other users' lists, or the company's, may be open. Raises AccessDenied
        where the sign-in was refused.
        """
        self.http.sign_in()
        advice = _ADVICE.get((what, error.status or 0))
        return HttpError(error.what, error.status, error.body, advice=advice) if advice else error

    def _rows(
        self,
        where: str,
        names: Sequence[str],
        params: Sequence[tuple[str, str]] = (),
        base: str | None = None,
        *,
        strict: bool = False,
    ) -> Iterator[Row]:
        """All rows of a list, which stand in ``_embedded`` under one of these names.

        The first page is 1 by the API reference and 0 in its examples. The answer's ``_links`` are never
        followed: they drop the filters, and could name another host.
        """
        return by_page_from_0_or_1(
            lambda number: self._page(where, number, params, base, names),
            lambda row: text(row.get("id")) or repr(row),
            strict=strict,
        )

    def _page(
        self, where: str, number: int, params: Sequence[tuple[str, str]], base: str | None, names: Sequence[str]
    ) -> Page:
        """One page. The largest page_size is not documented."""
        asked = [*params, ("page", str(number))]
        with self.http.asks(f"read page {number} of the {names[-1]}", "provisioning_url" if base else "url"):
            found = self.sizes.ask(
                PAGE_SIZE,
                lambda size: self.http.get(where, [*asked, *size], base=base),
                first=number == 1,
                of=base or "",
            )
            return page_of(found.json(), names, number)

    # One recording ----------------------------------------------------------------------------

    def get(self, item: Item) -> Item | None:
        """The recording as it is now; None for a 404 without a body, as documented. Raises ProviderError.

        A 404 with a body may be the gateway's, and another recording than asked is no answer.
        """
        try:
            with self.http.asks("read it again"):
                row = self.http.get(self._address(item)).json()
        except HttpError as error:
            if error.status != 404 or not error.silent:
                raise
            return None
        require_same(text(row.get("id")), "recording", item.id)
        return recording(row, item.what, item.locator, item.owner if item.locator else None)

    def delete(self, items: Sequence[Item], permit: Permit) -> list[Result]:
        """One request each, of which only 204 proves anything; no bulk deletion exists (API reference)."""
        return [self._delete(item, permit) for item in items]

    def _delete(self, item: Item, permit: Permit) -> Result:
        self.http.delete(self._address(item), permit, ok={204})
        return Result(Outcome.DELETED)

    def media(self, item: Item) -> Iterator[Media]:
        """The recording's one file, from its ``download_url`` (API reference), which needs the sign-in."""
        url = text(item.raw.get("download_url")) or ""
        if urlsplit(url)[:2] != urlsplit(self.settings.url)[:2]:
            raise ProviderError("its download_url is missing or on another host, where the token is never sent")
        name = text(item.raw.get("file_name")) or f"{item.id}.mp3"
        download = self.http.download(url, sized=item.size_bytes is not None)
        yield Media(name, download, item.size_bytes, duration=seconds_of(item.raw.get("duration")))

    def _address(self, item: Item) -> str:
        """``export`` and ``jobs`` stand where ids stand, so an id is digits, or it is not sent."""
        return self._place(item.what, item.locator, sendable(item.id, id_mistake))

    def _place(self, what: str, locator: tuple[str, ...], *ident: str) -> str:
        """The path of a source's recordings, or of one of them. Raises UnsafeId."""
        place: tuple[str, ...] = ("company_call_recordings",)
        if what != COMPANY:
            user = "".join(locator)
            place = ("users", user if user == "self" else sendable(user, id_mistake), "call_recordings")
        return path("api", "accounts", self._account, *place, *ident)


def _until(rules: Sequence[Rule]) -> list[tuple[str, str]]:
    """The filter for all that may be due: what ended before a cutoff began before it. Inclusive, whole seconds, UTC."""
    latest = _latest(rules)
    return [("start:lte", latest.replace(microsecond=0, tzinfo=None).isoformat() + "+0000")] if latest else []


def _latest(rules: Sequence[Rule]) -> datetime | None:
    """The latest cutoff of the rules; None if one keeps the newest, which are younger."""
    if any(rule.keep_last for rule in rules):
        return None
    return max((rule.cutoff.astimezone(UTC) for rule in rules), default=None)
