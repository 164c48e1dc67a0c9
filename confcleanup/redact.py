"""Keeps secrets out of everything that is read by people or machines: by value, not by pattern.

Whatever is once known as a secret (from the config, or a token from a sign-in) is registered here and
replaced wherever text leaves the program. Control characters and bidirectional overrides in other
people's text are made visible, so that a meeting's title cannot write to a terminal.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator

PLACE = "[secret]"
SHORT = 6
"""A secret shorter than this (a PIN) is replaced only where it stands alone."""
MARK = 4
"""Letters by which a text that may hold a secret is found, however many secrets there are."""
NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", " ": "+", "\b": r"\b", "\f": r"\f"}
"""Other ways to write a character, in HTML, in an address, in JSON."""
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class Redactor:
    """A growing set of secret values. Thread-safe.

    A secret is recognised in whatever spelling it travels: as it is, with any of its characters escaped for an
    address, JSON, HTML or Python, in hex, and in base64, also where it is only a part of what was encoded.
    """

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}
        self._marks: dict[str, tuple[str, ...]] = {}
        self._unmarked: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def add(self, secret: str) -> None:
        """Registers a secret with the other spellings in which it may travel."""
        with self._lock:
            if not secret.strip() or secret in self._secrets:
                return
            spellings = list(_spellings(secret))
            marks = [_marks(spelling) for spelling in spellings]
            self._secrets[secret] = "|".join(map("".join, spellings))
            if len(secret) < SHORT or not all(marks):
                self._unmarked += (secret,)
            else:
                for mark in set().union(*marks):
                    self._marks[mark] = (*self._marks.get(mark, ()), secret)

    def __call__(self, text: str) -> str:
        """The text with every registered secret replaced."""
        known = self._marks
        marks = [mark for at in range(0, len(text) - MARK + 1, MARK) if (mark := text[at : at + MARK]) in known]
        if not marks and not self._unmarked:
            return text
        found = {secret for mark in marks for secret in known[mark]}.union(self._unmarked)
        longest_first = sorted(found, key=lambda secret: (-len(secret), secret))
        return re.sub("|".join(self._secrets[secret] for secret in longest_first), PLACE, text)


def _spellings(secret: str) -> Iterator[list[str]]:
    """Every way to write a secret, each as the pieces of a pattern, one for each character that it matches."""
    coded = secret.encode("utf-8", "surrogatepass")
    pieces = list(map(_character, secret))
    yield _alone(pieces, secret)
    if "\\" in secret:  # doubled each or none: a choice for each would make as many ways as there are choices
        yield _alone([r"\\\\" if one == "\\" else piece for one, piece in zip(secret, pieces, strict=True)], secret)
    for digits in {coded.hex(), coded.hex().upper()}:
        yield _alone(list(digits), secret)
    for before in range(3 if len(coded) > 3 else 1):
        yield _alone(_base64(coded, before), secret if len(coded) <= 3 else "")


def _alone(pieces: list[str], secret: str) -> list[str]:
    """A short secret is one only where it stands alone; the empty one asks for nothing."""
    return [r"(?<!\w)", *pieces, r"(?!\w)"] if 0 < len(secret) < SHORT else pieces


def _character(one: str) -> str:
    """A pattern for a character as it is, or as it is escaped somewhere."""
    if one.isascii() and (one.isalnum() or one in "-._~"):
        return re.escape(one)
    bytes_8, bytes_16 = (one.encode(code, "surrogatepass") for code in ("utf-8", "utf-16-be"))
    percent = "".join(f"%{byte:02x}" for byte in bytes_8)
    units = "".join(f"\\u{bytes_16[at : at + 2].hex()}" for at in range(0, len(bytes_16), 2))
    ways = [percent, units, f"&#{ord(one)};", f"&#x{ord(one):x};"]
    ways += [repr(one)[1:-1], f"\\{one}", NAMED.get(one, one)] if one != "\\" else []
    folded = [f"(?i:{re.escape(way)})" for way in ways if way != one]
    return f"(?:{'|'.join(folded)}|{re.escape(one)})"


def _base64(coded: bytes, before: int) -> list[str]:
    """A pattern for these bytes in base64, where so many others, modulo 3, were encoded before them.

    The letters at both ends also hold bits of what is beside them, so there it knows several.
    """
    first, last = 8 * before, 8 * (before + len(coded))
    number = int.from_bytes(coded) << (-last % 6)
    width = -(-last // 6) * 6
    pieces = []
    for at in range(first // 6 * 6, width, 6):
        digit = number >> (width - at - 6) & 63
        if first <= at and at + 6 <= last:
            pieces.append(_digit([digit]))
        else:
            ours = 63 >> max(first - at, 0) & -1 << max(at + 6 - last, 0)
            pieces.append(_digit([other for other in range(64) if not (other ^ digit) & ours]))
    return [*pieces, "(?:=|%3[dD]){0,2}"]


def _digit(values: list[int]) -> str:
    """A pattern for one of some base64 digits, in both alphabets, and as an address or JSON has it."""
    letters = "".join(DIGITS[value] for value in values)
    if letters.isalnum():
        return letters if len(letters) == 1 else f"[{letters}]"
    more = {"+": ("-", "%2[bB]", r"\\u002[bB]"), "/": ("_", "%2[fF]", r"\\/")}
    ways = [re.escape(way) if len(way) == 1 else way for one in letters for way in (one, *more.get(one, ()))]
    return f"(?:{'|'.join(ways)})"


def _marks(pieces: list[str]) -> set[str]:
    """Pieces of text of which one stands, at a multiple of its length, in any text that holds this spelling.

    Nothing if the spelling has no run of plain characters that is long enough.
    """
    plain = "".join(one if len(one) == 1 else " " for one in pieces)
    run = re.search(f"[0-9A-Za-z]{{{2 * MARK - 1}}}", plain)
    return {run[0][at : at + MARK] for at in range(MARK)} if run else set()


redact = Redactor()
"""The process's one register of secrets."""


def harmless(text: str) -> str:
    """Other people's text, safe to show: control and formatting characters become visible escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return f"\\u{ord(character):04x}" if ord(character) > 0xFF else f"\\x{ord(character):02x}"
    return character
