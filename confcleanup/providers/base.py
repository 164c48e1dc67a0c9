"""The contract between the program and a vendor's module.

A provider only translates: it knows its vendor's paths, fields and habits, and turns them into ``Item`` and
``Result``. It does not filter, decide, count, archive, record or sleep, and it does not know that a dry run exists.

- ``list_items`` yields every item of a source, or raises ProviderError: a list is complete or failed.
- ``parts`` says what of a source can be listed by itself, and so fails by itself; most sources are one part.
- ``get`` fetches one item again: the item as it is now, or None if the vendor says it is gone.
- ``delete`` deletes exactly the items given to it, and names the statuses that mean deleted and gone.
- Odd data never stops a listing: the item is yielded with what could be read, and ``unreadable`` says why
  the rest could not. An answer of the wrong shape does: nobody knows what it hides.
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar, NamedTuple

import msgspec

from ..deadline import Deadline
from ..errors import DATA_ERRORS, AccessDenied, ConfcleanupError, HttpError, ProviderError, UnsafeId, fault
from ..filter import Announcement, Rule
from ..http.client import Http, Permit
from ..http.paging import Page, Sizes
from ..http.urls import unsendable
from ..items import Item, Media, Result
from ..redact import redact
from ..settings.tables import AccountSettings, RuleSettings
from ..unmet import Reach

log = logging.getLogger(__name__)
EARLIEST, LATEST = 946_684_800, 253_402_300_799
"""Unix seconds of the years 2000 and 9999; outside of them a number is not believed to be a time."""
LONGEST_LENGTH = 366 * 86400
"""Seconds. Nothing is believed to have been recorded for longer."""

OUTAGES = 3
"""So many parts one after the other that the server did not answer for, and the rest is not asked for."""


class Source(msgspec.Struct, frozen=True):
    """One kind of thing that a provider lists.

    ``recheck``: it can change after it was listed, so it is looked at again just before its deletion.
    ``details``: a look may tell more of an item than the list does.
    ``batch``: how many items one request deletes. ``confirmed``: its answer only says that
    the request was taken, so each is followed by another look. ``deletes`` is False where no API deletes it.
    ``media``: it has files, and ``media`` gets them; a source without files is archived as JSON alone.
    ``archivable`` is False where it has files that nobody can get, or nothing worth keeping.
    ``passing``: what it lists ends by itself, as live rooms do, so that a list may be much shorter than the last.
    ``part`` says in words which items alone the vendor is asked for, by an account's settings and the source's rules;
    empty if for all. Of a part no share is judged.
    """

    description: str
    rule: type[RuleSettings]
    recheck: bool = False
    details: bool = False
    batch: int = 1
    confirmed: bool = False
    deletes: bool = True
    media: bool = False
    archivable: bool = True
    passing: bool = False
    part: Callable[[Any, Sequence[Rule]], str] | None = None

    def asked_for(self, settings: Any, rules: Sequence[Rule]) -> str:
        """``part``, as words that follow a count; empty if all of the source is listed."""
        return self.part(settings, rules) if self.part else ""

    @property
    def serial(self) -> bool:
        """Whether its requests follow one another: a list that confirms one would be shifted by another."""
        return self.confirmed and self.batch > 1

    @property
    def requests(self) -> float:
        """Requests that one item's deletion takes, archives aside."""
        return self.recheck + (1 + self.confirmed) / self.batch


class Part(NamedTuple):
    """What can be listed by itself: one user's recordings, a stretch of time. It fails by itself, too.

    ``name`` names it for people ("user 103"); empty where it is the whole source. ``items`` lists it, each time anew.
    """

    name: str
    items: Callable[[], Iterator[Item]]


class Restored(msgspec.Struct, frozen=True):
    """What came of a restoration: the new item's id, and in words what did not come back."""

    id: str
    lost: tuple[str, ...] = ()


class Access(msgspec.Struct, frozen=True):
    """What a check of an account learned. What the vendor does not tell is left out, never guessed.

    ``signed_in`` says who signed in, in words; ``may_delete`` is True only if the vendor says so; ``visible`` is what
    can be listed, in words ("1,204 conferences visible").
    """

    signed_in: str = "signed in"
    may_delete: bool = False
    visible: tuple[str, ...] = ()


def visible(page: Page, thing: str) -> str:
    """How many things a list has by its first page: the vendor's own total, else how many there are at least."""
    least = "at least " if page.total is None and not page.last else ""
    return f"{least}{counted(len(page.rows) if page.total is None else page.total, thing)} visible"


def counted(count: int, thing: str) -> str:
    """A number of things, in words: "1 recording", "1,204 recordings"."""
    return f"{count:,} {thing if count == 1 else f'{thing}s'}"


class Provider(ABC):
    """One account at one vendor, from sign-in to closing."""

    name: ClassVar[str]
    title: ClassVar[str]
    settings_type: ClassVar[type[AccountSettings]]
    sources: ClassVar[Mapping[str, Source]]

    http: Http

    def __init__(self, settings: Any, stop: Deadline, clock: Callable[[], datetime]) -> None:
        """``settings`` is an instance of ``settings_type``; ``clock`` gives aware UTC datetimes."""
        self.settings = settings
        self.stop = stop
        self.clock = clock
        self.warnings: list[str] = []
        self.strict = False
        """Whether a row that comes twice fails the listing (see ``paging``); it may then be asked for once more."""
        self.sizes = Sizes()

    def __enter__(self) -> Provider:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def check(self, what: Sequence[str]) -> Access:
        """Show that the account can sign in and may list the sources named, with as few requests as that takes.

        Raises ProviderError.
        """
        self.http.sign_in()
        for source in what:
            next(iter(self.list_items(source, ())), None)
        return Access()

    @abstractmethod
    def list_items(self, what: str, rules: Sequence[Rule]) -> Iterator[Item]:
        """Every item of a source. The rules are a hint for what the vendor can leave out by itself."""

    def reach(self, what: str, rules: Sequence[Rule]) -> Reach:
        """How far what ``list_items`` listed for these rules reaches, once it is listed."""
        return Reach()

    def parts(self, what: str, rules: Sequence[Rule]) -> Iterable[Part]:
        """The parts of a source that can be listed, and can fail, one by one. Here: one, the whole source."""
        return [Part("", lambda: self.list_items(what, rules))]

    @abstractmethod
    def get(self, item: Item) -> Item | None:
        """The item as it is now; None if it is gone. Raises ProviderError if that cannot be told."""

    def get_many(self, items: Sequence[Item]) -> dict[tuple[str, ...], Item]:
        """Those of some items that are still there, as they are now, by key. Raises ProviderError.

        A provider whose list shows many at once may do this with fewer requests.
        """
        return {item.key: fresh for item in items if (fresh := self.get(item)) is not None}

    @abstractmethod
    def delete(self, items: Sequence[Item], permit: Permit) -> list[Result]:
        """Delete these items in one request, one result for each in the same order.

        Only what the vendor's documentation calls proof, a status and a body, is ``deleted``. Raises HttpError where
        the request was refused (a 404 too: the deleter looks), OutcomeUnknown where nothing is proven, UnsafeId, and
        Stale where the permit had lapsed.
        """

    def media(self, item: Item) -> Iterator[Media]:
        """The item's files, for an archive. Raises ProviderError if they cannot all be had."""
        raise ProviderError(f"the files of {item.what} cannot be fetched")

    def announce(self, item: Item, announcement: Announcement, permit: Permit) -> None:
        """Have something said to the people in a live room. Raises ProviderError unless the vendor took it."""
        raise ProviderError("the vendor has no call that announces anything")

    def restore(self, saved: Mapping[str, Any], permit: Permit) -> Restored:
        """Create an archived item anew from the vendor's object. Raises ProviderError where that cannot be."""
        raise ProviderError("the vendor has no call that brings this back")


@contextmanager
def its_own_fault() -> Iterator[None]:
    """Whatever a provider raises, a plug-in any class, becomes a ProviderError: it fails what was asked of it alone."""
    try:
        yield
    except ConfcleanupError:
        raise
    except DATA_ERRORS as error:
        log.debug("an answer could not be read", exc_info=True)
        why = f"an answer of the provider could not be read ({type(error).__name__}); please report this"
        raise ProviderError(why) from error
    except Exception as error:
        log.debug("a fault in a provider", exc_info=True)
        raise ProviderError(fault(error)) from error


def is_outage(error: ProviderError) -> bool:
    """Whether an error is the server's, so that it may concern everything that is asked of it."""
    return isinstance(error, HttpError) and (error.status in (None, 429) or (error.status or 0) >= 500)


def in_turn(parts: Iterable[Part]) -> Iterator[Item]:
    """Every item of several parts. The first that fails fails them all; its error begins with its name."""
    for part in parts:
        try:
            yield from part.items()
        except ProviderError as error:
            if part.name:
                error.args = (f"{part.name}: {error}",)
            raise


def token_of(answer: Mapping[str, Any], name: str = "access_token", also: Collection[str] = ()) -> str:
    """The token of a sign-in's answer. It and what ``also`` names are never shown. Raises AccessDenied without one."""
    for secret in (name, *also):
        redact.add(text(answer.get(secret)) or "")
    token = answer.get(name)
    if not isinstance(token, str) or not token:
        raise AccessDenied("the answer holds no access token")
    return token


def require_same(found: object, thing: str, ident: str) -> None:
    """Raise ProviderError unless an answer speaks of what was asked for; ``found`` is the id that it gives."""
    if found != ident:
        raise ProviderError(f"the server answered with something else than {thing} {ident}")


def cannot_read(name: str, value: object) -> str:
    """Why an item stays: a field of the vendor's is missing, or holds what it should not."""
    return f"its {name} is missing" if value is None else f"its {name} cannot be read ({value!r})"


def why_undeletable(
    ident: object, mistake: Callable[[str], str | None] = unsendable, *, name: str = "id"
) -> str | None:
    """Why no request can delete what has this id: it is no text, or ``mistake`` says what is wrong with it.

    None if one can. A provider hands the same ``mistake`` to ``sendable``, so that what is listed as deletable can be
    sent, and nothing else.
    """
    return mistake(ident) if isinstance(ident, str) and ident else f"its {name} is not text ({ident!r})"


def sendable(ident: str, mistake: Callable[[str], str | None]) -> str:
    """The id, for an address. Raises UnsafeId if ``mistake`` finds one."""
    if why := mistake(ident):
        raise UnsafeId(why)
    return ident


def rows_of(body: Mapping[str, Any], *names: str) -> list[dict[str, Any]]:
    """The list of objects under one of these names. Raises ProviderError for any other shape."""
    for name in names:
        rows = body.get(name)
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
        if name in body:
            raise ProviderError(f"the answer's {name!r} is not a list of objects")
    raise ProviderError(f"the answer has no {names[0]!r}")


def count_of(body: Mapping[str, Any], name: str) -> int:
    """A count of rows, as a number or as digits. Raises ProviderError for anything else."""
    value = whole(body.get(name))
    if value is None or value < 0:
        raise ProviderError(f"the answer has no usable {name!r}")
    return value


def whole(value: object) -> int | None:
    """A whole number, also written as digits; None for anything else (true is no number)."""
    if isinstance(value, str):
        return int(value) if len(value) < 20 and re.fullmatch(r"\s*-?[0-9]+\s*", value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text(value: object) -> str | None:
    """Text, or a number as text; None for anything else and for empty text."""
    return given(value) or None


def given(value: object) -> str | None:
    """A title or an owner as the vendor gave it: an empty text is its word, and a number is text.

    None where it gave none, or something that is no text: then it is not known.
    """
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def aliases(row: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """The vendor's other numbers for an item, each once, from the fields of these names."""
    return tuple(dict.fromkeys(ident for name in names if (ident := text(row.get(name)))))


def instant(value: object, zone: tzinfo | None = None) -> datetime | None:
    """A moment as vendors write it: Unix seconds (number or digits) or ISO 8601. In UTC.

    Text without an offset is read in ``zone``, or not at all. None for what cannot be read.
    """
    if value is None:
        return None
    seconds = value if type(value) is int else whole(value)
    if seconds is not None:
        return datetime.fromtimestamp(seconds, UTC) if EARLIEST <= seconds <= LATEST else None
    if not isinstance(value, str):
        return None
    try:
        when = datetime.fromisoformat(value.strip())
        if when.tzinfo is None:
            when = when.replace(tzinfo=zone) if zone else when
        return when.astimezone(UTC) if when.tzinfo and when.timestamp() >= EARLIEST else None
    except (ValueError, OverflowError):
        return None


def milliseconds(value: object) -> datetime | None:
    """Unix milliseconds, as a number or as text with decimals. In UTC; None for what cannot be read."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return datetime.fromtimestamp(number / 1000, UTC) if EARLIEST <= number / 1000 <= LATEST else None


def seconds_of(value: object) -> float | None:
    """A length in milliseconds, as a number or as text with decimals, in seconds; None for what cannot be read."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return number / 1000 if 0 < number < LONGEST_LENGTH * 1000 else None
