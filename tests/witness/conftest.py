"""What every witness states (client, version, calls made, fields compared), and the table of it at the end."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import trustme

from confcleanup.sandbox.server import Emulator, Server

HEAD = ("client", "version", "calls made", "fields compared")


class Witness:
    """Notes what one test has a vendor's client do; ``client`` is its name on PyPI."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.calls: list[str] = []
        self.fields: list[str] = []

    def called(self, call: str) -> None:
        """The client made this call and took the answer."""
        self.calls.append(call)

    def compared(self, fields: Iterable[str]) -> None:
        """These fields of the sandbox's answers are known to the client under this very name."""
        self.fields.extend(fields)


@pytest.fixture
def witness(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Witness:
    """For a test module that names its client: ``CLIENT = "plivo"``. What a passed test states is in the table."""
    made = Witness(request.module.CLIENT)
    record_property("witness", [made.client, version(made.client), made.calls, made.fields])
    return made


def pytest_terminal_summary(terminalreporter: Any) -> None:
    calls: dict[tuple[str, str], Counter[str]] = {}
    fields: dict[tuple[str, str], set[str]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, said in report.user_properties:
            if name == "witness":
                client, release, made, seen = said
                calls.setdefault((client, release), Counter()).update(made)
                fields.setdefault((client, release), set()).update(seen)
    if calls:
        terminalreporter.section("witnesses")
        rows = [(*key, _counted(made), str(len(fields[key]))) for key, made in sorted(calls.items())]
        for row in (HEAD, *rows):
            terminalreporter.write_line("| " + " | ".join(row) + " |")


def _counted(calls: Counter[str]) -> str:
    return ", ".join(f"{call} x{count}" if count > 1 else call for call, count in sorted(calls.items()))


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
