"""From the TOML file to checked settings: every mistake at once, each with the key it is in."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from msgspec.structs import fields, replace

from .. import providers
from ..cutoff import Period, cutoff
from ..deadline import FRESH
from ..errors import BrokenProvider, ConfigError, Problem
from ..filter import Rule
from ..guards import Limits
from ..http import tls
from ..http.rate_limit import RateLimiter
from ..providers.base import Provider
from ..settings.tables import (
    AccountSettings,
    LimitSettings,
    NotifySettings,
    RuleSettings,
    Table,
    build,
    require,
    unknown,
)
from ..settings.values import FilePath
from ..system import mode_of, why_denied
from .holds import HoldSettings
from .places import APP
from .syntax import parse

MILLENNIUM = datetime(2000, 1, 1, tzinfo=UTC)
T = TypeVar("T", bound=Table)
DAY = 86400
MARGIN = 0.5
"""Seconds that a look and its deletion may take on their way, beside what the rate makes them wait."""
LEAST_HISTORY = 30 * DAY
TOO_SHORT = "is less than one day; if this is intended, set allow_short_retention = true"


class StateSettings(Table, frozen=True, kw_only=True):
    """The state directory: the lock file and the history."""

    directory: Annotated[str, FilePath] | None = None
    keep_history: Period | None = None

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.keep_history and self.keep_history.least < LEAST_HISTORY:
            yield "keep_history", "must be at least 30 days: max_growth and others compare a run with those before it"


class General(Table, frozen=True, kw_only=True):
    """The keys at the top of the file."""

    timezone: str = "UTC"
    older_than: Period | None = None
    allow_short_retention: bool = False

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.older_than and self.older_than.least < DAY and not self.allow_short_retention:
            yield "older_than", TOO_SHORT


TABLES: Mapping[str, type[Table]] = {
    "limits": LimitSettings,
    "state": StateSettings,
    "holds": HoldSettings,
    "notify": NotifySettings,
}


class Account(msgspec.Struct, frozen=True):
    """One account as the file describes it, with its safety limits and the class that serves it."""

    name: str
    provider: type[Provider]
    settings: AccountSettings
    rules: tuple[RuleSettings, ...]
    limits: Limits
    fingerprint: str

    @property
    def identity(self) -> str:
        """A hash of what tells this account from all others, also from those of other configs with its name."""
        known = json.dumps([self.name, *self.settings.recorded_as()])
        return hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def require_ready(self) -> None:
        """Reads secrets and finds files, so that what is missing is known before anything is contacted.

        Raises ConfigError that names everything that is missing.
        """
        tables = [("", self.settings), *((f"rules[{number}].", rule) for number, rule in enumerate(self.rules, 1))]
        found = [*tls.mistakes(self.settings)]
        found += [(prefix + key, message) for prefix, table in tables for key, message in table.missing()]
        require([Problem(f"accounts.{self.name}.{key}", message) for key, message in found], "")


class Config(msgspec.Struct, frozen=True):
    """A whole config file. ``zone`` is for calendar arithmetic and for times without an offset."""

    path: Path
    zone: tzinfo
    older_than: Period | None
    accounts: Mapping[str, Account]
    state: StateSettings
    holds: HoldSettings
    warnings: Sequence[str] = msgspec.field(default_factory=tuple)
    allow_short_retention: bool = False
    notify: NotifySettings = msgspec.field(default_factory=NotifySettings)

    def age(self, account: Account, rule: RuleSettings) -> Period | None:
        """How long a rule keeps what has ended: its own retention, else the file's, where that is for it."""
        return rule.older_than or (self.older_than if _deletes_by_age(account.provider, rule) else None)

    def needs_a_day(self, account: Account, rule: RuleSettings) -> bool:
        """Whether nothing may make a rule select what ended less than a day ago."""
        allowed = self.allow_short_retention or rule.allow_short_retention
        return _deletes_by_age(account.provider, rule) and not allowed


def load(path: Path, folder: Path | None = None) -> Config:
    """Reads and checks a config file; ``folder`` is where its relative paths begin, if that is not its own folder.

    Raises ConfigError with every mistake found.
    """
    folder = folder or path.absolute().parent
    document = _document(path)
    problems: list[Problem] = []
    known = {*General.__struct_fields__, *TABLES, "accounts"}
    problems += [Problem(name, unknown(name, dict.fromkeys(known))) for name in document if name not in known]
    top = {name: document[name] for name in General.__struct_fields__ if name in document}
    unread = General(older_than=Period(days=1))  # whatever it says, it is not missing
    general = build(General, top, "", problems) or unread
    limits = _table(LimitSettings, document, "limits", problems, folder)
    state = _table(StateSettings, document, "state", problems, folder)
    held = _table(HoldSettings, document, "holds", problems, folder)
    notify = _table(NotifySettings, document, "notify", problems, folder)
    zone = _zone(general.timezone, problems)
    tables = document.get("accounts", {})
    if not isinstance(tables, dict) or not tables:
        problems.append(Problem("accounts", "there is no account; an account is a table [accounts.NAME]"))
        tables = {}
    accounts = [_account(name, table, general, limits, problems, folder) for name, table in tables.items()]
    require(problems, str(path))
    found = {account.name: account for account in accounts if account}
    warnings = (*_permissions(path, found.values(), notify), *_shares(found.values()))
    config = Config(path, zone, general.older_than, found, state, held, warnings, general.allow_short_retention, notify)
    _check_cutoffs(config)
    return config


def _document(path: Path) -> dict[str, Any]:
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        why = f"there is no file {path}. Write one with: {APP} -c {path} init"
    except OSError as error:
        why = f"the config cannot be read: {why_denied(path, error)}"
    except ValueError as error:
        why = f"{path} {error}"
    raise ConfigError([Problem("", why)], str(path))


def _table(cls: type[T], document: Mapping[str, Any], name: str, problems: list[Problem], folder: Path) -> T:
    return build(cls, document.get(name, {}), name, problems, folder=folder) or cls()


def _zone(name: str, problems: list[Problem]) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        known = dict.fromkeys(available_timezones())
        hint = unknown(name, known) if known else "unknown; install the tzdata package"
        problems.append(Problem("timezone", hint if len(hint) < 200 else 'unknown; write for example "Europe/Berlin"'))
        return ZoneInfo("UTC") if "UTC" in known else UTC


def _account(
    name: str, table: Any, general: General, limits: LimitSettings, problems: list[Problem], folder: Path
) -> Account | None:
    key = f"accounts.{name}"
    if not isinstance(table, dict):
        problems.append(Problem(key, "expected a table [accounts.NAME]"))
        return None
    table = _with_limits(dict(table), key, problems)
    kind = table.get("provider")
    try:
        provider = providers.provider(str(kind))
    except KeyError:
        known = dict.fromkeys(providers.names())
        message = "is missing; it is one of: " + ", ".join(known) if kind is None else unknown(str(kind), known)
        problems.append(Problem(f"{key}.provider", message))
        return None
    except BrokenProvider as error:
        problems.append(Problem(f"{key}.provider", str(error)))
        return None
    entries = table.pop("rules", None)
    settings = build(provider.settings_type, table, key, problems, folder=folder, also=("rules", "limits"))
    rules = _rules(provider, entries, general, key, problems, folder)
    if settings is None or problems:
        return None
    looked_at = [rule.what for rule in rules if provider.sources[rule.what].recheck]
    if looked_at and RateLimiter(settings.rate).spread(2) > FRESH - MARGIN:
        why = "each is looked at within 2 seconds of its deletion; give 1/s or 2/min at least"
        problems.append(Problem(f"{key}.rate", f"is too low for {looked_at[0]}: {why}"))
    ignored = {*LimitSettings.__struct_fields__, *(key for key, _ in settings.secrets())}
    seen = [{key: table[key] for key in table.keys() - ignored}, entries, general.timezone, str(general.older_than)]
    return Account(name, provider, settings, rules, _limits(limits, settings), _fingerprint(seen))


def _fingerprint(seen: object) -> str:
    """A hash of all that decides what an account's rules select; safety limits and secrets are not part of it."""
    return hashlib.sha256(json.dumps(seen, sort_keys=True, default=str).encode()).hexdigest()


def _with_limits(table: dict[str, Any], key: str, problems: list[Problem]) -> dict[str, Any]:
    """Limits may stand among the account's keys, or in a table of their own."""
    own = table.pop("limits", {})
    if not isinstance(own, dict):
        problems.append(Problem(f"{key}.limits", "expected a table"))
        return table
    known = LimitSettings.__struct_fields__
    for name in own:
        if name not in known:
            problems.append(Problem(f"{key}.limits.{name}", unknown(name, dict.fromkeys(known))))
        elif name in table:
            problems.append(Problem(f"{key}.limits.{name}", f"is also given as {key}.{name}"))
    return table | {name: value for name, value in own.items() if name in known}


def _rules(
    provider: type[Provider], entries: Any, general: General, key: str, problems: list[Problem], folder: Path
) -> tuple[RuleSettings, ...]:
    if not isinstance(entries, list) or not entries:
        problems.append(Problem(f"{key}.rules", f"there is no rule; a rule is a table [[{key}.rules]]"))
        return ()
    rules: list[RuleSettings] = []
    for number, entry in enumerate(entries, 1):
        rule = _rule(provider, entry, general, f"{key}.rules[{number}]", problems, folder)
        if rule:
            rule = _named(rule, {other.name for other in rules}, f"{key}.rules[{number}]", problems)
            rules.append(rule)
    return tuple(rules)


def _rule(
    provider: type[Provider], entry: Any, general: General, key: str, problems: list[Problem], folder: Path
) -> RuleSettings | None:
    what = entry.get("what") if isinstance(entry, dict) else None
    if what is None and isinstance(entry, dict) and len(provider.sources) == 1:
        what = next(iter(provider.sources))
        entry = entry | {"what": what}
    source = provider.sources.get(what) if isinstance(what, str) else None
    if source is None:
        known = dict.fromkeys(provider.sources)
        message = "is missing; it is one of: " + ", ".join(known) if what is None else unknown(str(what), known)
        problems.append(Problem(f"{key}.what", message))
        return None
    rule = build(source.rule, entry, key, problems, folder=folder)
    if rule and rule.archive and not source.archivable:
        problems.append(Problem(f"{key}.archive", f"the files of {what} cannot be fetched, so they cannot be archived"))
    if rule:
        mistakes = rule.keep_problems(by_age=_deletes_by_age(provider, rule))
        problems += [Problem(f"{key}.{name}", message) for name, message in mistakes]
    if rule and rule.notice:
        if not _deletes_by_age(provider, rule):
            how = "a live room is told by announce" if rule.says_when else "nothing of it is ever deleted"
            problems.append(Problem(f"{key}.notice", f"is not for {what}: {how}"))
        elif (age := rule.older_than or general.older_than) and rule.notice.total_seconds() > age.most:
            problems.append(Problem(f"{key}.notice", f"is longer than older_than ({age})"))
    if rule and _deletes_by_age(provider, rule):
        if not (rule.older_than or general.older_than):
            problems.append(Problem(f"{key}.older_than", "is missing, and the file gives no older_than for all rules"))
        short = rule.older_than is not None and rule.older_than.least < DAY
        if short and not (rule.allow_short_retention or general.allow_short_retention):
            problems.append(Problem(f"{key}.older_than", TOO_SHORT))
    return rule


def _deletes_by_age(provider: type[Provider], rule: RuleSettings) -> bool:
    """Whether a rule deletes, and by how long ago something ended."""
    return provider.sources[rule.what].deletes and not rule.says_when


def _named(rule: RuleSettings, taken: set[str], key: str, problems: list[Problem]) -> RuleSettings:
    """The rule with a name: its own, else made from what it selects."""
    if rule.name in taken:
        problems.append(Problem(f"{key}.name", f"{rule.name!r} is the name of another rule of this account"))
    if rule.name:
        return rule
    names = [rule.what, *(f"{rule.what} {number}" for number in range(2, len(taken) + 3))]
    return msgspec.structs.replace(rule, name=next(name for name in names if name not in taken))


def _limits(general: LimitSettings, account: LimitSettings) -> Limits:
    given = {
        entry.name: value
        for entry in fields(Limits)
        for value in [getattr(account, entry.name, None)]
        if value is not None
    }
    shared = {entry.name: getattr(general, entry.name, None) for entry in fields(Limits)}
    return replace(Limits(), **{name: value for name, value in shared.items() if value is not None} | given)


def _permissions(path: Path, accounts: Any, notify: NotifySettings) -> tuple[str, ...]:
    """Refuses a file that others could have written or could read secrets from; warns of the group's pen."""
    if (mode := mode_of(path)) is None:
        return ()
    literal = [f"accounts.{a.name}.{key}" for a in accounts for key, secret in a.settings.secrets() if secret.literal]
    literal += [f"notify.{key}" for key, secret in notify.secrets() if secret.literal]
    if mode & stat.S_IWOTH:
        raise ConfigError([Problem("", f"{path} is writable by everyone: chmod o-w {path}")], str(path))
    if mode & stat.S_IROTH and literal:
        why = f"{path} holds secrets ({', '.join(literal)}) and is readable by everyone: chmod o-r {path}"
        raise ConfigError([Problem("", why)], str(path))
    return (
        (f"{path} is writable by its group; if this is not intended: chmod g-w {path}",) if mode & stat.S_IWGRP else ()
    )


def _shares(accounts: Iterable[Account]) -> Iterator[str]:
    """Names each source whose list is a part of what there is, so that a share of it would say nothing."""
    for account in accounts:
        for what in dict.fromkeys(rule.what for rule in account.rules):
            mine = [
                Rule(rule.name, what, MILLENNIUM, tags=getattr(rule, "tags", ()), keep_last=rule.keep_last or 0)
                for rule in account.rules
                if rule.what == what
            ]
            if account.limits.max_share < 1 and account.provider.sources[what].asked_for(account.settings, mine):
                yield (
                    f"accounts.{account.name}: max_share is not applied to {what}: the vendor is asked for a part of "
                    "them only, so that the share of all is not known; max_deletions and max_growth apply"
                )


def _check_cutoffs(config: Config) -> None:
    """Finds retentions that reach back before the calendar begins. Raises ConfigError."""
    problems = []
    for account in config.accounts.values():
        for number, rule in enumerate(account.rules, 1):
            key = f"accounts.{account.name}.rules[{number}]"
            try:
                cutoff(MILLENNIUM, rule.older_than or config.older_than or Period(days=1), config.zone)
            except ValueError as error:
                problems.append(Problem(f"{key}.older_than", str(error)))
            history = config.state.keep_history
            try:
                expires = cutoff(MILLENNIUM, rule.keep_archive, config.zone) if rule.keep_archive else None
                if expires and history and cutoff(MILLENNIUM, history, config.zone) >= expires:
                    why = f"must be shorter than state.keep_history ({history}), by which copies are found"
                    problems.append(Problem(f"{key}.keep_archive", why))
            except ValueError as error:
                problems.append(Problem(f"{key}.keep_archive", str(error)))
    require(problems, str(config.path))
