"""An answer belongs to its request: what a server sends unasked is never taken for the answer to the next one."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from confcleanup.deadline import Deadline
from confcleanup.errors import HttpError, OutcomeUnknown
from confcleanup.http.client import Http, Permit
from confcleanup.settings.values import Pace

Answers = Callable[[str], Sequence[bytes]]
STRAY = b"HTTP/1.1 204 No Content\r\n\r\n"
REFUSED = b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deadline, "wait", lambda self, seconds: self.check())


class Nobody:
    """No sign-in."""

    def sign_in(self, http: Http) -> Mapping[str, str]:
        return {}

    def token_expired(self, error: HttpError) -> bool:
        return False


class Raw:
    """A server that answers each request with exactly the bytes that ``answer`` gives for it.

    Of several pieces only the first is sent at once, each of the others when ``go_on`` is called.
    """

    def __init__(self, answer: Answers, context: ssl.SSLContext | None) -> None:
        self.connections: list[list[str]] = []
        self._answer = answer
        self._context = context
        self._wanted, self._sent = threading.Semaphore(0), threading.Semaphore(0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def go_on(self) -> None:
        """Has the next piece sent, and returns when it is."""
        self._wanted.release()
        assert self._sent.acquire(timeout=20)

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections.append([])
                threading.Thread(target=self._talk, args=(connection, self.connections[-1]), daemon=True).start()

    def _talk(self, raw: socket.socket, requests: list[str]) -> None:
        connection = self._context.wrap_socket(raw, server_side=True) if self._context else raw
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as asked:
            while line := asked.readline().decode():
                while asked.readline().strip():
                    pass
                requests.append(line.rpartition(" ")[0])
                first, *others = self._answer(requests[-1])
                connection.sendall(first)
                for piece in others:
                    self._wanted.acquire(timeout=20)
                    connection.sendall(piece)
                    self._sent.release()


@contextmanager
def serving(answer: Answers, folder: Path | None = None) -> Iterator[tuple[Raw, Http]]:
    """Such a server, and a session with it; over TLS if there is a folder for the certificate."""
    context, ca_file = None, None
    if folder:
        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(ca_file)
    server = Raw(answer, context)
    http = Http(server.url, auth=Nobody(), rate=Pace(0, 1), concurrency=1, ca_file=ca_file and str(ca_file))
    try:
        yield server, http
    finally:
        http.close()
        server.close()


def outcome(http: Http, name: str) -> str:
    """What becomes of a deletion, as a provider learns it."""
    try:
        return str(http.delete(name, Permit(), ok={204}).status)
    except OutcomeUnknown as error:
        return f"not known: {error}"
    except HttpError as error:
        return f"refused: {error.status}"


def after(*pieces: bytes) -> Answers:
    """Lists with these pieces, and refuses every deletion."""
    return lambda request: pieces if request.startswith("GET") else [REFUSED]


def test_connections_are_used_again_where_nothing_speaks_against_it() -> None:
    answers = {"GET /plain": [OK], "GET /chunked": [CHUNKED], "DELETE /c1": [EMPTY], "DELETE /c2": [REFUSED]}
    with serving(answers.__getitem__) as (server, http):
        http.get("plain")
        http.get("chunked")
        assert [outcome(http, "c1"), outcome(http, "c2")] == ["204", "refused: 409"]
        assert server.connections == [list(answers)]


@pytest.mark.parametrize("answer", [OK, CHUNKED, EMPTY.replace(b"204 No Content", b"200 OK\r\nContent-Length: 0")])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("late", [False, True], ids=["with the answer", "after the answer"])
def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_requests(
    answer: bytes, secure: bool, late: bool, tmp_path: Path
) -> None:
    pieces = [answer, STRAY] if late else [answer + STRAY]
    with serving(after(*pieces), tmp_path if secure else None) as (server, http):
        http.get("list")
        if late:
            server.go_on()
        assert outcome(http, "c1") == "refused: 409"
        assert server.connections == [["GET /list"], ["DELETE /c1"]]


def test_half_a_stray_answer_does_no_harm_either() -> None:
    with serving(after(OK + STRAY[:10], STRAY[10:])) as (server, http):
        http.get("list")
        server.go_on()
        assert outcome(http, "c1") == "refused: 409"


def test_a_stray_answer_that_only_tls_has_read_is_noticed(tmp_path: Path) -> None:
    padding = b'{"a": "' + b"x" * 12_000 + b'"}'
    long = OK.replace(b"Content-Length: 2", b"Content-Length: %d" % len(padding)).replace(b"{}", padding)
    with serving(after(long + STRAY * 30), tmp_path) as (server, http):
        http.get("list")
        assert outcome(http, "c1") == "refused: 409"
        assert len(server.connections) == 2


def test_a_server_that_did_so_once_gets_a_new_connection_for_every_request() -> None:
    """The next stray answer may come a moment after a request was sent, when nobody can tell it from the answer."""
    answers: dict[str, Sequence[bytes]] = {"GET /list": [OK + STRAY]}
    with serving(lambda request: answers.get(request, [REFUSED])) as (server, http):
        http.get("list")
        assert {outcome(http, f"c{number}") for number in range(3)} == {"refused: 409"}
        http.close()
        assert outcome(http, "c3") == "refused: 409"
        assert [len(requests) for requests in server.connections] == [1] * 5


def test_a_connection_that_the_server_has_closed_is_no_reason_for_distrust() -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answers: dict[str, Sequence[bytes]] = {"GET /closing": [closing]}
    with serving(lambda request: answers.get(request, [OK])) as (server, http):
        for name in ("closing", "a", "b"):
            http.get(name)
        assert server.connections == [["GET /closing"], ["GET /a", "GET /b"]]


@pytest.mark.parametrize("status", [101, 102, 104, 110, 199])
def test_an_interim_status_that_nobody_asked_for_ends_the_connection(status: int) -> None:
    interim = b"HTTP/1.1 %d Wait\r\n\r\n" % status
    answers = {"DELETE /c1": [interim + EMPTY], "DELETE /c2": [REFUSED]}
    with serving(answers.__getitem__) as (server, http):
        assert outcome(http, "c1") == (
            f"not known: {server.url[7:]} did not confirm the deletion: "
            f"the server answered with the interim status {status}"
        )
        assert outcome(http, "c2") == "refused: 409"
        assert server.connections == [["DELETE /c1"], ["DELETE /c2"]]


@pytest.mark.parametrize("status", [100, 103])
@pytest.mark.parametrize("times", [1, 3])
def test_continue_and_early_hints_are_skipped(status: int, times: int) -> None:
    interim = b"HTTP/1.1 %d Wait\r\nLink: </style.css>\r\n\r\n" % status
    with serving(lambda request: [interim * times + REFUSED]) as (server, http):
        assert [outcome(http, "c1"), outcome(http, "c2")] == ["refused: 409"] * 2
        assert len(server.connections) == 1


@pytest.mark.parametrize(
    "framed", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
def test_a_204_with_a_body_is_the_last_answer_of_its_connection(framed: bytes, late: bool) -> None:
    head, _, body = framed.partition(b"\r\n\r\n")
    whole = [b"HTTP/1.1 204 No Content\r\n" + head + b"\r\n\r\n", body]
    answers = {"DELETE /c1": whole if late else [b"".join(whole)], "DELETE /c2": [REFUSED]}
    with serving(answers.__getitem__) as (server, http):
        assert [outcome(http, "c1"), outcome(http, "c2")] == ["204", "refused: 409"]
        assert server.connections == [["DELETE /c1"], ["DELETE /c2"]]


def test_an_answer_with_two_lengths_is_the_last_of_its_connection() -> None:
    both = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n", 1)
    with serving(lambda request: [both]) as (server, http):
        assert [http.get(name).json() for name in ("a", "b")] == [{}, {}]
        assert len(server.connections) == 2


def test_a_path_that_begins_with_two_slashes_is_sent_as_it_is() -> None:
    with serving(lambda request: [OK]) as (server, http):
        http.open_file(f"{server.url}//x", {}).close()
        assert server.connections == [["GET //x"]]
