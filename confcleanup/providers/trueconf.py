"""TrueConf Server: conferences, through API v3.x or v4, or listed by a Room's ``getScheduler``.

Sources: https://developers.trueconf.com/api/server, https://docs.trueconf.com/videosdk/en/ and
https://trueconf.com/blog/knowledge-base/how-to-delete-past-meetings-automatically.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from ..deadline import Deadline
from ..errors import AccessDenied, HttpError, ProviderError
from ..filter import Rule
from ..http.answer import Answer, uncontradicted
from ..http.client import Http, Permit
from ..http.failures import Asked
from ..http.paging import Page, Repeated, by_page, by_page_from_0_or_1
from ..http.urls import path
from ..items import Item, Outcome, Result
from ..settings.secrets import Secret, Token
from ..settings.tables import AccountSettings, RuleSettings
from ..settings.values import Pace
from ..unmet import Reach
from .base import (
    Access,
    Provider,
    Restored,
    Source,
    count_of,
    counted,
    require_same,
    rows_of,
    text,
    token_of,
    visible,
    whole,
)
from .trueconf_conferences import conference

PAGE_V3, PAGE_V4 = ("page_size", "100"), ("page_size", "1000")
RESTORED = (
    *("id", "topic", "description", "owner", "type", "mode", "schedule", "tags", "invitations", "access"),
    *("max_podiums", "max_participants", "allow_guests", "auto_invite", "rights", "recording"),
)
"""What of a saved conference is sent to create it anew; the rest the server makes by itself."""
WEBSOCKET = ("ws://", "wss://")
_CALL_STRING = re.compile(r"\\c\\(?P<id>[^@]+)(@.*)?", re.IGNORECASE)
_LINK = re.compile(r"https?://[^/]+/(c|webrtc)/(?P<id>[^/?#]+)([/?#].*)?", re.IGNORECASE)


class ConferenceRule(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule for conferences."""

    owner: str | None = None
    tags: tuple[str, ...] = ()
    keep_tags: tuple[str, ...] = ()
    rooms: bool = False

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.rooms and not self.tags:
            yield "rooms", "rooms = true needs tags: a room without a schedule goes only if it carries one of them"
        for ident in self.keep_ids:
            if isinstance(ident, int):
                yield "keep_ids", f"write {ident} in quotes; ids are text, and their leading zeros matter"

    @classmethod
    def spellings(cls, written: str) -> Collection[str]:
        """Also a call string ``\\c\\0073310045``, a link ``https://host/c/0073310045`` and ``0073310045@host``.

        Which host they name is no matter: to keep one conference too many does no harm.
        """
        written = written.strip()
        if found := _CALL_STRING.fullmatch(written) or _LINK.fullmatch(written):
            return (unquote(found["id"]) if "/" in written else found["id"],)
        return dict.fromkeys((written, written.partition("@")[0] or written))


class TrueConfSettings(AccountSettings, frozen=True, kw_only=True):
    """A TrueConf account. ``room_url`` lists through a Room or VideoSDK; deletion is always the server's."""

    asked = ("url", "client_id", "client_secret")

    api: Annotated[
        str, msgspec.Meta(pattern=r"^v(3(\.[0-9]{1,2})?|4(\.[0-9]{1,2})?)$", description='"v3.11" or "v4"')
    ] = "v3.11"
    client_id: str | None = None
    client_secret: Secret | None = None
    username: str | None = None
    password: Secret | None = None
    access_token: Token | None = None
    room_url: str | None = None
    room_pin: Secret | None = None
    rate: Pace = Pace(20, 1)

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        user = self.username is not None or self.password is not None
        ways = [self.access_token is not None, self.client_secret is not None, user]
        if sum(ways) != 1:
            yield (
                "",
                "give one way to sign in: access_token, client_id + client_secret, or client_id + username + password",
            )
        elif user and None in (self.client_id, self.username, self.password):
            yield "", "signing in as a user needs client_id, username and password"
        elif self.client_secret and self.client_id is None:
            yield "client_id", "is missing beside client_secret"
        if self.room_url and not self.room_url.startswith(WEBSOCKET):
            yield "room_url", f"{self.room_url!r} is not a WebSocket address; write ws://ROOM-ADDRESS:8765"
        if self.room_pin and not self.room_url:
            yield "room_pin", "goes with room_url"

    def urls(self) -> Iterator[tuple[str, str]]:
        yield from super().urls()
        if self.room_url and self.room_url.startswith(WEBSOCKET):
            yield "room_url", self.room_url

    def default_owner(self) -> str | None:
        """A user's token lists other people's conferences too; without an owner in the rule, only the user's own go."""
        return self.username


class _Auth:
    """OAuth 2 by client credentials, by password, or a token that was given. The token goes in the header only."""

    def __init__(self, settings: TrueConfSettings) -> None:
        self._settings = settings
        self.scope: str | None = None

    @property
    def as_whom(self) -> str:
        """Who signs in, in words."""
        settings = self._settings
        if settings.access_token:
            return "with access_token"
        return f"as user {settings.username}" if settings.username else f"as application {settings.client_id}"

    def sign_in(self, http: Http) -> Mapping[str, str]:
        given = self._settings.access_token
        return {"Authorization": f"Bearer {given.reveal() if given else self._fetch(http)}"}

    def _fetch(self, http: Http) -> str:
        v4 = self._settings.api.startswith("v4")
        where = path("api", self._settings.api, "oauth2", "token") if v4 else path("oauth2", "v1", "token")
        check = self._settings.named("client_id", "client_secret", "username", "password")
        answer = http.authenticate(where, json_body=self._grant(), check=check).json()
        self.scope = text(answer.get("scope"))
        return token_of(answer)

    def _grant(self) -> dict[str, Any]:
        settings = self._settings
        if settings.client_secret:
            secret = settings.client_secret.reveal()
            return {"grant_type": "client_credentials", "client_id": settings.client_id, "client_secret": secret}
        password = settings.password.reveal() if settings.password else ""
        return {
            "grant_type": "password",
            "client_id": settings.client_id,
            "username": settings.username,
            "password": password,
        }

    def token_expired(self, error: HttpError) -> bool:
        if self._settings.access_token:
            return False
        return error.status == 401 or (error.status == 403 and reason(error) == "accessTokenInvalid")


def _tagged(settings: TrueConfSettings, rules: Sequence[Rule]) -> str:
    tag = None if settings.room_url or settings.api.startswith("v4") else _only_tag(rules)
    return f"listed with the tag {tag!r}" if tag else ""


class TrueConf(Provider):
    """One TrueConf Server."""

    name = "trueconf"
    title = "TrueConf Server (API v3.x and v4), also listed through a Room or VideoSDK"
    settings_type = TrueConfSettings
    sources = {
        "conferences": Source(
            "ended one-time conferences; tagged rooms if the rule says so",
            ConferenceRule,
            recheck=True,
            details=True,
            part=_tagged,
        )
    }

    def __init__(self, settings: TrueConfSettings, stop: Deadline, clock: Callable[[], datetime]) -> None:
        super().__init__(settings, stop, clock)
        self._auth = _Auth(settings)
        self._v4 = settings.api.startswith("v4")
        self.http = Http.for_account(settings, self._auth, stop, clock, advise=self._advise)

    def _advise(self, method: str, error: HttpError) -> str:
        """What to do about a refusal: https://developers.trueconf.com/api/server names the rights."""
        expired = error.status == 401 or reason(error) == "accessTokenInvalid"
        if expired and self.settings.access_token:
            return f"create another token, because {self.settings.named('access_token')} is wrong or has expired"
        if error.status == 404 and reason(error) != "conferenceNotFound":
            return "the server does not know this address: check the account's url and api"
        right = "conferences:read" if method == "GET" else "conferences:write"
        needs = f"the application needs the right {right}: give it in the server's control panel"
        return needs if error.status == 403 and not expired else ""

    def check(self, what: Sequence[str]) -> Access:
        """Sign in and read one page. A sign-in's answer names the rights; of a token that was given nobody knows."""
        self.http.sign_in()
        if self.settings.room_url:
            shown = f"{counted(sum(1 for _ in self._list_room(())), 'conference')} visible in the Room's schedule"
        else:
            shown = visible(self._page(1, None), "conference")
        scope = set((self._auth.scope or "").split())
        if scope and not scope & {"conferences", "conferences:write"}:
            raise ProviderError(
                "the application may not delete conferences: give it the right conferences:write in the control panel"
            )
        return Access(f"signed in {self._auth.as_whom}", bool(scope), (shown,))

    def list_items(self, what: str, rules: Sequence[Rule]) -> Iterator[Item]:
        if self.settings.room_url:
            yield from self._list_room(rules)
            return
        tag = _only_tag(rules)
        walk = by_page_from_0_or_1 if self._v4 else by_page
        rows = walk(lambda number: self._page(number, tag), lambda row: repr(row.get("id")), strict=self.strict)
        yield from map(conference, rows)

    def _page(self, number: int, tag: str | None) -> Page:
        size = PAGE_V4 if self._v4 else PAGE_V3
        params = [("page" if self._v4 else "page_id", str(number))]
        filters = [("tag", tag)] if tag and not self._v4 else []
        counted = "results" if self._v4 else "cnt"
        where = path("api", self.settings.api, "conferences")
        with self.http.asks(f"read page {number} of the conferences"):
            answer = self.sizes.ask(
                size, lambda sized: self.http.get(where, [*params, *sized, *filters]), first=number == 1
            )
            body = answer.json()
            following, total = whole(body.get("next_page_id")), count_of(body, counted)
            return Page(rows_of(body, "conferences"), total, last=None if following is None else following <= 0)

    def _list_room(self, rules: Sequence[Rule]) -> Iterator[Item]:
        from .trueconf_room import schedule

        pin = self.settings.room_pin.reveal() if self.settings.room_pin else None
        rows = schedule(self._room(), pin, strict=self.settings.strict_certificates)
        self.http.sign_in()
        if (
            self.http.skew is None
        ):  # with a given token nothing was asked of the server yet, whose clock is to be judged
            self._page(1, None)
        seen: set[str] = set()
        for row in rows:
            item = conference(row)
            # A Room knows no tags: an empty list of them is not the server's word.
            item = replace(item, tags=item.tags or None)
            key = repr(row.get("id"))
            yield replace(item, raw=Repeated(item.raw)) if key in seen else item
            seen.add(key)

    def _room(self) -> Asked:
        settings = self.settings
        seconds = settings.timeout.total_seconds()
        about = {
            "timeout": seconds,
            "ca_file": settings.ca_file,
            "now": self.clock(),
            "key": "room_url",
            "proxied": False,
        }
        return Asked("GET", "read the Room's schedule", settings.room_url, **about)

    def reach(self, what: str, rules: Sequence[Rule]) -> Reach:
        """What the Room shows, or else, of API v3, what has the one tag that all rules ask for."""
        if self.settings.room_url:
            return Reach("those that the Room shows")
        tag = None if self._v4 else _only_tag(rules)
        return Reach(f"those with the tag {tag!r}", keeps=False) if tag else Reach()

    def get(self, item: Item) -> Item | None:
        try:
            with self.http.asks("read it again"):
                body = self.http.get(path("api", self.settings.api, "conferences", item.id)).json()
        except HttpError as error:
            _gone_or_raise(error)
            return None
        row = body.get("conference")
        row = row if isinstance(row, dict) else {}
        require_same(text(row.get("id")), "conference", item.id)
        return conference(row)

    def delete(self, items: Sequence[Item], permit: Permit) -> list[Result]:
        return [self._delete(item, permit) for item in items]

    def _delete(self, item: Item, permit: Permit) -> Result:
        """204 proves it, or 200 unless its body is no JSON, holds an error or names another conference."""
        where = path("api", self.settings.api, "conferences", item.id)
        try:
            self.http.delete(where, permit, ok={200, 204}, proves=lambda answer: _names(answer, item.id))
        except HttpError as error:
            if error.status == 404:
                _gone_or_raise(error)
            raise
        return Result(Outcome.DELETED)

    def restore(self, saved: Mapping[str, Any], permit: Permit) -> Restored:
        """Create a conference or room anew with ``POST /conferences``, under its old id if that is free."""
        wanted = {key: saved[key] for key in RESTORED if saved.get(key) is not None}
        try:
            answer = self._create(wanted, permit)
        except HttpError as error:
            if error.status != 400 or reason(error) != "uniqueValueAlreadyInUse":
                raise
            answer = self._create({key: value for key, value in wanted.items() if key != "id"}, permit)
        row = answer.get("conference", answer)
        ident = text(row.get("id")) if isinstance(row, dict) else None
        if ident is None:
            raise ProviderError("the server did not say under which id it created the conference")
        lost = ["recordings, chat and call logs"]
        if ident != saved.get("id"):
            lost.append(f"the id {saved.get('id')} (it is taken; links and dial-in numbers with it lead elsewhere)")
        return Restored(ident, tuple(lost))

    def _create(self, wanted: Mapping[str, Any], permit: Permit) -> dict[str, Any]:
        where = path("api", self.settings.api, "conferences")
        with self.http.asks("create the conference"):
            return self.http.change("POST", where, permit, ok=(200, 201), json_body=wanted).json()


def _gone_or_raise(error: HttpError) -> None:
    """Return for the vendor's own "conference not found"; any other refusal is raised."""
    if error.status != 404:
        raise error
    if reason(error) != "conferenceNotFound":
        raise AccessDenied(error.what, 404, error.body, advice=error.advice)


def _names(answer: Answer, ident: str) -> bool:
    """Whether the answer to a deletion says nothing at all, or names this conference and no error."""
    if not answer.content.strip():
        return True
    body = answer.any_json()
    return uncontradicted(answer) and isinstance(body, dict) and (not body or body.get("id") == ident)


def reason(error: HttpError) -> str | None:
    """The ``reason`` of TrueConf's error object, in whichever of its shapes it came."""
    inner = error.body.get("error")
    if isinstance(inner, dict) and isinstance(entries := inner.get("errors"), list):
        return next((text(entry.get("reason")) for entry in entries if isinstance(entry, dict)), None)
    return text(error.body.get("reason"))


def _only_tag(rules: Sequence[Rule]) -> str | None:
    """The one tag that every rule asks for, if there is one; the vendor's filter takes a single value."""
    wanted = {tag for rule in rules for tag in rule.tags or ("",)}
    return wanted.pop() or None if len(wanted) == 1 else None
