"""Vobiz: live conference rooms that should have ended, and call recordings.

Sources, all below https://www.vobiz.ai/docs/: conference/retrieve-all-conferences, conference/retrieve-conference,
conference/hang-up-conference, conference/conference-object, conference/members, conference/members/play-audio,
recording/list-all-recordings, recording/retrieve-recording, recording/recording-object,
recording/download-recording, errors. Docstrings name them
without their beginning. Speaking to a room has a page in the older documentation only: docs.vobiz.ai,
conference/members/speak-text.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from msgspec import Meta

from ..deadline import Deadline
from ..errors import AccessDenied, ConfigError, HttpError, Problem, ProviderError, UnsafeId
from ..filter import Announcement, LiveRule, Rule, begun_after
from ..http.answer import vendor_message
from ..http.client import Http, Permit
from ..http.paging import Page, Row, by_offset
from ..http.urls import path, unsendable
from ..items import Item, Kind, Live, Media, Outcome, Result, State
from ..redact import harmless
from ..settings.secrets import Secret
from ..settings.tables import AccountSettings, RuleSettings, Table
from ..settings.values import Pace, When
from ..unmet import Reach
from .base import Part, Provider, Source, count_of, in_turn, instant, milliseconds, rows_of, seconds_of, text, whole

log = logging.getLogger(__name__)
Body = TypeVar("Body", bound=Mapping[str, Any])

PAGE = ("limit", "100")
"""The most recordings on one page (recording/list-all-recordings)."""
SHOWN = 5
"""So many rooms without details are named in a warning; the formats for machines have them all."""
_NOT_FOUND = re.compile(r"(conference|recording)\b.*\bnot found", re.IGNORECASE)
"""The vendor's 404 of a missing room or recording."""
_GATEWAY = re.compile(r"^not found$|no route matched", re.IGNORECASE)
"""A gateway's 404 for a path that does not exist."""
VENDOR_HOSTS = "*.vobiz.ai"
"""Where files lie: media., recordings. or storage.vobiz.ai; all need the account's headers (download-recording)."""
REDIRECTS = 5
"""On the way to a file: to the signed address of a storage, say."""
_MEDIA_HOST = r"^(\*\.[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*)$"
_SOUND = re.compile(r"https://\S+\.(mp3|wav)(\?\S*)?", re.IGNORECASE)
_RECORDING_ID = re.compile(r"[A-Za-z0-9_-]+")
EMPTY_LIST = (
    "Vobiz lists no live room, which it also does while rooms are live: this is inconclusive. "
    "Name your rooms in rooms or rooms_file, so that they are looked up one by one"
)
LONGEST = timedelta(days=3660)
"""No room is believed to have been running for longer."""
SLACK = timedelta(seconds=60)
"""So much longer than the room is running may a member have been in it: whole seconds, read one after the other."""
UNFINISHED = timedelta(days=1)
"""For so long after it was added, a recording without an end is taken for one that is still being made."""
APART = timedelta(days=1)
"""By more than this, two statements of a recording's age contradict each other."""
LATEST_ZONE = timezone(timedelta(hours=-12))
"""Where a time without an offset is the latest."""
SUB_RESOURCES = frozenset({"member", "play", "record", "speak"})
"""What follows a room's name in the vendor's own addresses (conference/members, conference/members/play-audio)."""
NEVER = datetime.max.replace(tzinfo=UTC)


class RegisteredRoom(Table, frozen=True, kw_only=True):
    """A room that the operator knows of, and when it should end, if that is fixed.

    A time without an offset is in the config's time zone; a date alone means the end of that day.
    """

    name: str
    ends_at: Annotated[str | None, When] = None


class LiveRoomRule(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule for live rooms. ``older_than`` is a grace: so long past the end that the room should have had.

    ``rooms`` and ``rooms_file`` are the operator's own registry, which the vendor advises to keep, because its
    list misses live rooms (conference/retrieve-all-conferences).
    """

    says_when: ClassVar[bool] = True

    max_duration: timedelta | None = None
    abandoned_after: timedelta | None = None
    max_members: Annotated[int, Meta(ge=0)] = 0
    names: tuple[str, ...] = ()
    rooms: tuple[RegisteredRoom, ...] = ()
    rooms_file: str | None = None
    end_without_details: bool = False
    announce: Annotated[str, Meta(pattern=r"\S", max_length=1000)] | None = None
    announce_wait: timedelta = timedelta(seconds=15)
    announce_voice: Literal["WOMAN", "MAN"] = "WOMAN"
    announce_language: str = "en-US"
    end_without_announcement: bool = False

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        if re.match("https?://", self.announce or "") and not _SOUND.fullmatch(self.announce or ""):
            yield "announce", "a sound is an https address that ends in .mp3 or .wav"
        if not (self.max_duration or self.abandoned_after or self.rooms or self.rooms_file):
            yield "", "say when a room should have ended: max_duration, abandoned_after, rooms or rooms_file"

    def missing(self) -> Iterator[tuple[str, str]]:
        if self.rooms_file:
            try:
                _from_file(Path(self.rooms_file).expanduser())
            except ValueError as error:
                yield "rooms_file", str(error)

    def live(self, zone: tzinfo) -> LiveRule:
        """The rule for the core. Where a name stands twice, the later end counts, because doubt keeps.

        Raises ConfigError if ``rooms_file`` cannot be read.
        """
        scheduled: dict[str, datetime | None] = {}
        for name, written in self._registered():
            ends = (scheduled.get(name), _end(written, zone) if written else None)
            scheduled[name] = max((end for end in ends if end), default=None)
        return LiveRule(
            self.max_duration,
            self.abandoned_after,
            self.max_members,
            scheduled,
            self.end_without_details,
            self._announcement(),
        )

    def _announcement(self) -> Announcement | None:
        said = (self.announce_wait, self.announce_voice, self.announce_language, self.end_without_announcement)
        return Announcement(self.announce, *said) if self.announce else None

    def _registered(self) -> list[tuple[str, str | None]]:
        listed = [(room.name, room.ends_at) for room in self.rooms]
        try:
            return listed + (_from_file(Path(self.rooms_file).expanduser()) if self.rooms_file else [])
        except ValueError as error:
            raise ConfigError([Problem("rooms_file", str(error))]) from None


def _end(written: str, zone: tzinfo) -> datetime:
    """The instant from which on a scheduled end has passed for certain, in UTC: of several readings the latest.

    A date alone ends with its day; a time that the clock of ``zone`` shows twice ends with the second.
    """
    try:
        when = datetime.fromisoformat(written.strip())
        if _is_date(written.strip()):
            when = datetime.combine(when.date() + timedelta(days=1), time())
        readings = [when] if when.tzinfo else [when.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
        return max(reading.astimezone(UTC) for reading in readings)
    except (OverflowError, ValueError):
        return NEVER


def _is_date(written: str) -> bool:
    try:
        date.fromisoformat(written)
    except ValueError:
        return False
    return True


def _from_file(file: Path) -> list[tuple[str, str | None]]:
    """Names and ends of a CSV file with the header name,ends_at. Raises ValueError, naming the line."""
    rows: list[tuple[int, list[str]]] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            rows += [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(f"{file}, line {reader.line_num}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    if not rows or [name.strip().lower() for name in rows[0][1]] != ["name", "ends_at"]:
        raise ValueError(f"{file}, line 1: expected the header name,ends_at")
    return [_room_of(row, f"{file}, line {number}") for number, row in rows[1:] if row]


def _room_of(row: list[str], where: str) -> tuple[str, str | None]:
    """A line's name, exactly as it is written, and its end."""
    if len(row) != 2 or not row[0]:
        raise ValueError(f"{where}: expected a name and an end, separated by a comma")
    written = row[1].strip()
    try:
        return row[0], When.parse(written) if written else None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


class RecordingRule(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule for recordings; ``title`` is a glob over the room's name, or over "FROM to TO"."""


class VobizSettings(AccountSettings, frozen=True, kw_only=True):
    """A Vobiz account. The vendor documents no request rate; ten a second is our own choice."""

    url: str = "https://api.vobiz.ai"
    auth_id: Annotated[str, Meta(pattern="^[!-~]+$")]
    auth_token: Secret
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
        self.http = Http.for_account(settings, _Auth(settings), stop, clock, _asked_pause, settings.media())

    def _path(self, *parts: str) -> str:
        return path("api", "v1", "Account", self.settings.auth_id, *parts, slash=True)

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
        for row in by_offset(self._page, _key, strict=self.strict):
            item = recording(row, self.clock())
            oldest = min(filter(None, (oldest, item.created_at)), default=None)
            yield item
        cutoffs = [rule.cutoff for rule in rules]
        if oldest and cutoffs and (warning := hidden(oldest, max(cutoffs), self.clock())):
            self.warnings.append(warning)

    def _rooms(self, rules: Sequence[Rule]) -> Iterator[Part]:
        """Listed rooms and those that the rules register, each looked up by itself.

        The list is names only, may miss live rooms, and is empty also while rooms are live
        (conference/retrieve-all-conferences). Its older shape held objects; anything but names is an error.
        """
        names = _noted(self.http.get(self._path("Conference")).json()).get("conferences")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ProviderError("the answer has no list of room names under 'conferences'")
        if not names:
            self.warnings.append(EMPTY_LIST)
        registered = [name for rule in rules if rule.live for name in rule.live.scheduled]
        silent: list[str] = []
        others: list[str] = []
        for name in dict.fromkeys([*names, *registered]):
            yield Part(f'room "{harmless(name)}"', partial(self._one_room, name, rules, silent, others))
        if silent:
            self.warnings.append(_silence(silent))
        if others:
            self.warnings.append(_registered_once(others))

    def _one_room(self, name: str, rules: Sequence[Rule], silent: list[str], others: list[str]) -> Iterator[Item]:
        """The room, if it is there; gathers in ``silent`` those without details, in ``others`` those begun since."""
        room = self._room_or_unsendable(name)
        if room is not None:
            silent += [name] if room.unreadable and not room.unsendable else []
            others += [name] if _another(room, rules) else []
            yield room

    def _room_or_unsendable(self, name: str) -> Item | None:
        try:
            return self._room(name)
        except UnsafeId as error:
            return _room(name, Live(), None, str(error), {}, unsendable=True)

    def _room(self, name: str) -> Item | None:
        """A live room; None if there is none of this name now. Raises ProviderError.

        It began its run time before now; the vendor gives no time of its own (conference/conference-object).
        """
        row = self._read("Conference", _room_name(name))
        if row is None:
            return None
        live, doubt = details(row, name)
        return _room(name, live, None if live.run_time is None else self.clock() - live.run_time, doubt, row)

    def _read(self, *where: str) -> dict[str, Any] | None:
        """One thing as the vendor describes it; None for its own 404. Raises ProviderError.

        Its own 404 has a body that names the thing (conference/retrieve-conference, recording/retrieve-recording).
        Any other may come from anything on the way, and nobody knows whether the thing is there.
        """
        try:
            return _noted(self.http.get(self._path(*where)).json())
        except HttpError as error:
            _noted(error.body)
            if error.status == 404 and _names_it(error):
                return None
            raise _of_the_address(error) from None

    def _page(self, offset: int) -> Page:
        """One page of recordings (recording/list-all-recordings). Raises ProviderError for any other shape.

        ``meta.next`` lacks the ``/api`` of its path, so it is never followed; null, it ends the list.
        """
        asked = [("offset", str(offset))]
        where = self._path("Recording")
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
        row = self._read("Recording", _recording_id(item.id))
        if row is None:
            return None
        found = row if "recording_id" in row else next(iter(rows_of(row, "objects")), {})
        if found.get("recording_id") != item.id:
            raise ProviderError(f"the server answered with something else than recording {item.id}")
        return recording(found, self.clock())

    def announce(self, item: Item, announcement: Announcement, permit: Permit) -> None:
        """Speaks a text, or plays a sound, to everybody in a room: 202, in older pages 200, means queued.

        Nothing tells when it was heard (conference/members/play-audio). Raises ProviderError, also for the 200 with
        ``error`` that this vendor answers elsewhere.
        """
        said = {"text": announcement.text, "voice": announcement.voice, "language": announcement.language}
        action, body = ("Play", {"url": announcement.text}) if _SOUND.fullmatch(announcement.text) else ("Speak", said)
        where = self._path("Conference", _room_name(item.id), "Member", "all", action)
        answer = _noted(self.http.change("POST", where, permit, ok={200, 202}, json_body=body).json())
        if "error" in answer:
            raise ProviderError(f"POST was answered with an error ({vendor_message(answer)})")

    def delete(self, items: Sequence[Item], permit: Permit) -> list[Result]:
        """Hangs up rooms by name and deletes recordings by id, one request each: 204 acknowledges it.

        The vendor's calls for all rooms and for many recordings are never used: a name or id that would lead
        there is not sent. Raises HttpError, OutcomeUnknown, UnsafeId.
        """
        return [self._delete(item, permit) for item in items]

    def _delete(self, item: Item, permit: Permit) -> Result:
        room = item.what == "conferences"
        where = ("Conference", _room_name(item.id)) if room else ("Recording", _recording_id(item.id))
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


def _silence(names: Sequence[str]) -> str:
    rooms = "1 live room" if len(names) == 1 else f"{len(names)} live rooms"
    return f"Vobiz gives no usable details of {rooms}, which nothing but a scheduled end can end: {_shown(names)}"


def _registered_once(names: Sequence[str]) -> str:
    rooms = "1 live room" if len(names) == 1 else f"{len(names)} live rooms"
    advice = "remove the old ends_at from rooms or rooms_file, or set a new one"
    return f"{rooms} began after the ends_at of that name, so they are other rooms and stay; {advice}: {_shown(names)}"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(f'"{harmless(name)}"' for name in names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def _another(room: Item, rules: Sequence[Rule]) -> bool:
    """Whether a room began after the end that a rule's registry gives for its name."""
    ends = [rule.live.scheduled.get(room.id) for rule in rules if rule.live]
    return any(end and room.started_at and begun_after(room.started_at, end) for end in ends)


def hidden(oldest: datetime, cutoff: datetime, now: datetime) -> str | None:
    """A warning where the oldest recording of a whole list is younger than the cutoff by far, so that none is due.

    Vobiz resembles Plivo, which lists the last 7 days unless it is asked otherwise; how to ask Vobiz is not
    documented. A gap of a quarter of the rule's age tells this from an account with few calls.
    """
    if oldest - cutoff <= max(APART, (now - cutoff) / 4):
        return None
    since = f"the oldest one that it lists was added on {oldest:%Y-%m-%d}, and the rules ask for those before"
    return f"Vobiz may list only recent recordings and hide older ones: {since} {cutoff:%Y-%m-%d}; check its console"


def _noted(body: Body) -> Body:
    """An answer, after noting the name that the vendor gives to the request (errors)."""
    log.debug("api_id %s", harmless(str(body.get("api_id"))))
    return body


def _names_it(error: HttpError) -> bool:
    """Whether a 404 is the vendor's own, which says what is not found: a conference or a recording."""
    said = error.body.get("error")
    return isinstance(said, str) and bool(_NOT_FOUND.search(said))


def _of_the_address(error: HttpError) -> HttpError:
    """The error; as one of the whole account if it is the gateway's 404 for a missing route (conference/members)."""
    if error.status != 404 or "error" in error.body or not _GATEWAY.search(str(error.body.get("message"))):
        return error
    why = f"the server does not know this address; check the account's url and auth_id ({error})"
    return AccessDenied(why, error.status, error.body)


def _asked_pause(error: HttpError) -> float | None:
    """``details.retryAfter`` of the error object (errors), taken for seconds; None if there is none."""
    inner = error.body.get("error")
    stated = inner.get("details") if isinstance(inner, dict) else None
    seconds = whole(stated.get("retryAfter")) if isinstance(stated, dict) else None
    return float(seconds) if seconds is not None and seconds >= 0 else None


def _room_name(name: str) -> str:
    """A room's name. Raises UnsafeId for one that a server which decodes first takes for a part of a room."""
    for reading in (name, unquote(name), unquote(unquote(name))):
        parts = [part.strip().casefold() for part in re.split(r"[/\\]", reading)]
        if len(parts) > 1 and SUB_RESOURCES.intersection(parts):
            raise UnsafeId(f"{harmless(name)!r} cannot be sent as a room's name: it could address a part of a room")
    return name


def _recording_id(ident: str) -> str:
    """A recording's id; ``BulkDelete`` stands where ids stand. Raises UnsafeId."""
    if not _RECORDING_ID.fullmatch(ident) or ident.casefold() == "bulkdelete" or unsendable(ident):
        raise UnsafeId(f"{harmless(ident)!r} cannot be sent as a recording's id")
    return ident


def details(row: Mapping[str, Any], name: str) -> tuple[Live, str | None]:
    """How long a room and its youngest member have been there, or else, in words, why nobody can tell.

    ``conference_run_time``, ``conference_member_count`` and ``join_time`` are numbers as text, the times lengths in
    seconds (conference/conference-object). A live room may also answer 200 with ``{"error": "failed"}``
    (conference/retrieve-conference), and does so at present whenever it has members (conference/members).
    """
    run_time, members = _seconds(row.get("conference_run_time")), row.get("members")
    if "error" in row:
        return Live(), f"Vobiz gives no details of it (error: {row['error']!r})"
    if row.get("conference_name") != name:
        return Live(), f"Vobiz answers with the details of another room ({row.get('conference_name')!r})"
    if run_time is None:
        return Live(), f"its conference_run_time cannot be read ({row.get('conference_run_time')!r})"
    if not isinstance(members, list) or whole(row.get("conference_member_count")) != len(members):
        return Live(), f"its members are not the {row.get('conference_member_count')!r} of conference_member_count"
    joined = [_seconds(member.get("join_time")) if isinstance(member, dict) else None for member in members]
    known = [age for age in joined if age is not None and age <= run_time + SLACK]
    if len(known) < len(members):
        return Live(), "the join_time of its members cannot be read, or is longer than the room is running"
    return Live(run_time, len(members), min(known, default=None)), None


def _seconds(value: object) -> timedelta | None:
    number = whole(value)
    return timedelta(seconds=number) if number is not None and 0 <= number <= LONGEST.total_seconds() else None


def _room(
    name: str,
    live: Live,
    began: datetime | None,
    doubt: str | None,
    row: Mapping[str, Any],
    *,
    unsendable: bool = False,
) -> Item:
    return Item(
        what="conferences",
        id=name,
        kind=Kind.LIVE,
        state=State.RUNNING,
        title=name,
        tags=(),
        started_at=began,
        live=live,
        unreadable=doubt,
        unsendable=unsendable,
        aliases=_aliases(row, "conference_uuid"),
        raw=row,
    )


def _aliases(row: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    return tuple(ident for name in names if (ident := text(row.get(name))))


def _key(row: Row) -> str:
    ident = row.get("recording_id")
    return ident if isinstance(ident, str) and ident else repr(row)


def recording(row: Mapping[str, Any], now: datetime) -> Item:
    """A recording (recording/recording-object) as an ``Item``. What cannot be read is in doubt.

    ``conference_name`` is null or empty for ordinary calls. ``now`` (aware UTC) tells which may be unfinished.
    """
    ident, added = row.get("recording_id"), _moment(row.get("add_time"))
    end, doubt = _ended(row, added, now)
    unfinished = row.get("recording_end_ms") is None and added is not None and now - added < UNFINISHED
    if unfinished:
        doubt = "it has no recording_end_ms and was added less than a day ago, so it may still be recorded"
    title, undeletable = _title(row), _undeletable(ident)
    return Item(
        what="recordings",
        id=ident if isinstance(ident, str) else "",
        kind=Kind.RECORDING,
        state=State.INCOMPLETE if unfinished else State.ENDED,
        title=title,
        # Nobody can tag a recording here, so it carries no tag. Whose it is, Vobiz does not tell.
        tags=(),
        started_at=milliseconds(row.get("recording_start_ms")),
        ended_at=end,
        created_at=added,
        unreadable=doubt or (None if title else _between(row)),
        undeletable=undeletable,
        unsendable=undeletable is not None,
        aliases=_aliases(row, "call_uuid", "conference_uuid"),
        raw=row,
    )


def _undeletable(ident: object) -> str | None:
    if not isinstance(ident, str) or not ident:
        return f"its id is not text ({ident!r})"
    try:
        _recording_id(ident)
    except UnsafeId as error:
        return str(error)
    return None


def _ended(row: Mapping[str, Any], added: datetime | None, now: datetime) -> tuple[datetime | None, str | None]:
    """The end, and what is in doubt: ``recording_end_ms``, else ``add_time``, without which no end is believed.

    The milliseconds are text with decimals, or null (recording/recording-object). Where another statement of its age
    is later by more than a day, that one counts: some of the vendor's texts mix UTC and local time.
    """
    if added is None:
        return None, f"its add_time cannot be read ({row.get('add_time')!r})"
    stated, start = row.get("recording_end_ms"), milliseconds(row.get("recording_start_ms"))
    name, end = ("add_time", added) if stated is None else ("recording_end_ms", milliseconds(stated))
    if end is None:
        return None, f"its recording_end_ms cannot be read ({stated!r})"
    if stated is not None and start and end < start:
        return None, "it ends before it begins"
    stored = _stored_since(row, now, end)
    others = {"add_time": added, "recording_start_ms": start, "recording_storage_duration": stored}
    said = {other: when for other, when in others.items() if when and when - end > APART}
    if said:
        latest = max(said, key=lambda other: said[other])
        return said[latest], f"its {latest} is more than a day later than its {name}, and counts"
    return end, None


def _stored_since(row: Mapping[str, Any], now: datetime, end: datetime) -> datetime | None:
    """The latest time to which ``recording_storage_duration`` may lead, if that contradicts the end.

    It counts days since the creation. The end of that day stays the same from one look to the next.
    """
    days = whole(row.get("recording_storage_duration"))
    if days is None or not 0 <= days <= LONGEST.days or now - timedelta(days=days) - end <= APART:
        return None
    return datetime.combine((now - timedelta(days=days - 1)).date(), time.min, UTC)


def _moment(value: object) -> datetime | None:
    """A date and time; not a bare number, which ``add_time`` never is. Without an offset, the latest it may mean."""
    timed = isinstance(value, str) and ":" in value and whole(value) is None
    return instant(value, LATEST_ZONE) if timed else None


def _title(row: Mapping[str, Any]) -> str | None:
    """The conference's name; of a call, which has null or nothing there, who called whom.

    It is not known unless both numbers are: a hold on a caller's number could not be judged by the other one.
    """
    name = row.get("conference_name", False)
    caller, called = text(row.get("from_number")), text(row.get("to_number"))
    if name is None or name == "":
        return f"{caller} to {called}" if caller and called else None
    return text(name)


def _between(row: Mapping[str, Any]) -> str:
    """What is known instead of a title, for people."""
    caller, called = (text(row.get(name)) or "unknown" for name in ("from_number", "to_number"))
    return f"who called whom is not known ({caller} to {called})"
