"""What ``init`` asks about a provider, in which words, and when: ``questions.toml``, or what the provider declares."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

from ..config.schema import meaning
from ..errors import Problem
from ..providers.base import Provider
from ..settings.secrets import Secret
from ..settings.tables import build, reader_of, url_mistake
from ..settings.values import Value

When = Literal["", "own address", "not found", "certificate"]


class Question(msgspec.Struct, frozen=True):
    """One question: its words, where the value is found, when it is asked, and what Enter stands for.

    ``needed``: Enter alone is no answer, though the setting has a default.
    """

    ask: str
    where: str = ""
    when: When = ""
    default: str = ""
    needed: bool = False


class Guide(msgspec.Struct, frozen=True):
    """What is asked about a provider. ``rules`` are questions about a source, by source and key."""

    lead: str = ""
    caution: str = ""
    what: dict[str, str] = {}
    rules: dict[str, dict[str, Question]] = {}
    settings: dict[str, Question] = {}


def guide(provider: type[Provider]) -> Guide:
    """The questions for a provider; for one that ``questions.toml`` does not know, those that it declares itself."""
    known = _guides()
    found = known.get(provider.name, Guide())
    declared = {key: Question(key, meaning(provider.settings_type, key)) for key in keys(provider)}
    settings = found.settings or declared
    common = {key: question for key, question in known["common"].settings.items() if key not in settings}
    return msgspec.structs.replace(found, settings=settings | common)


@cache
def _guides() -> dict[str, Guide]:
    text = files("confcleanup").joinpath("config", "questions.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Guide])


def keys(provider: type[Provider], missing: str | None = None) -> dict[str, Any]:
    """The settings of a first account, with their defaults; ``missing`` for what must be given."""
    fields = {entry.encode_name: entry for entry in msgspec.structs.fields(provider.settings_type)}
    wanted = [*provider.settings_type.asked, *(key for key, entry in fields.items() if entry.required)]
    asked = {key: fields[key] for key in dict.fromkeys(wanted) if key != "provider"}
    return {key: missing if entry.required else entry.default or "" for key, entry in asked.items()}


def default_of(provider: type[Provider], key: str) -> str | None:
    """What a setting is if it is not given, as text: empty if it may be left out, None if it must be given."""
    entry = next(field for field in msgspec.structs.fields(provider.settings_type) if field.encode_name == key)
    if entry.required or guide(provider).settings[key].needed:
        return None
    return entry.default if isinstance(entry.default, str) else ""


def is_secret(provider: type[Provider], key: str) -> bool:
    """Whether a setting is a secret."""
    kinds = {entry.encode_name: entry.type for entry in msgspec.structs.fields(provider.settings_type)}
    return issubclass(reader_of(kinds[key]) or Value, Secret)


def mistake(provider: type[Provider], key: str, value: Any) -> str | None:
    """What is wrong with the value of one setting, in words; None if nothing is."""
    if key == "url" or key.endswith("_url"):
        return url_mistake(value, insecure=False)
    problems: list[Problem] = []
    build(provider.settings_type, {key: value}, "", problems)
    return next((problem.message for problem in problems if problem.key == key), None)


def simple(provider: type[Provider]) -> list[str]:
    """What a rule can delete that says nothing else."""

    def complete(what: str) -> bool:
        problems: list[Problem] = []
        build(provider.sources[what].rule, {"what": what}, "", problems)
        return not problems

    return [what for what, source in provider.sources.items() if source.deletes and complete(what)]


def offered(provider: type[Provider]) -> dict[str, str]:
    """What ``init`` can write a rule for, each in words: the simple sources, and those with questions of their own."""
    asked = guide(provider)
    possible = [*simple(provider), *asked.rules] or list(provider.sources)[:1]
    return {what: asked.what.get(what, provider.sources[what].description) for what in possible}
