"""Keeps secrets out of everything that is read by people or machines: by value, not by pattern.

Whatever is once known as a secret (from the config, or a token from a sign-in) is registered here and
replaced wherever text leaves the program. Control characters and bidirectional overrides in other
people's text are made visible, so that a meeting's title cannot write to a terminal.
"""

from __future__ import annotations

import re
import threading
import unicodedata

PLACE = "[secret]"
SHORT = 6
"""A secret shorter than this (a PIN) is replaced only where it stands alone."""


class Redactor:
    """A growing set of secret values. Thread-safe."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, secret: str) -> None:
        """Registers a secret with the other spellings in which it may travel."""
        import base64  # here, as ``--version`` knows no secret
        import json
        from urllib.parse import quote, quote_plus

        coded = secret.encode("utf-8", "surrogatepass")
        spellings = {secret, quote(coded, safe=""), quote_plus(coded), repr(secret)[1:-1], json.dumps(secret)[1:-1]}
        spellings.add(base64.b64encode(coded).decode())
        with self._lock:
            if secret.strip() and not spellings <= self._values:
                self._values |= spellings
                self._pattern = re.compile("|".join(map(_expression, sorted(self._values, key=len, reverse=True))))

    def __call__(self, text: str) -> str:
        """The text with every registered secret replaced."""
        return self._pattern.sub(PLACE, text) if self._pattern else text


def _expression(value: str) -> str:
    return re.escape(value) if len(value) >= SHORT else rf"(?<!\w){re.escape(value)}(?!\w)"


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
