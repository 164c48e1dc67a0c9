"""A proxy on loopback between the program and an emulator, which does harm on the wire where a plan says so."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any


class Fault(StrEnum):
    """What can happen to one request. All but the first group happen after the vendor has acted."""

    CUT_BEFORE = "cut before it was forwarded"
    ERROR_500 = "500 in place of the server"
    ERROR_429 = "429 in place of the server"
    ERROR_502 = "502 with HTML in place of the server"

    CUT_AFTER = "cut before the answer"
    CUT_HEAD = "cut in the head of the answer"
    CUT_BODY = "cut in the body of the answer"
    TRUNCATED = "a shorter body, well formed as HTTP"
    LOST_500 = "500 instead of the answer"
    LOST_502 = "502 with HTML instead of the answer"
    LATE = "held until the client gives up"
    DRIP = "a byte at a time"


BEFORE = frozenset({Fault.CUT_BEFORE, Fault.ERROR_500, Fault.ERROR_429, Fault.ERROR_502})
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"

Plan = Callable[[int, str], Fault | None]
"""What happens to the request of this number (from 1) and method."""


def seeded(seed: int, shares: Mapping[str, float], late: int = 1) -> Plan:
    """A plan that depends on the seed alone: of each method's requests so large a share meets a fault."""
    dice = random.Random(seed)
    kinds = list(Fault)
    left = late

    def plan(number: int, method: str) -> Fault | None:
        nonlocal left
        if dice.random() >= shares.get(method, 0):
            return None
        fault = dice.choice(kinds)
        if fault is Fault.LATE:
            left -= 1
            return fault if left >= 0 else Fault.CUT_AFTER
        return fault

    return plan


def no_faults(number: int, method: str) -> None:
    """The plan of a quiet day."""


class Proxy:
    """Forwards to a port of 127.0.0.1. ``done`` are the faults that happened: number, method, fault."""

    def __init__(self, port: int, plan: Plan = no_faults) -> None:
        self.port = port
        self.plan = plan
        self.done: list[tuple[int, str, Fault]] = []
        self._count = 0
        self._lock = threading.Lock()

    def next_fault(self, method: str) -> Fault | None:
        """What happens to the request that has just arrived."""
        with self._lock:
            self._count += 1
            fault = self.plan(self._count, method)
            if fault:
                self.done.append((self._count, method, fault))
            return fault

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Serves until left; gives the address."""

        class Handler(_Handler):
            proxy = self

        with _Listener(("127.0.0.1", 0), Handler) as listener:
            thread = threading.Thread(target=listener.serve_forever, args=(0.004,), daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{listener.server_address[1]}"
            listener.shutdown()
            thread.join()


class _Listener(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event."""


class _Handler(StreamRequestHandler):
    disable_nagle_algorithm = True
    proxy: Proxy

    def handle(self) -> None:
        while (request := _message(self.rfile)) and self._one(request):
            pass

    def _one(self, request: bytes) -> bool:
        """One request; whether the connection may be used for another."""
        fault = self.proxy.next_fault(request.partition(b" ")[0].decode())
        if fault in BEFORE:
            return self._instead(fault)
        answer = self._forwarded(request)
        head, _, body = answer.partition(b"\r\n\r\n")
        match fault:
            case None:
                self.wfile.write(answer)
                return bool(answer)
            case Fault.LOST_500 | Fault.LOST_502:
                return self._instead(fault)
            case Fault.CUT_HEAD:
                self.wfile.write(answer[: len(head) // 2])
            case Fault.CUT_BODY if body:
                self.wfile.write(answer[: -(len(body) // 2 + 1)])
            case Fault.TRUNCATED if body:
                self.wfile.write(response(head.split(b"\r\n")[0][9:], body[: len(body) // 2]))
                return True
            case Fault.LATE:
                self.connection.recv(1)
            case Fault.DRIP:
                for place in range(len(answer)):
                    self.connection.sendall(answer[place : place + 1])
                return bool(answer)
        return False

    def _instead(self, fault: Fault) -> bool:
        if fault is Fault.CUT_BEFORE:
            return False
        html = fault in (Fault.ERROR_502, Fault.LOST_502)
        status = {Fault.ERROR_429: b"429 Too Many Requests"}.get(fault, b"502 Bad Gateway" if html else b"500 Error")
        body, kind = (HTML, b"text/html") if html else (b'{"message": "no"}', b"application/json")
        self.wfile.write(response(status, body, b"Content-Type: " + kind))
        return True

    def _forwarded(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.proxy.port)) as upstream, upstream.makefile("rb") as answers:
            upstream.sendall(request)
            return _message(answers)


def response(status: bytes, body: bytes, *headers: bytes) -> bytes:
    """An answer as bytes, with a Content-Length that is right."""
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([b"HTTP/1.1 " + status, length, *headers, b"", body])


def _message(stream: Any) -> bytes:
    """A request or an answer as it came, head and body; empty at the end of the connection."""
    head, length = b"", 0
    while line := stream.readline():
        head += line
        name, _, value = line.lower().partition(b":")
        if name == b"content-length":
            length = int(value)
        if line == b"\r\n":
            return head + stream.read(length)
    return b""
