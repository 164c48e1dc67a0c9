"""What the witnesses share: a statement of what each did, and the sandbox over TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest
import trustme

from confcleanup.sandbox.server import Emulator, Server
from tests.witness.statements import Witness


@pytest.fixture
def witness(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Witness:
    """For a test module that names its client: ``CLIENT = "plivo"``. What a passed test states is in the table."""
    made = Witness(request.module.CLIENT)
    record_property("witness", [made.client, version(made.client), made.calls, made.fields])
    return made


@pytest.fixture
def https(tmp_path: Path) -> Iterator[Callable[[Emulator], tuple[str, Path]]]:
    """Serves an emulator over TLS; its address, and the file of the authority that signed its certificate."""
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    with ExitStack() as stack:

        def serve(emulator: Emulator) -> tuple[str, Path]:
            server = stack.enter_context(_over_tls(emulator, authority))
            return f"https://127.0.0.1:{server.port}", ca_file

        yield serve


@contextmanager
def _over_tls(emulator: Emulator, authority: trustme.CA) -> Iterator[Server]:
    server = Server(emulator)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
    with server:
        yield server


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendors' clients would ask a proxy of this machine for the sandbox."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
