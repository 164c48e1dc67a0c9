"""What lies under the session: connections whose answers cannot take for ever, and why one failed, in words.

``timeout`` bounds each wait for a byte, as everywhere; here the sum is bounded too, from the first byte of the
head on. A hostile or broken server could otherwise hold a thread with a byte now and then.
"""

from __future__ import annotations

import functools
import http
import http.client
import io
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from .. import __version__
from ..redact import harmless, redact
from ..settings.tables import is_loopback
from .urls import PLAIN, reach

log = logging.getLogger(__name__)

PATIENCE = 4
"""Times its time-out, and an answer has taken too long, however steadily it comes."""
SLOWEST = 1024
"""Bytes a second below which a file is not waited for any longer than that."""
WITHOUT_TIMEOUT = 60.0
BODILESS = frozenset({http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED})


class _Reader(io.RawIOBase):
    """What a connection brings, within a time: ``timeout`` bounds each wait for a byte, this bounds their sum.

    Once it is ``dry`` it brings nothing, which tells what its buffer still holds.
    """

    def __init__(self, raw: io.RawIOBase, seconds: float) -> None:
        self._raw = raw
        self._deadline = time.monotonic() + seconds
        self.per_byte = 0.0
        self.dry = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.dry:
            return None
        if time.monotonic() > self._deadline:
            raise TimeoutError("the answer takes too long")
        count = self._raw.readinto(buffer)
        self._deadline += (count or 0) * self.per_byte
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that must come within ``PATIENCE`` times the time-out; a file may take longer, but not crawl.

    It belongs to its request: ``surplus`` is set if more came than that answer, which nobody asked for.
    """

    surplus = False

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        buffered: Any = self.fp
        self._reader = _Reader(buffered.detach(), PATIENCE * (sock.gettimeout() or WITHOUT_TIMEOUT))
        self.fp: Any = io.BufferedReader(self._reader)
        self._chunks_ended = False

    def _read_status(self) -> tuple[str, int, str]:
        """The status line of the answer, after any "early hints". http.client skips 100, and takes all others for it.

        Another interim status would be taken for the answer, and the answer for that of the next request.
        """
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed leaves it out
            if status == http.HTTPStatus.EARLY_HINTS:
                http.client.parse_headers(self.fp)
            elif http.HTTPStatus.CONTINUE < status < http.HTTPStatus.OK:
                raise http.client.HTTPException(f"the server answered with the interim status {status}")
            else:
                return version, status, reason

    def begin(self) -> None:
        """Reads the head. What has two lengths, or a body where none may be, is the connection's last answer."""
        super().begin()
        length, coded = self.headers.get("Content-Length", "").strip(), "Transfer-Encoding" in self.headers
        if self.status in BODILESS:
            self.chunked = False
            self.will_close = self.will_close or coded or length not in ("", "0")
        elif coded and length:
            self.will_close = True

    def _read_and_discard_trailer(self) -> None:
        super()._read_and_discard_trailer()  # type: ignore[misc]  # typeshed leaves it out
        self._chunks_ended = True

    def _close_conn(self) -> None:
        """Ends the reading. What is left in the buffer after a whole answer is something that nobody asked for."""
        if self._chunks_ended if self.chunked else self.length == 0:
            self._reader.dry = True
            self.surplus = bool(self.fp.peek())
        super()._close_conn()  # type: ignore[misc]  # typeshed leaves it out

    def is_a_file(self) -> None:
        """From here on, time is granted by what has come."""
        self._reader.per_byte = 1 / SLOWEST


class _Leaving(threading.local):
    """What this thread's next request asks when its connection is made, and it is about to leave."""

    ask: Callable[[], None] | None = None


_leaving = _Leaving()


@contextmanager
def leaving(ask: Callable[[], None] | None) -> Iterator[None]:
    """Within it, a request is only sent if ``ask`` does not raise when nothing else is left to wait for."""
    _leaving.ask = ask
    try:
        yield
    finally:
        _leaving.ask = None


class _Trusting:
    """A connection that is used again only if nothing came on it that nobody asked for.

    Such an answer would be taken for the next request's: an item that the vendor refused to delete would pass for
    deleted. A server that did so once may do so at a worse moment, so ``strays`` ends the reuse of all its connections.
    """

    sock: Any
    strays: threading.Event
    last: _Response | None = None

    def getresponse(self) -> Any:
        found = super().getresponse()  # type: ignore[misc]  # of the class beside this one
        self.last = found._original_response
        return found

    @property
    def is_connected(self) -> bool:
        """Whether the connection may be used again; urllib3 asks before each request, and opens another if not."""
        if self.sock is None:
            return False
        buffered = getattr(self.sock, "pending", int)()  # which TLS has read already, so that no socket shows it
        unread = bool(buffered) or urllib3.util.wait_for_read(self.sock, timeout=0.0)
        if (self.last and self.last.surplus) or (unread and self._unasked()):
            self.strays.set()
            log.info("the server sent what nobody asked for; its connections are not used again")
        return not unread and not self.strays.is_set()

    def _unasked(self) -> bool:
        """Whether what can be read is data, rather than the connection's end. Takes a byte of it."""
        try:
            self.sock.settimeout(0.0)
            return bool(self.sock.recv(1))
        except (OSError, ValueError):
            return False


class _Connection(_Trusting, urllib3.connection.HTTPConnection):
    response_class = _Response

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        if _leaving.ask:
            if self.sock is None:
                self.connect()
            _leaving.ask()
        super().endheaders(*args, **kwargs)


class _SecureConnection(_Connection, urllib3.connection.HTTPSConnection):
    response_class = _Response


Guard = Callable[[str], bool]
"""Whether addresses of a network (see ``reach``) may be connected to."""
C = TypeVar("C", bound=type[urllib3.connection.HTTPConnection])


def _guarded(kind: C, guard: Guard) -> C:
    """Connections that go to an address only after it was judged, so that no name can lead elsewhere afterwards."""

    class Guarded(kind):  # type: ignore[misc, valid-type]  # a class that is given cannot be known to mypy
        def _new_conn(self) -> socket.socket:
            try:
                found = _addresses(self.host, self.port)
            except (OSError, UnicodeError):
                found = []
            error: Exception | str = "the name is not known"
            for address in found:
                if (network := reach(address)) and not guard(network):
                    raise urllib3.exceptions.NewConnectionError(self, forbidden(self.host, network))
            for address in found:
                try:
                    return urllib3.util.connection.create_connection(
                        (address, self.port), self.timeout, self.source_address, self.socket_options
                    )
                except OSError as failed:
                    error = failed
            if isinstance(error, TimeoutError):
                raise urllib3.exceptions.ConnectTimeoutError(self, f"Connection to {self.host} timed out")
            raise urllib3.exceptions.NewConnectionError(self, str(error))

    return cast(C, Guarded)


def _addresses(host: str, port: int | None, flags: int = 0) -> list[str]:
    """The numeric addresses of a host, each once. Raises OSError and UnicodeError."""
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def networks(host: str, *, numeric: bool = False) -> frozenset[str]:
    """The networks besides the internet in which a host has addresses; ``numeric``: only if it is an address itself."""
    try:
        found = _addresses(host, None, socket.AI_NUMERICHOST if numeric else 0)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(network for address in found if (network := reach(address)))


def forbidden(host: str, network: str) -> str:
    """Why nothing is fetched from a host."""
    return f"{harmless(host)} has a {network} address, from which no file is fetched"


class _Sharing:
    """A pool whose connections share what is known of their server."""

    strays: threading.Event

    def _new_conn(self) -> Any:
        made = super()._new_conn()  # type: ignore[misc]  # of the class beside this one
        made.strays = self.strays
        return made


class _Pool(_Sharing, urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(_Sharing, urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class Opened:
    """An answer whose head has come. Its body is still to be read from ``raw``; then the connection is given back."""

    def __init__(self, raw: urllib3.HTTPResponse) -> None:
        self.raw = raw
        self.status = raw.status
        self.headers = raw.headers

    def is_a_file(self) -> None:
        """From here on, time is granted by what has come."""
        original: Any = self.raw._original_response  # urllib3 has no public way to our own class of answers
        original.is_a_file()

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.close()
        self.raw.release_conn()


class _Adapter(HTTPAdapter):
    """Connections of our own kind, also through a proxy; the pool of an origin is looked up once."""

    def __init__(self, guard: Guard | None = None, **options: Any) -> None:
        self._guard = guard
        self._pools: dict[tuple[str, str], Any] = {}
        self._strays: dict[tuple[str, str], threading.Event] = {}
        super().__init__(**options)

    def close(self) -> None:
        self._pools.clear()  # whoever holds a pool keeps its connections open
        super().close()

    def get_connection_with_tls_context(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        origin = urlsplit(request.url or "")[:2]
        if origin not in self._pools:
            pool: Any = super().get_connection_with_tls_context(request, *args, **kwargs)
            pool.strays = self._strays.setdefault(origin, threading.Event())
            self._pools[origin] = pool
        return self._pools[origin]

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        return str(super().request_url(request, proxies) if proxies else request.path_url)

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> Any:
        """An ``Opened`` in place of requests' own answer, with a jar of cookies and a copy of the headers for each."""
        return Opened(resp)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._guard)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _pools(None)  # the proxy's own address is the operator's choice
        return manager


def _pools(guard: Guard | None) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    if guard is None:
        return {"http": _Pool, "https": _SecurePool}
    plain, secure = _guarded(_Connection, guard), _guarded(_SecureConnection, guard)
    return {
        "http": type("GuardedPool", (_Pool,), {"ConnectionCls": plain}),
        "https": type("GuardedSecurePool", (_SecurePool,), {"ConnectionCls": secure}),
    }


def session(concurrency: int, ca_file: str | None = None, guard: Guard | None = None) -> requests.Session:
    """A session for one account: no .netrc, no cookies, no retries, no redirects.

    With a ``guard``, addresses are judged before each connection; where a proxy connects, it resolves names itself.
    Certificates are checked against ``ca_file``, else what the environment names, else requests' own.
    """
    made = requests.Session()
    made.verify = ca_file or os.environ.get("REQUESTS_CA_BUNDLE") or True
    made.trust_env = False  # no .netrc, which would replace our Authorization header
    made.headers["User-Agent"] = f"confcleanup/{__version__}"
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(guard, pool_connections=4, pool_maxsize=concurrency, max_retries=0, pool_block=True)
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
) -> Opened:
    """One request through the session's adapter; the answer's body is still to be read.

    ``Session.send`` would add cookies and hooks, which nobody here uses, and look at redirects: it reads their whole
    body first, however large it is. That took a third of a request's time.
    """
    request = requests.PreparedRequest()
    request.prepare_method(method)
    if PLAIN.fullmatch(target):
        request.url = target
    else:
        request.prepare_url(target, None)
    if json_body is None and form is None:
        request.headers = _bodiless(method, tuple(session.headers.items()), tuple(headers.items()))
    else:
        request.prepare_headers({**session.headers, **headers})
        request.prepare_body(form, None, json_body)
    adapter, through = session.get_adapter(target), proxies("/".join(target.split("/", 3)[:3]))
    answer = adapter.send(request, stream=True, timeout=timeout, verify=session.verify or True, proxies=through)
    return cast(Opened, answer)


@functools.lru_cache(maxsize=64)
def _bodiless(
    method: str, common: tuple[tuple[str, str], ...], own: tuple[tuple[str, str], ...]
) -> CaseInsensitiveDict[str]:
    """The headers of a request without a body, as requests prepares them. Nobody changes them afterwards."""
    request = requests.PreparedRequest()
    request.prepare_method(method)
    request.prepare_headers(dict((*common, *own)))
    request.prepare_body(None, None)
    return request.headers


@functools.lru_cache(maxsize=64)
def proxies(origin: str) -> dict[str, str]:
    """The environment's proxies for what lies at an origin; none on this machine itself."""
    if is_loopback(urlsplit(origin).hostname or ""):
        return {}
    return dict(requests.utils.get_environ_proxies(origin))


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and the errors it wraps, as requests and urllib3 wrap them."""
    inner: Any = error
    while isinstance(inner, BaseException):
        yield inner
        inner = getattr(inner, "reason", None) or next((a for a in inner.args if isinstance(a, BaseException)), None)


def never_connected(error: Exception) -> bool:
    """Whether the request was certainly not sent."""
    kinds = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.NameResolutionError)
    return any(isinstance(inner, kinds) for inner in chain(error))


def cause(error: Exception) -> str:
    """The innermost reason of a network error, in one line."""
    if isinstance(error, requests.exceptions.Timeout):
        return "it took too long"
    innermost = list(chain(error))[-1]
    text = str(innermost.args[-1] if innermost.args else "") or type(innermost).__name__
    return redact(harmless(re.sub(r"^\w*Connection\(.*?\): ", "", text)))[:200]
