"""Which authorities are trusted: the account's, else those that the environment names, for https and wss alike."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from confcleanup.errors import ConfcleanupError
from confcleanup.http.client import Http
from confcleanup.http.failures import Asked
from confcleanup.http.tls import BUNDLES
from confcleanup.providers.trueconf_room import schedule
from confcleanup.sandbox.room import Room
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from tests.http.test_client import UNLIMITED, Script, Token
from tests.providers.waiting import NoWaiting

Ask = Callable[[Path | None], None]
"""Asks a server something, trusting an account's ``ca_file``."""


class Authorities:
    """The one that signed the servers' certificates, and another one, each as a file."""

    def __init__(self, folder: Path) -> None:
        self.signer = trustme.CA()
        self.right, self.wrong = folder / "right.pem", folder / "wrong.pem"
        self.signer.cert_pem.write_to_path(self.right)
        trustme.CA().cert_pem.write_to_path(self.wrong)

    def context(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.signer.issue_cert("127.0.0.1").configure_cert(made)
        return made


@pytest.fixture
def authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authorities:
    for name in BUNDLES:
        monkeypatch.delenv(name, raising=False)
    return Authorities(tmp_path)


@pytest.fixture(params=["https", "wss"])
def ask(request: pytest.FixtureRequest, authorities: Authorities) -> Iterator[Ask]:
    if request.param == "wss":
        with Room(TrueConf(), tls=authorities.context()) as room:

            def ask_room(ca_file: Path | None) -> None:
                schedule(Asked("GET", "read", room.url, timeout=2.0, ca_file=ca_file and str(ca_file)), None)

            yield ask_room
    else:
        with Server(Script()) as server:
            server._server.socket = authorities.context().wrap_socket(server._server.socket, server_side=True)

            def ask_server(ca_file: Path | None) -> None:
                url, trusted = f"https://127.0.0.1:{server.port}", ca_file and str(ca_file)
                http = Http(url, auth=Token(), rate=UNLIMITED, stop=NoWaiting(), ca_file=trusted)
                try:
                    http.get("things")
                finally:
                    http.close()

            yield ask_server


def trusts(ask: Ask, ca_file: Path | None = None) -> bool:
    """Whether the server's certificate is accepted, whatever comes of the question."""
    try:
        ask(ca_file)
    except ConfcleanupError as error:
        return "certificate" not in str(error)
    return True


@pytest.mark.parametrize("name", BUNDLES)
def test_a_variable_names_whom_to_trust(
    ask: Ask, authorities: Authorities, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert not trusts(ask)
    monkeypatch.setenv(name, str(authorities.right))
    assert trusts(ask)


@pytest.mark.parametrize(("first", "second"), [BUNDLES[:2], BUNDLES[1:]])
def test_of_several_variables_the_first_counts_in_the_order_of_requests(
    ask: Ask, authorities: Authorities, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    monkeypatch.setenv(first, str(authorities.right))
    monkeypatch.setenv(second, str(authorities.wrong))
    assert trusts(ask)
    monkeypatch.setenv(first, "")  # which is as good as not set
    assert not trusts(ask)


@pytest.mark.parametrize("name", BUNDLES)
def test_the_accounts_own_file_comes_before_every_variable(
    ask: Ask, authorities: Authorities, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(authorities.right))
    assert not trusts(ask, authorities.wrong)
    monkeypatch.setenv(name, str(authorities.wrong))
    assert trusts(ask, authorities.right)
