"""The tables that every config can have, and the check that finds every mistake at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta, tzinfo
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from ..cutoff import Period
from ..errors import ConfigError, Problem
from ..filter import LiveRule
from ..system import install
from .owners import pattern_mistake, read_addresses
from .secrets import Secret, Secrets, Token
from .values import Age, ArchivePlace, FilePath, Notice, Pace, Rate, Share, Span, Value

S = TypeVar("S", bound=msgspec.Struct)
HERE = Path()
MAIL = ("mailto://", "mailtos://")
NO_MAIL = "needs a mail server: give its address in apprise, as mailtos://USER:PASSWORD@HOST"
LONGEST_NOTICE = timedelta(minutes=1)
READERS: dict[Any, type[Value]] = {
    Period: Age,
    timedelta: Span,
    Fraction: Share,
    Pace: Rate,
    Secret: Secret,
    Token: Token,
    tuple[Secret, ...]: Secrets,
}
"""How the text of a key becomes a value, by the key's type. Where one type is written in several ways, or is just text
that must be checked, the annotation names the reader: ``Annotated[str, When]``."""


class Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A table of the config. A subclass may say more about its own mistakes in ``problems``."""

    def problems(self) -> Iterator[tuple[str, str]]:
        """Mistakes that no single key shows: pairs of key and message."""
        yield from ()

    def missing(self) -> Iterator[tuple[str, str]]:
        """What this table needs from the machine it is used on, and does not find: pairs of key and message."""
        yield from ()


class LimitSettings(Table, frozen=True, kw_only=True):
    """The safety limits; each key may stand in ``[limits]`` or in an account."""

    max_deletions: Annotated[int, msgspec.Meta(ge=0)] | None = None
    max_share: Fraction | None = None
    max_growth: Annotated[float, msgspec.Meta(ge=0)] | None = None
    max_runtime: timedelta | None = None
    max_clock_skew: timedelta | None = None


class AccountSettings(LimitSettings, frozen=True, kw_only=True):
    """What every account takes. ``url`` is the base to which the vendor's documented paths are added.

    ``asked``: what ``init`` asks for beside the settings that must be given.
    """

    asked: ClassVar[tuple[str, ...]] = ("url",)

    provider: str
    url: str
    rate: Pace = Pace(0, 1)
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    timeout: timedelta = timedelta(seconds=30)
    ca_file: Annotated[str, FilePath] | None = None
    strict_certificates: bool = True
    allow_insecure_http: bool = False

    def urls(self) -> Iterator[tuple[str, str]]:
        """Every address this account talks to: pairs of key and URL."""
        yield "url", self.url

    def problems(self) -> Iterator[tuple[str, str]]:
        for key, url in self.urls():
            if mistake := url_mistake(url, self.allow_insecure_http):
                yield key, mistake

    def missing(self) -> Iterator[tuple[str, str]]:
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

    def named(self, *keys: str) -> str:
        """Settings for people, with where their values come from: "client_id and client_secret (from env SECRET)"."""
        kept = {key: f"{key} (from {secret.source} {secret.where})" for key, secret in self.secrets() if secret.where}
        names = [kept.get(key, key) for key in keys if getattr(self, key, None)]
        return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))

    def identity(self) -> tuple[str, ...]:
        """What tells this account at the vendor from others; two of a config with the same are one there."""
        return self.provider, *same_address(self.url)

    def recorded_as(self) -> tuple[str, ...]:
        """What tells this account from others of its name in one state folder."""
        return self.identity()

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
    older_than: Period | None = None
    allow_short_retention: bool = False
    keep_ids: tuple[str | int, ...] = ()
    title: str | None = None
    archive: Annotated[str, ArchivePlace] | None = None
    keep_last: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    per: Literal["owner", "title", "account"] | None = None
    notice: Annotated[timedelta, Notice] = timedelta(0)
    keep_archive: Period | None = None

    @classmethod
    def spellings(cls, written: str) -> Collection[str]:
        """The ids that an id may stand for as people write it, also in a hold and for ``explain``."""
        return (written,)

    def ids(self) -> dict[str, Collection[str]]:
        """The ids to keep, as they are written, each with those that it may stand for."""
        return {str(written): self.spellings(str(written)) for written in self.keep_ids}

    def keep_problems(self, *, by_age: bool) -> Iterator[tuple[str, str]]:
        """Mistakes in what keeps the newest and copies. ``by_age``: it deletes by how long ago something ended."""
        if self.keep_archive and not self.archive:
            yield "keep_archive", "is about the copies in an archive, and the rule has no archive"
        elif self.keep_archive and not self.name:
            yield "name", "is missing beside keep_archive: the history knows by it which rule made a copy"
        if self.keep_archive and self.keep_archive.least < 86400:
            yield "keep_archive", "must be at least one day"
        if self.keep_last and not by_age:
            yield "keep_last", f"does not apply, because a rule for {self.what} does not delete by their age"
            return
        if self.keep_last and not self.per:
            yield "per", 'is missing beside keep_last; write "owner", "title" or "account"'
        if self.per and not self.keep_last:
            yield "keep_last", "is missing beside per; it says how many stay"
        if self.per == "owner" and "owner" not in self.__struct_fields__:
            yield "per", f'the vendor does not say who owns {self.what}; write "title" or "account"'

    def live(self, zone: tzinfo) -> LiveRule | None:
        """What the rule says about live rooms, if it speaks of any; ``zone`` reads times without an offset."""
        return None


class NotifySettings(Table, frozen=True, kw_only=True):
    """The ``[notify]`` table: who is told how a run went. ``timeout`` bounds all of it together."""

    ping: Secret | None = None
    ping_status: bool = False
    prometheus: Annotated[str, FilePath] | None = None
    apprise: tuple[Secret, ...] = ()
    when: Literal["always", "trouble", "change"] = "trouble"
    titles: bool = False
    dry_runs: bool = False
    timeout: timedelta = timedelta(seconds=10)
    allow_insecure_http: bool = False
    owners: bool = False
    owner_address: str | None = None
    owner_addresses: Annotated[str, FilePath] | None = None
    keep_hint: str | None = None
    notice_required: bool = True

    @property
    def tells(self) -> bool:
        """Whether there is somebody to announce items to before they are deleted."""
        return bool(self.apprise)

    def problems(self) -> Iterator[tuple[str, str]]:
        for key, secret in self.secrets():
            if secret.literal and (mistake := self._mistake(key, secret)):
                yield key, mistake
        if self.prometheus and not self.prometheus.endswith(".prom"):
            yield "prometheus", "give a file that ends in .prom; the node exporter reads no other"
        if self.owner_address and (wrong := pattern_mistake(self.owner_address)):
            yield "owner_address", wrong
        if self.owner_addresses:
            yield from (("owner_addresses", wrong) for wrong in read_addresses(self.owner_addresses)[1])
        if self.owner_address and self.owner_addresses:
            yield "owner_addresses", "is given beside owner_address; give one of them"
        if self.owners and all(url.literal for url in self.apprise) and not self._has_mail():
            yield "owners", NO_MAIL
        if self.timeout > LONGEST_NOTICE:
            yield "timeout", "must be at most one minute: so long may a run wait for those it tells"

    def missing(self) -> Iterator[tuple[str, str]]:
        for key, secret in self.secrets():
            if mistake := self._mistake(key, secret):
                yield key, mistake
        if self.owners and not self._has_mail():
            yield "owners", NO_MAIL
        for key, module in (("prometheus", "prometheus_client"), ("apprise", "apprise")):
            if getattr(self, key) and not find_spec(module):
                yield key, f"it needs an extra: {install(key)}"
        if self.prometheus and not os.access(Path(self.prometheus).parent, os.W_OK):
            yield "prometheus", f"the folder {Path(self.prometheus).parent} cannot be written"

    def _has_mail(self) -> bool:
        """Whether an address in apprise names a mail server, as far as they can be read."""
        with suppress(ValueError):
            return any(url.reveal().lower().startswith(MAIL) for url in self.apprise)
        return True  # what cannot be read is named by itself

    def _mistake(self, key: str, secret: Secret) -> str | None:
        try:
            text = secret.reveal()
        except ValueError as error:
            return str(error)
        return url_mistake(text, self.allow_insecure_http, query=True) if key == "ping" else None

    def secrets(self) -> Iterator[tuple[str, Secret]]:
        """Every secret that is set: pairs of key and secret."""
        yield from [("ping", self.ping)] if self.ping else []
        yield from ((f"apprise[{number}]", url) for number, url in enumerate(self.apprise, 1))


def url_mistake(url: str, insecure: bool, *, query: bool = False) -> str | None:
    """What is wrong with an address, in words, or None. ``query``: it may have one."""
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
    if "#" in url or ("?" in url and not query):
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


def build(
    cls: type[S], table: Any, key: str, problems: list[Problem], folder: Path = HERE, also: Sequence[str] = ()
) -> S | None:
    """Read a TOML table into a struct; what is wrong is added to ``problems``, each with its dotted key.

    Paths in it begin at ``folder``, the config's. ``also`` are keys that may be meant by an unknown one, though
    others read them.
    """
    if not isinstance(table, dict):
        problems.append(Problem(key, f"expected a table, got {_kind(table)}"))
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    before = len(problems)
    meant = dict.fromkeys([*fields, *also])
    problems.extend(Problem(_join(key, name), unknown(name, meant)) for name in table if name not in fields)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            values[field.name] = _convert(field.type, table[name], _join(key, name), problems, folder)
        elif field.required:
            problems.append(Problem(_join(key, name), "is missing"))
    if len(problems) > before:
        return None
    built = cls(**values)
    if isinstance(built, Table):
        problems.extend(Problem(_join(key, name) if name else key, message) for name, message in built.problems())
    return built


def _convert(kind: Any, value: Any, key: str, problems: list[Problem], folder: Path) -> Any:
    inner = struct_of(kind)
    if inner is not None and isinstance(value, list):
        return tuple(build(inner, entry, f"{key}[{number}]", problems, folder) for number, entry in enumerate(value, 1))
    reader = reader_of(kind)
    try:
        return reader.read(value, folder) if reader else msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError) as error:
        written = isinstance(error, msgspec.ValidationError) and isinstance(value, str) and _written(kind)
        problems.append(Problem(key, f"{value!r} is unknown; write {written}" if written else _plain_words(str(error))))
        return None


def _written(kind: Any) -> str | None:
    """How a value is written, if there are few ways; msgspec would name a pattern, or nothing."""
    kind = next((option for option in get_args(kind) if get_origin(option) is Literal), kind)
    if get_origin(kind) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(kind))
    marks = getattr(kind, "__metadata__", ())
    return next((mark.description for mark in marks if isinstance(mark, msgspec.Meta)), None)


def reader_of(kind: Any) -> type[Value] | None:
    """The ``Value`` class that reads a key of this type: the one that an annotation names, or the type's own.

    ``Pace | None`` is read as ``Pace`` is: a key that is written is never None.
    """
    if get_origin(kind) is Annotated:
        named = (mark for mark in kind.__metadata__ if isinstance(mark, type) and issubclass(mark, Value))
        return next(named, None) or reader_of(kind.__origin__)
    if get_origin(kind) in (Union, UnionType):
        options = [option for option in get_args(kind) if option is not NoneType]
        return reader_of(options[0]) if len(options) == 1 else None
    # Compared one by one, because annotations of plug-ins may hold what has no hash.
    return next((reader for known, reader in READERS.items() if known == kind), None)


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
    cutoff = 0.65 if len(name) > 3 else 0.5  # of a short name one letter is much; "url" is not meant by "rule"
    near = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(sorted(known))}"
    return f"unknown; {hint}"


def require(problems: list[Problem], source: str) -> None:
    """Raise ConfigError if there are problems."""
    if problems:
        raise ConfigError(problems, source)
