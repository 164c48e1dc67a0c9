"""Each cause that keeps a run from its work: the message names it and the next step, and that step is right.

A case breaks something, yields what the message must say, and then does what the message told; ``check`` is well then.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
import urllib3
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from urllib3.util.ssl_ import create_urllib3_context

from confcleanup.cli import cli
from confcleanup.http import proxies, tls
from confcleanup.http.client import Http
from confcleanup.sandbox.room import Room
from confcleanup.sandbox.server import Request, Response, Server, utc_clock
from tests.faults.worlds import VENDORS
from tests.http.test_download import names

pytestmark = pytest.mark.usefixtures("no_waiting")
HOST = "conf.example.com"
DAY = timedelta(days=1)
Words = tuple[str, str]
"""What a message must say of the cause, and of the next step; regular expressions."""
COMMANDS = (["check"], ["plan"], ["run", "--yes"])


class World:
    """A vendor at ``conf.example.com``, which is this machine, and the command line of the account that cleans it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack, vendor: str = "trueconf-v3") -> None:
        self.folder, self.patch, self.stack = folder, patch, stack
        self.file, self.state = folder / "config.toml", folder / "state"
        self.authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca_file)
        self.extra: dict[str, object] = {}
        self.vendor(vendor)

    def vendor(self, name: str) -> None:
        self.emulator = VENDORS[name].small(utc_clock, old=9, young=9)
        self.http()

    def http(self) -> None:
        """Serves over plain HTTP, under the name of this machine."""
        server = self.stack.enter_context(Server(self.emulator))
        self.at(server.url)

    def https(self, *identities: str, **dates: Any) -> int:
        """Serves over TLS, with a certificate of the authority in ``ca_file``; the port."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*(identities or (HOST,)), **dates).configure_cert(context)
        return self.tls(context)

    def tls(self, context: ssl.SSLContext, ca_file: Path | None = None) -> int:
        server = Server(self.emulator)
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        self.stack.enter_context(server)
        self.at(f"https://{HOST}:{server.port}", ca_file=str(ca_file or self.ca_file))
        return server.port

    def at(self, url: str, **extra: object) -> None:
        """Writes the config of an account at this address, with these settings besides."""
        self.extra = self.extra | extra
        self.url, given = url, {key: value for key, value in self.extra.items() if value is not None}
        self.file.write_text(self.emulator.account("hq", url, **given), encoding="utf-8")  # type: ignore[attr-defined]
        self.file.chmod(0o600)

    def set(self, **extra: object) -> None:
        self.at(self.url, **extra)

    def listening(self, talk: Callable[[socket.socket], None]) -> int:
        """A server that talks so on each connection, in a thread of its own; its port."""
        listener = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        held: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(listener.accept()[0])
                    threading.Thread(target=one, args=(held[-1],), daemon=True).start()

        def one(connection: socket.socket) -> None:
            with contextlib.suppress(OSError):
                talk(connection)

        def close() -> None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # which wakes the thread that waits for connections
            server.join()
            for connection in held:
                connection.close()

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        self.stack.callback(close)
        return int(listener.getsockname()[1])

    def raw(self, answer: bytes | None) -> int:
        """A server that answers every connection with these bytes and closes it; None: it says nothing."""

        def talk(connection: socket.socket) -> None:
            if answer is not None:
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        return self.listening(talk)

    def instead(self, answer: Response, wanted: Callable[[Request], bool]) -> None:
        """Has these requests answered with this, until ``emulator.interfere`` is cleared."""
        self.emulator.interfere.append(lambda request: answer if wanted(request) else None)

    def __call__(self, *words: str) -> Result:
        done = CliRunner().invoke(cli, ["-c", str(self.file), "--state", str(self.state), *words])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert "Traceback" not in done.output
        assert "internal error" not in done.output, done.output
        return done


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in (*tls.BUNDLES, tls.KEY_LOG):
        monkeypatch.delenv(name, raising=False)
    proxies.proxies.cache_clear()
    names(monkeypatch, **{HOST.replace(".", "_"): "127.0.0.1", "other_example_com": "127.0.0.1"})
    with ExitStack() as stack:
        yield World(tmp_path, monkeypatch, stack)
    proxies.proxies.cache_clear()


# The network ------------------------------------------------------------------------------------


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def nothing_listens(world: World) -> Iterator[Words]:
    port = world.https()
    world.at(f"https://{HOST}:{closed_port()}")
    yield "the server refused the connection", "check that it is running, and the port in url"
    world.at(f"https://{HOST}:{port}")


def the_name_is_not_known(world: World) -> Iterator[Words]:
    port = world.https()
    world.at(f"https://conf.exmaple.com:{port}")
    yield "the name conf.exmaple.com is not known", "check it for a typing mistake, and this machine's DNS"
    world.at(f"https://{HOST}:{port}")


def the_name_server_is_silent(world: World) -> Iterator[Words]:
    world.https()
    with world.patch.context() as patch:
        patch.setattr(socket, "getaddrinfo", raising(socket.gaierror(socket.EAI_AGAIN, "Temporary failure")))
        yield f"no DNS server answered for {HOST}", "check this machine's DNS"


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def connecting(world: World, error: OSError, cause: str, remedy: str) -> Iterator[Words]:
    world.https()
    with world.patch.context() as patch:
        patch.setattr(urllib3.util.connection, "create_connection", raising(error))
        yield cause, remedy


def there_is_no_route(world: World) -> Iterator[Words]:
    error = OSError(errno.ENETUNREACH, "Network is unreachable")
    yield from connecting(world, error, "there is no route to the server", "check this machine's network, its VPN")


def nobody_takes_the_connection(world: World) -> Iterator[Words]:
    remedy = "check that it is up, and that a firewall lets this machine connect to port [0-9]+"
    yield from connecting(world, TimeoutError("timed out"), r"no connection to the server within 30 s", remedy)


def this_machine_forbids_it(world: World) -> Iterator[Words]:
    error = OSError(errno.EPERM, "Operation not permitted")
    yield from connecting(
        world, error, "this machine does not allow a connection to the server", "allow it in this machine's"
    )


def impatient(opened: Callable[..., None]) -> Callable[..., None]:
    """Waits for an answer for less long than a config can say."""

    def init(self: Http, *words: Any, timeout: timedelta, **more: Any) -> None:
        opened(self, *words, timeout=timeout / 600, **more)

    return init


def no_answer_comes(world: World) -> Iterator[Words]:
    url = world.url
    with world.patch.context() as patch:
        patch.setattr(Http, "__init__", impatient(Http.__init__))
        world.at(f"http://127.0.0.1:{world.raw(None)}")
        yield r"no complete answer within 0\.05 s, tried 4 times", "if the server is only slow, raise timeout"
    world.at(url)


def the_connection_is_cut(world: World) -> Iterator[Words]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    url = world.url
    world.at(f"http://127.0.0.1:{world.raw(head + b'{')}")
    yield (
        "the server closed the connection before the answer was complete",
        "the next run tries again; if it lasts, look at",
    )
    world.at(url)


# TLS --------------------------------------------------------------------------------------------


def expired(world: World) -> Iterator[Words]:
    world.https(not_before=utc_clock() - 9 * DAY, not_after=utc_clock() - DAY)
    yield (
        "its certificate, or that of an authority above it, has expired",
        r"have it renewed there; this machine's clock says 2[0-9-]+ [0-9:]+ UTC",
    )
    world.https()


def not_yet_valid(world: World) -> Iterator[Words]:
    world.https(not_before=utc_clock() + DAY, not_after=utc_clock() + 9 * DAY)
    yield "its certificate is not valid yet", "this machine's clock says .* UTC: set it if that is wrong"
    world.https()


def for_another_name(world: World) -> Iterator[Words]:
    port = world.https("other.example.com")
    yield (
        f"its certificate is not for {HOST}",
        f"write a name of the certificate into url, shown by: openssl s_client -connect {HOST}:{port}",
    )
    world.at(f"https://other.example.com:{port}")


def nobody_vouches(world: World) -> Iterator[Words]:
    world.https()
    world.set(ca_file=None)
    yield "its certificate is signed by no authority that this machine trusts", "set ca_file to its certificate"
    world.set(ca_file=str(world.ca_file))


def ca_file_is_of_another_authority(world: World) -> Iterator[Words]:
    world.https()
    trustme.CA().cert_pem.write_to_path(world.ca_file)
    yield f"signed by no authority in the ca_file {world.ca_file}", "put the certificate .* into that file"
    world.authority.cert_pem.write_to_path(world.ca_file)


def plain_http_on_the_port(world: World) -> Iterator[Words]:
    port = world.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    world.at(f"https://{HOST}:{port}")
    yield "the server does not speak TLS on this port", "check the port in url"
    world.https()


def only_old_tls(world: World) -> Iterator[Words]:
    port = world.raw(b"\x15\x03\x01\x00\x02\x02\x46")  # the alert "protocol version"
    world.at(f"https://{HOST}:{port}")
    yield "no version or cipher of TLS in common", r"switch on TLS 1\.2 or 1\.3 at the server"
    world.https()


def without_an_authority_key(world: World) -> Iterator[Words]:
    """Python 3.13 sets VERIFY_X509_STRICT; here it is set whatever the version."""

    def as_313() -> ssl.SSLContext:
        context = create_urllib3_context()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    world.patch.setattr(tls, "create_urllib3_context", as_313)
    world.tls(*_loose(world.folder))
    yield (
        "this Python refuses its certificate, which does not follow RFC 5280: Missing Authority Key Identifier",
        "have it issued anew, or accept it: strict_certificates = false relaxes this one check",
    )
    world.set(strict_certificates=False)


def _loose(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server with a certificate that does not say whose key signed it, and the file of its authority."""
    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    title = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Own authority")])

    def certificate(name: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.Certificate:
        made = x509.CertificateBuilder(title, name, key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(utc_clock() - DAY).not_valid_after(utc_clock() + DAY)
        made = made.add_extension(x509.BasicConstraints(authority, None), critical=True)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        if authority:
            usage = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment"), False)
            usage |= dict.fromkeys(("data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False)
            made = made.add_extension(x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True)
        else:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        return made.sign(root, hashes.SHA256())

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    pem = serialization.Encoding.PEM
    ca_file, chain = folder / "own.pem", folder / "chain.pem"
    ca_file.write_bytes(certificate(title, root, authority=True).public_bytes(pem))
    private = leaf.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(private + certificate(name, leaf, authority=False).public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context, ca_file


# What the server answers ------------------------------------------------------------------------


def reads(request: Request) -> bool:
    return request.method == "GET"


def signs_in(request: Request) -> bool:
    return request.segments[-1] == "token"


def answering(
    answer: Response, wanted: Callable[[Request], bool], cause: str, remedy: str
) -> Callable[[World], Iterator[Words]]:
    def case(world: World) -> Iterator[Words]:
        world.instead(answer, wanted)
        yield cause, remedy
        world.emulator.interfere.clear()

    return case


PAGE = Response(200, b"<html><body>Please sign in</body></html>", {"Content-Type": "text/html"})
LIST = r"could not read page 1 of the conferences from 127\.0\.0\.1:[0-9]+: "
SIGN_IN = r"sign-in failed at 127\.0\.0\.1:[0-9]+: "
ANSWERS = {
    "a list: 500": answering(
        Response(500, {"message": "no"}),
        reads,
        LIST + r"500 \(no\), tried 4 times",
        "the next run tries again; if it lasts",
    ),
    "a list: 502 in HTML": answering(
        Response(502, PAGE.body, PAGE.headers), reads, LIST + r"502 \(HTML\), tried 4 times", "look at the server"
    ),
    "a list: 403": answering(
        Response(403, {"error": {"errors": [{"reason": "forbidden"}]}}),
        reads,
        LIST + r"403 \(forbidden\)",
        "the application needs the right conferences:read: give it in the server's control panel",
    ),
    "a list: 404": answering(
        Response(404), reads, LIST + "404", "the server does not know this address: check the account's url and api"
    ),
    "a list: 429 that does not end": answering(
        Response(429), reads, LIST + "429, tried 4 times", "the vendor's limit of requests is reached: lower .* rate"
    ),
    "a list: a redirect": answering(
        Response(302, headers={"Location": "https://sso.example.com/login?next=secret"}),
        reads,
        LIST + "302",
        r"it redirects to https://sso\.example\.com: write the address where the API is into url$",
    ),
    "a list: HTML": answering(
        PAGE, reads, LIST + r"expected JSON, got HTML \(status 200\)", "is url the address of the API"
    ),
    "a list: another shape": answering(Response(200, {"cnt": 0}), reads, LIST + "the answer has no 'conferences'", ""),
    "a sign-in: 401": answering(
        Response(401, {"error": "invalid_client"}),
        signs_in,
        SIGN_IN + r"401 \(invalid_client\)",
        "correct client_id and client_secret",
    ),
    "a sign-in: 503": answering(Response(503), signs_in, SIGN_IN + "503, tried 4 times", "the next run tries again"),
    "a sign-in: a redirect": answering(
        Response(301, headers={"Location": "https://www.example.com/"}),
        signs_in,
        SIGN_IN + "301",
        r"it redirects to https://www\.example\.com: write",
    ),
    "a sign-in: HTML": answering(
        PAGE, signs_in, SIGN_IN + r"expected JSON, got HTML \(status 200\)", "is url the address of the API"
    ),
}

NETWORK = [
    *(nothing_listens, the_name_is_not_known, the_name_server_is_silent, there_is_no_route),
    *(nobody_takes_the_connection, this_machine_forbids_it, no_answer_comes, the_connection_is_cut),
    *(expired, not_yet_valid, for_another_name, nobody_vouches, ca_file_is_of_another_authority),
    *(plain_http_on_the_port, only_old_tls, without_an_authority_key),
]


def the_token_address_is_a_closed_port(world: World) -> Iterator[Words]:
    world.vendor("vonage-company")
    text = world.file.read_text(encoding="utf-8")
    world.url = f"http://127.0.0.1:{closed_port()}"
    world.file.write_text(re.sub('token_url = ".*"', f'token_url = "{world.url}/token"', text))
    yield "the server refused the connection", "check that it is running, and the port in token_url"
    world.file.write_text(text)


# Proxies ----------------------------------------------------------------------------------------


class Gateway:
    """A proxy on this machine that connects to ``conf.example.com``, for those who say who they are if it ``asks``."""

    def __init__(self, world: World, *, asks: bool = False, refuses: int = 0) -> None:
        self.asks, self.refuses = asks, refuses
        self.served = 0
        self._port = world.https()
        self.port = world.listening(self._one)

    def _one(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65536)
            status = self.refuses or (
                407 if self.asks and b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=" not in head else 0
            )
            if status:
                client.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
                return
            self.served += 1
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with socket.create_connection(("127.0.0.1", self._port)) as server:
                threading.Thread(target=_pump, args=(server, client), daemon=True).start()
                _pump(client, server)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)


def through(world: World, proxy: str) -> None:
    world.patch.setenv("HTTPS_PROXY", proxy)
    proxies.proxies.cache_clear()


def the_proxy_asks_who_it_is(world: World) -> Iterator[Words]:
    gateway = Gateway(world, asks=True)
    through(world, f"http://127.0.0.1:{gateway.port}")
    yield (
        rf"the proxy 127\.0\.0\.1:{gateway.port} \(HTTPS_PROXY\) asks for a user name and a password \(407\)",
        "write them into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT",
    )
    through(world, f"http://user:secret@127.0.0.1:{gateway.port}")


def the_proxy_refuses_the_password(world: World) -> Iterator[Words]:
    gateway = Gateway(world, asks=True)
    through(world, f"http://user:guess@127.0.0.1:{gateway.port}")
    yield (
        rf": the proxy 127\.0\.0\.1:{gateway.port} \(HTTPS_PROXY\) refused its user name or password \(407\)",
        "correct them in HTTPS_PROXY$",
    )
    through(world, f"http://user:secret@127.0.0.1:{gateway.port}")


def the_proxy_forbids_the_host(world: World) -> Iterator[Words]:
    gateway = Gateway(world, refuses=403)
    through(world, f"http://127.0.0.1:{gateway.port}")
    yield (
        r"\(HTTPS_PROXY\) refused to connect to it \(403\)",
        f"have {HOST} allowed in the proxy, or add it to NO_PROXY",
    )
    world.patch.setenv("NO_PROXY", HOST)
    proxies.proxies.cache_clear()


def the_proxy_asks_in_plain_http(world: World) -> Iterator[Words]:
    gateway, right = Gateway(world, asks=True), world.url
    world.at(f"http://{HOST}", allow_insecure_http=True)
    world.patch.setenv("HTTP_PROXY", f"http://127.0.0.1:{gateway.port}")
    proxies.proxies.cache_clear()
    yield (
        rf": the proxy 127\.0\.0\.1:{gateway.port} \(HTTP_PROXY\) asks for a user name",
        "write them into HTTP_PROXY: ",
    )
    world.at(right, allow_insecure_http=None)


def the_proxy_does_not_reach_the_host(world: World) -> Iterator[Words]:
    gateway = Gateway(world, refuses=503)
    through(world, f"http://127.0.0.1:{gateway.port}")
    yield r"\(HTTPS_PROXY\) could not connect to it \(503\), tried 4 times", f"see whether {HOST} is up"
    gateway.refuses = 0


def nobody_is_the_proxy(world: World) -> Iterator[Words]:
    world.https()
    port = closed_port()
    through(world, f"http://user:secret@127.0.0.1:{port}")
    yield (
        rf": the proxy 127\.0\.0\.1:{port} \(HTTPS_PROXY\) refused the connection",
        f"correct HTTPS_PROXY, or add {HOST} to NO_PROXY",
    )
    through(world, f"http://127.0.0.1:{Gateway(world).port}")


def a_certificate_behind_the_proxy(world: World) -> Iterator[Words]:
    """That the proxy is there is said, but the fault is the server's."""
    gateway = Gateway(world)
    through(world, f"http://127.0.0.1:{gateway.port}")
    trustme.CA().cert_pem.write_to_path(world.ca_file)
    yield (
        r"signed by no authority in the ca_file .* \(through the proxy 127\.0\.0\.1:[0-9]+ \(HTTPS_PROXY\)\)",
        "put the",
    )
    world.authority.cert_pem.write_to_path(world.ca_file)
    assert gateway.served


class Socks:
    """A SOCKS5 proxy on this machine that connects every name to this machine; it asks for no password."""

    def __init__(self, world: World) -> None:
        self.asked: list[str] = []
        self.url = f"socks5h://127.0.0.1:{world.listening(self._one)}"

    def _one(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), client.makefile("rb") as asked:
            asked.read(asked.read(2)[1])
            client.sendall(b"\x05\x00")
            name = asked.read(asked.read(5)[4]).decode()
            port = int.from_bytes(asked.read(2))
            self.asked.append(name)
            with socket.create_connection(("127.0.0.1", port)) as server:
                client.sendall(b"\x05\x00\x00\x01" + bytes(6))
                threading.Thread(target=_pump, args=(server, client), daemon=True).start()
                _pump(client, server)


def nobody_is_the_socks_proxy(world: World) -> Iterator[Words]:
    world.https()
    port, there = closed_port(), Socks(world)
    through(world, f"socks5h://127.0.0.1:{port}")
    yield (
        rf": the proxy 127\.0\.0\.1:{port} \(HTTPS_PROXY\) refused the connection",
        f"correct HTTPS_PROXY, or add {HOST} to NO_PROXY",
    )
    world.patch.setattr(socket, "getaddrinfo", _numbers_alone(socket.getaddrinfo))
    through(world, there.url)
    assert world("check").exit_code == 0
    assert set(there.asked) == {HOST}


def _numbers_alone(look_up: Callable[..., Any]) -> Callable[..., Any]:
    """Only numeric addresses are found: a proxy resolves the names."""
    return lambda host, *more, **options: look_up(host, *more, **options | {"flags": socket.AI_NUMERICHOST})


PROXIES = [
    *(nobody_is_the_socks_proxy, nobody_is_the_proxy, the_proxy_does_not_reach_the_host, the_proxy_forbids_the_host),
    *(the_proxy_asks_who_it_is, the_proxy_asks_in_plain_http, the_proxy_refuses_the_password),
    a_certificate_behind_the_proxy,
]
CASES = {case.__name__: case for case in [*NETWORK, *PROXIES, the_token_address_is_a_closed_port]} | ANSWERS


@pytest.mark.parametrize("name", CASES)
def test_a_failure_is_told_with_account_host_cause_and_a_next_step_that_helps(name: str, world: World) -> None:
    case = CASES[name](world)
    cause, remedy = next(case)
    for words in COMMANDS:
        done = world(*words)
        told = [line for line in done.stderr.splitlines() if line.startswith("error: hq: ")]
        print(words[0], *told, sep="\n   ")
        assert len(told) == 1, done.stderr
        host = re.escape(world.url.partition("://")[2])
        assert re.search(f"(could not read .* from|sign-in failed at) {host}: ", told[0]), told
        assert re.search(cause, told[0]), told
        assert re.search(remedy, told[0]), told
        assert done.exit_code == 1
    assert not world.emulator.requests("DELETE")
    next(case, None)
    done = world("check")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "secret" not in done.output


def test_a_wrong_secret_is_told_with_the_place_where_it_is_kept(world: World) -> None:
    text = world.file.read_text(encoding="utf-8")
    right = re.findall('client_secret = "(.*)"', text)[0]
    secret = world.folder / "secret"
    secret.write_text("1234567890")
    world.file.write_text(re.sub("client_secret = .*", f"client_secret = {{ file = '{secret}' }}", text))
    done = world("check")
    assert re.search(SIGN_IN + rf"401 .*; correct client_id and client_secret \(from file {secret}\)$", done.stderr)
    secret.write_text(right)
    assert world("check").exit_code == 0


def test_a_clock_that_is_off_is_told_with_both_times(world: World) -> None:
    world.emulator.clock = lambda: utc_clock() + timedelta(hours=2)
    done = world("check")
    both = r"\(2[-0-9]+ [0-9:]+ UTC here, 2[-0-9]+ [0-9:]+ UTC there\)"
    assert re.search(f"hq: this machine's clock is (119|120) minutes behind the provider's {both}, ", done.stderr)
    assert "compare both with a clock that is right, and set the one that is wrong" in done.stderr
    assert done.exit_code == 1
    world.emulator.clock = utc_clock
    assert world("check").exit_code == 0


# What is found before anything is contacted ------------------------------------------------------


def ca_file(content: Callable[[World], bytes], cause: str, remedy: str) -> Callable[[World], Iterator[Words]]:
    def case(world: World) -> Iterator[Words]:
        right = world.ca_file.read_bytes()
        world.https()
        world.ca_file.write_bytes(content(world))
        yield f"accounts.hq.ca_file: {world.ca_file} {cause}", remedy
        world.ca_file.write_bytes(right)

    return case


def ca_file_is_der(world: World) -> Iterator[Words]:
    """The command in the message is run."""
    world.https()
    der = ssl.PEM_cert_to_DER_cert(world.ca_file.read_text())
    file = world.folder / "ca.crt"
    file.write_bytes(der)
    world.set(ca_file=str(file))
    command = f"openssl x509 -inform der -in {file} -out {world.folder / 'ca.pem'}"
    yield f"accounts.hq.ca_file: {file} is in DER form", f"convert it: {command}; then use {world.ca_file}"
    world.ca_file.unlink()
    subprocess.run(command.split(), check=True)
    world.set(ca_file=str(world.ca_file))


def ca_file_is_missing(world: World) -> Iterator[Words]:
    world.https()
    right = world.ca_file.rename(world.folder / "moved.pem")
    yield f"accounts.hq.ca_file: there is no {world.ca_file}", "correct the path, or create it"
    world.set(ca_file=str(right))


def the_environments_bundle_is_missing(world: World) -> Iterator[Words]:
    world.https()
    world.set(ca_file=None)
    world.patch.setenv(tls.BUNDLES[0], str(world.folder / "none.pem"))
    yield "accounts.hq.url: REQUESTS_CA_BUNDLE names it: there is no .*none.pem", "correct the path, or create it"
    world.patch.setenv(tls.BUNDLES[0], str(world.ca_file))


def the_key_log_cannot_be_written(world: World) -> Iterator[Words]:
    world.https()
    world.patch.setenv("SSLKEYLOGFILE", str(world.folder / "none" / "keys"))
    yield "accounts.hq.url: SSLKEYLOGFILE names a file that cannot be written: there is no", "or unset SSLKEYLOGFILE"
    world.patch.delenv("SSLKEYLOGFILE")


def pysocks_is_missing(world: World) -> Iterator[Words]:
    world.https()
    through(world, Socks(world).url)
    find = proxies.find_spec
    world.patch.setattr(proxies, "find_spec", lambda name: None if name == "socks" else find(name))
    yield (
        r"accounts.hq.url: the proxy 127\.0\.0\.1:[0-9]+ \(HTTPS_PROXY\) is a SOCKS proxy, which needs an extra: ",
        r"-m pip install 'confcleanup\[socks\]'",
    )
    world.patch.setattr(proxies, "find_spec", find)  # as after the command


def a_secret_is_missing(world: World) -> Iterator[Words]:
    world.patch.delenv("TRUECONF_SECRET", raising=False)
    text = world.file.read_text(encoding="utf-8")
    world.file.write_text(re.sub("client_secret = .*", 'client_secret = { env = "TRUECONF_SECRET" }', text))
    yield "accounts.hq.client_secret: the environment variable TRUECONF_SECRET is not set", "cron and services do not"
    world.patch.setenv("TRUECONF_SECRET", re.findall('client_secret = "(.*)"', text)[0])


def a_key_that_is_nearly_right(world: World) -> Iterator[Words]:
    text = world.file.read_text(encoding="utf-8")
    world.file.write_text(text.replace("[[accounts.hq.rules]]", "[[accounts.hq.rule]]"), encoding="utf-8")
    yield "accounts.hq.rule: unknown", "did you mean 'rules'?"
    world.file.write_text(text, encoding="utf-8")


def the_config_is_missing(world: World) -> Iterator[Words]:
    moved = world.file.rename(world.folder / "moved.toml")
    yield f"there is no file {world.file}", f"Write one with: confcleanup -c {world.file} init"
    moved.rename(world.file)


def the_holds_file_is_missing(world: World) -> Iterator[Words]:
    holds = world.folder / "holds.csv"
    world.file.write_text(world.file.read_text() + f"\n[holds]\nfile = '{holds}'\n", encoding="utf-8")
    yield f"holds.file: cannot be read, so nothing is deleted: there is no {holds}", "correct the path, or create it"
    holds.write_text("id,reason\n0073310045,lawsuit\n")
    holds.chmod(0o600)


BEFORE = {
    "ca_file is empty": ca_file(lambda _: b"", "is empty", r"it should hold the certificate \(PEM\) of the authority"),
    "ca_file is a key": ca_file(
        lambda world: world.authority.private_key_pem.bytes(), "holds a private key", "give the authority's certificate"
    ),
    "ca_file is something else": ca_file(
        lambda _: b"hello", "holds no certificate in PEM form", "which begins with -----BEGIN CERTIFICATE-----"
    ),
}
BEFORE |= {
    case.__name__: case
    for case in (
        *(
            a_secret_is_missing,
            pysocks_is_missing,
            ca_file_is_der,
            ca_file_is_missing,
            the_environments_bundle_is_missing,
            the_key_log_cannot_be_written,
        ),
        *(a_key_that_is_nearly_right, the_config_is_missing, the_holds_file_is_missing),
    )
}


@pytest.mark.parametrize("name", BEFORE)
def test_what_is_wrong_here_is_told_before_anything_is_contacted(name: str, world: World) -> None:
    case = BEFORE[name](world)
    cause, remedy = next(case)
    for words in COMMANDS:
        done = world(*words)
        print(words[0], done.stderr)
        assert re.search(cause, done.stderr), done.stderr
        assert re.search(remedy, done.stderr), done.stderr
        assert done.exit_code == 2
    assert not world.emulator.seen
    next(case, None)
    done = world("check")
    assert done.exit_code == 0, done.stderr


# Files and folders ------------------------------------------------------------------------------


SOMEBODY = 65534
PRIVILEGES = 0b110
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, with which root reads and writes whatever the modes say."""


def effective(change: Callable[[int], int]) -> None:
    """Changes which of its capabilities this thread uses; those that it starts from then on have the same."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    data[0] = change(data[0]) & data[1]
    assert libc.capset(header, data) == 0


@pytest.fixture
def modest(world: World) -> Iterator[World]:
    """The world of a root whom modes stop, as they stop every user."""
    if not sys.platform.startswith("linux") or os.geteuid():
        pytest.skip("only root can give files to somebody else, and take them back")
    world.https()
    world("run", "--yes", "--state", str(world.folder / "another"))
    effective(lambda used: used & ~PRIVILEGES)
    yield world
    effective(lambda used: used | PRIVILEGES)


def obey(message: str) -> None:
    """Runs the command in a message."""
    (command,) = re.findall(r"run(?: as root)?: ((?:chown|chmod|install) [^;\n]+)", message)
    subprocess.run(command.split(), check=True)


def given_away(path: Path) -> None:
    for file in sorted([*path.rglob("*"), path], reverse=True):
        os.chown(file, SOMEBODY, -1)


def the_config_is_anothers(world: World) -> None:
    given_away(world.file)


def the_ca_file_is_anothers(world: World) -> None:
    world.ca_file.chmod(0o600)
    given_away(world.ca_file)


def the_config_is_closed_to_its_owner(world: World) -> None:
    world.file.chmod(0)


def another_ran_here_once(world: World) -> None:
    """As after a run by hand with sudo, before cron's first one."""
    (world.folder / "another").rename(world.state)
    given_away(world.state)


def another_made_the_lock(world: World) -> None:
    world.state.mkdir()
    (world.state / "lock").touch(0o600)
    given_away(world.state / "lock")


def the_state_folder_cannot_be_made(world: World) -> None:
    there = world.folder / "var"
    there.mkdir()
    there.chmod(0o755)
    given_away(there)
    world.state = there / "confcleanup"


@pytest.mark.parametrize(
    ("close", "status", "words"),
    [
        (
            the_config_is_anothers,
            2,
            r"the config cannot be read: {file}: permission denied, because it belongs to nobody",
        ),
        (the_config_is_closed_to_its_owner, 2, r"because it belongs to root \(mode 0\) and this is root; run: chmod"),
        (the_ca_file_is_anothers, 2, "accounts.hq.ca_file: {ca_file}: permission denied, because it belongs to nobody"),
        (
            another_ran_here_once,
            2,
            "state.directory: the folder cannot be written: {state}: permission denied, because",
        ),
        (
            another_made_the_lock,
            1,
            "the state folder cannot be used, so nothing was contacted: {state}/lock: permission",
        ),
        (the_state_folder_cannot_be_made, 2, "written: {state}: permission denied, because .*/var belongs to nobody"),
    ],
)
def test_a_file_of_somebody_else_is_told_with_its_owner_and_a_command_that_helps(
    close: Callable[[World], None], status: int, words: str, modest: World
) -> None:
    modest.emulator.seen.clear()
    close(modest)
    done = modest("run", "--yes")
    places = {"file": modest.file, "ca_file": modest.ca_file, "state": modest.state}
    assert re.search(words.format(**places), done.stderr), done.stderr
    assert (done.exit_code, modest.emulator.seen) == (status, [])
    obey(done.stderr)
    done = modest("run", "--yes")
    assert done.exit_code == 0, done.stderr


def test_no_command_opens_a_folder_above_the_file(modest: World) -> None:
    folder = modest.folder / "home"
    folder.mkdir(0o700)
    modest.file = modest.file.rename(folder / "config.toml")
    given_away(folder)
    done = modest("check")
    assert f"because {folder} belongs to nobody (mode 700) and this is root; use a folder that root may" in done.stderr
    assert (done.exit_code, "chown" in done.stderr) == (2, False)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk of {state} is full; free some space, then start again"),
        (errno.EROFS, "{state} is on a file system that is mounted read-only; mount it for writing, or name another"),
    ],
)
def test_a_disk_that_takes_nothing_is_told_before_anything_is_contacted(number: int, words: str, world: World) -> None:
    world.patch.setattr("confcleanup.records.stores.try_folder", raising(OSError(number, os.strerror(number))))
    done = world("run", "--yes")
    assert words.format(state=world.state) in done.stderr
    assert (done.exit_code, world.emulator.seen) == (2, [])


# A Room -----------------------------------------------------------------------------------------


def room(answer: bytes | None, cause: str, remedy: str) -> Callable[[World], Iterator[Words]]:
    def case(world: World) -> Iterator[Words]:
        there = world.stack.enter_context(Room(world.emulator, pin="2468"))
        world.set(room_url=f"ws://127.0.0.1:{world.raw(answer)}", room_pin="2468")
        yield cause, remedy
        world.set(room_url=there.url)

    return case


def the_room_is_off(world: World) -> Iterator[Words]:
    there = world.stack.enter_context(Room(world.emulator, pin="2468"))
    world.set(room_url=f"ws://127.0.0.1:{closed_port()}", room_pin="2468")
    yield "the server refused the connection", "check that it is running, and the port in room_url"
    world.set(room_url=there.url)


def the_pin_is_wrong(world: World) -> Iterator[Words]:
    there = world.stack.enter_context(Room(world.emulator, pin="2468"))
    world.set(room_url=there.url, room_pin="1357")
    yield "the Room refused the sign-in", "correct room_pin"
    world.set(room_pin="2468")


ROOMS = {
    "it is off": the_room_is_off,
    "its PIN is another": the_pin_is_wrong,
    "it is no WebSocket": room(
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404 in place of a WebSocket", "check room_url"
    ),
    "it speaks no HTTP": room(b"SSH-2.0-x\r\n", "what came back is not HTTP", "check the port in room_url"),
    "it hangs up": room(b"", "the server closed the connection before the answer was complete", "the next run tries"),
}


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_that_cannot_be_listed_is_told_in_the_same_way(name: str, world: World) -> None:
    case = ROOMS[name](world)
    cause, remedy = next(case)
    for words in COMMANDS:
        done = world(*words)
        (told,) = [line for line in done.stderr.splitlines() if line.startswith("error: hq: ")]
        print(told)
        assert re.search(r"could not read the Room's schedule from 127\.0\.0\.1:[0-9]+: " + cause, told), told
        assert re.search(remedy, told), told
        assert done.exit_code == 1
    next(case, None)
    assert world("check").exit_code == 0


def test_a_room_behind_tls_is_checked_against_the_ca_file(world: World) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    world.authority.issue_cert(HOST).configure_cert(context)
    there = world.stack.enter_context(Room(world.emulator, pin="2468", tls=context))
    at = f"wss://{HOST}:{there.url.rpartition(':')[2]}"
    world.set(room_url=at, room_pin="2468")
    done = world("check")
    assert (
        f"could not read the Room's schedule from {at[6:]}: its certificate is signed by no authority that"
        in done.stderr
    )
    world.set(ca_file=str(world.ca_file))
    assert world("check").exit_code == 0


# Deletions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vendor", "answer", "advice"),
    [
        (
            "trueconf-v3",
            Response(403, {"error": {"errors": [{"reason": "forbidden"}]}}),
            r"403 \(forbidden\); the application needs the right conferences:write: give it in the server's control",
        ),
        (
            "vobiz-recordings",
            Response(403, {"error": {"code": "ACCOUNT_INACTIVE"}}),
            "see the account's balance and state",
        ),
        ("vonage-company", Response(403), "the user must be an Account Administrator, the application needs"),
        ("huawei-recordings", Response(403, {"error_code": "MMC.111070002"}), "give an administrator's user_id"),
    ],
)
def test_a_right_that_is_missing_is_one_line_with_the_total_and_what_to_ask_for(
    vendor: str, answer: Response, advice: str, world: World
) -> None:
    world.vendor(vendor)
    world.instead(answer, lambda request: request.method == "DELETE")
    done = world("run", "--yes")
    print(done.stderr)
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("error: hq: ")]
    host = world.url.partition("://")[2]
    assert re.match(r"error: hq: stopped early, 0 of [0-9]+ deleted, [0-9]+ failed(, [0-9]+ not tried)?: ", told), told
    assert f"deletion failed at {host}: 403" in told
    assert re.search(advice, told)
    assert done.exit_code == 1
    world.emulator.interfere.clear()
    assert world("run", "--yes").exit_code == 0
