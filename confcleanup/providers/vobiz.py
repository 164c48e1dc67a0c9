"""Vobiz: live conference rooms that should have ended, and call recordings.

Sources, all below https://www.vobiz.ai/docs/: conference/retrieve-all-conferences, conference/retrieve-conference,
conference/hang-up-conference, conference/conference-object, conference/members, conference/members/play-audio,
recording/list-all-recordings, recording/retrieve-recording, recording/recording-object, recording/download-recording,
errors. Docstrings name them without their beginning. Speaking to a room has a page in the older documentation only:
docs.vobiz.ai, conference/members/speak-text.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from msgspec import Meta

from ..deadline import Deadline
from ..errors import AccessDenied, HttpError, ProviderError, UnsafeId
from ..filter import Announcement, Rule
from ..http.answer import vendor_message
from ..http.client import Http, Permit
from ..http.paging import Page, by_offset
from ..http.urls import path
from ..items import Item, Live, Media, Outcome, Result
from ..redact import harmless
from ..settings.secrets import Token
from ..settings.tables import AccountSettings, RuleSettings
from ..settings.values import Pace
from ..unmet import Reach
from .base import (
    Access,
    Part,
    Provider,
    Source,
    count_of,
    counted,
    in_turn,
    require_same,
    rows_of,
    seconds_of,
    sendable,
    text,
    visible,
    whole,
)
from .vobiz_recordings import hidden, id_mistake, key_of, recording
from .vobiz_rooms import (
    EMPTY_LIST,
    SOUND,
    LiveRoomRule,
    details,
    is_another,
    live_room,
    registered_once_warning,
    room_name,
    silent_warning,
)

log = logging.getLogger(__name__)
Body = TypeVar("Body", bound=Mapping[str, Any])

PAGE = ("limit", "100")
"""The most recordings on one page (recording/list-all-recordings)."""
_GATEWAY = re.compile(r"^not found$|no route matched", re.IGNORECASE)
"""A gateway's 404 for a path that does not exist."""
VENDOR_HOSTS = "*.vobiz.ai"
"""Where files lie: media., recordings. or storage.vobiz.ai; all need the account's headers (download-recording)."""
REDIRECTS = 5
"""On the way to a file: to the signed address of a storage, say."""
_MEDIA_HOST = r"^(\*\.[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*)$"


class RecordingRule(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule for recordings; ``title`` is a glob over the room's name, or over "FROM to TO"."""


class VobizSettings(AccountSettings, frozen=True, kw_only=True):
    """A Vobiz account. The vendor documents no request rate; ten a second is our own choice."""

    url: str = "https://api.vobiz.ai"
    auth_id: Annotated[str, Meta(pattern="^[!-~]+$")]
    auth_token: Token
    media_hosts: tuple[Annotated[str, Meta(pattern=_MEDIA_HOST)], ...] | None = None
    rate: Pace = Pace(10, 1)

    def media(self) -> tuple[str, ...]:
        """The hosts below which the account's headers go along when a file is fetched."""
        if self.media_hosts is None:
            host = urlsplit(self.url).hostname or ""
            return (VENDOR_HOSTS,) if host.endswith(VENDOR_HOSTS[1:]) else ()
        return tuple(host.lower() for host in self.media_hosts)

    def identity(self) -> tuple[str, ...]:
        return *super().identity(), self.auth_id


class _Auth:
    """Headers with every request. No expiry of them is documented, so a 401 is final (errors)."""

    def __init__(self, settings: VobizSettings) -> None:
        self._settings = settings

    def sign_in(self, http: Http) -> Mapping[str, str]:
        token = self._settings.auth_token.reveal()
        return {"X-Auth-ID": self._settings.auth_id, "X-Auth-Token": token, "Content-Type": "application/json"}

    def token_expired(self, error: HttpError) -> bool:
        return False


class Vobiz(Provider):
    """One Vobiz account. Paths end with a slash, and their case matters: a wrong one is answered with 401 (errors)."""

    name = "vobiz"
    title = "Vobiz (live conference rooms, call recordings)"
    settings_type = VobizSettings
    sources = {
        "conferences": Source(
            "live rooms that should have ended; ending one disconnects people",
            LiveRoomRule,
            recheck=True,
            confirmed=True,
            passing=True,
        ),
        "recordings": Source("call recordings", RecordingRule, media=True),
    }

    def __init__(self, settings: VobizSettings, stop: Deadline, clock: Callable[[], datetime]) -> None:
        super().__init__(settings, stop, clock)
        auth, media = _Auth(settings), settings.media()
        self.http = Http.for_account(settings, auth, stop, clock, _asked_pause, media, self._advise)

    def _advise(self, _: str, error: HttpError) -> str:
        """What to do about a refusal (errors): 401 is for the sign-in, 402 and 403 are for the account's state."""
        if error.status == 401:
            return f"correct {self.settings.named('auth_id', 'auth_token')}"
        if error.status in (402, 403):
            return "see the account's balance and state in the vendor's console"
        return ""

    def _path(self, *parts: str) -> str:
        return path("api", "v1", "Account", self.settings.auth_id, *parts, slash=True)

    def check(self, what: Sequence[str]) -> Access:
        """Read the list of rooms and one page of recordings. The rights of a token are not documented."""
        self.http.sign_in()
        shown = []
        if "conferences" in what:
            shown.append(f"{counted(len(self._listed_rooms()), 'live room')} listed")
        if "recordings" in what:
            shown.append(visible(self._page(0), "recording"))
        return Access(f"signed in as {self.settings.auth_id}", visible=tuple(shown))

    # Listing ----------------------------------------------------------------------------------

    def reach(self, what: str, rules: Sequence[Rule]) -> Reach:
        """A room is there only while people are in it, so that nothing follows from those that are not."""
        return Reach("rooms that are live now", keeps=False, filters=False) if what == "conferences" else Reach()

    def list_items(self, what: str, rules: Sequence[Rule]) -> Iterator[Item]:
        yield from in_turn(self.parts(what, rules))

    def parts(self, what: str, rules: Sequence[Rule]) -> Iterable[Part]:
        """The recordings are one part; of the rooms each is one."""
        return self._rooms(rules) if what == "conferences" else [Part("", partial(self._recordings, rules))]

    def _recordings(self, rules: Sequence[Rule]) -> Iterator[Item]:
        oldest = None
        for row in by_offset(self._page, key_of, strict=self.strict):
            item = recording(row, self.clock())
            oldest = min(filter(None, (oldest, item.created_at)), default=None)
            yield item
        cutoffs = [rule.cutoff for rule in rules]
        if oldest and cutoffs and (warning := hidden(oldest, max(cutoffs), self.clock())):
            self.warnings.append(warning)

    def _listed_rooms(self) -> list[str]:
        """The names of the listed rooms, and a warning if there are none.

        The list is names only, may miss live rooms, and is empty also while rooms are live
        (conference/retrieve-all-conferences). Its older shape held objects; anything but names is an error.
        """
        with self.http.asks("read the list of live rooms"):
            names = _noted(self.http.get(self._path("Conference")).json()).get("conferences")
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ProviderError("the answer has no list of room names under 'conferences'")
        if not names:
            self.warnings.append(EMPTY_LIST)
        return names

    def _rooms(self, rules: Sequence[Rule]) -> Iterator[Part]:
        """Listed rooms and those that the rules register, each looked up by itself."""
        names = self._listed_rooms()
        registered = [name for rule in rules if rule.live for name in rule.live.scheduled]
        silent: list[str] = []
        others: list[str] = []
        for name in dict.fromkeys([*names, *registered]):
            yield Part(f'room "{harmless(name)}"', partial(self._one_room, name, rules, silent, others))
        if silent:
            self.warnings.append(silent_warning(silent))
        if others:
            self.warnings.append(registered_once_warning(others))

    def _one_room(self, name: str, rules: Sequence[Rule], silent: list[str], others: list[str]) -> Iterator[Item]:
        """The room, if it is there; gathers in ``silent`` those without details, in ``others`` those begun since."""
        room = self._room_or_unsendable(name)
        if room is not None:
            silent += [name] if room.unreadable and not room.unsendable else []
            others += [name] if is_another(room, rules) else []
            yield room

    def _room_or_unsendable(self, name: str) -> Item | None:
        try:
            return self._room(name)
        except UnsafeId as error:
            return live_room(name, Live(), None, str(error), {}, unsendable=True)

    def _room(self, name: str) -> Item | None:
        """A live room; None if there is none of this name now. Raises ProviderError.

        It began its run time before now; the vendor gives no time of its own (conference/conference-object).
        """
        row = self._read("Conference", room_name(name))
        if row is None:
            return None
        live, doubt = details(row, name)
        return live_room(name, live, None if live.run_time is None else self.clock() - live.run_time, doubt, row)

    def _read(self, *where: str) -> dict[str, Any] | None:
        """One thing as the vendor describes it; None for its own 404. Raises ProviderError.

        Its own 404 has a body that names the thing (conference/retrieve-conference, recording/retrieve-recording).
        Any other may come from anything on the way, and nobody knows whether the thing is there.
        """
        try:
            with self.http.asks(f"read the {'room' if where[0] == 'Conference' else 'recording'}"):
                return _noted(self.http.get(self._path(*where)).json())
        except HttpError as error:
            _noted(error.body)
            if error.status == 404 and _names(error, where[0]):
                return None
            raise _of_the_address(error) from None

    def _page(self, offset: int) -> Page:
        """One page of recordings (recording/list-all-recordings). Raises ProviderError for any other shape.

        ``meta.next`` lacks the ``/api`` of its path, so it is never followed; null, it ends the list.
        """
        asked = [("offset", str(offset))]
        where = self._path("Recording")
        with self.http.asks("read the recordings" + (f" after number {offset}" if offset else "")):
            body = _noted(
                self.sizes.ask(PAGE, lambda size: self.http.get(where, [*size, *asked]), first=offset == 0).json()
            )
            meta = body.get("meta")
            if not isinstance(meta, dict):
                raise ProviderError("the answer has no 'meta'")
            rows = rows_of(body, "objects")
            return Page(rows, count_of(meta, "total_count"), last=meta["next"] is None if "next" in meta else None)

    # One item ---------------------------------------------------------------------------------

    def get(self, item: Item) -> Item | None:
        """The item as it is now; None for the vendor's own 404. Raises ProviderError for anything else.

        A recording comes flat, or wrapped in a list (recording/retrieve-recording).
        """
        if item.what == "conferences":
            return self._room(item.id)
        row = self._read("Recording", sendable(item.id, id_mistake))
        if row is None:
            return None
        found = row if "recording_id" in row else next(iter(rows_of(row, "objects")), {})
        require_same(found.get("recording_id"), "recording", item.id)
        return recording(found, self.clock())

    def announce(self, item: Item, announcement: Announcement, permit: Permit) -> None:
        """Speak a text, or play a sound, to everybody in a room: 202, in older pages 200, means queued.

        Nothing tells when it was heard (conference/members/play-audio). Raises ProviderError, also for the 200 with
        ``error`` that this vendor answers elsewhere.
        """
        said = {"text": announcement.text, "voice": announcement.voice, "language": announcement.language}
        action, body = ("Play", {"url": announcement.text}) if SOUND.fullmatch(announcement.text) else ("Speak", said)
        where = self._path("Conference", room_name(item.id), "Member", "all", action)
        with self.http.asks("announce the end"):
            answer = _noted(self.http.change("POST", where, permit, ok={200, 202}, json_body=body).json())
            if "error" in answer:
                raise ProviderError(vendor_message(answer) or "the answer is an error")

    def delete(self, items: Sequence[Item], permit: Permit) -> list[Result]:
        """Hang up rooms by name and delete recordings by id, one request each: 204 acknowledges it.

        The vendor's calls for all rooms and for many recordings are never used: a name or id that would lead
        there is not sent. Raises HttpError, OutcomeUnknown, UnsafeId.
        """
        return [self._delete(item, permit) for item in items]

    def _delete(self, item: Item, permit: Permit) -> Result:
        room = item.what == "conferences"
        where = ("Conference", room_name(item.id)) if room else ("Recording", sendable(item.id, id_mistake))
        try:
            # An empty body under our Content-Type is refused by some servers; the vendor also shows {}.
            self.http.delete(self._path(*where), permit, ok={204}, json_body={})
        except HttpError as error:
            raise _of_the_address(error) from None
        return Result(Outcome.DELETED)

    def media(self, item: Item) -> Iterator[Media]:
        """The recording's one file, from its ``recording_url``, which may be temporary (recording/recording-object).

        The account's headers are needed at the vendor's own hosts, which may redirect to a signed address elsewhere
        that must not see them (recording/download-recording). Raises ProviderError.
        """
        url = text(item.raw.get("recording_url"))
        if url is None:
            raise ProviderError(f"the recording {item.id} has no recording_url")
        name = f"{item.id}.{text(item.raw.get('recording_format')) or 'mp3'}"
        length = seconds_of(item.raw.get("recording_duration_ms"))
        yield Media(name, self.http.download(url, redirects=REDIRECTS), duration=length)


def _noted(body: Body) -> Body:
    """An answer, after noting the name that the vendor gives to the request (errors)."""
    log.debug("api_id %s", harmless(str(body.get("api_id"))))
    return body


def _names(error: HttpError, kind: str) -> bool:
    """Whether a 404 says, in the vendor's words, that what was asked for is not found: a conference or a recording.

    "Recording service not found" speaks of something else.
    """
    said = error.body.get("error")
    return isinstance(said, str) and said.strip(" .").casefold() == f"{kind} not found".casefold()


def _of_the_address(error: HttpError) -> HttpError:
    """The error; as one of the whole account if it is the gateway's 404 for a missing route (conference/members)."""
    if error.status != 404 or "error" in error.body or not _GATEWAY.search(str(error.body.get("message"))):
        return error
    advice = "the server does not know this address: check the account's url and auth_id"
    return AccessDenied(error.what, error.status, error.body, advice=advice)


def _asked_pause(error: HttpError) -> float | None:
    """``details.retryAfter`` of the error object (errors), taken for seconds; None if there is none."""
    inner = error.body.get("error")
    stated = inner.get("details") if isinstance(inner, dict) else None
    seconds = whole(stated.get("retryAfter")) if isinstance(stated, dict) else None
    return float(seconds) if seconds is not None and seconds >= 0 else None
