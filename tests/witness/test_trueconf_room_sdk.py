"""TrueConf's own library for the Room signs in at the emulated one, with and without PIN, and reads its schedule."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from confcleanup.sandbox.room import SIGNED_IN, Room
from confcleanup.sandbox.server import Emulator, Request, Response, Server
from confcleanup.sandbox.trueconf import TrueConf
from tests.witness.statements import Witness

pytestmark = pytest.mark.witness
CLIENT = "python-trueconf-room"
PIN = "2468"


class Web(Emulator):
    """The Room's web server, which tells where its WebSocket is (sheet 10)."""

    def __init__(self, room: Room) -> None:
        super().__init__()
        self.port = urlsplit(room.url).port

    def handle(self, request: Request) -> Response:
        assert request.path == "/public/default/config.json"
        return Response(200, {"config": {"websocket": {"port": self.port}, "http": {"port": 8766}}})


def session(room: Room, folder: Path, pin: str | None) -> dict[str, Any]:
    """What the library says about one session with this Room."""
    script = str(Path(__file__).with_name("room_session.py"))
    with room, Server(Web(room)) as web:
        words = [sys.executable, script, str(web.port), *([pin] if pin else [])]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True, timeout=50)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def filled() -> TrueConf:
    made = TrueConf()
    made.fill()
    return made


@pytest.mark.parametrize("pin", [None, PIN])
def test_the_library_signs_in_and_reads_the_schedule_between_events(
    tmp_path: Path, witness: Witness, pin: str | None
) -> None:
    room = Room(filled(), pin=pin)
    said = session(room, tmp_path, pin)
    assert (said["status"], said["token"]) == ("normal", SIGNED_IN["tokenForHttpServer"])
    frames = [entry["frame"] for entry in said["frames"]]
    (schedule,) = [frame for frame in frames if frame["method"] == "getScheduler"]
    assert schedule["conferences"] == json.loads(json.dumps(room.snapshot))
    before = frames[: frames.index(schedule)]
    assert {frame["event"] for frame in before if frame["method"] == "event"} == {"conferenceList", "conferenceDeleted"}
    witness.called(f"auth {'secured' if pin else 'unsecured'}")
    witness.called("getScheduler")


def test_the_events_and_the_schedule_fit_the_librarys_own_schemas(tmp_path: Path, witness: Witness) -> None:
    said = session(Room(filled()), tmp_path, None)
    judged = [entry for entry in said["frames"] if entry["schema"] and entry["frame"].get("result", True)]
    assert {entry["frame"].get("event") or entry["frame"]["method"] for entry in judged} == {
        "conferenceList",
        "conferenceDeleted",
        "getScheduler",
    }
    for entry in judged:
        name = entry["frame"].get("event") or entry["frame"]["method"]
        assert entry["fits"], name
        assert set(entry["frame"]) - {"requestId"} == set(entry["schema"])
        witness.compared(f"{name}.{field}" for field in entry["schema"])


def test_a_wrong_pin_closes_the_session(tmp_path: Path, witness: Witness) -> None:
    room = Room(filled(), pin=PIN)
    said = session(room, tmp_path, "1111")
    assert (said["status"], said["token"]) == ("close", "")
    assert [frame["method"] for frame in room.seen] == ["auth"]
    witness.called("auth with a wrong PIN")


def test_the_witness_bites_when_the_schedule_has_another_name(tmp_path: Path) -> None:
    said = session(Room(filled(), key="conference"), tmp_path, None)
    (judged,) = [entry for entry in said["frames"] if entry["frame"]["method"] == "getScheduler"]
    assert judged["fits"] is False
