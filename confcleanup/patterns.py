"""How what people write is compared with what vendors say: ids, texts, owners and globs (``*`` and ``?``). Pure."""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

T = TypeVar("T")
WINDOW = 5
"""Letters of a glob by which it is found. Fewer are in too many texts, and more cost more to look for."""
_HEXADECIMAL = re.compile("[0-9a-f]{32}")


def plain(text: str) -> str:
    """A text as it is compared: without regard to case or to how accents are encoded."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def ident(text: str) -> str:
    """An id as it is compared: trimmed, accents composed, and a UUID without case and dashes."""
    text = unicodedata.normalize("NFC", text.strip())
    if len(text) >= 32 and _HEXADECIMAL.fullmatch(digits := text.replace("-", "").lower()):
        return digits
    return text


def same_ids(names: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether one of these ids is one of those."""
    return not {ident(name) for name in names}.isdisjoint(map(ident, wanted))


def is_glob(text: str) -> bool:
    """Whether a text has a letter that stands for others."""
    return "*" in text or "?" in text


@lru_cache(maxsize=65536)
def matcher(glob: str) -> Callable[[str], object]:
    """What tells whether a plain text fits a glob. Compiling one takes a thousand times as long as using it."""
    wanted = plain(glob)
    if not is_glob(wanted):
        return wanted.__eq__
    return re.compile(fnmatch.translate(wanted.replace("[", "[[]"))).match


def matches(text: str | None, glob: str) -> bool:
    """Whether a text fits a glob, without regard to case or to how accents are encoded."""
    return text is not None and bool(matcher(glob)(plain(text)))


def same_owner(owner: str | None, wanted: str) -> bool:
    """Whether an owner is the one wanted (a glob); ``anna`` and ``anna@vc.example.org`` are the same."""
    owner, wanted = (owner or "").strip(), wanted.strip()
    if not owner:
        return False
    if ("@" in owner) == ("@" in wanted):
        return matches(owner, wanted)
    return matches(_local(owner), _local(wanted))


def _local(owner: str) -> str:
    return owner.partition("@")[0]


class Texts(Generic[T]):
    """Texts and globs, each with a value, so that those which fit a text are found without trying one after the other.

    A text is looked up. A glob lies under a few letters that every text that fits it must have: its rarest ones.
    """

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        self._exact: dict[str, list[T]] = {}
        self._globs: dict[str, list[tuple[str, T]]] = {}
        globs: list[tuple[str, T]] = []
        for text, value in entries:
            if is_glob(text):
                globs.append((text, value))
            else:
                self._exact.setdefault(plain(text), []).append(value)
        found = [_windows(glob) for glob, _ in globs]
        seen = Counter(letters for windows in found for letters in windows)
        for entry, windows in zip(globs, found, strict=True):
            rarest = min(windows, key=lambda letters: (-len(letters), seen[letters], letters), default="")
            self._globs.setdefault(rarest, []).append(entry)
        self._letters = frozenset(self._globs)
        self._sizes = {len(letters) for letters in self._letters}

    def fitting(self, text: str) -> Sequence[T]:
        """The values of all that fits a plain text."""
        exact = self._exact.get(text, ())
        if not self._sizes:
            return exact
        return [*exact, *self._globs_fitting(text)]

    def _globs_fitting(self, text: str) -> Iterator[T]:
        for size in self._sizes:
            for letters in self._letters.intersection(map(text.__getitem__, _spans(len(text), size))):
                for glob, value in self._globs[letters]:
                    if matcher(glob)(text):
                        yield value


@lru_cache(maxsize=4096)
def _spans(length: int, size: int) -> list[slice]:
    """Where so many letters in a row stand in a text of this length."""
    return [slice(at, at + size) for at in range(length - size + 1)]


def _windows(glob: str) -> set[str]:
    """A few letters in a row, from anywhere in a glob."""
    parts = filter(None, re.split(r"[*?]+", plain(glob)))
    sized = ((part, min(len(part), WINDOW)) for part in parts)
    return {part[span] for part, size in sized for span in _spans(len(part), size)}


class Owners(Generic[T]):
    """Owners that are wanted, each with a value, to be looked up. What fits is the same as by ``same_owner``."""

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        named = [(owner.strip(), value) for owner, value in entries]
        self._local = Texts((owner, value) for owner, value in named if "@" not in owner)
        self._full = Texts((owner, value) for owner, value in named if "@" in owner)
        self._shortened = Texts((_local(owner), value) for owner, value in named if "@" in owner)

    def fitting(self, owner: str) -> Iterator[T]:
        """The values of all that fits an owner, or one of several that are separated by commas."""
        whole_and_parts = [owner, *owner.split(",")] if "," in owner else [owner]
        for one in dict.fromkeys(map(str.strip, whole_and_parts)):
            if one:
                whole = plain(one)
                yield from self._local.fitting(plain(_local(one)))
                yield from (self._full if "@" in one else self._shortened).fitting(whole)
