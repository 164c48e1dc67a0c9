"""Every request of a full plan and run stands in the tables of ``requests_table``, and every line of them is sent."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from click.testing import CliRunner

from confcleanup.cli import cli
from confcleanup.sandbox.huawei import Huawei
from confcleanup.sandbox.room import Room
from confcleanup.sandbox.server import Request, Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.sandbox.vobiz import Vobiz
from confcleanup.sandbox.vonage import Vonage
from tests.providers.requests_table import SOURCES, Row, documented, headers, rows

PIN = "2468"
TRANSPORT = {"host", "user-agent", "accept-encoding", "connection", "content-length"}
"""Headers that every HTTP client sends."""
FILES = {"{recording_url}": "/media/[^/]+", "{url}": "/download/.+"}
"""Addresses that the vendor hands out; here the sandbox's."""
EMULATORS: dict[tuple[str, str], tuple[Any, str]] = {
    ("trueconf", "API v3.11"): (TrueConf, "conferences"),
    ("trueconf", "API v4"): (lambda: TrueConf(api="v4"), "conferences"),
    ("trueconf", "Listed through a Room"): (TrueConf, "conferences"),
    ("vobiz", "Live rooms"): (Vobiz, "conferences"),
    ("vobiz", "Recordings"): (Vobiz, "recordings"),
    ("huawei", "Recordings"): (Huawei, "recordings"),
    ("huawei", "Meetings (list only)"): (Huawei, "meetings"),
    ("vonage", "Company recordings"): (Vonage, "company-recordings"),
    ("vonage", "On-demand recordings"): (Vonage, "on-demand-recordings"),
}
MEETINGS = '\n[[accounts.x.rules]]\nname = "past meetings"\nwhat = "meetings"\n'


def sent(source: tuple[str, str], folder: Path) -> list[Request]:
    """What goes over the wire in a plan and a run of this source, with an archive where there is something to save."""
    make, what = EMULATORS[source]
    emulator = make()
    extra: dict[str, Any] = {}
    frames: list[dict[str, Any]] = []
    with ExitStack() as stack:
        server = stack.enter_context(Server(emulator))
        emulator.public_url = server.url
        emulator.fill()
        if source[1] == "Listed through a Room":
            room = stack.enter_context(Room(emulator, pin=PIN))
            extra, frames = {"room_url": room.url, "room_pin": PIN}, room.seen
        config = emulator.account("x", server.url, **extra) + (MEETINGS if what == "meetings" else "")
        clean(config.replace("30 days", f'30 days"\narchive = "{folder.as_posix()}/archive'), what, folder)
    return [_frame(frame) for frame in frames] + [seen.request for seen in emulator.seen]


def clean(config: str, what: str, folder: Path) -> None:
    """Plans by each rule alone, as a filter may then be asked for, and then runs them all."""
    file = folder / "config.toml"
    file.write_text(config, encoding="utf-8")
    file.chmod(0o600)
    chosen = [rule["name"] for rule in tomllib.loads(config)["accounts"]["x"]["rules"] if rule["what"] == what]
    plans = [["plan", "--rule", name] for name in chosen]
    for words in [*plans, ["run", "--yes", *(word for name in chosen for word in ("--rule", name))]]:
        done = CliRunner().invoke(cli, ["-c", str(file), "--state", str(folder / "state"), *words])
        assert done.exit_code == 0, done.stderr


def _frame(frame: Mapping[str, Any]) -> Request:
    """A frame of the Room's WebSocket, as if it were a request."""
    return Request("frame", frame["method"], (), {}, json.dumps(frame).encode())


def row_of(table: list[Row], request: Request) -> Row | None:
    """The line of the table that a request belongs to."""
    return next((row for row in table if row.method == request.method and _leads(row.path, request.path)), None)


def _leads(template: str, path: str) -> bool:
    parts = re.split(r"(\{[^}]*\})", template)
    pattern = "".join(FILES.get(part, "[^/]+") if part.startswith("{") else re.escape(part) for part in parts)
    return re.fullmatch(pattern, path) is not None


def complaints(row: Row, request: Request) -> Iterator[str]:
    """How a request differs from its line."""
    kind, fields = _body(request)
    yield from _differences("query", row.query.split(), list(request.query))
    yield from _differences("body", row.body.removeprefix(f"{kind}: ").split(), fields)
    shown = [(name, value) for name, value in request.headers.items() if name.lower() not in TRANSPORT]
    named = [header.replace(": ", "=", 1) for header in headers(row)]
    yield from _differences("headers", named, [pair for pair in shown if pair != ("Accept", "*/*")])


def _body(request: Request) -> tuple[str, list[tuple[str, str]]]:
    if not request.body:
        return "", []
    if "urlencoded" in (request.headers.get("Content-Type") or ""):
        return "form", parse_qsl(request.body.decode(), keep_blank_values=True)
    return "JSON", [(name, str(value)) for name, value in request.json().items()]


def _differences(place: str, words: list[str], pairs: list[tuple[str, str]]) -> Iterator[str]:
    known = {name.removesuffix("?"): value for name, _, value in (word.partition("=") for word in words)}
    needed = [word.partition("=")[0] for word in words if not word.endswith("?")]
    counted = Counter(name for name, _ in pairs)
    yield from (f"{place}: {name} is missing" for name in needed if not counted[name])
    yield from (f"{place}: {name} is sent twice" for name, count in counted.items() if count > 1)
    yield from (f"{place}: {name} is not in the table" for name in counted if name not in known)
    for name, value in pairs:
        if (wanted := known.get(name)) and not fnmatchcase(value, wanted.replace("…", "*")):
            yield f"{place}: {name} is not {wanted}"


@pytest.mark.parametrize("source", SOURCES, ids=" ".join)
def test_a_plan_and_a_run_send_what_the_table_says_and_all_of_it(source: tuple[str, str], tmp_path: Path) -> None:
    table = rows(*source)
    used: Counter[Row] = Counter()
    optional: Counter[str] = Counter()
    for request in sent(source, tmp_path):
        row = row_of(table, request)
        assert row, f"{request.method} {request.path} is not in the table"
        assert not list(complaints(row, request)), row
        used[row] += 1
        optional.update(name for name, _ in request.query if f"{name}?" in row.query.split())
    assert set(used) == set(table)
    for row in table:
        for word in row.query.split():
            assert not word.endswith("?") or 0 < optional[word[:-1]] < used[row]


@pytest.mark.parametrize("vendor", dict.fromkeys(vendor for vendor, _ in SOURCES))
def test_the_documentation_shows_the_table(vendor: str) -> None:
    _, text, wanted = documented(vendor)
    assert text == wanted, "run python -m tests.providers.requests_table --write"


LIST = Request("GET", "/api/v3.11/conferences", (("page_id", "1"), ("page_size", "100")), {"Authorization": "Bearer x"})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        (
            {"query": (("page", "1"), ("page_size", "100"))},
            ["query: page_id is missing", "query: page is not in the table"],
        ),
        ({"query": (("page_id", "1"), ("page_size", "7"))}, ["query: page_size is not 100"]),
        ({"query": (*LIST.query, ("page_id", "2"))}, ["query: page_id is sent twice"]),
        ({"headers": {}}, ["headers: Authorization is missing"]),
        ({"headers": {"Authorization": "Basic x"}}, ["headers: Authorization is not Bearer …"]),
        ({"headers": {**LIST.headers, "X-Auth": "x"}}, ["headers: X-Auth is not in the table"]),
        ({"body": b'{"a": 1}'}, ["body: a is not in the table"]),
    ],
)
def test_a_request_that_differs_is_found(changed: dict[str, Any], said: list[str]) -> None:
    request = replace(LIST, **changed)
    row = row_of(rows("trueconf", "API v3.11"), request)
    assert row
    assert list(complaints(row, request)) == said


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/v3.11/users"), ("POST", LIST.path), ("DELETE", f"{LIST.path}/a/b")]
)
def test_a_request_to_another_address_is_found(method: str, path: str) -> None:
    assert row_of(rows("trueconf", "API v3.11"), replace(LIST, method=method, path=path)) is None
