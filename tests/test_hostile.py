"""What a broken or hostile vendor may send: whatever it is, nothing else is deleted and no traceback is shown."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from confcleanup.cli import cli
from confcleanup.errors import HttpError, OutcomeUnknown, ProviderError
from confcleanup.http import answer as http
from confcleanup.http import transport
from confcleanup.http.client import Http, Permit
from confcleanup.redact import harmless
from confcleanup.sandbox.server import Emulator, Request, Response, Server, utc_clock
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.settings.values import Pace
from tests.faults.worlds import VENDORS, acknowledged, doomed, held, write_config, wrongs
from tests.providers.waiting import NoWaiting

pytestmark = pytest.mark.usefixtures("no_waiting")
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07Budget\r\n2026-01-01 hq: deleted 999\t\u202egpj.exe\u2066\u2028\x9b31m=cmd|'/c calc'!A1"
)
NOT_HARMLESS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
SOURCES = ["trueconf-v3", "vobiz-rooms", "vobiz-recordings", "huawei-recordings", "vonage-company"]
SIGN_IN = ("token", "appauth")


class Desk:
    """One vendor with 3 old items and 2 young ones, the config for it, and the command line."""

    def __init__(self, name: str, folder: Path, url: str, emulator: Emulator, **extra: object) -> None:
        self.emulator = emulator
        self.before, self.due = held(emulator), doomed(emulator)
        self.words = ["-c", str(write_config(emulator, url, folder, **extra)), "--state", str(folder / "state")]

    def __call__(self, *words: str) -> Result:
        done = CliRunner().invoke(cli, [*self.words, *words])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert "Traceback" not in done.output
        assert "internal error in confcleanup" not in done.output, done.output
        return done

    @property
    def wrongs(self) -> list[str]:
        return wrongs(self.emulator, self.before, self.due)

    def instead(self, answer: Response, wanted: Callable[[Request], bool]) -> None:
        self.emulator.interfere.append(lambda request: answer if wanted(request) else None)


@contextmanager
def desk(name: str, folder: Path, **extra: object) -> Iterator[Desk]:
    emulator = VENDORS[name].small(utc_clock, old=3, young=2)
    with Server(emulator) as server:
        yield Desk(name, folder, server.url, emulator, **extra)


def is_sign_in(request: Request) -> bool:
    return request.segments[-1] in SIGN_IN


def reads(request: Request) -> bool:
    return request.method == "GET"


def deletes(request: Request) -> bool:
    return request.method == "DELETE"


# Answers of the wrong shape ---------------------------------------------------------------------

JSON_TYPE = {"Content-Type": "application/json"}
NO_ANSWERS = {
    "cut JSON": Response(200, b'{"conferences": [{"id": "00', JSON_TYPE),
    "not UTF-8": Response(200, b'{"a": "\xff\xfe"}', JSON_TYPE),
    "deep": Response(200, b"[" * 100_000, JSON_TYPE),
    "deep objects": Response(200, b'{"a":' * 100_000, JSON_TYPE),
    "a number without end": Response(200, b'{"cnt": ' + b"9" * 5000 + b"}", JSON_TYPE),
    "an HTML page": Response(200, b"<html><body>Please sign in</body></html>", {"Content-Type": "text/html"}),
    "an HTML error": Response(502, b"<html><h1>Bad Gateway</h1></html>", {"Content-Type": "text/html"}),
    "a list": Response(200, []),
    "null": Response(200, b"null", JSON_TYPE),
    "a deep error": Response(400, b'{"error":' * 900 + b"1" + b"}" * 900, JSON_TYPE),
}


@pytest.mark.parametrize("answer", NO_ANSWERS)
@pytest.mark.parametrize("name", SOURCES)
def test_a_vendor_that_answers_nonsense_fails_its_account_and_loses_nothing(
    name: str, answer: str, tmp_path: Path
) -> None:
    with desk(name, tmp_path) as hq:
        hq.instead(NO_ANSWERS[answer], reads)
        done = hq("run", "--yes")
        assert done.exit_code == 1
        assert "could not be listed" in done.stderr
        assert held(hq.emulator) == hq.before


@pytest.mark.parametrize("answer", NO_ANSWERS)
@pytest.mark.parametrize("name", ["trueconf-v3", "huawei-recordings", "vonage-company"])
def test_a_sign_in_that_answers_nonsense_is_an_error_in_words(name: str, answer: str, tmp_path: Path) -> None:
    with desk(name, tmp_path) as hq:
        hq.instead(NO_ANSWERS[answer], is_sign_in)
        assert hq("check").exit_code == 1
        assert hq("run", "--yes").exit_code == 1
        assert held(hq.emulator) == hq.before


@pytest.mark.parametrize(
    "header",
    [
        {"Retry-After": "\xb2"},
        {"Retry-After": "9" * 400},
        {"Retry-After": "-1"},
        {"Retry-After": "Wed, 21 Oct 2015 07:28:00 +" + "9" * 20},
        {"Date": "Wed, 21 Oct 2015 07:28:00 +" + "9" * 20},
        {"Date": "Wed, 21 Oct 2015 07:28:" + "9" * 30 + " GMT"},
        {"Location": "http://[bad"},
        {"Location": "//[::1"},
        {"Content-Encoding": "gzip"},
    ],
    ids=str,
)
@pytest.mark.parametrize("status", [200, 302, 429])
def test_a_header_of_nonsense_is_an_error_in_words(status: int, header: dict[str, str], tmp_path: Path) -> None:
    with desk("trueconf-v3", tmp_path) as hq:
        hq.instead(Response(status, b"{}", header), lambda request: not is_sign_in(request))
        assert hq("check").exit_code == 1
        done = hq("run", "--yes")
        assert done.exit_code == 1
        assert "could not be read" not in done.stderr
        assert held(hq.emulator) == hq.before


# Size and time ----------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True], ids=["as it is", "packed"])
@pytest.mark.parametrize("name", ["trueconf-v3", "huawei-recordings"])
def test_a_page_larger_than_any_page_fails_the_listing(
    name: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER", 100_000)
    with desk(name, tmp_path) as hq:
        hq.instead(huge(packed), reads)
        done = hq("run", "--yes")
        assert "the answer is larger than" in done.stderr
        assert held(hq.emulator) == hq.before


@pytest.mark.parametrize("name", VENDORS)
def test_a_deletion_answered_by_a_flood_is_looked_at_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER", 100_000)
    with desk(name, tmp_path) as hq:
        hq.emulator.after.append(lambda request, _: huge(True) if deletes(request) else None)
        assert hq("run", "--yes").exit_code == 0
        assert hq.before - held(hq.emulator) == hq.due
        history = json.loads(hq("history", "--format", "json").stdout)["deletions"]
        assert {entry["outcome"] for entry in history} == {"deleted"}


def test_a_redirect_with_a_flood_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER", 100_000)
    with desk("trueconf-v3", tmp_path) as hq:
        flood = huge(True)
        hq.instead(Response(302, flood.body, {**flood.headers, "Location": "/elsewhere"}), reads)
        assert "the answer is larger than" in hq("run", "--yes").stderr


def huge(packed: bool) -> Response:
    body = b'{"a": "' + b"x" * 1_000_000 + b'"}'
    return Response(200, gzip.compress(body), {"Content-Encoding": "gzip"}) if packed else Response(200, body)


GROWING = {
    "trueconf-v3": ("cnt", "conferences", "id"),
    "trueconf-v4": ("results", "conferences", "id"),
    "vobiz-recordings": ("total_count", "objects", "recording_id"),
    "huawei-recordings": ("count", "data", "confUUID"),
    "vonage-company": ("total_items", "recordings", "id"),
}


@pytest.mark.parametrize("name", GROWING)
def test_a_list_that_grows_while_it_is_read_ends_with_the_time_of_the_run(name: str, tmp_path: Path) -> None:
    total, rows, ident = GROWING[name]
    numbers = count(10**9)

    def grow(request: Request, response: Response) -> Response | None:
        if not reads(request) or not isinstance(response.body, dict):
            return None
        body = json.loads(json.dumps(response.body))
        _edit(body, total, lambda _: 10**9)
        _edit(body, "next", lambda _: "/more")
        _edit(body, "next_page_id", lambda _: 7)
        _edit(body, "total_pages", lambda _: 10**9)
        _edit(body, rows, lambda _: [{**row, ident: str(next(numbers))} for row in sample])
        return Response(200, body)

    with desk(name, tmp_path, max_runtime="1 second") as hq:
        sample = [{"state": "stopped", "topic": "more"}] * 5
        hq.emulator.after.append(grow)
        done = hq("run", "--yes")
        assert "max_runtime" in done.stderr
        assert done.exit_code == 1
        assert held(hq.emulator) == hq.before


def _edit(body: Any, name: str, change: Callable[[Any], Any]) -> None:
    """Changes every member of this name, at any depth."""
    for part in body.values() if isinstance(body, dict) else body if isinstance(body, list) else []:
        _edit(part, name, change)
    if isinstance(body, dict) and name in body:
        body[name] = change(body[name])


def drip_head() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nX-Slow: "
    while True:
        yield b"x"


def drip_body() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    while True:
        yield b" "


def drip_chunks() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;"
    while True:
        yield b"x"


def drip_packed() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n"
    yield gzip.compress(b"", mtime=0)[:10]
    while True:
        yield b"\x00\x00\x00\xff\xff"


def flood_of_nothing() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100000000\r\n\r\n"
    yield gzip.compress(b"", mtime=0)[:10]
    while True:
        yield b"\x00\x00\x00\xff\xff" * 1000


def always_continue() -> Iterator[bytes]:
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture
def short_of_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer may take as long as each of its bytes: the servers here send one every few milliseconds."""
    monkeypatch.setattr(transport, "PATIENCE", 1)


@pytest.mark.parametrize("drip", [drip_head, drip_body, drip_chunks, drip_packed, flood_of_nothing, always_continue])
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_an_answer_that_drips_is_not_waited_for(
    drip: Callable[[], Iterator[bytes]], method: str, short_of_patience: None
) -> None:
    with dripping(drip) as url, impatient(url) as client:
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown if method == "DELETE" else ProviderError):
            {
                "GET": lambda: client.get("x"),
                "DELETE": lambda: client.delete("x", Permit(), ok={200}),
                "POST": lambda: client.authenticate("x"),
            }[method]()
        assert time.monotonic() - began < 10


def a_long_file() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 320000\r\n\r\n"
    for _ in range(80):
        yield b"x" * 4000


@contextmanager
def impatient(url: str, timeout: float = 0.1) -> Iterator[Http]:
    client = Http(
        url, auth=NoAuth(), rate=Pace(0, 1), timeout=timedelta(seconds=timeout), stop=NoWaiting(), clock=lambda: NOW
    )
    yield client
    client.close()


def test_a_file_may_take_longer_than_an_answer(short_of_patience: None) -> None:
    with dripping(a_long_file) as url, impatient(url, 0.2) as client, client.download(url + "/x") as chunks:
        began = time.monotonic()
        assert sum(map(len, chunks)) == 320_000
        assert time.monotonic() - began > 0.2


@pytest.mark.parametrize("drip", [drip_head, drip_body])
def test_a_file_that_drips_is_not_waited_for(drip: Callable[[], Iterator[bytes]], short_of_patience: None) -> None:
    with dripping(drip) as url, impatient(url) as client:
        began = time.monotonic()
        with pytest.raises(HttpError), client.download(url + "/x") as chunks:
            list(chunks)
        assert time.monotonic() - began < 10


NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class NoAuth:
    def sign_in(self, http: Http) -> dict[str, str]:
        return {}

    def token_expired(self, error: HttpError) -> bool:
        return False


@contextmanager
def dripping(drip: Callable[[], Iterator[bytes]]) -> Iterator[str]:
    """A server that answers everybody with a byte or so every few milliseconds, for as long as they listen."""
    over = threading.Event()

    def serve(client: socket.socket) -> None:
        with client:
            try:
                client.recv(65536)
                for part in drip():
                    client.sendall(part)
                    if over.wait(0.005):
                        return
            except OSError:
                """The client has heard enough."""

    def listen() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


# Redirects --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("name", VENDORS)
def test_a_redirect_to_another_host_is_never_followed(name: str, status: int, tmp_path: Path) -> None:
    elsewhere = VENDORS[name].small(utc_clock, old=3, young=2)
    with desk(name, tmp_path) as hq, Server(elsewhere) as other:
        for wanted in (deletes, reads):
            hq.emulator.interfere.append(
                lambda request, wanted=wanted: (
                    Response(status, None, {"Location": other.url + request.path}) if wanted(request) else None
                )
            )
            assert hq("run", "--yes").exit_code == 1
        assert elsewhere.seen == []
        assert acknowledged(hq.emulator) == {}
        assert held(hq.emulator) == hq.before


# Ids and texts ----------------------------------------------------------------------------------

IDS = [
    "../x",
    "a/b",
    "..",
    ".",
    "a/..",
    "%2e%2e",
    "BulkDelete",
    "all",
    "export",
    "x,y",
    "a?b#c",
    "\u202e",
    "x" * 100_000,
]


@pytest.mark.parametrize("ident", IDS, ids=[ident[:10] for ident in IDS])
@pytest.mark.parametrize("name", SOURCES)
def test_an_odd_id_is_deleted_as_itself_or_not_at_all(name: str, ident: str, tmp_path: Path) -> None:
    with desk(name, tmp_path) as hq:
        (what,) = hq.emulator.doomed
        add_old(hq.emulator, what, ident)
        hq.before = held(hq.emulator)
        hq("run", "--yes")
        hq.due.add((what, ident))
        assert hq.wrongs == []
        assert held(hq.emulator) <= hq.before - hq.due | {(what, ident)}


def add_old(emulator: Any, what: str, ident: str, **fields: Any) -> None:
    """An item of this id that is due."""
    if isinstance(emulator, TrueConf):
        emulator.add_conference(ident, ended=timedelta(days=50), tags=["delete"], **fields)
    elif what == "conferences":
        emulator.add_room(ident, running=timedelta(hours=9))
    else:
        emulator.add_recording(ident, ended=timedelta(days=50), **fields)


TITLES = {"trueconf-v3": "topic", "vobiz-recordings": "conference_name", "huawei-recordings": "subject"}
TITLES["vonage-company"] = "cnam"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown is what a terminal gets."""
    monkeypatch.setattr("confcleanup.cli.item_tables.terminal_width", lambda out: 120)


def titled(hq: Desk, name: str, title: str) -> None:
    (what,) = hq.emulator.doomed
    add_old(hq.emulator, what, {"huawei-recordings": "f" * 32}.get(name, "777"), **{TITLES[name]: title})


@pytest.mark.parametrize("name", TITLES)
def test_a_hostile_title_does_nothing_to_a_terminal(name: str, tmp_path: Path, terminal: None) -> None:
    with desk(name, tmp_path) as hq:
        titled(hq, name, HOSTILE)
        shown = hq("plan").output
        hq.instead(Response(500, {"message": HOSTILE, "error": HOSTILE}), deletes)
        shown += hq("-vv", "run", "--yes").output + hq("history").output
        assert "gpj.exe" in shown
        assert NOT_HARMLESS.findall(shown) == []


@pytest.mark.parametrize("name", TITLES)
def test_a_hostile_title_stays_one_line_of_the_json_log(name: str, tmp_path: Path) -> None:
    with desk(name, tmp_path) as hq:
        titled(hq, name, HOSTILE)
        hq.instead(Response(500, {"message": HOSTILE}), deletes)
        lines = hq("--log-format", "json", "run", "--yes").stderr.splitlines()
        assert any("gpj.exe" in json.loads(line)["message"] for line in lines)


@pytest.mark.parametrize("style", ["json", "jsonl", "csv"])
def test_a_hostile_title_is_data_in_the_stable_formats(style: str, tmp_path: Path) -> None:
    with desk("trueconf-v3", tmp_path) as hq:
        titled(hq, "trueconf-v3", HOSTILE)
        items = rows(hq("plan", "--format", style).stdout_bytes.decode(), style)
        shown = harmless(HOSTILE) if style == "csv" else HOSTILE
        assert [item["title"] for item in items if item["id"] == "777"] == [shown]
        assert len(items) == 6


def rows(text: str, style: str) -> list[dict[str, Any]]:
    """The items in a plan's output."""
    if style == "json":
        (account,) = json.loads(text)["accounts"]
        return list(account["items"])
    if style == "csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return [line for line in map(json.loads, text.splitlines()) if "id" in line]


@pytest.mark.parametrize("style", ["table", "json", "jsonl", "csv"])
@pytest.mark.parametrize("name", TITLES)
def test_a_field_of_100000_characters_is_no_trouble(name: str, style: str, tmp_path: Path) -> None:
    with desk(name, tmp_path) as hq:
        titled(hq, name, "W" * 100_000)
        assert hq("plan", "--format", style).exit_code == 0


@pytest.mark.parametrize("name", TITLES)
def test_a_field_of_100000_characters_does_not_fill_a_terminal(name: str, tmp_path: Path, terminal: None) -> None:
    with desk(name, tmp_path) as hq:
        titled(hq, name, "W" * 100_000)
        shown = hq("plan").output
        hq.instead(Response(500, {"message": "W" * 100_000}), deletes)
        shown += hq("run", "--yes").output
        assert len(shown) < 20_000
