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
from typing import IO, Any

from ..redact import harmless, redact
from ..system import end_group, install, mode_of, on_read_only_mount, why_denied
from .values import Value, located

COMMAND_TIMEOUT = 60
LEFT_OPEN = 1.0
"""Seconds to wait for the end of what a program printed, if something outside of its session keeps the pipe open."""
MOUNTED = Path("/run/secrets")
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
    def read(cls, raw: Any, folder: Path) -> Secret:
        """As ``parse``; the path of a file, or of a program if it has a slash, begins at the config's folder."""
        secret = cls.parse(raw)
        if secret.source == "file":
            return cls("file", located(secret.where, folder))
        if secret.source == "command" and Path(secret.where).name != secret.where:
            return cls("command", (located(secret.where, folder), *secret._content[1:]))
        return secret

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

    def _from_file(self, name: str) -> str:
        path = Path(name)
        try:
            with path.open(encoding="utf-8") as file:
                mode, fixed = mode_of(file.fileno()) or 0, on_read_only_mount(file.fileno()) and _is_mounted(path)
                content = file.read()
        except PermissionError as error:
            raise ValueError(f"the secret file cannot be read: {why_denied(path, error)}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the secret file {path} cannot be read: {_why(error)}") from None
        if mode & stat.S_IWOTH or (mode & stat.S_IROTH and not fixed):
            raise ValueError(f"everybody on this machine can read or change the secret file {path}: chmod o-rwx {path}")
        return content

    def _from_keyring(self, entry: str) -> str:
        service, _, user = entry.rpartition("/")
        value = _ask_keyring(lambda keyring: keyring.get_password(service, user))
        if value is None:
            raise ValueError(f"the system's keyring holds no {entry}; store it with: keyring set {service} {user}")
        return value

    @property
    def shared(self) -> str | None:
        """Who besides its owner can read the file that the secret is in, in words; None if nobody can."""
        path = Path(self._content) if self.source == "file" else None
        if path is None or not path.is_file() or not (mode := (mode_of(path) or 0) & 0o066):
            return None
        fixed = on_read_only_mount(path) and _is_mounted(path)
        if fixed and mode & stat.S_IROTH:
            return "is readable by everyone in this container; accepted, as a read-only mount takes no chmod"
        if fixed:
            return None
        return f"is in a file that its group can read or write; if that is not intended: chmod g-rw {path}"

    def _from_command(self, command: tuple[str, ...]) -> str:
        what = f"the program {command[0]!r} that should print the secret"
        if not (program := shutil.which(command[0])):
            raise ValueError(f"{what} was not found")
        try:
            status, printed, said = _printed([program, *command[1:]])
            secret = printed.decode("utf-8")
        except (OSError, RuntimeError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
            raise ValueError(f"{what} failed: {_why(error)}") from None
        redact.add(secret.strip())  # before anything that the program said beside it is shown
        if status:
            raise ValueError(f"{what} ended with status {status}{_last_line(said)}")
        if not secret.strip():
            raise ValueError(f"{what} printed nothing{_last_line(said)}")
        return secret

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
    def read(cls, raw: Any, folder: Path) -> tuple[Secret, ...]:
        return tuple(Secret.read(entry, folder) for entry in raw) if isinstance(raw, list) else cls.parse(raw)

    @classmethod
    def describe(cls) -> dict[str, Any]:
        return {"type": "array", "items": Secret.describe()}


def _copied_badly(value: str, wrong: Callable[[str], bool], what: str) -> str | None:
    """Where a copied secret went wrong: the position alone, as the character is part of the secret."""
    at = next((number for number, character in enumerate(value, 1) if wrong(character)), None)
    return f"has {what} at position {at}; copy it again from where the vendor shows it" if at else None


def store_in_keyring(entry: str, secret: str) -> None:
    """Store a secret under ``service/user`` in the system's keyring. Raises ValueError, which says why not."""
    service, _, user = entry.rpartition("/")
    _ask_keyring(lambda keyring: keyring.set_password(service, user, secret))


def _ask_keyring(ask: Callable[[Any], str | None]) -> str | None:
    """What the system's keyring answers. Raises ValueError."""
    try:
        import keyring
    except ImportError:
        raise ValueError(f"the system's keyring needs an extra: {install('keyring')}") from None
    try:
        return _in_time(lambda: ask(keyring))
    # Backends raise what their system raises (D-Bus, Keychain, ctypes), not only keyring's own errors. Nothing is
    # swallowed: it is raised as what becomes a message, without its text, which may show the secret.
    except Exception as error:  # noqa: BLE001  # backends raise what they like; raised again as ValueError
        raise ValueError(
            f"the system's keyring cannot be opened ({type(error).__name__}). cron and services have no session "
            'that unlocks one: keep the secret in { file = "path" } there, or print it with { command = ["…"] }'
        ) from None


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


def _is_mounted(path: Path) -> bool:
    """Whether a file lies where containers get secrets, or in a volume of Kubernetes, which has a ``..data`` link."""
    real = path.resolve()
    if real.is_relative_to(MOUNTED):
        return True
    links = [folder / "..data" for folder in path.absolute().parents]
    return any(link.is_symlink() and real.is_relative_to(link.resolve()) for link in links)


def _printed(words: list[str]) -> tuple[int, bytes, bytes]:
    """A program's exit status and what it wrote, as soon as it ends, whatever it leaves behind: that is ended too.

    It runs in a session of its own, without a terminal, as it would from cron. Raises OSError and TimeoutExpired.
    """
    with subprocess.Popen(  # noqa: S603  # the operator's own command, no shell
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            readers = [_Reader(process.stdout), _Reader(process.stderr)]
            status = process.wait(COMMAND_TIMEOUT)
        finally:
            end_group(process)
        for reader in readers:
            reader.join(LEFT_OPEN)
        return status, bytes(readers[0].read), bytes(readers[1].read)


class _Reader(threading.Thread):
    """Reads a pipe while its program runs. A daemon, as what left the program's session may keep the pipe open."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        super().__init__(name="secret", daemon=True)
        self._pipe = os.dup(pipe.fileno()) if pipe else -1
        self.read = bytearray()
        self.start()

    def run(self) -> None:
        with open(self._pipe, "rb", buffering=0) as pipe:  # noqa: PTH123  # an open file, of which Path knows nothing
            while some := pipe.read(65536):
                self.read += some


def _last_line(said: bytes) -> str:
    """What a program wrote last to standard error."""
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return f': "{redact(harmless(lines[-1].strip()))[:200]}"' if lines else ""


def _why(error: Exception) -> str:
    """An operating system's reason, without the command line or the content it concerns."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it did not end within {COMMAND_TIMEOUT} s"
    return (error.strerror if isinstance(error, OSError) else str(error)) or "it cannot be opened"
