"""Plivo's SDK, whose API Vobiz mirrors, works with the emulated Vobiz where the fact sheet says that the two agree.

Not the same are the host, the two headers of the sign-in (the shim adds them) and the ``/api`` before the path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from requests.adapters import HTTPAdapter

from confcleanup.sandbox.server import Request, Response, Server
from confcleanup.sandbox.vobiz import Vobiz
from tests.witness.statements import Witness

pytestmark = [pytest.mark.witness, pytest.mark.filterwarnings("default")]
CLIENT = "plivo"
AUTH_ID = "MA0123456789ABCDEFGH"
Connect = Callable[[Vobiz], Any]


class Headers(HTTPAdapter):
    """Signs a request as Vobiz wants it (sheet 2); Plivo signs with HTTP Basic."""

    def __init__(self, emulator: Vobiz) -> None:
        super().__init__()
        self.sent = {"X-Auth-ID": emulator.auth_id, "X-Auth-Token": emulator.auth_token}

    def send(self, request: Any, *words: Any, **options: Any) -> Any:
        request.headers.update(self.sent)
        del request.headers["Authorization"]
        return super().send(request, *words, **options)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Serves an emulator; the SDK's client for it."""
    import plivo.rest.client as sdk

    def client(emulator: Vobiz) -> Any:
        server = stack.enter_context(Server(emulator))
        for name in ("API_VOICE_BASE_URI", "API_VOICE_BASE_URI_FALLBACK_1", "API_VOICE_BASE_URI_FALLBACK_2"):
            monkeypatch.setattr(sdk, name, f"{server.url}/api/v1/Account")
        made = sdk.Client(AUTH_ID, emulator.auth_token)
        made.session.mount("http://", Headers(emulator))
        return made

    with ExitStack() as stack:
        yield client


def vobiz(**switches: Any) -> Vobiz:
    made = Vobiz(auth_id=AUTH_ID, details="always", listing="all", **switches)
    for number in range(23):
        made.add_recording(f"rec-{number:03d}", ended=timedelta(days=number + 1))
    made.add_room("Team", running=timedelta(hours=5))
    return made


def test_recordings_are_listed_to_the_end_by_following_the_next_page(connect: Connect, witness: Witness) -> None:
    emulator = vobiz()
    found = list(connect(emulator).recordings)
    assert [recording.id for recording in found] == list(emulator.recordings)
    assert [request.number("offset", -1) for request in emulator.requests("GET")] == [0, 10, 20]
    witness.called("recordings.list")
    witness.compared(["meta.limit", "meta.next", "objects", "recording.recording_id"])


def test_the_meta_of_a_page_is_plivos(connect: Connect, witness: Witness) -> None:
    page = connect(vobiz()).recordings.list(limit=20, offset=0)
    assert (page.meta.offset, page.meta.previous, page.meta.total_count) == (0, None, 23)
    witness.called("recordings.list")
    witness.compared(f"meta.{name}" for name in ("offset", "previous", "total_count"))


def test_a_recording_is_read_and_deleted(connect: Connect, witness: Witness) -> None:
    emulator = vobiz()
    client = connect(emulator)
    recording = client.recordings.get("rec-001")
    assert vars(recording).keys() > emulator.recordings["rec-001"].keys()
    assert recording.id == "rec-001"
    assert recording.delete() is None
    assert emulator.deleted == ["rec-001"]
    assert emulator.seen[-1].status == 204
    witness.called("recordings.get")
    witness.called("recordings.delete")


def test_a_recording_that_is_not_there_is_not_found(connect: Connect, witness: Witness) -> None:
    from plivo.exceptions import ResourceNotFoundError

    recordings = connect(vobiz()).recordings
    for call in (recordings.get, recordings.delete):
        with pytest.raises(ResourceNotFoundError, match="Recording not found"):
            call("nothing")
    witness.compared(["error"])


def test_conferences_are_listed_read_and_ended(connect: Connect, witness: Witness) -> None:
    emulator = vobiz()
    client = connect(emulator)
    assert client.conferences.list().conferences == ["Team"]
    room = client.conferences.get("Team")
    assert (room.conference_name, room.conference_member_count) == ("Team", "2")
    assert int(room.conference_run_time) == timedelta(hours=5).total_seconds()
    assert [member.member_id for member in room.members] == ["17", "18"]
    client.conferences.delete("Team")
    assert emulator.ended == ["Team"]
    assert not emulator.disasters
    for call in ("list", "get", "delete"):
        witness.called(f"conferences.{call}")
    witness.compared(["conferences", "members", "member.member_id"])
    witness.compared(f"conference.conference_{name}" for name in ("name", "run_time", "member_count"))


def test_a_conference_that_is_over_is_not_found(connect: Connect) -> None:
    from plivo.exceptions import ResourceNotFoundError

    conferences = connect(vobiz()).conferences
    for call in (conferences.get, conferences.delete):
        with pytest.raises(ResourceNotFoundError, match="conference not found"):
            call("nobody")


def test_a_wrong_token_is_refused(connect: Connect) -> None:
    from plivo.exceptions import AuthenticationError

    emulator = vobiz()
    client = connect(emulator)
    emulator.auth_token = "another"
    with pytest.raises(AuthenticationError):
        client.conferences.list()


@pytest.mark.parametrize(("name", "says"), [("recording_id", ValueError), ("objects", AttributeError)])
def test_the_witness_bites(connect: Connect, name: str, says: type[Exception]) -> None:
    def renamed(request: Request, response: Response) -> Response:
        body = dict(response.body)
        rows = [{f"{key}_" if key == name else key: value for key, value in row.items()} for row in body["objects"]]
        body["objects"] = rows
        return replace(response, body={f"{key}_" if key == name else key: value for key, value in body.items()})

    emulator = vobiz()
    emulator.after.append(renamed)
    client = connect(emulator)
    with pytest.raises(says):
        assert [recording.id for recording in client.recordings.list()]
