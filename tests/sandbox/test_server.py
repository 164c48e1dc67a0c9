"""The emulators' HTTP server, asked for things that no sound client asks for."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from confcleanup.sandbox.server import Emulator, Request, Response, Server


class Refusing(Emulator):
    """Says 405 and a few words to everything."""

    def handle(self, request: Request) -> Response:
        return Response(405, b"not here")


@contextmanager
def connected() -> Iterator[tuple[Refusing, http.client.HTTPConnection]]:
    emulator = Refusing()
    with Server(emulator) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        yield emulator, connection
        connection.close()


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "QUERY", "BREW"])
def test_every_method_reaches_the_emulator(method: str) -> None:
    with connected() as (emulator, connection):
        connection.request(method, "/things")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (405, b"not here")
    assert [request.path for request in emulator.requests(method)] == ["/things"]


def test_an_answer_to_head_has_a_length_and_no_body_so_that_the_next_answer_is_read_right() -> None:
    with connected() as (_, connection):
        connection.request("HEAD", "/things")
        answer = connection.getresponse()
        assert (answer.getheader("Content-Length"), answer.read()) == ("8", b"")
        connection.request("GET", "/things")
        assert connection.getresponse().read() == b"not here"


@pytest.mark.parametrize("length", ["-1", "ten", "1e3", "9999999999"])
def test_a_length_that_is_none_is_refused_at_once(length: str) -> None:
    with Server(emulator := Refusing()) as server, socket.create_connection(("127.0.0.1", server.port), 5) as client:
        client.sendall(f"POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
    assert emulator.seen == []
