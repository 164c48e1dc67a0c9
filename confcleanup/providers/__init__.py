"""The vendors. Each name is the config's ``provider`` and the module's name; a module is loaded when it is used.

Others add theirs with the entry-point group ``confcleanup.providers``: a name, and a ``Provider`` class.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from ..errors import BrokenProvider
from ..items import State
from ..settings.tables import AccountSettings, RuleSettings
from .base import Provider, Source

log = logging.getLogger(__name__)
GROUP = "confcleanup.providers"

METHODS = {"items": "list_items", "look": "get", "look_at": "get_many", "fetch": "media"}
"""What the methods of a provider were called, and what they are called now."""
MOVED = {
    "confcleanup.addresses": "confcleanup.http.urls",
    "confcleanup.pace": "confcleanup.deadline, with Deadline for Stop",
    "confcleanup.paging": "confcleanup.http.paging",
    "confcleanup.selection": "confcleanup.filter",
    **dict.fromkeys(("Http", "Permit", "Auth"), "in confcleanup.http.client"),
    **dict.fromkeys(("Answer", "Rows"), "in confcleanup.http.answer"),
    **dict.fromkeys(("AccountSettings", "RuleSettings", "Table"), "in confcleanup.settings.tables"),
    **dict.fromkeys(("Secret", "Secrets"), "in confcleanup.settings.secrets"),
    **dict.fromkeys(("Age", "Pace", "Rate", "Share", "Span", "Value", "When"), "in confcleanup.settings.values"),
    "AccessRefused": "AccessDenied",
    "Ambiguous": "OutcomeUnknown",
    "Unsendable": "UnsafeId",
}
"""What a provider could import, and where it is now."""
STATES = {"OVER": "ENDED", "UNFINISHED": "INCOMPLETE"}
"""What members of ``State`` were called, which a provider names while it is imported."""


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
        mistake = _missing_old_name(error) or f"could not be loaded ({why})"
        raise BrokenProvider(_broken(entry, mistake)) from error
    try:
        wrong = _mistake(entry.name, loaded)
    except (TypeError, AttributeError) as error:  # a list in the place of a table, a value in the place of a class
        wrong = f"is not what confcleanup.providers.base asks for ({error})"
    if wrong:
        raise BrokenProvider(_broken(entry, wrong))
    checked: type[Provider] = loaded
    return checked


def _mistake(name: str, loaded: object) -> str | None:
    """Where a class is not what ``base.py`` asks for."""
    if not (isinstance(loaded, type) and issubclass(loaded, Provider)):
        return "is not a class derived from confcleanup.providers.base.Provider"
    if _is_old(loaded):
        return _older()
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


def _is_old(loaded: type[Provider]) -> bool:
    """Whether a class, or the sign-in beside it, has a method by its old name and not by its new one."""
    # A helper may be called fetch today; it is the old method only where there are files to get.
    files = any(source.media for source in getattr(loaded, "sources", {}).values() if isinstance(source, Source))
    for old, new in METHODS.items():
        unwritten = getattr(loaded, new) is getattr(Provider, new)
        if unwritten and hasattr(loaded, old) and (files or old != "fetch"):
            return True
    # Nobody hands the sign-in's class over before an account is opened, so it is looked for in the provider's module.
    beside: Mapping[str, object] = getattr(sys.modules.get(loaded.__module__), "__dict__", {})
    sign_ins = [kind for kind in beside.values() if isinstance(kind, type) and hasattr(kind, "sign_in")]
    return any(hasattr(kind, "expired") and not hasattr(kind, "token_expired") for kind in sign_ins)


def _missing_old_name(error: Exception) -> str | None:
    """What to say where an import fails for want of a name, or a place, that something of ours had; else None."""
    if isinstance(error, AttributeError) and error.obj is State and error.name in STATES:
        return _older(f"State.{error.name} is now State.{STATES[error.name]}; ")
    if not isinstance(error, ImportError) or not (error.name or "").startswith("confcleanup."):
        return None
    imported = re.match(r"cannot import name '(\w+)'", str(error))
    name = imported[1] if imported else str(error.name)
    return _older(f"{name} is now {MOVED[name]}; ") if name in MOVED else None


def _older(hint: str = "") -> str:
    methods = ", ".join(f"{old} is now {new}" for old, new in METHODS.items())
    renamed = f"{methods}, Auth.expired is now token_expired, Http.sign_in_post is now authenticate"
    return f"was written for an older confcleanup: {hint}{renamed}; see docs/adding-a-provider.md"


def _broken(entry: EntryPoint, what: str) -> str:
    return f"the provider {entry.name!r} of the package {_package(entry)} {what}; update or uninstall that package"


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
