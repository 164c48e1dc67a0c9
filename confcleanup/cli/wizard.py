"""The questions of ``confcleanup init`` on a terminal. They follow from the settings that a provider declares."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from .. import providers
from ..config.load import DAY, TOO_SHORT
from ..config.schema import meaning
from ..cutoff import Period
from ..errors import Problem
from ..providers.base import Provider
from ..settings.secrets import Secret
from ..settings.tables import build, reader_of
from ..settings.values import Value
from ..system import install
from .files import write_private

PLACES = ("file", "env", "command", "keyring")


class Answers(msgspec.Struct):
    """What a person said: an account's table, what its rules delete, and secrets that are still to be stored."""

    account: str
    table: dict[str, Any]
    what: Sequence[str]
    older_than: str
    timezone: str
    store: dict[str, Callable[[], None]] = msgspec.field(default_factory=dict)


def ask(names: Sequence[str], folder: Path) -> Answers:
    """Asks everything that a first config needs. ``folder`` is where the config will be."""
    name = names[0] if len(names) == 1 else _provider()
    provider = providers.provider(name)
    account = _prompt("A name for the account", name, _bare)
    answers = Answers(account, {"provider": name}, (), "", "")
    _settings(provider, answers, folder)
    answers.what = _what(provider)
    answers.older_than = _prompt("Delete items how long after they end?", "30 days", _age)
    answers.timezone = _prompt("Time zone", "UTC", _zone)
    return answers


def keys(provider: type[Provider], missing: str | None = None) -> dict[str, Any]:
    """The settings to ask for, with their defaults; ``missing`` for what must be given."""
    fields = {entry.encode_name: entry for entry in msgspec.structs.fields(provider.settings_type)}
    wanted = [*provider.settings_type.asked, *(key for key, entry in fields.items() if entry.required)]
    asked = {key: fields[key] for key in dict.fromkeys(wanted) if key != "provider"}
    return {key: missing if entry.required else entry.default or "" for key, entry in asked.items()}


def is_secret(provider: type[Provider], key: str) -> bool:
    """Whether a setting is a secret."""
    kinds = {entry.encode_name: entry.type for entry in msgspec.structs.fields(provider.settings_type)}
    return issubclass(reader_of(kinds[key]) or Value, Secret)


def simple(provider: type[Provider]) -> list[str]:
    """What a rule can delete that says nothing else."""

    def complete(what: str) -> bool:
        problems: list[Problem] = []
        build(provider.sources[what].rule, {"what": what}, "", problems)
        return not problems

    return [what for what, source in provider.sources.items() if source.deletes and complete(what)]


def _provider() -> str:
    known = {provider.name: provider.title for provider in providers.usable()}
    for name, title in known.items():
        click.echo(f"  {name:10} {title}", err=True)
    return str(click.prompt("Which platform", type=click.Choice(known), show_choices=False, err=True))


def _settings(provider: type[Provider], answers: Answers, folder: Path) -> None:
    """Asks for the settings until they fit together."""
    wanted = keys(provider)
    again = list(wanted)
    while again:
        for key in again:
            if said := meaning(provider.settings_type, key):
                click.echo(f"  {said}", err=True)
            value = _secret(answers, key, folder) if is_secret(provider, key) else _plain(key, wanted[key])
            answers.table.pop(key, None)
            answers.table |= {key: value} if value != "" else {}
        problems: list[Problem] = []
        build(provider.settings_type, answers.table, "", problems)
        for problem in problems:
            click.echo(f"  {problem}", err=True)
        named = [key for key in wanted if any(problem.key == key for problem in problems)]
        again = named or (list(wanted) if problems else [])


def _plain(key: str, default: Any) -> Any:
    if default is None:
        return _prompt(key, None, str)
    return _prompt(key if default else f"{key} (Enter leaves it out)", default, str, show_default=bool(default))


def _secret(answers: Answers, key: str, folder: Path) -> dict[str, Any]:
    """Where a secret is kept. What is typed is hidden, and stored when all questions are answered."""
    choice = click.Choice(PLACES)
    place = click.prompt(f"{key}: where is this secret kept", default="file", type=choice, err=True)
    match place:
        case "env":
            return {"env": _prompt("Name of the variable", f"{answers.account}_{key}".upper().replace("-", "_"), str)}
        case "command":
            return {"command": _prompt("Command that prints it", None, _words)}
        case "keyring":
            entry = _prompt("Entry of the keyring, as service/user", f"confcleanup/{answers.account}.{key}", _entry)
            typed = _hidden("The secret (hidden; Enter if it is there already)", optional=True)
            answers.store[key] = lambda: _into_keyring(entry, typed)
            return {"keyring": entry}
    path = Path(_prompt("File", str(folder / f"{answers.account}.{key}"), str)).expanduser().absolute()
    if path.exists():
        click.echo(f"  {path} exists and is used as it is.", err=True)
        answers.store.pop(key, None)
    else:
        typed = _hidden("The secret (hidden; the file will be readable by you alone)")
        answers.store[key] = lambda: write_private(path, typed + "\n")
    return {"file": str(path)}


def _into_keyring(entry: str, secret: str) -> None:
    if not secret:
        return
    service, _, user = entry.rpartition("/")
    try:
        import keyring

        keyring.set_password(service, user, secret)
        return
    except ImportError:
        why = f"it needs an extra: {install('keyring')}"
    # Backends raise what their system raises (D-Bus, Keychain, ctypes), not only keyring's own errors, and a secret
    # might be in the text. Nothing is swallowed: the person at the terminal is told, and how to store it by hand.
    except Exception as error:  # noqa: BLE001  # backends share no base class; reported below with the remedy
        why = f"it cannot be opened ({type(error).__name__})"
    click.echo(f"The secret was not stored in the keyring: {why}. Then: keyring set {service} {user}", err=True)


def _what(provider: type[Provider]) -> list[str]:
    possible = simple(provider)
    if len(possible) < 2:
        return possible or list(provider.sources)[:1]
    for what in possible:
        click.echo(f"  {what:22} {provider.sources[what].description}", err=True)
    choice = click.prompt("What shall be deleted", type=click.Choice([*possible, "all"]), show_choices=False, err=True)
    return possible if choice == "all" else [choice]


def _prompt(text: str, default: Any, read: Callable[[str], Any], *, show_default: bool = True) -> Any:
    def checked(raw: str) -> Any:
        try:
            return read(raw.strip())
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return click.prompt(text, default=default, value_proc=checked, show_default=show_default, err=True)


def _hidden(text: str, *, optional: bool = False) -> str:
    default = "" if optional else None
    return str(click.prompt(text, hide_input=True, default=default, show_default=False, err=True))


def _bare(text: str) -> str:
    try:
        tomllib.loads(f"[{text}]")
    except tomllib.TOMLDecodeError:
        text = ""
    if not text.replace("-", "").replace("_", "").isalnum():
        raise ValueError("use only letters, digits, - and _")
    return text


def _words(text: str) -> list[str]:
    return shlex.split(text)


def _entry(text: str) -> str:
    Secret.parse({"keyring": text})
    return text


def _age(text: str) -> str:
    if Period.parse(text).least < DAY:
        raise ValueError(f"{text!r} {TOO_SHORT} in the config afterwards")
    return text


def _zone(text: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(text)
    except (OSError, KeyError):
        raise ValueError('unknown; write for example "Europe/Berlin"') from None
    return text
