"""The emulated Vobiz does what the fact sheet says, odd habits included."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from confcleanup.sandbox.server import Request, Response, Server
from confcleanup.sandbox.vobiz import ABSENT, HOSTILE, Vobiz, audio, refusal

START = datetime(2026, 7, 31, 12, 0, tzinfo=UTC)
BASE = "/api/v1/Account/MA_SANDBOX/"
HEADERS = {"X-Auth-ID": "MA_SANDBOX", "X-Auth-Token": "invented-vobiz-token", "Content-Type": "application/json"}
HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vobiz(clock: Clock) -> Vobiz:
    return Vobiz(clock)


def ask(vobiz: Vobiz, method: str, path: str, body: Any = None, headers: Any = None, **query: Any) -> Response:
    pairs = tuple((name, str(value)) for name, value in query.items())
    whole = path if path.startswith("/") else BASE + path
    data = b"" if body is None else json.dumps(body).encode()
    return vobiz.answer(Request(method, whole, pairs, HEADERS if headers is None else headers, data))


def page(vobiz: Vobiz, **query: Any) -> tuple[list[str], dict[str, Any]]:
    body = ask(vobiz, "GET", "Recording/", **query).body
    return [row["recording_id"] for row in body["objects"]], body["meta"]


def with_recordings(count: int, **switches: Any) -> Vobiz:
    vobiz = Vobiz(lambda: START, **switches)
    for number in range(count):
        vobiz.add_recording(f"r{number:02d}", ended=timedelta(days=number))
    return vobiz


# the way in


@pytest.mark.parametrize("missing", HEADERS)
def test_every_header_is_needed(vobiz: Vobiz, missing: str) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != missing}
    assert ask(vobiz, "GET", "Conference/", headers=headers).status == 401


@pytest.mark.parametrize(
    "path",
    ["/api/v1/account/MA_SANDBOX/Conference/", BASE + "conference/", BASE + "recording/", "/api/v1/Account/MA_X/"],
)
def test_a_lowercase_path_or_another_account_is_401(vobiz: Vobiz, path: str) -> None:
    assert ask(vobiz, "GET", path).status == 401


@pytest.mark.parametrize("path", ["/v1/Account/MA_SANDBOX/Recording/", BASE + "Conference", BASE + "Call/"])
def test_an_unknown_route_is_the_gateways_404(vobiz: Vobiz, path: str) -> None:
    response = ask(vobiz, "GET", path)
    assert (response.status, response.body) == (404, {"message": "Not Found"})


def test_revoked_keys_are_401(vobiz: Vobiz) -> None:
    vobiz.expire_tokens()
    assert ask(vobiz, "GET", "Conference/").status == 401


def test_an_unknown_switch_is_an_error() -> None:
    with pytest.raises(TypeError, match="detials"):
        Vobiz(detials="never")


def test_refusals_have_the_object_shape(vobiz: Vobiz) -> None:
    vobiz.interfere.append(lambda _: refusal(429, "RATE_LIMIT_EXCEEDED", retryAfter=1))
    body = ask(vobiz, "GET", "Conference/").body
    assert body["error"]["details"] == {"retryAfter": 1}


# rooms


def test_the_list_misses_live_rooms(vobiz: Vobiz) -> None:
    vobiz.add_room("Shown")
    vobiz.add_room("Not shown", listed=False)
    assert ask(vobiz, "GET", "Conference/").body["conferences"] == ["Shown"]
    vobiz.listing = "empty"
    assert ask(vobiz, "GET", "Conference/").body["conferences"] == []
    assert ask(vobiz, "GET", "Conference/Not%20shown/").status == 200


def test_the_list_in_its_old_shape_holds_objects(vobiz: Vobiz) -> None:
    vobiz.room_list_shape = "objects"
    vobiz.add_room("Shown")
    assert ask(vobiz, "GET", "Conference/").body["conferences"] == [{"conference_name": "Shown", "member_count": 2}]


def test_details_are_strings_and_durations(vobiz: Vobiz, clock: Clock) -> None:
    vobiz.add_room("Team Meeting", running=HOUR, joined=[HOUR, HOUR / 4])
    clock.now += HOUR
    body = ask(vobiz, "GET", "Conference/Team%20Meeting/").body
    assert (body["conference_run_time"], body["conference_member_count"]) == ("7200", "2")
    assert [member["join_time"] for member in body["members"]] == ["7200", "4500"]


@pytest.mark.parametrize(
    ("details", "failed"), [("some", [False, True]), ("always", [False] * 2), ("never", [True] * 2)]
)
def test_details_may_fail_with_status_200(vobiz: Vobiz, details: Any, failed: list[bool]) -> None:
    vobiz.details = details
    vobiz.add_room("open")
    vobiz.add_room("shut", details=False)
    answers = [ask(vobiz, "GET", f"Conference/{name}/") for name in ("open", "shut")]
    assert [answer.status for answer in answers] == [200, 200]
    assert [answer.body.get("error") == "failed" for answer in answers] == failed


def test_odd_values_replace_or_remove_fields(vobiz: Vobiz) -> None:
    vobiz.add_room("odd", odd={"conference_run_time": None, "members": ABSENT})
    body = ask(vobiz, "GET", "Conference/odd/").body
    assert body["conference_run_time"] is None
    assert "members" not in body


def test_a_room_without_members_or_past_its_time_limit_does_not_exist(vobiz: Vobiz, clock: Clock) -> None:
    vobiz.add_room("empty", joined=[])
    vobiz.add_room("limited", running=HOUR, time_limit=4 * HOUR)
    assert ask(vobiz, "GET", "Conference/empty/").body["error"] == "conference not found"
    assert ask(vobiz, "GET", "Conference/limited/").status == 200
    clock.now += 3 * HOUR
    assert ask(vobiz, "GET", "Conference/limited/").status == 404


def test_hanging_up_ends_one_room_by_its_exact_name(vobiz: Vobiz) -> None:
    for name in ("Ops", "ops", "a/b"):
        vobiz.add_room(name)
    response = ask(vobiz, "DELETE", "Conference/Ops/")
    assert (response.status, response.body) == (204, None)
    assert ask(vobiz, "DELETE", "Conference/a%2Fb/").status == 204
    assert ask(vobiz, "DELETE", "Conference/Ops/").body == {"error": "conference not found"} | _id(vobiz)
    assert (list(vobiz.rooms), vobiz.ended, vobiz.disasters) == (["ops"], ["Ops", "a/b"], [])


def _id(vobiz: Vobiz) -> dict[str, str]:
    return {"api_id": f"3f0c6b1e-0000-4000-8000-{vobiz._answers:012d}"}


def test_a_hang_up_may_take_its_time(vobiz: Vobiz, clock: Clock) -> None:
    vobiz.hangup_takes = timedelta(seconds=5)
    vobiz.add_room("slow")
    assert ask(vobiz, "DELETE", "Conference/slow/").status == 204
    assert ask(vobiz, "GET", "Conference/slow/").status == 200
    clock.now += timedelta(seconds=5)
    assert ask(vobiz, "GET", "Conference/slow/").status == 404


def test_a_reused_name_is_a_younger_room(vobiz: Vobiz) -> None:
    vobiz.add_room("again", running=9 * HOUR)
    vobiz.reuse("again")
    assert ask(vobiz, "GET", "Conference/again/").body["conference_run_time"] == "0"


@pytest.mark.parametrize("path", ["Conference/", "Conference", "Conference//", "Conference/./", "Conference/%2E/"])
def test_a_bare_or_dotted_hang_up_ends_all_rooms(vobiz: Vobiz, path: str) -> None:
    vobiz.add_room("one")
    vobiz.add_room(".")
    assert ask(vobiz, "DELETE", path).status == 204
    assert vobiz.rooms == {}
    assert vobiz.disasters == ["DELETE Conference/ ended all 2 rooms"]


def test_a_blank_name_ends_all_rooms_where_names_are_trimmed(vobiz: Vobiz) -> None:
    vobiz.add_room("one")
    assert ask(vobiz, "DELETE", "Conference/%20/").status == 404
    vobiz.trims_names = True
    ask(vobiz, "DELETE", "Conference/%20.%20/")
    assert vobiz.disasters


def test_two_dots_delete_the_account(vobiz: Vobiz) -> None:
    vobiz.fill()
    ask(vobiz, "DELETE", "Conference/%2e%2E/")
    assert vobiz.disasters == ["DELETE of the whole account"]
    assert not vobiz.rooms
    assert not vobiz.recordings


def test_an_unencoded_hash_hangs_up_another_room(vobiz: Vobiz) -> None:
    vobiz.add_room("a")
    vobiz.add_room("a#b")
    with Server(vobiz) as server:
        requests.delete(f"{server.url}{BASE}Conference/a#b/", headers=HEADERS, timeout=5)
    assert vobiz.ended == ["a"]


# announcements


@pytest.mark.parametrize(("style", "status"), [("current", 202), ("old", 200), ("missing", 404)])
def test_play_and_speak_answer_in_the_style_of_their_page(vobiz: Vobiz, style: Any, status: int) -> None:
    vobiz.play = vobiz.speak = style
    vobiz.add_room("room")
    play = ask(vobiz, "POST", "Conference/room/Member/all/Play/", {"url": "https://media.example.net/closing.mp3"})
    speak = ask(vobiz, "POST", "Conference/room/Member/17,18/Speak/", {"text": "This room closes in one minute."})
    assert (play.status, speak.status) == (status, status)
    assert len(vobiz.announcements) == (0 if style == "missing" else 2)
    if style != "missing":
        assert (play.body["member_id"], speak.body["member_id"]) == (["all"], ["17", "18"])


def test_there_is_no_announcement_to_a_room_as_such(vobiz: Vobiz) -> None:
    vobiz.add_room("room")
    assert ask(vobiz, "POST", "Conference/room/Play/").body == {"message": "Not Found"}
    assert ask(vobiz, "POST", "Conference/gone/Member/all/Play/").body["error"] == "conference not found"


@pytest.mark.parametrize(
    ("action", "body"),
    [("Play", {"url": "http://x.example/a.mp3"}), ("Play", {}), ("Speak", {"text": "x" * 1001}), ("Speak", None)],
)
def test_an_impossible_announcement_is_refused(vobiz: Vobiz, action: str, body: Any) -> None:
    vobiz.add_room("room")
    assert ask(vobiz, "POST", f"Conference/room/Member/all/{action}/", body).status == 400
    assert vobiz.announcements == []


def test_stopping_an_announcement_succeeds_also_when_nothing_plays(vobiz: Vobiz) -> None:
    vobiz.add_room("room")
    assert ask(vobiz, "DELETE", "Conference/room/Member/all/Play/").status == 204
    assert "room" in vobiz.rooms


# recordings


def test_a_page_holds_no_more_than_the_cap_and_says_so() -> None:
    vobiz = with_recordings(12)
    ids, meta = page(vobiz, limit=100)
    assert (len(ids), meta["limit"], meta["total_count"]) == (10, 10, 12)
    assert meta["next"] == "/v1/Account/MA_SANDBOX/Recording/?limit=10&offset=10"
    ids, meta = page(vobiz, limit=100, offset=10)
    assert (ids, meta["next"]) == (["r10", "r11"], None)


@pytest.mark.parametrize("query", [{"limit": 101}, {"limit": 0}, {"limit": "x"}, {"offset": -1}])
def test_impossible_pages_are_refused(query: dict[str, Any]) -> None:
    assert ask(with_recordings(1), "GET", "Recording/", **query).status == 400


def test_no_recordings_are_an_empty_page(vobiz: Vobiz) -> None:
    ids, meta = page(vobiz)
    assert (ids, meta["total_count"], meta["next"]) == ([], 0, None)


def test_a_repeated_recording_is_counted_once_unless_told() -> None:
    vobiz = with_recordings(2)
    vobiz.repeats.append("r00")
    assert page(vobiz)[0] == ["r00", "r01", "r00"]
    assert page(vobiz)[1]["total_count"] == 2
    vobiz.total_counts = "rows"
    assert page(vobiz)[1]["total_count"] == 3


@pytest.mark.parametrize(
    ("fault", "second"), [("whole", ["r02", "r03"]), ("short", ["r02"]), ("lost", []), ("repeated", ["r00", "r01"])]
)
def test_pages_can_be_faulty(fault: str, second: list[str]) -> None:
    assert page(with_recordings(6, pages=fault), limit=2, offset=2)[0] == second


def test_filters_are_ignored_unless_told() -> None:
    vobiz = with_recordings(3)
    vobiz.recordings["r01"]["recording_type"] = "conference"
    assert len(page(vobiz, recording_type="conference")[0]) == 3
    vobiz.ignore_filters = False
    assert page(vobiz, recording_type="conference")[0] == ["r01"]
    assert page(vobiz, add_time__lt="2026-07-30T18:00:00Z")[0] == ["r01", "r02"]


def test_old_recordings_can_be_hidden_but_counted() -> None:
    ids, meta = page(with_recordings(5, hides_older_than=timedelta(days=2)))
    assert (ids, meta["total_count"]) == (["r00", "r01", "r02"], 5)


def test_what_is_hidden_can_be_left_out_of_the_count_too() -> None:
    ids, meta = page(with_recordings(5, hides_older_than=timedelta(days=2), counts_hidden=False))
    assert (ids, meta["total_count"]) == (["r00", "r01", "r02"], 3)


def test_the_days_of_storage_grow_as_time_passes() -> None:
    passing = [START]
    vobiz = Vobiz(lambda: passing[0])
    vobiz.add_recording("r", ended=timedelta(days=40))
    passing[0] += timedelta(days=3)
    assert ask(vobiz, "GET", "Recording/r/").body["recording_storage_duration"] == 43


@pytest.mark.parametrize("decodes", [True, False])
@pytest.mark.parametrize("part", ["Member%2Fall", "Record"])
def test_a_path_can_be_decoded_before_it_is_cut_so_that_a_name_addresses_a_part_of_a_room(
    part: str, decodes: bool
) -> None:
    vobiz = Vobiz(lambda: START, decodes_first=decodes)
    vobiz.add_room("x")
    assert ask(vobiz, "DELETE", f"Conference/x%2F{part}/").status == (204 if decodes else 404)
    assert bool(vobiz.disasters) is decodes


@pytest.mark.parametrize(("shape", "keys"), [("january", {"api_id", "recordings"}), ("bare", {"api_id", "objects"})])
def test_the_list_has_other_shapes(shape: str, keys: set[str]) -> None:
    assert set(ask(with_recordings(1, recording_list_shape=shape), "GET", "Recording/").body) == keys


def test_times_have_a_space_a_cut_fraction_and_an_offset(vobiz: Vobiz) -> None:
    row = vobiz.add_recording("r", ended=timedelta(days=1))
    assert row["add_time"] == "2026-07-30 17:30:00.79276+05:30"
    assert row["recording_end_ms"] == "1785412800792.00000"


def test_a_recording_goes_once_and_its_file_with_it(vobiz: Vobiz) -> None:
    vobiz.add_recording("r1")
    assert ask(vobiz, "GET", "Recording/r1/").body["recording_id"] == "r1"
    assert ask(vobiz, "DELETE", "Recording/r1/").status == 204
    assert ask(vobiz, "DELETE", "Recording/r1/").body["error"] == "Recording not found"
    assert ask(vobiz, "GET", "/media/r1.mp3").status == 404
    assert vobiz.deleted == ["r1"]


def test_the_file_needs_the_keys(vobiz: Vobiz) -> None:
    vobiz.add_recording("r1")
    with Server(vobiz) as server:
        vobiz.public_url = server.url
        url = ask(vobiz, "GET", "Recording/r1/").body["recording_url"]
        keys = {name: HEADERS[name] for name in ("X-Auth-ID", "X-Auth-Token")}
        assert requests.get(url, timeout=5).status_code == 401
        assert requests.get(url, headers=keys, timeout=5).content == audio("r1")


def test_the_file_may_redirect_to_a_signed_address_where_the_keys_are_a_disaster(vobiz: Vobiz) -> None:
    vobiz.add_recording("r1")
    with Server(vobiz) as server:
        vobiz.storage_url = server.url
        keys = {name: HEADERS[name] for name in ("X-Auth-ID", "X-Auth-Token")}
        moved = requests.get(server.url + "/media/r1.mp3", headers=keys, timeout=5, allow_redirects=False)
        assert moved.status_code == 302
        assert requests.get(moved.headers["Location"], timeout=5).content == audio("r1")
        assert requests.get(server.url + "/storage/r1", timeout=5).status_code == 403
        assert vobiz.disasters == []
        requests.get(moved.headers["Location"], headers=keys, timeout=5)
        assert len(vobiz.disasters) == 1


def test_bulk_delete_does_not_look_at_its_body() -> None:
    vobiz = with_recordings(3)
    assert ask(vobiz, "DELETE", "Recording/BulkDelete/", {"recording_ids": ["r00"]}).status == 202
    assert vobiz.recordings == {}
    assert vobiz.disasters == ["DELETE Recording/BulkDelete/ removed 3 recordings"]


def test_a_recording_without_an_id_is_a_disaster_in_waiting() -> None:
    vobiz = with_recordings(1)
    assert ask(vobiz, "DELETE", "Recording/./").status == 404
    assert vobiz.disasters
    assert len(vobiz.recordings) == 1


# the backlog


def test_the_backlog_needs_several_pages_and_hides_rooms(vobiz: Vobiz) -> None:
    vobiz.fill()
    assert page(vobiz, limit=100)[1]["next"]
    ended = [vobiz.rooms[name] for name in vobiz.doomed["conferences"]]
    assert {room.listed for room in ended} == {True, False}
    assert {room.details for room in ended} == {True, False}
    assert vobiz.doomed["recordings"] < set(vobiz.recordings)


def test_the_sample_config_is_toml_and_fits_the_backlog(vobiz: Vobiz) -> None:
    vobiz.fill()
    text = vobiz.account("calls", "http://127.0.0.1:1", timeout="5 s")
    account = tomllib.loads(text)["accounts"]["calls"]
    assert (account["provider"], account["rate"], account["timeout"]) == ("vobiz", "unlimited", "5 s")
    booked = [room for rule in account["rules"] for room in rule.get("rooms", [])]
    over = {room["name"] for room in booked if datetime.fromisoformat(room["ends_at"]) < START}
    assert over - {"over and empty"} <= vobiz.doomed["conferences"]
    assert {room["name"] for room in booked} - over == {"still booked", "silent, still booked"}


def test_the_backlog_holds_unsafe_names_on_demand_only(vobiz: Vobiz) -> None:
    vobiz.fill()
    assert HOSTILE in vobiz.rooms
    assert "." not in vobiz.rooms
    vobiz.fill(unsafe=True)
    assert {".", "..", "silent, overdue"} <= set(vobiz.rooms)
    assert "BulkDelete" in vobiz.recordings
    assert "BulkDelete" not in vobiz.doomed["recordings"]


def test_two_fills_at_the_same_time_are_alike(clock: Clock) -> None:
    one, two = Vobiz(clock), Vobiz(clock)
    one.fill()
    two.fill()
    assert (one.rooms, one.recordings, one.doomed) == (two.rooms, two.recordings, two.doomed)
