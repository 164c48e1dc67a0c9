"""The vendors. Each name is the config's ``provider`` and the module's name; a module is loaded when it is used.

Others add theirs with the entry-point group ``confcleanup.providers``: a name, and a ``Provider`` class.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from ..errors import BrokenProvider
from ..settings.tables import AccountSettings, RuleSettings
from .base import Provider, Source

log = logging.getLogger(__name__)
GROUP = "confcleanup.providers"


def _trueconf() -> type[Provider]:
    from .trueconf import TrueConf

    return TrueConf


def _vobiz() -> type[Provider]:
    from .vobiz import Vobiz

    return Vobiz


def _huawei() -> type[Provider]:
    from .huawei import Huawei

    return Huawei


def _vonage() -> type[Provider]:
    from .vonage import Vonage

    return Vonage


BUILT_IN: dict[str, Callable[[], type[Provider]]] = {
    "trueconf": _trueconf,
    "vobiz": _vobiz,
    "huawei": _huawei,
    "vonage": _vonage,
}


def provider(name: str) -> type[Provider]:
    """The class of a provider. Raises KeyError if nobody has added one of this name, else BrokenProvider."""
    return BUILT_IN[name]() if name in BUILT_IN else _load(*_added()[name])


def names() -> list[str]:
    """The names of all providers, ours first."""
    return [*BUILT_IN, *(name for name in _added() if name not in BUILT_IN)]


@lru_cache(maxsize=64)
def spellings(name: str, what: str, written: str) -> Collection[str]:
    """The ids of a provider's source that an id may stand for as people write it."""
    try:
        return provider(name).sources[what].rule.spellings(written)
    except (KeyError, BrokenProvider):
        return (written,)


def usable() -> Iterator[type[Provider]]:
    """The classes of all providers; one that is broken is warned of and does not stand in the others' way."""
    for name in names():
        try:
            yield provider(name)
        except BrokenProvider as error:
            log.warning("%s", error)


def _added() -> dict[str, list[EntryPoint]]:
    added: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        added.setdefault(entry.name, []).append(entry)
    return added


def _load(entry: EntryPoint, *others: EntryPoint) -> type[Provider]:
    """Another package's class, checked, because its author may have built it for another version."""
    if strangers := {_package(other) for other in others} - {_package(entry)}:
        both = " and ".join(sorted({_package(entry), *strangers}))
        raise BrokenProvider(f"the provider {entry.name!r} is added by {both}; uninstall all but one of them")
    try:
        loaded = entry.load()
    except Exception as error:  # another package's code may raise anything when it is imported
        why = f"{type(error).__name__}: {error}"
        raise BrokenProvider(_broken(entry, f"could not be loaded ({why})")) from error
    try:
        mistake = _mistake(entry.name, loaded)
    except (TypeError, AttributeError) as error:  # a list in the place of a table, a value in the place of a class
        mistake = f"is not what confcleanup.providers.base asks for ({error})"
    if mistake:
        raise BrokenProvider(_broken(entry, mistake))
    checked: type[Provider] = loaded
    return checked


def _mistake(name: str, loaded: object) -> str | None:
    """Where a class is not what ``base.py`` asks for."""
    if not (isinstance(loaded, type) and issubclass(loaded, Provider)):
        return "is not a class derived from confcleanup.providers.base.Provider"
    if unwritten := sorted(loaded.__abstractmethods__):
        return f"lacks the methods {', '.join(unwritten)}"
    if absent := [key for key in ("name", "title", "settings_type", "sources") if not getattr(loaded, key, None)]:
        return f"does not say its {', '.join(absent)}"
    if loaded.name != name:
        return f"calls itself {loaded.name!r}"
    if not issubclass(loaded.settings_type, AccountSettings):
        return "has a settings_type that is not derived from AccountSettings"
    sources = loaded.sources.values()
    if not all(isinstance(source, Source) and issubclass(source.rule, RuleSettings) for source in sources):
        return "has sources that are not Source objects with a rule derived from RuleSettings"
    return None


def _broken(entry: EntryPoint, what: str) -> str:
    return f"the provider {entry.name!r} of the package {_package(entry)} {what}; update or uninstall that package"


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
