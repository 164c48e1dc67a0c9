"""What keeps items whatever a rule selects: legal holds, keep_ids and keep_tags, looked up once for each item. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache

import msgspec

from .items import Item
from .patterns import Owners, Texts, ident, plain

LINES = ("holds", "keep_ids", "keep_tags")
"""The lines of the table of decisions that keep an item before any filter is asked, in their order."""
CACHED = 16384
"""So many owners and tags are remembered with what fits them: many items have the same."""
FIELDS = {"id": "id", "owner": "owner", "title": "title", "tag": "tags"}
"""What a mark is compared with: the item's field."""


class Hold(msgspec.Struct, frozen=True):
    """A legal hold: whatever one of its marks fits stays, under every rule. ``title`` and ``owner`` are globs.

    ``until`` is None for a hold without an end. A hold whose end has passed is no longer handed to a rule.
    """

    reason: str
    id: str | None = None
    owner: str | None = None
    title: str | None = None
    tag: str | None = None
    until: datetime | None = None

    @property
    def told(self) -> str:
        """Why it holds, and until when."""
        return f"on legal hold: {self.reason}{f', until {self.until:%Y-%m-%d}' if self.until else ''}"


class Mark(msgspec.Struct, frozen=True, gc=False):
    """One thing by which items are kept. ``kind`` is a key of ``FIELDS``, ``text`` is as it was written.

    ``ids`` are what an id that was written may stand for. ``rule`` is where it stands, if it stands in one;
    ``foreign`` marks what another account of the config, which is the same one at the vendor, keeps.
    """

    line: str
    kind: str
    text: str
    reason: str
    ids: Collection[str] = ()
    rule: str = ""
    hold: Hold | None = None
    foreign: bool = False


def hold_marks(holds: Iterable[Hold], ids: Mapping[str, Collection[str]]) -> Iterator[Mark]:
    """The marks of holds. ``ids`` says for an id what it may stand for; what is not in it stands for itself."""
    for hold in holds:
        for kind in FIELDS:
            if (text := getattr(hold, kind)) is not None:
                yield Mark("holds", kind, text, hold.told, ids.get(text, (text,)) if kind == "id" else (), hold=hold)


def keep_marks(
    rule: str, ids: Mapping[str, Collection[str]], tags: Iterable[str], account: str | None = None
) -> Iterator[Mark]:
    """What a rule keeps: its keep_ids, with what each may stand for, and its keep_tags.

    ``account`` is the other account of the config in which the rule stands, if it does.
    """
    whose = f" of {account}, which is the same account" if account else ""
    foreign = account is not None
    for text, meant in ids.items():
        yield Mark("keep_ids", "id", text, f"named in keep_ids{whose}", meant, rule, foreign=foreign)
    for tag in tags:
        yield Mark("keep_tags", "tag", tag, f"has the keep tag {tag!r}{whose}", rule=rule, foreign=foreign)


class Protection:
    """All marks of an account, in the order in which they decide. A mark is known by its place in ``marks``."""

    def __init__(self, marks: Iterable[Mark]) -> None:
        self.marks = tuple(sorted(marks, key=lambda mark: LINES.index(mark.line)))
        self._ids: dict[str, list[int]] = {}
        self._tags: dict[str, list[int]] = {}
        for place, mark in enumerate(self.marks):
            for text in {ident(meant) for meant in mark.ids}:
                self._ids.setdefault(text, []).append(place)
            if mark.kind == "tag":
                self._tags.setdefault(plain(mark.text), []).append(place)
        titles, owners = Texts(self._written("title")), Owners(self._written("owner"))
        self._titles = titles  # titles differ from item to item, so that remembering them would save nothing
        self._owned = lru_cache(CACHED)(lambda owner: tuple(owners.fitting(owner)))
        self._tagged = lru_cache(CACHED)(lambda tag: tuple(self._tags.get(plain(tag), ())))
        self._asked = dict.fromkeys((mark.line, FIELDS[mark.kind]) for mark in self.marks if mark.kind != "id")
        self._fields = {field for _, field in self._asked}

    def _written(self, kind: str) -> Iterator[tuple[str, int]]:
        return ((mark.text, place) for place, mark in enumerate(self.marks) if mark.kind == kind)

    def fitting(self, item: Item) -> list[int]:
        """The places of all marks that fit an item, the one that decides first."""
        found: list[int] = []
        if self._ids:
            for name in (item.id, *item.aliases):
                found += self._ids.get(ident(name), ())
        if "tags" in self._fields:
            for tag in item.tags or ():
                found += self._tagged(tag)
        if "title" in self._fields and item.title is not None:
            found += self._titles.fitting(plain(item.title))
        if "owner" in self._fields and item.owner:
            found += self._owned(item.owner)
        return sorted(set(found)) if found else found

    def unknown(self, item: Item) -> list[tuple[str, str]]:
        """The fields that marks ask for and the vendor did not give, each with the line that asks."""
        return [(line, field) for line, field in self._asked if getattr(item, field) is None]

    def names(self, text: str) -> bool:
        """Whether an id is one of those that are named."""
        return ident(text) in self._ids
