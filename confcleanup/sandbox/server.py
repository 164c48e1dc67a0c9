"""What the emulated vendors share: a small HTTP server on loopback, and a record of what it was asked.

An emulator is a witness. It keeps its own log of every request, so that a test can compare what
the client claims with what the server saw.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote

Clock = Callable[[], datetime]


def utc_clock() -> datetime:
    """The machine's clock, as an aware UTC datetime."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it stood on the wire.

    ``path`` is the raw, still encoded path; ``segments`` are its parts, split at ``/`` first and
    decoded afterwards, so that an encoded slash stays inside its segment. ``query`` keeps order and
    repetition.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str] | Message
    body: bytes = b""

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(unquote(part) for part in self.path.split("/")[1:])

    def arg(self, name: str, default: str | None = None) -> str | None:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)

    def number(self, name: str, default: int) -> int:
        """A query parameter as an integer; the default if it is missing or not a number."""
        try:
            return int(self.arg(name) or default)
        except ValueError:
            return default

    def json(self) -> Any:
        """The body as JSON, or None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def form(self) -> dict[str, str]:
        """The body read as application/x-www-form-urlencoded."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def bearer(self) -> str | None:
        kind, _, token = (self.headers.get("Authorization") or "").partition(" ")
        return token if kind.lower() == "bearer" else None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; a body that is not bytes or None is sent as JSON."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    close: bool = False  # cut the connection instead of answering

    def encoded(self) -> tuple[bytes, dict[str, str]]:
        headers = dict(self.headers)
        if self.body is None:
            return b"", headers
        if isinstance(self.body, bytes):
            headers.setdefault("Content-Type", "application/octet-stream")
            return self.body, headers
        headers.setdefault("Content-Type", "application/json")
        return json.dumps(self.body).encode(), headers


@dataclass(frozen=True, slots=True)
class Seen:
    """One line of an emulator's own log: the request, and the status it was answered with."""

    request: Request
    status: int


class Emulator:
    """A vendor's server in memory. A subclass holds the state and implements ``handle``.

    ``disasters`` names what a careless client brought about. ``doomed`` are the ids, by source, that the
    account's sample rules must delete from a filled backlog. ``interfere`` holds hooks that tests install:
    each is asked before the emulator and may answer in its place. ``after`` hooks may replace the answer after
    the emulator has acted on the request, which is how a lost acknowledgement is made.
    """

    def __init__(self, clock: Clock = utc_clock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.seen: list[Seen] = []
        self.disasters: list[str] = []
        self.doomed: dict[str, set[str]] = {}
        self.interfere: list[Callable[[Request], Response | None]] = []
        self.after: list[Callable[[Request, Response], Response | None]] = []

    def handle(self, request: Request) -> Response:
        raise NotImplementedError

    def answer(self, request: Request) -> Response:
        """Hooks, then the vendor, then the log."""
        response = self._first(hook(request) for hook in list(self.interfere))
        if response is None:
            with self.lock:
                response = self.handle(request)
            response = self._first(hook(request, response) for hook in list(self.after)) or response
        self.seen.append(Seen(request, response.status))
        return response

    @staticmethod
    def _first(answers: Iterable[Response | None]) -> Response | None:
        return next((answer for answer in answers if answer is not None), None)

    def requests(self, method: str) -> list[Request]:
        """What was asked with this method, in the order of arrival."""
        return [seen.request for seen in self.seen if seen.request.method == method]


class Server:
    """Serves one emulator on a free (or given) port of 127.0.0.1 until closed."""

    def __init__(self, emulator: Emulator, port: int = 0) -> None:
        self.emulator = emulator

        class Handler(_Handler):
            served = emulator

        self._server = _Listener(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.004,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event for the sandbox."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60
    served: Emulator

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        length = self.headers.get("Content-Length") or "0"
        if not re.fullmatch("[0-9]{1,9}", length):
            self.send_error(400)
            return
        request = Request(
            method=self.command,
            path=path,
            query=tuple(parse_qsl(query, keep_blank_values=True)),
            headers=self.headers,
            body=self.rfile.read(int(length)),
        )
        response = self.served.answer(request)
        if response.close:
            self.close_connection = True
            return
        body, headers = response.encoded()
        self.send_response_only(response.status)
        lower = {name.lower() for name in headers}
        if "date" not in lower:
            self.send_header("Date", format_datetime(self.served.clock(), usegmt=True))
        if "content-length" not in lower:
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":  # whose answer says how long the body would be, and has none
            self.wfile.write(body)
        self.wfile.flush()

    def __getattr__(self, name: str) -> Any:
        """Every method reaches the emulator, whatever it is called: ``do_GET`` and all others."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """The emulator keeps its own log; nothing goes to standard error."""
