"""From the options of ``schedule`` and the config to a ``Job``: what is started, by whom, and what it touches."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ..errors import ConfigError
from ..system import POSIX
from .options import Globals, chosen, log, with_rules

if TYPE_CHECKING:
    from ..config.load import Account, Config
    from ..schedule import Job
    from ..settings.secrets import Secret
    from ..settings.tables import NotifySettings

T = TypeVar("T")
RESERVE = timedelta(minutes=10)
"""How much longer than ``max_runtime`` a scheduler waits before it ends a run."""


def job_of(
    settings: Globals, *, every: str, at: str, account_names: tuple[str, ...], rule_names: tuple[str, ...]
) -> tuple[Job, Config]:
    """What is to be started. Raises ConfigError for a config that no run would take, UsageError for a wrong time."""
    from ..config import places
    from ..schedule import Job, When

    path = places.find(settings.config).absolute()
    config = settings._replace(config=str(path)).load()
    accounts = with_rules(chosen(config, account_names), rule_names)
    for key, secret in secrets(accounts, config.notify):
        if secret.source == "keyring":
            log.warning("%s is in the keyring, which may be locked where nobody is signed in: use { file = … }", key)
    state = str(settings.state_folder(config).absolute())
    job = Job(
        command=_words(_program(), str(path), state, account_names, rule_names),
        when=usable(lambda: When.parse(every, at)),
        limit=max(account.limits.max_runtime for account in accounts) + RESERVE,
        config=str(path),
        state=state,
        zone=str(config.zone),
        user=_owner(path),
        variables=tuple(dict.fromkeys(one.where for _, one in secrets(accounts, config.notify) if one.source == "env")),
        folders=(*_archives(accounts), *_metrics(config.notify)),
    )
    return job, config


def job_with_or_without_config(
    settings: Globals, *, every: str, at: str, account_names: tuple[str, ...], rule_names: tuple[str, ...]
) -> Job:
    """The same for an entry that takes nothing from the config but its time limit: else it has the default one."""
    from ..config import places
    from ..guards import Limits
    from ..schedule import Job, When

    try:
        return job_of(settings, every=every, at=at, account_names=account_names, rule_names=rule_names)[0]
    except ConfigError as error:
        limit = Limits().max_runtime + RESERVE
        log.warning(
            "the config cannot be used, so the entry has the default time limit of %d minutes; correct the config "
            "before the first run, and print the entry anew if it sets max_runtime: %s",
            limit.total_seconds() // 60,
            "; ".join(map(str, error.problems)),
        )
    path = str((places.named(settings.config) or places.user_path()).absolute())
    # Without --state the config says where the state is, once it can be read.
    state = str(settings.state_folder(None).absolute()) if settings.state else ""
    words = _words(_program(), path, state, account_names, rule_names)
    return Job(command=words, when=usable(lambda: When.parse(every, at)), limit=limit, config=path, state=state)


def _owner(path: Path) -> str:
    """Who owns a file, by name if there is one: in a container there may be none, on Windows there is none."""
    try:
        return path.owner()
    except (KeyError, NotImplementedError):
        return str(path.stat().st_uid)


def usable(make: Callable[[], T]) -> T:
    """What ``make`` returns; what it cannot make is wrong usage."""
    try:
        return make()
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _words(
    program: Sequence[str], config: str, state: str, accounts: Iterable[str], rules: Iterable[str]
) -> tuple[str, ...]:
    """The command of a run that nobody watches."""
    chosen = [*(("--account", name) for name in accounts), *(("--rule", name) for name in rules)]
    where = ("-c", config, *(("--state", state) if state else ()))
    return (*program, *where, "run", "--yes", "-q", *(word for pair in chosen for word in pair))


def _program() -> list[str]:
    """This installation: its command, or the interpreter with the module if there is none."""
    script = Path(sysconfig.get_path("scripts")) / ("confcleanup" if POSIX else "confcleanup.exe")
    return [str(script)] if script.is_file() else [sys.executable, "-P", "-m", "confcleanup"]


def before(job: Job) -> list[str]:
    """What lowers the priority and limits the time, as far as this machine has it."""
    timeout = ("timeout", "--preserve-status", "-k", "2m", str(job.seconds))
    found = []
    for name, *options in (("nice", "-n", "10"), ("ionice", "-c", "3"), timeout):
        if path := shutil.which(name):
            found += [path, *options]
    return found


def secrets(accounts: Iterable[Account], notify: NotifySettings) -> Iterator[tuple[str, Secret]]:
    """Every secret of these accounts, and of who is told of a run, with the dotted key it is in."""
    for account in accounts:
        for key, secret in account.settings.secrets():
            yield f"accounts.{account.name}.{key}", secret
    for key, secret in notify.secrets():
        yield f"notify.{key}", secret


def _archives(accounts: Iterable[Account]) -> list[str]:
    """The folders that rules archive to."""
    archives = [rule.archive for account in accounts for rule in account.rules if rule.archive]
    return [archive for archive in dict.fromkeys(archives) if "://" not in archive]


def _metrics(notify: NotifySettings) -> list[str]:
    """The folder that the file of metrics is written to."""
    return [str(Path(notify.prometheus).parent)] if notify.prometheus else []


def named_files(config: Config) -> tuple[list[str], list[str]]:
    """The files that a config names and a container can be given, and what else it needs, in words."""
    accounts = config.accounts.values()
    sources: dict[str, list[str | None]] = {"file": [config.holds.file], "command": []}
    for _, secret in secrets(accounts, config.notify):
        sources.setdefault(secret.source, []).append(secret.where)
    for account in accounts:
        sources["file"] += [account.settings.ca_file, *(getattr(rule, "rooms_file", None) for rule in account.rules)]
    files = [file for file in dict.fromkeys(sources["file"]) if file]
    rest = [file for file in files if not file.startswith("/")]
    return [file for file in files if file not in rest], [
        *rest,
        *filter(None, sources["command"]),
        *_archives(accounts),
        *_metrics(config.notify),
    ]
