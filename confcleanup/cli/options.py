"""The options that every command takes, before or after its name, and what follows from them."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import click

from ..errors import ConfigError, Problem
from ..redact import redact
from ..system import reachable, why_denied

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.load import Account, Config

log = logging.getLogger("confcleanup")
URGENT = {"urgent": True}
"""Marks a warning that is shown with ``--quiet`` too, as ``extra`` of a log call; False hides an error there."""
AGAIN = "Reported again if something changes, or after 7 days."
"""Ends what ``--quiet`` prints, so that the next days' silence is not taken for success."""
F = TypeVar("F", bound=Callable[..., Any])
RESULTS = "confcleanup.results"
"""The logger of what commands print of their results: for the log file alone, as the screen has it already."""
LEDGER = 40
"""Room for the names of the ledger's files."""


class Globals(NamedTuple):
    """The global options. ``volume`` is below 0 for -q, above 0 for -v and -vv."""

    config: str | None = None
    state: str | None = None
    volume: int = 0
    log_format: str = "text"
    log_file: str | None = None

    @property
    def quiet(self) -> bool:
        return self.volume < 0

    def load(self) -> Config:
        """The config file that these options lead to. Raises ConfigError."""
        from ..config import load as config
        from ..config import places

        loaded = config.load(places.find(self.config))
        for warning in loaded.warnings:
            logging.getLogger("confcleanup").warning("%s", warning)
        return loaded

    def state_folder_alone(self) -> Path:
        """The state folder; a config is only read if no option names the folder."""

        return self.state_folder(None if self.state else self._config_if_any())

    def zone(self) -> tzinfo:
        """The config's time zone; UTC if there is no config."""
        config = self._config_if_any()
        return config.zone if config else UTC

    def _config_if_any(self) -> Config | None:
        from ..config import load as config

        path = self.place()
        return config.load(path) if path else None

    def place(self) -> Path | None:
        """Where these options lead to a config; None if there is none."""
        from ..config import places

        try:
            return places.find(self.config)
        except ConfigError:
            return None

    def state_folder(self, config: Config | None) -> Path:
        """The directory for the lock files and the history."""
        from pathlib import Path

        from ..config.places import typed, user_state

        if self.state:
            folder = typed(self.state)
        else:
            folder = Path(config.state.directory) if config and config.state.directory else user_state()
        return reachable(folder, LEDGER)

    def writable_state_folder(self, config: Config) -> Path:
        """The state folder. Raises ConfigError if it cannot be written, before anything is contacted."""
        from ..records.stores import try_folder

        folder = self.state_folder(config)
        try:
            try_folder(folder)
        except OSError as error:
            why = f"the folder cannot be written: {why_denied(folder, error, own=folder)}; or name another with --state"
            raise ConfigError([Problem("state.directory", why)]) from None
        return folder


def clock() -> datetime:
    """The machine's clock. Read here and nowhere below."""
    return datetime.now(UTC)


def global_options(function: F) -> F:
    """Adds the global options to a command, and hands it one ``settings``."""

    @click.option("-c", "--config", metavar="FILE", help="The config file [env: CONFCLEANUP_CONFIG].")
    @click.option("--state", metavar="DIR", help="Directory for the lock files and the history.")
    @click.option("-q", "--quiet", count=True, help="Print only what needs action; the same once, then every 7 days.")
    @click.option("-v", "--verbose", count=True, help="Print more on standard error; -vv prints every request.")
    @click.option("--log-format", type=click.Choice(["text", "json"]), help="Format of messages on standard error.")
    @click.option("--log-file", metavar="FILE", help="Append messages and results to this file too, with -q as well.")
    @click.pass_context
    def with_globals(
        ctx: click.Context,
        /,
        config: str | None,
        state: str | None,
        quiet: int,
        verbose: int,
        log_format: str | None,
        log_file: str | None,
        **rest: Any,
    ) -> Any:
        before = ctx.find_object(Globals) or Globals()
        settings = before._replace(
            config=config or before.config,
            state=state or before.state,
            volume=before.volume + verbose - quiet,
            log_format=log_format or before.log_format,
            log_file=log_file or before.log_file,
        )
        ctx.obj = settings
        _log(settings)
        return function(settings=settings, **rest)

    return cast(F, functools.update_wrapper(with_globals, function))


def offered(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """What a shell completes an option with: ``accounts``, ``rules`` or ``providers``."""

    def complete(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
        from . import completing

        found: list[str] = getattr(completing, kind)(ctx, typed)
        return found

    return complete


ACCOUNTS = click.option(
    "--account",
    "account_names",
    metavar="NAME",
    multiple=True,
    help="Only this account.",
    shell_complete=offered("accounts"),
)
RULES = click.option(
    "--rule",
    "rule_names",
    metavar="NAME",
    multiple=True,
    help="Only rules of this name.",
    shell_complete=offered("rules"),
)
SHARD = click.option(
    "--shard",
    metavar="I/N",
    envvar="CONFCLEANUP_SHARD",
    help="Only the accounts of part I of N, I from 0 [env: CONFCLEANUP_SHARD].",
)


class _Text(logging.Formatter):
    """One message a line, secrets replaced, no control characters from other people's text."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(f"{record.levelname.lower()}: {super().format(record)}")


class _Json(logging.Formatter):
    """One JSON object a line, with the run and the account that it is about, where they are known."""

    run: str | None = None

    def format(self, record: logging.LogRecord) -> str:
        from .json_lines import entry

        when = datetime.fromtimestamp(record.created, UTC)
        about = {"run": self.run, "account": getattr(record, "account", None)}
        return entry(record.levelname.lower(), super().format(record), when, **about)


def name_run(ident: str) -> None:
    """From now on every line of a JSON log tells this run."""
    from .json_lines import JsonLines

    if isinstance(sys.stderr, JsonLines):
        sys.stderr.run = ident
    for handler in logging.getLogger("confcleanup").handlers:
        if isinstance(handler.formatter, _Json):
            handler.formatter.run = ident


class _Stderr(logging.Handler):
    """Writes to whatever standard error is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")
        sys.stderr.flush()


def _log(settings: Globals) -> None:
    levels = {-1: logging.WARNING, 0: logging.WARNING, 1: logging.INFO}
    level = levels.get(max(-1, settings.volume), logging.DEBUG)
    formatter = _Json() if settings.log_format == "json" else _Text()
    screen = _Stderr(level)
    screen.addFilter(lambda record: record.name != RESULTS)
    screen.setFormatter(formatter)
    logger = logging.getLogger("confcleanup")
    logger.handlers[:] = [screen]
    logger.propagate = False
    if settings.quiet:
        screen.addFilter(lambda record: getattr(record, "urgent", record.levelno > logging.WARNING))
    logger.setLevel(level)
    if settings.log_file:
        from ..config.places import typed
        from .files import same_file
        from .logfile import LogFile

        if same_file(typed(settings.log_file), settings.place()):
            raise click.UsageError(f"--log-file: {settings.log_file} is the config file; it was not changed")
        file = LogFile(settings.log_file)
        file.setFormatter(formatter)
        file.addFilter(lambda record: record.name == RESULTS or record.levelno >= level)
        logger.addHandler(file)
        logger.setLevel(min(level, logging.INFO))


def chosen(config: Config, names: tuple[str, ...], option: str = "--account") -> list[Account]:
    """The accounts of these names, all if there are none. Raises UsageError for an unknown name."""
    from ..settings.tables import unknown

    for name in names:
        if name not in config.accounts:
            raise click.UsageError(f"{option} {name}: {unknown(name, config.accounts)}")
    return [account for account in config.accounts.values() if not names or account.name in names]


def with_rules(accounts: list[Account], names: tuple[str, ...]) -> list[Account]:
    """The accounts that have a rule of these names. Raises UsageError for a name that no account has."""
    from ..settings.tables import unknown

    known = {rule.name: rule for account in accounts for rule in account.rules}
    for name in names:
        if name not in known:
            raise click.UsageError(f"--rule {name}: {unknown(name, known)}")
    return [a for a in accounts if not names or any(rule.name in names for rule in a.rules)]


def require_ready(accounts: list[Account]) -> None:
    """Finds every missing secret and file of these accounts at once. Raises ConfigError."""
    problems: list[Problem] = []
    for account in accounts:
        try:
            account.require_ready()
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
