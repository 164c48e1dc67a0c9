"""The session of an account: its connections, its proxies, whom it trusts; and one request."""

from __future__ import annotations

import functools
import ssl
import threading
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast

import requests
import urllib3
from requests.adapters import HTTPAdapter

from .. import __version__
from . import proxies, tls
from .transport import Connection, Guard, SecureConnection
from .urls import origin


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class _Adapter(HTTPAdapter):
    """Connections of our own kind, also through a proxy; what is known of a server outlives its pool."""

    def __init__(self, trust: Callable[[], ssl.SSLContext], guard: Guard | None = None, **options: Any) -> None:
        self._trust = functools.cache(trust)  # made when the first connection needs it: most tests and files need none
        self._guard = guard
        self._strays: dict[tuple[Any, ...], threading.Event] = {}
        super().__init__(**options)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> urllib3.HTTPConnectionPool:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        # The proxy's own address is the operator's choice, so it is not judged.
        guard = None if pool.proxy or "_socks_options" in pool.conn_kw else self._guard
        strays = self._strays.setdefault((pool.scheme, pool.host, pool.port), threading.Event())
        pool.conn_kw |= {"strays": strays, "guard": guard, "files": self._guard is not None}
        if pool.scheme == "https":
            pool.conn_kw["ssl_context"] = self._trust()
        return cast(urllib3.HTTPConnectionPool, pool)

    def cert_verify(self, *args: Any) -> None:
        """Nothing more: our context has its certificates, which requests would read again for each connection."""

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """The path as it was prepared; requests would drop one of two slashes at its start."""
        return str(super().request_url(request, proxies) if proxies else request.path_url)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        own = {"proxy_ssl_context": self._trust()} if proxy.lower().startswith("https:") else {}
        manager = super().proxy_manager_for(proxy, **own, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        if proxy.lower().startswith("socks"):
            from . import socks

            manager.pool_classes_by_scheme = socks.POOLS
        return manager


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Never any: requests would read a redirect's whole body to look where it leads, however large it is."""


def session(
    concurrency: int, ca_file: str | None = None, guard: Guard | None = None, *, strict: bool = True
) -> requests.Session:
    """A session for one account: no .netrc, no cookies, no retries, no redirects.

    With a ``guard`` it is for files, and addresses are judged before each connection; where a proxy connects, it
    resolves names itself. Which certificates it trusts is for ``tls.context`` to say.
    """
    made = _Session()
    made.trust_env = False  # no .netrc, which would replace our Authorization header
    made.headers["User-Agent"] = f"confcleanup/{__version__}"
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    trust = functools.partial(tls.context, ca_file, strict=strict)
    adapter = _Adapter(trust, guard, pool_connections=4, pool_maxsize=concurrency, max_retries=0, pool_block=True)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


def send(
    session: requests.Session,
    method: str,
    target: str,
    headers: Mapping[str, str],
    timeout: float,
    *,
    json_body: Mapping[str, Any] | None = None,
    form: Mapping[str, str] | None = None,
) -> requests.Response:
    """One request. The answer's body is still to be read, with ``raw.read1``: it alone ends a chunked answer in a way
    that shows what came after it."""
    return session.request(
        method,
        target,
        headers=headers,
        json=json_body,
        data=form,
        timeout=timeout,
        proxies=proxies.proxies(origin(target)),
        allow_redirects=False,
        stream=True,
    )
