"""From the options of ``schedule`` and the config to a ``Job``: what is started, by whom, and what it touches."""

from __future__ import annotations

import re
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
from .turns import waiting_time

if TYPE_CHECKING:
    from ..config.load import Account, Config
    from ..schedule import Job
    from ..settings.secrets import Secret
    from ..settings.tables import NotifySettings

T = TypeVar("T")
NAME = re.compile("[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
"""What systemd, the Task Scheduler and Kubernetes all take as a name."""
RESERVE = timedelta(minutes=10)
"""How much longer than ``max_runtime`` a scheduler waits before it ends a run."""


def job_of(
    settings: Globals,
    *,
    every: str,
    at: str,
    account_names: tuple[str, ...],
    rule_names: tuple[str, ...],
    wait: str = "0",
    name: str = "confcleanup",
) -> tuple[Job, Config]:
    """What is to be started. Raises ConfigError for a config that no run would take, UsageError for a wrong time."""
    from ..config import places
    from ..schedule import Job, When

    require_name(name)
    path = lasting(places.find(settings.config))
    config = settings._replace(config=str(path)).load()
    accounts = with_rules(chosen(config, account_names), rule_names)
    for key, secret in secrets(accounts, config.notify):
        if secret.source == "keyring":
            log.warning("%s is in the keyring, which may be locked where nobody is signed in: use { file = … }", key)
    state = str(lasting(settings.state_folder(config)))
    job = Job(
        command=_words(_program(), str(path), state, account_names, rule_names, wait),
        when=usable(lambda: When.parse(every, at)),
        limit=max(account.limits.max_runtime for account in accounts) + waiting_time(wait) + RESERVE,
        config=str(path),
        state=state,
        zone=str(config.zone),
        user=_owner(path),
        variables=tuple(dict.fromkeys(one.where for _, one in secrets(accounts, config.notify) if one.source == "env")),
        folders=(*_archives(accounts), *_metrics(config.notify)),
        name=name,
    )
    return job, config


def job_with_or_without_config(
    settings: Globals,
    *,
    every: str,
    at: str,
    account_names: tuple[str, ...],
    rule_names: tuple[str, ...],
    wait: str = "0",
    name: str = "confcleanup",
) -> Job:
    """The same for an entry that takes nothing from the config but its time limit: else it has the default one."""
    from ..config import places
    from ..guards import Limits
    from ..schedule import Job, When

    try:
        return job_of(
            settings, every=every, at=at, account_names=account_names, rule_names=rule_names, wait=wait, name=name
        )[0]
    except ConfigError as error:
        limit = Limits().max_runtime + waiting_time(wait) + RESERVE
        log.warning(
            "the config cannot be used, so the entry has the default time limit of %d minutes; correct the config "
            "before the first run, and print the entry anew if it sets max_runtime: %s",
            limit.total_seconds() // 60,
            "; ".join(map(str, error.problems)),
        )
    path = str(lasting(places.named(settings.config) or places.user_path()))
    # Without --state the config says where the state is, once it can be read.
    state = str(lasting(settings.state_folder(None))) if settings.state else ""
    words = _words(_program(), path, state, account_names, rule_names, wait)
    when = usable(lambda: When.parse(every, at))
    return Job(command=words, when=when, limit=limit, config=path, state=state, name=name)


def require_name(name: str) -> None:
    """Raises UsageError for a name that not every scheduler takes."""
    if not NAME.fullmatch(name):
        raise click.UsageError(f"--name {name}: write lower-case letters, digits and hyphens, 40 at most")


def _owner(path: Path) -> str:
    """Who owns a file, by name if there is one: in a container there may be none, on Windows there is none."""
    try:
        return path.owner()
    except (KeyError, NotImplementedError):
        return str(path.stat().st_uid)


def lasting(path: Path) -> Path:
    """The absolute path; without ``..``, so that it does not need the folder in which it was typed."""
    return path.resolve() if ".." in path.parts else path.absolute()


def usable(make: Callable[[], T]) -> T:
    """What ``make`` returns; what it cannot make is wrong usage."""
    try:
        return make()
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _words(
    program: Sequence[str], config: str, state: str, accounts: Iterable[str], rules: Iterable[str], wait: str
) -> tuple[str, ...]:
    """The command of a run that nobody watches."""
    chosen = [*(("--account", name) for name in accounts), *(("--rule", name) for name in rules)]
    chosen += [("--wait", wait)] if waiting_time(wait) else []
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
