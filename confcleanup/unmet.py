"""What is written to keep or to select items, and fits none of those that were listed: most likely a slip. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from .filter import Rule, protection_of
from .items import Item
from .patterns import ident, matches, same_owner
from .protection import FIELDS, Hold, Mark

Filter = tuple[str, str, str]
"""A rule's name, a key of it, and what is written there."""
Found = dict[tuple[str, str, str], list[tuple[str, Iterable[str]]]]
"""By rule, key and source: what fits nothing, and what it may stand for."""
SHOWN = 10
"""So many of one kind are named in a warning."""
REMEMBERED = 20_000
"""So many listed ids are remembered, to find the one that was meant."""
LEAST = 5
"""Letters below which an id that differs in one of them is no hint."""


class Reach(msgspec.Struct, frozen=True):
    """How far a listing reaches. ``only`` says in words what it is restricted to; empty where it shows everything.

    ``keeps``, ``filters``: whether it follows from it that a mark which keeps items, or a rule's filter, fits nothing.
    """

    only: str = ""
    keeps: bool = True
    filters: bool = True


class Unmet:
    """What has fitted nothing so far in one account. It is told of every item that is listed."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.protection = protection_of(rules)
        self._rules = rules
        self._met: set[int] = set()
        self._missing: set[str] = set()
        self._ids: list[str] | None = [] if any(mark.ids for mark in self.protection.marks) else None
        self._filters = {what: _filters(rules, what) for what in dict.fromkeys(rule.what for rule in rules)}
        self._others: dict[str, str] | None = None
        self._loose: dict[str, str] = {}
        self.reach: Mapping[str, Reach] = {}
        """By source; set when the account is listed completely, as are ``counts``, the listed items of each."""
        self.counts: Mapping[str, int] = {}

    def note(self, item: Item, fits: Sequence[int]) -> None:
        """Takes note of a listed item, and of the places of the marks that fit it."""
        self._met.update(fits)
        if item.title is None or item.owner is None or item.tags is None:
            self._missing.update(field for field in FIELDS.values() if getattr(item, field) is None)
        if self._ids is not None and len(self._ids) < REMEMBERED:
            self._ids += (item.id, *item.aliases)
        if still := self._filters[item.what]:
            for entry in [entry for entry in still if _fits(*entry[1:], item)]:
                del still[entry]

    def marks(self, line: str) -> list[str]:
        """What the rules have in keep_ids or keep_tags and fits nothing, in words: it protects nothing."""
        found: Found = {}
        for rule in self._rules:
            for mark in self._unmet() if self.reach[rule.what].keeps else ():
                mine = (mark.rule, mark.line, mark.foreign) == (rule.name, line, False)
                if mine and FIELDS[mark.kind] not in self._missing:
                    found.setdefault((rule.name, mark.line, rule.what), []).append((mark.text, mark.ids))
        return self._told(found)

    def filters(self) -> list[str]:
        """What the rules select by and fits nothing, in words; often because all of it is deleted."""
        found: Found = {}
        for rule in self._rules:
            reach = self.reach[rule.what]
            if not reach.filters or not (self.counts[rule.what] or reach.only):
                continue
            for name, key, text in self._filters[rule.what]:
                if name == rule.name and key not in self._missing:
                    found.setdefault((name, key, rule.what), []).append((text, ()))
        return self._told(found)

    def _told(self, found: Found) -> list[str]:
        told: dict[str, list[str]] = {}
        for (name, key, what), unmet in found.items():
            texts = [self.named(*one) for one in unmet[:SHOWN]]
            listed = f"among the {self.counts[what]} {what} listed{self._only(what)}"
            told.setdefault(f"{key}: {_some(texts, len(unmet))} {listed}", []).append(repr(name))
        return [f"rule{'s' if len(names) > 1 else ''} {', '.join(names)}: {text}" for text, names in told.items()]

    def _only(self, what: str) -> str:
        only = self.reach[what].only
        return f", which are only {only}" if only else ""

    def _unmet(self) -> Iterable[Mark]:
        return (mark for place, mark in enumerate(self.protection.marks) if place not in self._met)

    def met_holds(self) -> set[Hold]:
        """The holds that fit something, or may fit something about which the vendor does not tell what they ask for."""
        marks = enumerate(self.protection.marks)
        return {
            mark.hold
            for place, mark in marks
            if mark.hold and (place in self._met or FIELDS[mark.kind] in self._missing)
        }

    def named(self, text: str, meant: Iterable[str]) -> str:
        """An id as it was written, with the one that is listed and was perhaps meant."""
        near = next(filter(None, (self._near(one) for one in meant)), None)
        return f"{text!r} (did you mean {near!r}?)" if near else repr(text)

    def _near(self, text: str) -> str | None:
        if self._others is None:
            self._others = {ident(other): other for other in self._ids or () if not self.protection.names(other)}
            self._loose = {loose(other): other for other in self._others.values()}
        wanted = ident(text)
        slips = (other for one, other in self._others.items() if one_slip(one, wanted))
        return self._loose.get(loose(wanted)) or next(slips, None)


def unmet_holds(accounts: Sequence[Unmet]) -> list[str]:
    """The holds that fit nothing in any of these accounts, which are all there are, in words.

    Nothing where an account does not list all that a hold may be meant for.
    """
    reaches = [reach for account in accounts for reach in account.reach.values()]
    if not all(reach.keeps for reach in reaches):
        return []
    met = {hold for account in accounts for hold in account.met_holds()}
    held = dict.fromkeys(mark.hold for account in accounts for mark in account.protection.marks if mark.hold)
    unmet = [hold for hold in held if hold not in met]
    listed = " and ".join(dict.fromkeys(reach.only for reach in reaches if reach.only))
    only = f" (of some, only {listed} are listed)" if listed else ""
    texts = [_told(hold, accounts) for hold in unmet[:SHOWN]]
    return [f"holds: {_some(texts, len(unmet))} that is listed in any account{only}"] if unmet else []


def _told(hold: Hold, accounts: Sequence[Unmet]) -> str:
    """A hold by its marks and its reason."""
    marks = {kind: text for kind in FIELDS if (text := getattr(hold, kind)) is not None}
    named = {kind: repr(text) for kind, text in marks.items()}
    if hold.id is not None:
        named["id"] = max((account.named(hold.id, (hold.id,)) for account in accounts), key=len)
    return f"{' or '.join(f'{kind} {text}' for kind, text in named.items())} ({hold.reason})"


def _filters(rules: Sequence[Rule], what: str) -> dict[Filter, None]:
    """What the rules of a source select by."""
    found: list[Filter] = []
    for rule in (rule for rule in rules if rule.what == what):
        found += [(rule.name, "title", rule.title)] if rule.title is not None else []
        found += [(rule.name, "owner", rule.owner)] if rule.owner is not None and rule.owner_given else []
        found += [(rule.name, "tags", tag) for tag in rule.tags] + [(rule.name, "names", name) for name in rule.names]
    return dict.fromkeys(found)


def _fits(key: str, text: str, item: Item) -> bool:
    if key == "title":
        return matches(item.title, text)
    if key == "owner":
        return same_owner(item.owner, text)
    return text in (item.tags or ()) if key == "tags" else matches(item.id, text)


def _some(texts: Sequence[str], count: int) -> str:
    """The first few of ``count`` texts, and that they fit nothing."""
    more = f" and {count - SHOWN} more" if count > SHOWN else ""
    return f"{', '.join(texts)}{more} fit{'s' if count == 1 else ''} nothing"


def loose(text: str) -> str:
    """An id without what is easily lost on its way through a spreadsheet: leading zeros, case, blanks, dashes."""
    return "".join(filter(str.isalnum, text)).casefold().lstrip("0")


def one_slip(one: str, two: str) -> bool:
    """Whether two ids differ by one letter that is other, lacking or too much, or by two that changed places."""
    if abs(len(one) - len(two)) > 1 or (one[:2] != two[:2] and one[-2:] != two[-2:]):
        return False
    short, long = sorted((one, two), key=len)
    if len(short) < LEAST or one == two:
        return False
    at = next((at for at, letter in enumerate(short) if letter != long[at]), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    swapped = short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
    return swapped or short[at + 1 :] == long[at + 1 :]
