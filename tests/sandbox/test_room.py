"""The emulated Room does what section 10 of the fact sheet says, odd habits included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from confcleanup.sandbox.room import Room
from confcleanup.sandbox.trueconf import TrueConf

START = datetime(2026, 7, 31, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
PIN = "2468"
UNSECURED = {"method": "auth", "type": "unsecured"}
SECURED = {"method": "auth", "type": "secured", "credentials": PIN}
LIST = {"method": "getScheduler", "requestId": "sched-1"}


@pytest.fixture
def emulator() -> TrueConf:
    made = TrueConf(lambda: START)
    made.add_conference("0073310045", tags=["cleanup"], type=3)
    made.add_weekly("weekly")
    made.add_room("room_7")
    return made


@contextmanager
def talk(room: Room) -> Iterator[ClientConnection]:
    with room, connect(room.url, proxy=None) as connection:
        yield connection


def ask(connection: ClientConnection, frame: dict[str, Any]) -> dict[str, Any]:
    """Sends a frame; its answer, after the events that come before it."""
    connection.send(json.dumps(frame))
    while True:
        answer: dict[str, Any] = json.loads(connection.recv(timeout=5))
        if answer["method"] != "event":
            return answer


def listed(room: Room) -> dict[str, dict[str, Any]]:
    with talk(room) as connection:
        ask(connection, UNSECURED if room.pin is None else SECURED)
        answer = ask(connection, LIST)
    assert answer["cnt"] == len(answer[room.key])
    return {row["id"]: row for row in answer[room.key]}


def test_signing_in_spells_its_rights_wrong(emulator: TrueConf) -> None:
    with talk(Room(emulator)) as connection:
        answer = ask(connection, UNSECURED)
    assert (answer["result"], answer["previleges"], answer["requestId"]) == (True, 2, "")


def test_a_pin_is_needed_where_there_is_one(emulator: TrueConf) -> None:
    with talk(Room(emulator, pin=PIN)) as connection:
        assert [ask(connection, frame)["result"] for frame in (UNSECURED, SECURED)] == [False, True]


@pytest.mark.parametrize("frame", [UNSECURED, {**SECURED, "credentials": "1357"}, {"method": "auth"}])
def test_after_a_refused_sign_in_the_list_is_refused_too(emulator: TrueConf, frame: dict[str, Any]) -> None:
    with talk(Room(emulator, pin=PIN)) as connection:
        assert ask(connection, frame)["result"] is False
        answer = ask(connection, LIST)
    assert (answer["result"], "conferences" in answer) == (False, False)


def test_every_sign_in_can_be_refused(emulator: TrueConf) -> None:
    with talk(Room(emulator, pin=PIN, admits=False)) as connection:
        assert ask(connection, SECURED)["result"] is False


def test_events_come_before_the_answer_and_look_like_a_list(emulator: TrueConf) -> None:
    with talk(Room(emulator)) as connection:
        connection.send(json.dumps(UNSECURED))
        frames = [json.loads(connection.recv(timeout=5)) for _ in range(3)]
    assert [frame.get("event") for frame in frames] == ["conferenceList", "conferenceDeleted", None]
    assert frames[0]["conferences"][0]["id"] not in emulator.conferences


def test_the_number_of_the_request_is_echoed(emulator: TrueConf) -> None:
    with talk(Room(emulator)) as connection:
        ask(connection, UNSECURED)
        assert ask(connection, LIST)["requestId"] == "sched-1"
        assert ask(connection, {"method": "getScheduler"})["requestId"] == ""


def test_an_item_has_its_type_beside_the_schedule_and_no_tags(emulator: TrueConf) -> None:
    rows = listed(Room(emulator))
    once = rows["0073310045"]
    start = emulator.conferences["0073310045"]["schedule"]["start_time"]
    assert (once["schedule_type"], once["mode"]) == ("once", "S|L")
    assert once["schedule"] == {"start_time": start, "duration": 3600}
    assert not [row for row in rows.values() if "tags" in row or "type" in row]
    assert rows["room_7"]["schedule_type"] == "none"
    assert "schedule" not in rows["room_7"]


def test_days_are_seven_numbers_from_sunday(emulator: TrueConf) -> None:
    assert listed(Room(emulator))["weekly"]["schedule"]["days"] == [0, 1, 0, 0, 0, 1, 0]


def test_items_can_have_the_shape_of_the_server_with_empty_tags(emulator: TrueConf) -> None:
    row = listed(Room(emulator, server_style=True))["0073310045"]
    assert (row["type"], row["schedule"]["type"], row["tags"]) == (3, 1, [])


def test_the_list_can_be_called_conference(emulator: TrueConf) -> None:
    assert "0073310045" in listed(Room(emulator, key="conference"))


def test_the_list_is_stale_until_it_is_refreshed(emulator: TrueConf) -> None:
    room = Room(emulator)
    del emulator.conferences["0073310045"]
    emulator.add_conference("new")
    with talk(room) as connection:
        ask(connection, UNSECURED)
        before = {row["id"] for row in ask(connection, LIST)["conferences"]}
        room.refresh()
        after = {row["id"] for row in ask(connection, LIST)["conferences"]}
    assert before - after == {"0073310045"}
    assert after - before == {"new"}


def test_an_event_of_its_own_has_iso_times_and_is_unknown_to_the_server(emulator: TrueConf) -> None:
    row = listed(Room(emulator, local_ended=40 * DAY))["local-1"]
    start = datetime.fromisoformat(row["schedule"]["start_time"])
    assert start + timedelta(seconds=row["schedule"]["duration"]) == START - 40 * DAY
    assert "local-1" not in emulator.conferences
    assert "local-1" not in listed(Room(emulator, local_events=False))


def test_a_terminal_without_a_server_shows_an_empty_schedule(emulator: TrueConf) -> None:
    assert listed(Room(emulator, logged_in=False)) == {}


@pytest.mark.parametrize("method", ["deleteConference", "cancelConference", "removeFromScheduler"])
def test_there_is_no_method_that_deletes(emulator: TrueConf, method: str) -> None:
    with talk(Room(emulator)) as connection:
        ask(connection, UNSECURED)
        assert ask(connection, {"method": method, "confId": "0073310045"})["result"] is False
    assert len(emulator.conferences) == 3


def test_a_room_remembers_the_frames_it_received(emulator: TrueConf) -> None:
    room = Room(emulator)
    listed(room)
    assert room.seen == [UNSECURED, LIST]
