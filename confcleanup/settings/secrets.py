"""Secrets: where they are kept, and how they are read when they are needed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..redact import redact
from ..system import install, mode_of
from .values import Value

COMMAND_TIMEOUT = 60
KEYRING = r"\S+/[^/\s]+"
"""An entry of the system's keyring: the service, a slash, the user."""


class Secret(Value):
    """A secret: the text itself, or where it is kept. Read only when it is needed, never shown."""

    def __init__(self, source: str, content: Any) -> None:
        self.source = source
        self._content = content

    @property
    def literal(self) -> bool:
        """Whether the secret itself stands in the config file."""
        return self.source == "text"

    @classmethod
    def parse(cls, raw: Any) -> Secret:
        if isinstance(raw, str) and raw:
            return cls("text", raw)
        if isinstance(raw, dict) and len(raw) == 1:
            ((source, content),) = raw.items()
            if source in ("env", "file") and isinstance(content, str) and content:
                return cls(source, content)
            if source == "keyring" and isinstance(content, str) and re.fullmatch(KEYRING, content):
                return cls(source, content)
            if (
                source == "command"
                and isinstance(content, list)
                and content
                and all(isinstance(c, str) for c in content)
            ):
                return cls(source, tuple(content))
        raise ValueError(
            'a secret is "text", { env = "NAME" }, { file = "path" }, { keyring = "service/user" } '
            'or { command = ["program", "argument"] }'
        )

    @classmethod
    def describe(cls) -> dict[str, Any]:
        text = {"type": "string", "minLength": 1}
        entry = {"type": "string", "pattern": f"^{KEYRING}$"}
        words = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        places = [
            {"type": "object", "properties": {name: kind}, "required": [name], "additionalProperties": False}
            for name, kind in (("env", text), ("file", text), ("keyring", entry), ("command", words))
        ]
        return {"anyOf": [text, *places]}

    @property
    def where(self) -> str:
        """The variable, the file or the program that holds it; nothing for the text itself."""
        return "" if self.literal else str(self._content[0] if self.source == "command" else self._content)

    def reveal(self) -> str:
        """The secret's text, without a byte order mark and the line ends after it, wherever it is kept.

        Raises ValueError, saying where it was looked for, if it is not there or cannot be the secret alone.
        """
        found: str = getattr(self, f"_from_{self.source}")(self._content)
        value = found.removeprefix("\ufeff").rstrip("\r\n")
        if value:
            redact.add(value)
        if mistake := self._mistake(value):
            raise ValueError(f"{self._place} {mistake}")
        return value

    def _mistake(self, value: str) -> str | None:
        """What keeps a text from being the secret, in words that show nothing of it."""
        if not value:
            return "is empty"
        if len(value.splitlines()) > 1:
            return "has more than one line; store the secret alone, in one line"
        if self.source == "env" and len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            # docker --env-file and systemd's Environment= in some spellings hand quotes on as part of the value.
            return "begins and ends with a quotation mark; set it without, or use { file = … } if they belong to it"
        return _copied_badly(
            value, lambda character: unicodedata.category(character) in ("Cc", "Cf"), "an invisible character"
        )

    @property
    def _place(self) -> str:
        return f"the secret from {self.source} {self.where!r}" if self.where else "the secret"

    def _from_text(self, text: str) -> str:
        return text

    def _from_env(self, name: str) -> str:
        if name not in os.environ:
            raise ValueError(
                f"the environment variable {name} is not set (cron and services do not read your shell's profile)"
            )
        try:
            os.environ[name].encode()
        except UnicodeEncodeError:
            raise ValueError(f"the environment variable {name} is not UTF-8 text") from None
        return os.environ[name]

    def _from_file(self, path: str) -> str:
        try:
            with Path(path).expanduser().open(encoding="utf-8") as file:
                loose = (mode_of(file.fileno()) or 0) & (stat.S_IROTH | stat.S_IWOTH)
                content = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the secret file {path} cannot be read: {_why(error)}") from None
        if loose:
            raise ValueError(f"everybody on this machine can read or change the secret file {path}: chmod o-rwx {path}")
        return content

    def _from_keyring(self, entry: str) -> str:
        service, _, user = entry.rpartition("/")
        try:
            import keyring
        except ImportError:
            raise ValueError(f"the system's keyring needs an extra: {install('keyring')}") from None
        try:
            value = _in_time(lambda: keyring.get_password(service, user))
        # Backends raise what their system raises (D-Bus, Keychain, ctypes), not only keyring's own errors. Nothing is
        # swallowed: it is raised as what the config's reader turns into a message, and nothing is contacted.
        except Exception as error:  # noqa: BLE001  # backends raise what they like; raised again as ValueError
            raise ValueError(
                f"the system's keyring cannot be opened ({type(error).__name__}). cron and services have no session "
                'that unlocks one: keep the secret in { file = "path" } there, or print it with { command = ["…"] }'
            ) from None
        if value is None:
            raise ValueError(f"the system's keyring holds no {entry}; store it with: keyring set {service} {user}")
        return value

    @property
    def shared(self) -> bool:
        """Whether the secret lies in a file that its group can read or change."""
        path = Path(self._content).expanduser() if self.source == "file" else None
        return bool(path and path.is_file() and (mode_of(path) or 0) & (stat.S_IRGRP | stat.S_IWGRP))

    def _from_command(self, command: tuple[str, ...]) -> str:
        program = shutil.which(command[0])
        if not program:
            raise ValueError(f"the program {command[0]!r} that should print the secret was not found")
        try:
            done = subprocess.run([program, *command[1:]], capture_output=True, timeout=COMMAND_TIMEOUT, check=False)  # noqa: S603  # the operator's own command, no shell
            printed = done.stdout.decode("utf-8")
        except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
            raise ValueError(f"the program {command[0]!r} that should print the secret failed: {_why(error)}") from None
        if done.returncode:
            raise ValueError(
                f"the program {command[0]!r} that should print the secret ended with status {done.returncode}"
            )
        return printed

    def __repr__(self) -> str:
        return f"Secret(from {self.source})"


class Token(Secret):
    """A secret that is sent in a header, which takes only the printable characters of ASCII."""

    def _mistake(self, value: str) -> str | None:
        return super()._mistake(value) or _copied_badly(
            value, lambda character: not "!" <= character <= "~", "a character that a request header cannot carry"
        )


class Secrets(Value):
    """A list of secrets."""

    @classmethod
    def parse(cls, raw: Any) -> tuple[Secret, ...]:
        if not isinstance(raw, list):
            raise ValueError("expected a list of secrets")
        return tuple(map(Secret.parse, raw))

    @classmethod
    def describe(cls) -> dict[str, Any]:
        return {"type": "array", "items": Secret.describe()}


def _copied_badly(value: str, wrong: Callable[[str], bool], what: str) -> str | None:
    """Where a copied secret went wrong: the position alone, as the character is part of the secret."""
    at = next((number for number, character in enumerate(value, 1) if wrong(character)), None)
    return f"has {what} at position {at}; copy it again from where the vendor shows it" if at else None


def _in_time(ask: Callable[[], str | None]) -> str | None:
    """What a keyring answers. Raises TimeoutError where it waits for a dialog that nobody sees, and what it raises."""
    from concurrent.futures import Future

    found: Future[str | None] = Future()

    def answer() -> None:
        try:
            found.set_result(ask())
        except Exception as error:  # noqa: BLE001  # a thread's own; result() raises it again in the one that waits
            found.set_exception(error)

    threading.Thread(target=answer, name="keyring", daemon=True).start()
    return found.result(COMMAND_TIMEOUT)


def _why(error: Exception) -> str:
    """An operating system's reason, without the command line or the content it concerns."""
    if isinstance(error, OSError):
        return error.strerror or "it cannot be opened"
    return "it took too long" if isinstance(error, subprocess.TimeoutExpired) else "it is not UTF-8 text"
