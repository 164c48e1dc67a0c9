"""What lies under the session: connections whose answers cannot take for ever.

``timeout`` bounds each wait for a byte, as everywhere; here the sum is bounded too, from the first byte of the
head on. A hostile or broken server could otherwise hold a thread with a byte now and then.
"""

from __future__ import annotations

import http
import http.client
import io
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import urllib3

from ..redact import harmless
from .failures import Forbidden, TunnelRefused
from .urls import reach

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


if TYPE_CHECKING:

    class _HTTPResponse(http.client.HTTPResponse):
        """http.client's answer, with the methods for subclasses that its type stubs do not declare."""

        def _read_status(self) -> tuple[str, int, str]: ...

        def _read_and_discard_trailer(self) -> None: ...

        def _close_conn(self) -> None: ...

else:
    _HTTPResponse = http.client.HTTPResponse


class _Response(_HTTPResponse):
    """An answer that must come within ``PATIENCE`` times the time-out; a file may take longer, but not crawl.

    It belongs to its request: ``surplus`` is set if more came than that answer, which nobody asked for.
    """

    surplus = False
    told = 0
    """The status that came, known before the head is read; a proxy's answer to CONNECT is not read any further."""

    def __init__(self, sock: socket.socket, *args: Any, file: bool = False, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._file = file
        buffered: Any = self.fp
        self._reader = _Reader(buffered.detach(), PATIENCE * (sock.gettimeout() or WITHOUT_TIMEOUT))
        self.fp: Any = io.BufferedReader(self._reader)
        self._chunks_ended = False

    def _read_status(self) -> tuple[str, int, str]:
        """The status line of the answer, after any "early hints". http.client skips 100, and takes all others for it.

        Another interim status would be taken for the answer, and the answer for that of the next request.
        """
        while True:
            version, status, reason = super()._read_status()
            if status == http.HTTPStatus.EARLY_HINTS:
                http.client.parse_headers(self.fp)
            elif http.HTTPStatus.CONTINUE < status < http.HTTPStatus.OK:
                raise http.client.HTTPException(f"the server answered with the interim status {status}")
            else:
                self.told = status
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
        if self._file:  # from here on, time is granted by what has come
            self._reader.per_byte = 1 / SLOWEST

    def _read_and_discard_trailer(self) -> None:
        super()._read_and_discard_trailer()
        self._chunks_ended = True

    def _close_conn(self) -> None:
        """Ends the reading. What is left in the buffer after a whole answer is something that nobody asked for."""
        if self._chunks_ended if self.chunked else self.length == 0:
            self._reader.dry = True
            self.surplus = bool(self.fp.peek())
        super()._close_conn()


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


Guard = Callable[[str], bool]
"""Whether addresses of a network (see ``reach``) may be connected to."""


class Connection(urllib3.connection.HTTPConnection):
    """A connection that is used again only if nothing came on it that nobody asked for.

    Such an answer would be taken for the next request's: an item that the vendor refused to delete would pass for
    deleted. A server that did so once may do so at a worse moment, so ``strays`` ends the reuse of all its connections.
    With a ``guard``, addresses are judged before they are connected to. ``files``: its answers are files.
    """

    sock: Any

    def __init__(
        self, *args: Any, strays: threading.Event, guard: Guard | None = None, files: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._strays, self._guard, self._files = strays, guard, files
        self._last: _Response | None = None

    def _answer(self, sock: socket.socket, *args: Any, **kwargs: Any) -> _Response:
        """The answer to the request that was just sent."""
        self._last = _Response(sock, *args, file=self._files, **kwargs)
        return self._last

    # http.client only calls this, with the socket. A method knows the kind of answer, and keeps it for is_connected.
    response_class: Any = _answer

    @property
    def is_connected(self) -> bool:
        """Whether the connection may be used again; urllib3 asks before each request, and opens another if not."""
        if self.sock is None:
            return False
        buffered = getattr(self.sock, "pending", int)()  # which TLS has read already, so that no socket shows it
        unread = bool(buffered) or urllib3.util.wait_for_read(self.sock, timeout=0.0)
        if (self._last and self._last.surplus) or (unread and self._unasked()):
            self._strays.set()
            log.info("the server sent what nobody asked for; its connections are not used again")
        return not unread and not self._strays.is_set()

    def _unasked(self) -> bool:
        """Whether what can be read is data, rather than the connection's end. Takes a byte of it."""
        try:
            self.sock.settimeout(0.0)
            return bool(self.sock.recv(1))
        except (OSError, ValueError):
            return False

    def connect(self) -> None:
        """Connects, through a proxy where there is one. Raises TunnelRefused where that proxy says no."""
        self._last = None
        try:
            super().connect()
        except OSError:
            if self._last is not None and self._last.told >= http.HTTPStatus.MULTIPLE_CHOICES:
                raise TunnelRefused(self._last.told) from None
            raise

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        if _leaving.ask:
            if self.sock is None:
                self.connect()
            _leaving.ask()
        super().endheaders(*args, **kwargs)

    def _new_conn(self) -> socket.socket:
        """With a guard, connects to the very address that was judged, so that no name can lead elsewhere afterwards."""
        if not self._guard:
            return super()._new_conn()
        try:
            found = _addresses(self.host, self.port)
        except (OSError, UnicodeError):
            found = []
        error: OSError = socket.gaierror(socket.EAI_NONAME, "the name is not known")
        for address in found:
            if (network := reach(address)) and not self._guard(network):
                raise Forbidden(self, forbidden(self.host, network))
        for address in found:
            try:
                return urllib3.util.connection.create_connection(
                    (address, self.port), self.timeout, self.source_address, self.socket_options
                )
            except OSError as failed:
                error = failed
        if isinstance(error, TimeoutError):
            raise urllib3.exceptions.ConnectTimeoutError(self, f"Connection to {self.host} timed out") from error
        raise urllib3.exceptions.NewConnectionError(self, str(error)) from error


class SecureConnection(Connection, urllib3.connection.HTTPSConnection):
    """The same over TLS."""


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
