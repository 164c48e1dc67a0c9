"""The environment's proxies: which one a request takes, how it is named, and what it needs."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urlsplit

import requests

from ..redact import harmless
from ..settings.tables import is_loopback
from ..system import install
from .urls import origin


@functools.lru_cache(maxsize=64)
def proxies(origin: str) -> dict[str, str]:
    """The environment's proxies for what lies at an origin; none on this machine itself."""
    if is_loopback(urlsplit(origin).hostname or ""):
        return {}
    return dict(requests.utils.get_environ_proxies(origin))


def proxy_for(target: str) -> str | None:
    """The proxy that a request to this address takes."""
    return requests.utils.select_proxy(target, proxies(origin(target)))


def named(proxy: str, target: str) -> str:
    """A proxy for people: its address without credentials, and the variable that names it."""
    parts = urlsplit(proxy if "://" in proxy else f"//{proxy}")
    address = harmless(parts.netloc.rpartition("@")[2])
    variable = setting(proxy, target)
    return f"the proxy {address} ({variable})" if variable else f"the proxy {address} (from the system's settings)"


def setting(proxy: str, target: str) -> str | None:
    """The environment variable that names a proxy; None if it comes from elsewhere."""
    scheme = urlsplit(target).scheme
    for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"):
        if os.environ.get(name) == proxy:
            return name
    return None


def has_credentials(proxy: str) -> bool:
    """Whether a user name stands in a proxy's address."""
    return "@" in proxy


def mistakes(target: str) -> Iterator[str]:
    """What keeps the proxy for an address from being used, known before anything is contacted."""
    proxy = proxy_for(target)
    if proxy and proxy.lower().startswith("socks") and not find_spec("socks"):
        yield f"{named(proxy, target)} is a SOCKS proxy, which needs an extra: {install('socks')}"
