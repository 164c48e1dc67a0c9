"""Typed settings: the values a config can hold, and the check that finds every mistake at once.

What a provider adds is a struct of its own, derived from ``AccountSettings`` or ``RuleSettings``.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime, timedelta, tzinfo
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from .cutoff import Period
from .errors import ConfigError, Problem
from .redact import redact
from .selection import LiveRule
from .system import install, mode_of

S = TypeVar("S", bound=msgspec.Struct)
COMMAND_TIMEOUT = 60
LONGEST_NOTICE = timedelta(minutes=1)
KEYRING = r"\S+/[^/\s]+"
"""An entry of the system's keyring: the service, a slash, the user."""


class Value:
    """A setting written as text that needs reading; ``parse`` raises ValueError with a sentence.

    ``describe`` is its JSON Schema, with ``example``.
    """

    example: ClassVar[str] = ""

    @classmethod
    def parse(cls, raw: Any) -> Any:
        raise NotImplementedError

    @classmethod
    def describe(cls) -> dict[str, Any]:
        return {"type": "string"} | ({"examples": [cls.example]} if cls.example else {})


class Age(Value):
    """A retention such as "30 days"; becomes a ``Period``."""

    example = "30 days"

    @classmethod
    def parse(cls, raw: Any) -> Period:
        return Period.parse(_text(raw, 'a length of time in quotes, for example "30 days"'))


class Span(Value):
    """An exact length of time such as "50 minutes"; becomes a ``timedelta``."""

    example = "50 minutes"

    @classmethod
    def parse(cls, raw: Any) -> timedelta:
        return Period.parse(_text(raw, 'a length of time in quotes, for example "50 minutes"')).exact()


class Share(Value):
    """A part of the whole such as "25%"; becomes a ``Fraction`` of 1."""

    example = "25%"

    @classmethod
    def parse(cls, raw: Any) -> Fraction:
        found = re.fullmatch(r"\s*([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%\s*", _text(raw, 'a percentage in quotes, "25%"'))
        if not found or Fraction(found[1]) > 100:
            raise ValueError(f'{raw!r} is not a percentage from "0%" to "100%"')
        return Fraction(found[1]) / 100


class Pace(msgspec.Struct, frozen=True):
    """At most ``count`` requests in any ``seconds``; ``count`` 0 means unlimited."""

    count: int
    seconds: float


class Rate(Value):
    """A request rate such as "20/s", "10/min" or "unlimited"; becomes a ``Pace``."""

    example = "20/s"

    @classmethod
    def parse(cls, raw: Any) -> Pace:
        text = _text(raw, 'a rate in quotes, for example "10/min"').strip().lower()
        if text == "unlimited":
            return Pace(0, 1)
        found = re.fullmatch(r"([0-9]{1,6})\s*/\s*(s|sec|second|min|minute|h|hour)", text)
        if not found or int(found[1]) == 0:
            raise ValueError(f'{raw!r} is not a rate; write "20/s", "10/min", "500/h" or "unlimited"')
        return Pace(int(found[1]), {"s": 1, "m": 60, "h": 3600}[found[2][0]])


class When(Value):
    """A moment: RFC 3339 text, or a TOML date or time. Without an offset it is in the config's time zone."""

    example = "2026-01-31T18:00:00+01:00"

    @classmethod
    def parse(cls, raw: Any) -> str:
        if isinstance(raw, (datetime, date)):
            return raw.isoformat()
        text = _text(raw, "a date or time")
        try:
            datetime.fromisoformat(text.strip())
        except ValueError:
            raise ValueError(f"{text!r} is not a date or time; write 2026-01-31T18:00:00+01:00") from None
        return text


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
        """The secret's text. Raises ValueError, saying where it was looked for, if it is not there."""
        value: str = getattr(self, f"_from_{self.source}")(self._content)
        if not value:
            raise ValueError(f"the secret from {self.source} {self._place} is empty")
        redact.add(value)
        return value

    @property
    def _place(self) -> str:
        return repr(self.where) if self.where else ""

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
        return content.rstrip("\r\n")

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
            printed = done.stdout.decode("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
            raise ValueError(f"the program {command[0]!r} that should print the secret failed: {_why(error)}") from None
        if done.returncode:
            raise ValueError(
                f"the program {command[0]!r} that should print the secret ended with status {done.returncode}"
            )
        return printed

    def __repr__(self) -> str:
        return f"Secret(from {self.source})"


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


def _text(raw: Any, wanted: str) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"expected {wanted}")
    return raw


class Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A table of the config. A subclass may say more about its own mistakes in ``problems``."""

    def problems(self) -> Iterator[tuple[str, str]]:
        """Mistakes that no single key shows: pairs of key and message."""
        yield from ()

    def missing(self) -> Iterator[tuple[str, str]]:
        """What this table needs from the machine it is used on, and does not find: pairs of key and message."""
        yield from ()


class LimitSettings(Table, frozen=True, kw_only=True):
    """The brakes; each key may stand in ``[limits]`` or in an account."""

    max_deletions: Annotated[int, msgspec.Meta(ge=0)] | None = None
    max_share: Annotated[Fraction | None, Share] = None
    max_growth: Annotated[float, msgspec.Meta(ge=0)] | None = None
    max_runtime: Annotated[timedelta | None, Span] = None
    max_clock_skew: Annotated[timedelta | None, Span] = None


class AccountSettings(LimitSettings, frozen=True, kw_only=True):
    """What every account takes. ``url`` is the base to which the vendor's documented paths are added.

    ``asked``: what ``init`` asks for beside the settings that must be given.
    """

    asked: ClassVar[tuple[str, ...]] = ("url",)

    provider: str
    url: str
    rate: Annotated[Pace, Rate] = Pace(0, 1)
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    timeout: Annotated[timedelta, Span] = timedelta(seconds=30)
    ca_file: str | None = None
    allow_insecure_http: bool = False

    def urls(self) -> Iterator[tuple[str, str]]:
        """Every address this account talks to: pairs of key and URL."""
        yield "url", self.url

    def problems(self) -> Iterator[tuple[str, str]]:
        for key, url in self.urls():
            if mistake := url_mistake(url, self.allow_insecure_http):
                yield key, mistake

    def missing(self) -> Iterator[tuple[str, str]]:
        if self.ca_file and not Path(self.ca_file).expanduser().is_file():
            yield "ca_file", f"there is no file {self.ca_file}"
        for key, secret in self.secrets():
            try:
                secret.reveal()
            except ValueError as error:
                yield key, str(error)

    def secrets(self) -> Iterator[tuple[str, Secret]]:
        """Every secret of the account that is set: pairs of key and secret."""
        for name in self.__struct_fields__:
            if isinstance(value := getattr(self, name), Secret):
                yield name, value

    def identity(self) -> tuple[str, ...]:
        """What tells this account at the vendor from others; two of a config with the same are one there."""
        return self.provider, *same_address(self.url)

    def default_owner(self) -> str | None:
        """The owner that rules without one are held to; None for none."""
        return None


class RuleSettings(Table, frozen=True, kw_only=True):
    """What every rule takes.

    ``says_when``: the rule itself says when its items should have ended, as for live rooms; its ``older_than``
    is then a grace that may be short, and the file's is not for it.
    """

    says_when: ClassVar[bool] = False

    what: str
    name: str = ""
    older_than: Annotated[Period | None, Age] = None
    allow_short_retention: bool = False
    keep_ids: tuple[str | int, ...] = ()
    title: str | None = None
    archive: str | None = None

    @classmethod
    def spellings(cls, written: str) -> Collection[str]:
        """The ids that an id may stand for as people write it, also in a hold and for ``explain``."""
        return (written,)

    def ids(self) -> dict[str, Collection[str]]:
        """The ids to keep, as they are written, each with those that it may stand for."""
        return {str(written): self.spellings(str(written)) for written in self.keep_ids}

    def live(self, zone: tzinfo) -> LiveRule | None:
        """What the rule says about live rooms, if it speaks of any; ``zone`` reads times without an offset."""
        return None


class NotifySettings(Table, frozen=True, kw_only=True):
    """The ``[notify]`` table: who is told how a run went. ``timeout`` bounds all of it together."""

    ping: Annotated[Secret | None, Secret] = None
    ping_status: bool = False
    prometheus: str | None = None
    apprise: Annotated[tuple[Secret, ...], Secrets] = ()
    when: Literal["always", "trouble", "change"] = "trouble"
    titles: bool = False
    dry_runs: bool = False
    timeout: Annotated[timedelta, Span] = timedelta(seconds=10)
    allow_insecure_http: bool = False

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.ping and self.ping.literal and (mistake := url_mistake(self.ping.reveal(), self.allow_insecure_http)):
            yield "ping", mistake
        if self.prometheus and not (Path(self.prometheus).is_absolute() and self.prometheus.endswith(".prom")):
            yield "prometheus", "give the whole path of a file that ends in .prom; the node exporter reads no other"
        if self.timeout > LONGEST_NOTICE:
            yield "timeout", "must be at most one minute: so long may a run wait for those it tells"

    def missing(self) -> Iterator[tuple[str, str]]:
        for key, secret in self.secrets():
            try:
                text = secret.reveal()
            except ValueError as error:
                yield key, str(error)
                continue
            if key == "ping" and (mistake := url_mistake(text, self.allow_insecure_http)):
                yield key, mistake
        for key, module in (("prometheus", "prometheus_client"), ("apprise", "apprise")):
            if getattr(self, key) and not find_spec(module):
                yield key, f"it needs an extra: {install(key)}"
        if self.prometheus and not os.access(Path(self.prometheus).parent, os.W_OK):
            yield "prometheus", f"the folder {Path(self.prometheus).parent} cannot be written"

    def secrets(self) -> Iterator[tuple[str, Secret]]:
        """Every secret that is set: pairs of key and secret."""
        yield from [("ping", self.ping)] if self.ping else []
        yield from ((f"apprise[{number}]", url) for number, url in enumerate(self.apprise, 1))


def url_mistake(url: str, insecure: bool) -> str | None:
    """What is wrong with an address, in words, or None."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "this is not an address; write for example https://conf.example.com"
    if "@" in parts.netloc:
        return "an address must not hold a user name or password"
    if parts.scheme not in ("https", "http", "wss", "ws") or not host or re.search(r"[\s\\]", url):
        return "this is not an address; write for example https://conf.example.com"
    if "?" in url or "#" in url:
        return "an address must end with its path; remove everything from '?' or '#' on"
    if parts.scheme in ("http", "ws") and not insecure and not is_loopback(host):
        secure = f"{parts.scheme}s://"
        return f"{parts.scheme}:// would send secrets in clear text; use {secure}, or say allow_insecure_http = true"
    return None


def same_address(url: str) -> tuple[str, ...]:
    """An address without what may be written in several ways: case, scheme, the scheme's own port, needless slashes."""
    parts = urlsplit(url)
    port = parts.port if parts.port not in (80, 443) else None
    return (parts.hostname or "").rstrip("."), str(port or ""), "/".join(filter(None, parts.path.split("/")))


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    return host in ("localhost", "::1") or bool(re.fullmatch(r"127(\.[0-9]{1,3}){3}", host))


def build(cls: type[S], table: Any, key: str, problems: list[Problem]) -> S | None:
    """Reads a TOML table into a struct; what is wrong is added to ``problems``, each with its dotted key."""
    if not isinstance(table, dict):
        problems.append(Problem(key, f"expected a table, got {_kind(table)}"))
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    before = len(problems)
    problems.extend(Problem(_join(key, name), unknown(name, fields)) for name in table if name not in fields)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            values[field.name] = _convert(field.type, table[name], _join(key, name), problems)
        elif field.required:
            problems.append(Problem(_join(key, name), "is missing"))
    if len(problems) > before:
        return None
    built = cls(**values)
    if isinstance(built, Table):
        problems.extend(Problem(_join(key, name) if name else key, message) for name, message in built.problems())
    return built


def _convert(kind: Any, value: Any, key: str, problems: list[Problem]) -> Any:
    inner = struct_of(kind)
    if inner is not None and isinstance(value, list):
        return tuple(build(inner, entry, f"{key}[{number}]", problems) for number, entry in enumerate(value, 1))
    reader = reader_of(kind)
    try:
        return reader.parse(value) if reader else msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError) as error:
        written = isinstance(error, msgspec.ValidationError) and isinstance(value, str) and _written(kind)
        problems.append(Problem(key, f"{value!r} is unknown; write {written}" if written else _plain_words(str(error))))
        return None


def _written(kind: Any) -> str | None:
    """How a value is written, if there are few ways; msgspec would name a pattern, or nothing."""
    if get_origin(kind) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(kind))
    marks = getattr(kind, "__metadata__", ())
    return next((mark.description for mark in marks if isinstance(mark, msgspec.Meta)), None)


def reader_of(kind: Any) -> type[Value] | None:
    """The ``Value`` class that an annotation names as its reader, if it does."""
    marks = getattr(kind, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, type) and issubclass(mark, Value)), None)


def struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """The struct of which an annotation is a tuple, if it is: ``tuple[Struct, ...]``."""
    inner = get_args(kind)[:1] if get_origin(kind) is tuple else ()
    return inner[0] if inner and isinstance(inner[0], type) and issubclass(inner[0], msgspec.Struct) else None


def _plain_words(message: str) -> str:
    """msgspec's message in the words of TOML, without its own path."""
    words = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}
    words |= {"object": "a table", "array": "a list"}

    def ours(theirs: re.Match[str]) -> str:
        return " or ".join(words.get(kind, kind) for kind in theirs[1].split(" | ") if kind != "null")

    message = re.sub(r" - at `.*`$", "", message)
    message = re.sub(r"`([a-z]+(?: \| [a-z]+)*)`", ours, message)
    return message[:1].lower() + message[1:]


def _kind(value: Any) -> str:
    names = {str: "text", int: "a number", float: "a number", bool: "true or false", list: "a list"}
    return names.get(type(value), "something else")


def _join(key: str, name: str) -> str:
    part = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
    return f"{key}.{part}" if key else part


def unknown(name: str, known: Mapping[str, Any]) -> str:
    """The message for an unknown key or name, with the nearest known one."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(sorted(known))}"
    return f"unknown; {hint}"


def require(problems: list[Problem], source: str) -> None:
    """Raises ConfigError if there are problems."""
    if problems:
        raise ConfigError(problems, source)
