"""The questions of ``confcleanup init`` on a terminal, and the test of the sign-in with what was answered."""

from __future__ import annotations

import re
import shlex
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from .. import providers
from ..account_check import Checked, check_account
from ..config.load import DAY, TOO_SHORT
from ..cutoff import Period
from ..deadline import Deadline
from ..errors import ConfcleanupError, ConfigError, HttpError, Problem
from ..guards import Limits
from ..providers.base import Provider, its_own_fault
from ..redact import harmless, redact
from ..settings.secrets import Secret
from ..settings.tables import build
from . import questions
from .options import clock
from .prompts import choose, choose_some, hidden, say, text

CREDENTIALS_REFUSED = frozenset({400, 401, 402, 403, 412, 423})
PLACES = {
    "type": "I type it now; it is kept in a file beside the config that only I can read",
    "file": "it is in a file already",
    "env": "in an environment variable",
    "command": "a command prints it, as a password manager does",
    "keyring": "in the keyring of this system; not for cron, which has no session",
}


class Answers(msgspec.Struct):
    """What a person said about one account.

    ``table`` is the account as it will stand in the config. ``typed`` are the secrets that are still to be stored
    where ``table`` says. ``rules`` are the rules' keys beside ``what``, by source.
    """

    provider: type[Provider]
    account: str
    rules: dict[str, dict[str, str]]
    older_than: str = ""
    table: dict[str, Any] = msgspec.field(default_factory=dict)
    typed: dict[str, str] = msgspec.field(default_factory=dict)
    place: str = ""
    tested: bool = False


def ask(names: Sequence[str], folder: Path) -> Answers:
    """Asks everything that a first config needs, and tests the sign-in. ``folder`` is where the config will be."""
    provider = providers.provider(_platform(names))
    answers = Answers(provider, provider.name, _rules(provider), table={"provider": provider.name})
    if any(not provider.sources[what].rule.says_when for what in answers.rules):
        say()
        answers.older_than = text("Delete items how long after they end? For example 30 days, 1 year", _age, "30 days")
    guide = questions.guide(provider)
    say()
    say(guide.lead.strip() or f"Now the sign-in at {provider.title}.")
    _settings(answers, [key for key, one in guide.settings.items() if not one.when], folder)
    _test(answers, folder)
    return answers


def _platform(names: Sequence[str]) -> str:
    known = {one.name: one.title for one in providers.usable() if not names or one.name in names}
    return next(iter(known)) if len(known) == 1 else choose("Which platform?", known)


def _rules(provider: type[Provider]) -> dict[str, dict[str, str]]:
    """What is to be deleted, and what its rules need beside that."""
    possible, asked = questions.offered(provider), questions.guide(provider).rules
    say()
    if len(possible) == 1:
        words = next(iter(possible.values()))
        say(f"Delete what? {words[:1].upper()}{words[1:]}: the only choice here. For other rules see docs/cookbook.md.")
        return {what: {} for what in possible}
    rules: dict[str, dict[str, str]] = {}
    for what in choose_some("Delete what?", possible):
        rules[what] = {}
        for key, question in asked.get(what, {}).items():
            say()
            say(question.where.strip())
            rules[what][key] = text(question.ask, _span, question.default or None)
    return rules


def _settings(answers: Answers, wanted: Sequence[str], folder: Path) -> None:
    """Asks for these settings, and once more for those that do not fit together."""
    again = list(wanted)
    while again:
        for key in again:
            _setting(answers, key, folder)
        problems: list[Problem] = []
        build(answers.provider.settings_type, answers.table, "", problems)
        for problem in problems:
            say(f"  {problem}")
        again = [key for key in questions.guide(answers.provider).settings if any(p.key == key for p in problems)]
        again = again or (list(wanted) if problems else [])


def _setting(answers: Answers, key: str, folder: Path) -> None:
    provider, question = answers.provider, questions.guide(answers.provider).settings[key]
    say()
    say(question.ask)
    for line in question.where.strip().splitlines():
        say(f"  {line}")
    if questions.is_secret(provider, key):
        answers.table[key] = _secret(answers, key, folder)
        return
    default = answers.table.get(key) or _default(answers, key)

    def read(raw: str) -> str:
        value = f"https://{raw}" if _is_url(key) and raw and "://" not in raw else raw
        if value and key.endswith("_file"):
            value = _existing(value)
        if value and (wrong := questions.mistake(provider, key, value)):
            raise ValueError(wrong)
        return value

    value = text(key, read, default)
    answers.table.pop(key, None)
    if value and (key == "url" or value != questions.default_of(provider, key)):
        answers.table[key] = value
    if key == "url" and value != questions.default_of(provider, key):
        for other, one in questions.guide(provider).settings.items():
            if one.when == "own address":
                _setting(answers, other, folder)


def _default(answers: Answers, key: str) -> str | None:
    """A setting's default; an address of the vendor's is moved to the server that was given instead."""
    default = questions.default_of(answers.provider, key)
    if key == "url" or not (_is_url(key) and default and "url" in answers.table):
        return default
    given = urlsplit(answers.table["url"])
    return urlunsplit(urlsplit(default)._replace(scheme=given.scheme, netloc=given.netloc))


def _is_url(key: str) -> bool:
    return key == "url" or key.endswith("_url")


def _secret(answers: Answers, key: str, folder: Path) -> dict[str, Any]:
    """Where a secret is kept, as the config says it. What is typed is hidden, and stored when all is answered."""
    if not answers.place:
        both = [one for one in questions.guide(answers.provider).settings if questions.is_secret(answers.provider, one)]
        answers.place = choose(f"Where {'are' if both[1:] else 'is'} {_listed(both)} kept?", PLACES, "type")
    before = answers.table.get(key, {}).get(answers.place)
    name = f"{answers.account}.{key}"
    match answers.place:
        case "env":
            variable = f"{answers.account}_{key}".upper().replace("-", "_")
            return {"env": text(f"{key}, name of the variable", str, before or variable)}
        case "command":
            return {"command": text(f"{key}, command that prints it", shlex.split, before and shlex.join(before))}
        case "file":
            return {"file": text(f"{key}, file", _existing, before)}
        case "keyring":
            entry = text(f"{key}, entry of the keyring as service/user", _entry, before or f"confcleanup/{name}")
            typed = hidden(f"{key} (hidden; Enter if the keyring has it)", optional=True)
            answers.typed |= {key: typed} if typed else {}
            return {"keyring": entry}
    known = key in answers.typed
    keep = "hidden; Enter keeps what you typed" if known else "hidden"
    answers.typed[key] = hidden(f"{key} ({keep})", optional=known) or answers.typed[key]
    return {"file": str(_free(folder / name))}


def _free(file: Path) -> Path:
    """The file, or one with a number after its name if that is taken: no file is ever replaced."""
    return next(
        path for path in (file, *(file.with_name(f"{file.name}.{n}") for n in range(2, 1000))) if not path.exists()
    )


def _test(answers: Answers, folder: Path) -> None:
    """Tests the sign-in until it works, or until the person at the terminal goes on without."""
    guide = questions.guide(answers.provider)
    while True:
        say()
        say(f"Testing the sign-in at {urlsplit(_url(answers)).hostname}; nothing is deleted …")
        checked = _checked(answers)
        for warning in checked.warnings:
            say(redact(harmless(f"Warning: {warning}")))
        if not checked.errors:
            say(redact(harmless(f"OK, {checked.summary()}.")))
            answers.tested = True
            return
        for error in checked.errors:
            say(redact(harmless(f"Error: {error}")))
        if guide.caution and getattr(checked.error, "status", None) in CREDENTIALS_REFUSED:
            say(guide.caution)
        wrong = suspects(checked.error, answers)
        options = {
            "correct": f"{_listed(wrong)}, then test again",
            "retry": "test the same answers again, for example after you gave a right at the vendor",
            "write": "write the config as it is, and correct it there",
        }
        say()
        typed_wrong = isinstance(checked.error, HttpError | ConfigError)
        chosen = choose("What next?", options, "correct" if typed_wrong else "retry")
        if chosen == "write":
            return
        if chosen == "correct":
            _settings(answers, wrong, folder)


def _checked(answers: Answers) -> Checked:
    """What a check finds with the answers as they are; typed secrets are not stored anywhere yet."""
    problems: list[Problem] = []
    settings = build(answers.provider.settings_type, answers.table | answers.typed, "", problems)
    missing = [Problem(key, why) for key, why in settings.missing()] if settings else problems
    if missing or not settings:
        return Checked(error=ConfigError(missing), errors=[str(problem) for problem in missing], warnings=[])
    limits = Limits()
    stop = Deadline(time.monotonic() + limits.max_runtime.total_seconds())
    try:
        with its_own_fault():
            return check_account(answers.provider, settings, list(answers.rules), limits, stop, clock)
    except ConfcleanupError as error:  # the person at the terminal is told, and can go on
        return Checked(error=error, errors=[str(error)], warnings=[])


def suspects(error: ConfcleanupError | None, answers: Answers) -> list[str]:
    """The settings that an error may come from: those that it names, else those that its kind concerns."""
    guide = questions.guide(answers.provider).settings
    asked = [key for key, one in guide.items() if not one.when or key in answers.table]
    if isinstance(error, ConfigError):
        return [problem.key for problem in error.problems if problem.key in guide] or asked
    if any(isinstance(inner, ssl.SSLCertVerificationError) for inner in _causes(error)):
        return [key for key in guide if key == "url" or guide[key].when == "certificate"]
    status = getattr(error, "status", None)
    if status in CREDENTIALS_REFUSED:
        return [key for key in asked if not _is_url(key)]
    named = [key for key in guide if re.search(rf"\b{key}\b", str(error))]
    if status == 404:
        named += [key for key in asked if _is_url(key)]
        return [key for key in guide if key in named or guide[key].when == "not found"]
    if named or not isinstance(error, HttpError):
        return named or asked
    return [key for key in asked if _is_url(key)]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that led to it, as far as Python and the libraries keep it."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def _url(answers: Answers) -> str:
    return str(answers.table.get("url") or questions.default_of(answers.provider, "url"))


def _listed(words: Sequence[str]) -> str:
    """Words as one writes them: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _existing(raw: str) -> str:
    file = Path(raw).expanduser().absolute()
    if not file.is_file():
        raise ValueError(f"there is no file {file}")
    return str(file)


def _entry(raw: str) -> str:
    Secret.parse({"keyring": raw})
    return raw


def _age(raw: str) -> str:
    if Period.parse(raw).least < DAY:
        raise ValueError(f"{raw!r} {TOO_SHORT} in the config afterwards")
    return raw


def _span(raw: str) -> str:
    Period.parse(raw).exact()
    return raw
