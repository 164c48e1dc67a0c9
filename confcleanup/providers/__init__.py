"""The vendors. Each name is the config's ``provider`` and the module's name; a module is loaded when it is used.

Others add theirs with the entry-point group ``confcleanup.providers``: a name, and a ``Provider`` class.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from .base import Provider

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
    """The class of a provider. Raises KeyError if nobody has added one of this name."""
    if name in BUILT_IN:
        return BUILT_IN[name]()
    loaded: type[Provider] = _added()[name].load()
    return loaded


def names() -> list[str]:
    """The names of all providers, ours first."""
    return [*BUILT_IN, *(name for name in _added() if name not in BUILT_IN)]


def _added() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
